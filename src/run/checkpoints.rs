//! Checkpoints on the disk: arrays in safetensors, the rest in JSON beside it, each with a
//! checksum, each whole or not there. The newest two and the best are kept.

use super::durable::{self, with_suffix};
use crate::advice::about;
use crate::train::{Array, Checkpoint, SessionState, Values};
use rustix::io::Errno;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Version of the files.
const FORMAT: u32 = 2;

/// The directory `checkpoints/` of a run.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    directory: PathBuf,
}

/// What stands in the JSON file.
#[derive(Serialize, Deserialize)]
struct Manifest {
    format: u32,
    /// Version of the program that wrote it, for people; empty: before it was kept.
    #[serde(default)]
    version: String,
    /// SHA-256 of the safetensors file.
    arrays_sha256: String,
    /// SHA-256 of the text of `state`.
    state_sha256: String,
    state: Box<RawValue>,
}

/// A checkpoint that was found, and those that were damaged.
#[derive(Debug, Default)]
pub struct Found {
    /// The newest whole one, and its file.
    pub checkpoint: Option<(Checkpoint, PathBuf)>,
    /// What is wrong with the newer ones, a line each.
    pub damaged: Vec<String>,
    /// Their JSON files.
    damaged_files: Vec<PathBuf>,
}

impl Checkpoints {
    /// Those in `directory`, which need not exist yet.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes one; the file has its name only when it is whole and on the disk. Then removes those
    /// that are not kept.
    ///
    /// # Errors
    /// Whatever the file system says; nothing half is left under a final name.
    pub fn write(&self, checkpoint: &Checkpoint) -> io::Result<PathBuf> {
        match fs::create_dir(&self.directory) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {} // a run whose directory is gone gets no new one
        }
        let state = &checkpoint.state;
        let step = state.epoch.map_or(0, |e| e.step);
        let name = format!("epoch-{:05}-step-{step:07}", state.completed);
        let arrays = serialize(&checkpoint.arrays)?;
        let text = serde_json::to_string(state)?;
        let manifest = Manifest {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            arrays_sha256: sha256(&arrays),
            state_sha256: sha256(text.as_bytes()),
            state: RawValue::from_string(text)?,
        };
        let file = self.directory.join(format!("{name}.safetensors"));
        durable::write(&file, &arrays)?;
        durable::write(&file.with_extension("json"), &serde_json::to_vec(&manifest)?)?;
        durable::force_names(&self.directory)?;
        self.prune();
        Ok(file)
    }

    /// Puts a run's directory in order before it goes on: what was half written goes, checkpoints
    /// that [`newest`](Self::newest) found damaged are set aside (as `*.damaged`), so that they do
    /// not count among the newest two.
    pub fn tidy(&self, found: &Found) {
        for manifest in &found.damaged_files {
            let _ = fs::rename(manifest, with_suffix(manifest, ".damaged"));
            let arrays = manifest.with_extension("safetensors");
            let _ = fs::rename(&arrays, with_suffix(&arrays, ".damaged"));
        }
        for entry in fs::read_dir(&self.directory).into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            let extension = path.extension().map(|e| e.to_string_lossy().into_owned());
            let half = match extension.as_deref() {
                Some("tmp") => true,
                Some("safetensors") => !path.with_extension("json").exists(),
                _ => false,
            };
            if half {
                let _ = fs::remove_file(path);
            }
        }
    }

    /// The state of the newest checkpoint that can be read, without its arrays: for tables of runs.
    pub fn newest_state(&self) -> Option<SessionState> {
        self.manifests().ok()?.iter().find_map(|m| read_state(m).ok()).map(|(state, _)| state)
    }

    /// The checkpoint at the end of `epoch`, and its file.
    ///
    /// # Errors
    /// When it is not there, cannot be read, or is damaged.
    pub fn at_end_of(&self, epoch: usize) -> io::Result<(Checkpoint, PathBuf)> {
        let manifest = self.directory.join(format!("{}.json", at_end(epoch)));
        Ok((read_checkpoint(&manifest)?, manifest.with_extension("safetensors")))
    }

    /// The newest whole checkpoint.
    ///
    /// # Errors
    /// When the directory or a file cannot be read (one that is not there has no checkpoints), and
    /// when a newer one was written by another version of the program: that is not damage, and to
    /// go on from an older one would lose what it holds.
    pub fn newest(&self) -> io::Result<Found> {
        let mut found = Found::default();
        for manifest in self.manifests()? {
            match read_checkpoint(&manifest) {
                Ok(checkpoint) => {
                    found.checkpoint = Some((checkpoint, manifest.with_extension("safetensors")));
                    return Ok(found);
                }
                Err(e) if is_damage(&e) => {
                    found.damaged.push(format!("{}: {e}", manifest.display()));
                    found.damaged_files.push(manifest);
                }
                Err(e) => return Err(io::Error::new(e.kind(), about(manifest.display(), &e))),
            }
        }
        Ok(found)
    }

    /// JSON files, the newest first.
    fn manifests(&self) -> io::Result<Vec<PathBuf>> {
        manifests(&self.directory)
    }

    /// Keeps the newest two and the one at the end of the best epoch. What cannot be read or
    /// removed is left.
    fn prune(&self) {
        let Ok(manifests) = self.manifests() else { return };
        let best =
            manifests.first().and_then(|m| read_state(m).ok()).map(|(s, _)| at_end(s.best_epoch));
        for old in manifests.iter().skip(2) {
            let stem = old.file_stem().map(|s| s.to_string_lossy().into_owned());
            if stem != best {
                let _ = fs::remove_file(old);
                let _ = fs::remove_file(old.with_extension("safetensors"));
            }
        }
    }
}

/// What files of the checkpoint at the end of `epoch` are called, without their endings.
fn at_end(epoch: usize) -> String {
    format!("epoch-{epoch:05}-step-0000000")
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// JSON files in `directory`, the newest first: names sort by epoch and step.
fn manifests(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "json"));
    files.sort_by(|a, b| b.cmp(a));
    Ok(files)
}

/// Completed epochs and step of the foremost checkpoint in `directory` whose state can be read and
/// whose arrays are there, and their file.
pub(super) fn foremost(directory: &Path) -> io::Result<Option<((usize, usize), PathBuf)>> {
    let place = |state: &SessionState| (state.completed, state.epoch.map_or(0, |e| e.step));
    let whole = manifests(directory)?.into_iter().find_map(|m| {
        let at = place(&read_state(&m).ok()?.0);
        let arrays = m.with_extension("safetensors");
        arrays.exists().then_some((at, arrays))
    });
    Ok(whole)
}

fn serialize(arrays: &[Array]) -> io::Result<Vec<u8>> {
    let bytes: Vec<(Dtype, Vec<u8>)> = arrays
        .iter()
        .map(|a| match &a.values {
            Values::F32(v) => (Dtype::F32, v.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Values::F64(v) => (Dtype::F64, v.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Values::U32(v) => (Dtype::U32, v.iter().flat_map(|v| v.to_le_bytes()).collect()),
        })
        .collect();
    let mut views = Vec::with_capacity(arrays.len());
    for (array, (dtype, bytes)) in arrays.iter().zip(&bytes) {
        views.push((
            array.name.as_str(),
            TensorView::new(*dtype, array.shape.clone(), bytes).map_err(io::Error::other)?,
        ));
    }
    safetensors::serialize(views, None::<HashMap<String, String>>).map_err(io::Error::other)
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Of a checkpoint that another version wrote; `why`: how that shows.
fn foreign(version: &str, why: &str) -> io::Error {
    let by = if version.is_empty() { String::new() } else { format!(" (earlybird {version})") };
    let what = format!(
        "written by another version of this program{by}: {why}\n  Use that version, or move the \
         file away to go on from the one \
         before it."
    );
    io::Error::new(io::ErrorKind::Unsupported, what)
}

/// Of a checkpoint whose checksums are right, but which no run can have written, or none of this
/// version.
fn unusable(version: &str, why: &str) -> io::Error {
    if version != env!("CARGO_PKG_VERSION") {
        return foreign(version, why);
    }
    let what = format!(
        "no run can be in this state: {why}\n  Move the file away to go on from the one before it."
    );
    io::Error::new(io::ErrorKind::Unsupported, what)
}

/// What is wrong, without where in a line of JSON that nobody reads.
fn without_place(e: &serde_json::Error) -> String {
    let text = e.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| what.to_owned())
}

/// Whether a file is not what was written: it is missing, cut or changed, or its place on the disk
/// cannot be read. Not so whatever else keeps it from being read now.
fn is_damage(e: &io::Error) -> bool {
    match Errno::from_io_error(e) {
        Some(errno) => matches!(errno, Errno::NOENT | Errno::IO),
        None => e.kind() != io::ErrorKind::Unsupported,
    }
}

/// The state, and the checksum that the arrays must have.
fn read_state(manifest: &Path) -> io::Result<(SessionState, String)> {
    // A newer file's version is understood before the rest of it.
    #[derive(Deserialize)]
    struct Anyone {
        format: u32,
        #[serde(default)]
        version: String,
    }
    let bytes = fs::read(manifest)?;
    let anyone: Anyone = serde_json::from_slice(&bytes)?;
    if anyone.format != FORMAT {
        return Err(foreign(
            &anyone.version,
            &format!("format {}, this one reads {FORMAT}", anyone.format),
        ));
    }
    let m: Manifest = serde_json::from_slice(&bytes)?;
    if sha256(m.state.get().as_bytes()) != m.state_sha256 {
        return Err(damaged("its state does not have its checksum"));
    }
    let state: SessionState = serde_json::from_str(m.state.get())
        .map_err(|e| unusable(&m.version, &without_place(&e)))?;
    match state.objection() {
        None => Ok((state, m.arrays_sha256)),
        Some(why) => Err(unusable(&m.version, &why)),
    }
}

/// The checkpoint whose JSON file this is.
pub(super) fn read_checkpoint(manifest: &Path) -> io::Result<Checkpoint> {
    let (state, wanted) = read_state(manifest)?;
    let file = manifest.with_extension("safetensors");
    let bytes = fs::read(&file)?;
    if sha256(&bytes) != wanted {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        return Err(damaged(&format!("its arrays ({name}) do not have their checksum")));
    }
    let tensors =
        SafeTensors::deserialize(&bytes).map_err(|e| damaged(&format!("its arrays: {e}")))?;
    let mut arrays = Vec::new();
    for (name, view) in tensors.tensors() {
        let values = match view.dtype() {
            Dtype::F32 => Values::F32(
                view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            ),
            Dtype::F64 => Values::F64(
                view.data().as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
            ),
            Dtype::U32 => Values::U32(
                view.data().as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect(),
            ),
            other => return Err(damaged(&format!("array {name} is of type {other:?}"))),
        };
        arrays.push(Array { name, shape: view.shape().to_vec(), values });
    }
    Ok(Checkpoint { state, arrays })
}
