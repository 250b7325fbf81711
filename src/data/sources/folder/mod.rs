//! Image folders: `train/<class>/` with `test/<class>/` (or `val/`), each class of PNG and JPEG
//! files, in folders of its own or not; scaled and cropped to squares, RGB.
//!
//! What looks like an image and cannot be used is counted and told; what is damaged stops it, all
//! of it named at once.

mod account;
mod decode;
mod jpeg;
mod kind;
mod layout;
mod walk;

use self::account::{Account, Reason};
use self::decode::{Decoder, Read};
use self::kind::Named;
use self::layout::{Layout, called};
use self::walk::{Entry, below_root};
use crate::data::findings::{bounded, counted};
use crate::data::names::{printable_name, shown};
use crate::data::origin::{DataSource, Origin};
use crate::data::read::DataError;
use crate::data::{Dataset, Progress, Split};
use rayon::prelude::*;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Files that a thread decodes between two words on how far it is: enough that no thread waits for
/// long at the end of a block.
const BLOCK: usize = 16;

/// An image, and the class that it is in.
struct File {
    path: PathBuf,
    label: u32,
}

/// Whether there are folders in this one.
fn is_here(root: &Path) -> bool {
    walk::directories(root).is_ok_and(|names| !names.is_empty())
}

/// Somebody's own images.
pub(super) struct Folder;

impl DataSource for Folder {
    fn about(&self) -> &'static str {
        "your own PNG and JPEG images: train/<class>/ and test/<class>/, with data.path"
    }

    fn origin(&self) -> Origin {
        Origin::Own("the directory that holds train/<class>/*.png and test/<class>/*.png")
    }

    fn is_at(&self, path: &Path) -> bool {
        is_here(path)
    }

    fn load(
        &self,
        path: &Path,
        image_size: usize,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Dataset, DataError> {
        load(path, image_size, progress)
    }
}

/// Loads both splits at `size` x `size` pixels. Classes are the directories of `train`, in the
/// order of their names.
fn load(
    root: &Path,
    size: usize,
    progress: &mut dyn FnMut(Progress),
) -> Result<Dataset, DataError> {
    let layout = Layout::of(root)?;
    let mut reading =
        Reading { root, size, account: Account::default(), wrong: Vec::new(), done: 0, of: 0 };
    let train = reading.list(&layout, &layout.train)?;
    let test = reading.list(&layout, &layout.test)?;
    reading.of = train.len() + test.len();
    let train = reading.decode(train, &layout, &layout.train, progress)?;
    let test = reading.decode(test, &layout, &layout.test, progress)?;
    let classes: Vec<String> = layout.classes.iter().map(|c| printable_name(c)).collect();
    let account = reading.complain(&layout, &classes, &train, &test)?;
    let name = root.file_name().map_or_else(|| shown(root), printable_name);
    let mut data = Dataset::new(name, [3, size, size], classes, train, test);
    data.findings = layout.findings;
    data.findings.extend(account.findings(|_| true));
    Ok(data)
}

/// What is gathered while the files are read.
struct Reading<'a> {
    root: &'a Path,
    size: usize,
    account: Account,
    /// Damaged files, in the order of their classes.
    wrong: Vec<String>,
    done: usize,
    of: usize,
}

impl Reading<'_> {
    /// The files of a split, by class.
    fn list(&mut self, layout: &Layout, split: &Path) -> Result<Vec<File>, DataError> {
        let mut found = Vec::new();
        for entry in walk::entries(split)? {
            match entry {
                Entry::File(path) if Named::of(&path).is_image() => {
                    self.account.add(&called(split), Reason::NoClass)
                }
                Entry::Neither(_, reason) => self.account.add(&called(split), reason),
                Entry::File(_) | Entry::Directory(_) => {}
            }
        }
        let directories: Vec<PathBuf> =
            layout.classes.iter().map(|class| split.join(class)).collect();
        // A link in one class that leads up or to another class would bring images of other classes
        // along.
        let around = [self.root, split].into_iter().chain(directories.iter().map(PathBuf::as_path));
        let others: walk::Places = around.filter_map(|path| walk::identity(path).ok()).collect();
        for (label, (class, directory)) in layout.classes.iter().zip(&directories).enumerate() {
            if directory.is_dir() {
                let place = place(split, &printable_name(class));
                let files = walk::files(directory, &place, &others, &mut self.account)?;
                found.extend(files.into_iter().map(|path| File { path, label: label as u32 }));
            }
        }
        Ok(found)
    }

    /// Decodes side by side, a block at a time; the order is that of `files`.
    fn decode(
        &mut self,
        files: Vec<File>,
        layout: &Layout,
        split: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Split, DataError> {
        let image = 3 * self.size * self.size;
        let mut out = Split::default();
        if out.pixels.try_reserve_exact(files.len() * image).is_err() {
            let gb = (files.len() * image) as f64 / 1e9;
            let what = format!(
                "{} of {} take {gb:.1} GB at {}x{}",
                files.len(),
                called(split),
                self.size,
                self.size
            );
            let help = "That is more than there is: lower data.image_size.".into();
            return Err(DataError::Folder { root: shown(self.root), wrong: vec![what], help });
        }
        let decoder = Decoder::new(self.size);
        for block in files.chunks(BLOCK * rayon::current_num_threads()) {
            self.tell(progress);
            let read: Vec<Read> = block.par_iter().map(|file| decoder.read(&file.path)).collect();
            self.done += block.len();
            for (file, read) in block.iter().zip(read) {
                match read {
                    Read::Pixels(pixels) => {
                        out.pixels.extend(pixels);
                        out.labels.push(file.label);
                    }
                    Read::Lost(reason) => {
                        let class = printable_name(&layout.classes[file.label as usize]);
                        self.account.add(&place(split, &class), reason);
                    }
                    Read::Broken(why) => {
                        self.wrong.push(format!("{}: {why}", below_root(self.root, &file.path)))
                    }
                    Read::Unreadable(source) => return Err(DataError::io(&file.path)(source)),
                    Read::Foreign => {}
                }
            }
        }
        self.tell(progress);
        Ok(out)
    }

    fn tell(&self, progress: &mut dyn FnMut(Progress)) {
        progress(Progress::Images {
            from: shown(self.root),
            done: self.done as u64,
            of: self.of as u64,
        });
    }

    /// An error if files are damaged, or a split or class lacks images; everything in one go.
    fn complain(
        self,
        layout: &Layout,
        classes: &[String],
        train: &Split,
        test: &Split,
    ) -> Result<Account, DataError> {
        let damaged = self.wrong.len();
        let mut help = Vec::new();
        if damaged > 0 {
            help.push(format!(
                "Repair or remove what is damaged ({}).",
                counted(damaged as u64, "file")
            ));
        }
        let mut wrong = bounded(self.wrong, |more| format!("and {more} more files"));
        let account = self.account;
        let because = |place: &str| match account.briefly(place) {
            lost if lost.is_empty() => lost,
            lost => format!(": it has {lost}, which cannot be read"),
        };
        let counts = train.class_counts(classes.len());
        let empty = classes.iter().zip(&counts).filter(|(_, n)| **n == 0);
        let empty: Vec<String> = empty.map(|(class, _)| place(&layout.train, class)).collect();
        if !empty.is_empty() {
            help.push(
                "Each folder in the training split is a class: fill it with PNG or JPEG \
                       images, or remove it."
                    .into(),
            );
        }
        let lines = empty
            .iter()
            .map(|place| format!("{place} has no training image{}", because(place)))
            .collect();
        wrong.extend(bounded(lines, |more| {
            format!("and {more} more classes have no training image")
        }));
        if test.is_empty() && damaged == 0 {
            wrong.push(format!(
                "{}/ has no image that accuracy could be measured on",
                called(&layout.test)
            ));
            help.push("Images are read as PNG or JPEG, from one folder for each class.".into());
        }
        if wrong.is_empty() {
            return Ok(account);
        }
        let empty: HashSet<&String> = empty.iter().collect();
        let also = account.findings(|place| !empty.contains(&place.to_owned()));
        wrong.extend(also.iter().map(|finding| format!("also: {}", finding.text())));
        Err(DataError::Folder { root: shown(self.root), wrong, help: help.join("\n  ") })
    }
}

/// A class of a split: `train/cat`.
fn place(split: &Path, class: &str) -> String {
    format!("{}/{class}", called(split))
}
