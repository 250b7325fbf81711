//! Downloads into the cache: with progress, resumed where they broke off, refused when the checksum
//! is wrong. Processes that fetch the same file take turns. Knows nothing of what is in the files.

use super::Progress;
use super::read::DataError;
use md5::{Digest, Md5};
use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A published file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// From where.
    pub url: String,
    /// Where in the cache, `set/file`.
    pub file: String,
    /// Published MD5, hexadecimal.
    pub md5: String,
}

/// How a download ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Download {
    /// It was there already, whole.
    Present(PathBuf),
    /// It was fetched.
    Fetched(PathBuf),
}

/// How long a server may be silent, or send less than `LEAST` bytes.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes within [`PATIENCE`] below which a connection counts as dead.
const LEAST: u64 = 1 << 10;

/// Fetches one file into `cache`. What a broken try left (`.part`) is gone on from; the final name
/// appears only with the right checksum, a wrong file is set aside as `.bad`. While another process
/// fetches the same file, this one waits, and then uses what that one got. A server that sends
/// nothing, or next to nothing, for `patience` is given up.
///
/// # Errors
/// [`DataError::Download`], [`DataError::Checksum`] or [`DataError::Io`].
pub fn download(
    remote: &Remote,
    cache: &Path,
    patience: Duration,
    progress: &mut dyn FnMut(Progress),
) -> Result<Download, DataError> {
    let target = cache.join(&remote.file);
    let directory = target.parent().unwrap_or(cache);
    loop {
        if target.is_file() {
            verify(&target, &remote.md5)?;
            return Ok(Download::Present(target));
        }
        fs::create_dir_all(directory).map_err(DataError::io(directory))?;
        // Whoever waited may hold a file that has been renamed since: then it looks again.
        let Some(part) = Part::locked(&target, remote, progress)? else { continue };
        Transfer { remote, directory, patience, part: &part }.run(progress)?;
        verify(&part.path, &remote.md5)?;
        fs::rename(&part.path, &target).map_err(DataError::io(&target))?;
        return Ok(Download::Fetched(target));
    }
}

/// What is here of a file, locked against other processes as long as this lives.
struct Part {
    path: PathBuf,
    file: File,
    /// Whether the next try finds it.
    is_shared: bool,
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_shared {
            let _ = fs::remove_file(&self.path); // gone already, where it became the whole file
        }
    }
}

impl Part {
    /// Waits for its turn; `None` when the file under this name is another one by then.
    fn locked(
        target: &Path,
        remote: &Remote,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Option<Self>, DataError> {
        let path = with_suffix(target, ".part");
        let open = |path: &Path| OpenOptions::new().create(true).append(true).open(path);
        let file = open(&path).map_err(DataError::io(&path))?;
        let locked = match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                progress(Progress::Waiting { file: remote.file.clone() });
                file.lock()
            }
            Err(TryLockError::Error(e)) => Err(e),
            Ok(()) => Ok(()),
        };
        if locked.is_err() {
            // A file system without locks: a file of its own, which no process of any machine
            // appends to.
            let path = with_suffix(
                target,
                &format!(".{:016x}.part", RandomState::new().build_hasher().finish()),
            );
            let file = open(&path).map_err(DataError::io(&path))?;
            return Ok(Some(Self { path, file, is_shared: false }));
        }
        let same = |named: io::Result<fs::Metadata>| {
            let held = file.metadata()?;
            named.map(|named| (named.dev(), named.ino()) == (held.dev(), held.ino()))
        };
        Ok(same(fs::metadata(&path)).unwrap_or(false).then_some(Self {
            path,
            file,
            is_shared: true,
        }))
    }

    fn len(&self) -> Result<u64, DataError> {
        self.file.metadata().map(|m| m.len()).map_err(DataError::io(&self.path))
    }
}

/// One answer of a server, written behind what is here.
struct Transfer<'a> {
    remote: &'a Remote,
    directory: &'a Path,
    patience: Duration,
    part: &'a Part,
}

impl Transfer<'_> {
    fn failed(&self, what: String) -> DataError {
        DataError::Download { url: self.remote.url.clone(), what, cache: self.directory.to_owned() }
    }

    fn run(&self, progress: &mut dyn FnMut(Progress)) -> Result<(), DataError> {
        let have = self.part.len()?;
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_connect(Some(self.patience.min(Duration::from_secs(20))))
            .timeout_recv_response(Some(self.patience))
            .timeout_per_read(Some(self.patience))
            .http_status_as_error(false)
            .build()
            .into();
        let mut request = agent.get(&self.remote.url);
        if have > 0 {
            request = request.header("Range", format!("bytes={have}-"));
        }
        let mut response = request.call().map_err(|e| self.failed(e.to_string()))?;
        let status = response.status().as_u16();
        let done = match status {
            206 => have,
            200 => 0,
            // nothing is left to send: what is here is whole, or the checksum will tell
            416 => return Ok(()),
            _ => return Err(self.failed(format!("the server answered {}", response.status()))),
        };
        let length = response
            .headers()
            .get("content-length")
            .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        self.part.file.set_len(done).map_err(DataError::io(&self.part.path))?;
        let body = response.body_mut().with_config().limit(u64::MAX).reader();
        self.receive(body, done, length.map(|l| l + done), progress)
    }

    fn receive(
        &self,
        mut body: impl Read,
        mut done: u64,
        of: Option<u64>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), DataError> {
        let path = &self.part.path;
        let mut file = &self.part.file;
        let mut block = vec![0; 1 << 16];
        let (mut since, mut then) = (Instant::now(), done);
        loop {
            progress(Progress::Download { file: self.remote.file.clone(), done, of });
            let got = body
                .read(&mut block)
                .map_err(|e| self.failed(format!("broke off at byte {done}: {e}")))?;
            if got == 0 {
                break;
            }
            file.write_all(&block[..got]).map_err(DataError::io(path))?;
            done += got as u64;
            if done - then >= LEAST {
                (since, then) = (Instant::now(), done);
            } else if since.elapsed() > self.patience {
                let what =
                    format!("less than {LEAST} bytes came in {:.0?} at byte {done}", self.patience);
                return Err(self.failed(what));
            }
        }
        if let Some(of) = of.filter(|of| done < *of) {
            return Err(self.failed(format!("broke off at byte {done} of {of}")));
        }
        file.sync_all().map_err(DataError::io(path))
    }
}

/// Sets a file aside that is not what was published.
fn verify(file: &Path, want: &str) -> Result<(), DataError> {
    let mut hasher = Md5::new();
    let mut reader = File::open(file).map_err(DataError::io(file))?;
    let mut block = vec![0; 1 << 16];
    loop {
        let got = reader.read(&mut block).map_err(DataError::io(file))?;
        if got == 0 {
            break;
        }
        hasher.update(&block[..got]);
    }
    let got: String = hasher.finalize().iter().map(|b| format!("{b:02x}")).collect();
    if got == want {
        return Ok(());
    }
    let aside = with_suffix(file, ".bad");
    fs::rename(file, &aside).map_err(DataError::io(&aside))?;
    Err(DataError::Checksum { file: file.to_owned(), got, want: want.to_owned(), aside })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
