//! Image folders: `train/<class>/` with `test/<class>/` (or `val/`), each class of image
//! files, in folders of its own or not; scaled and cropped to squares, RGB.
//!
//! What looks like an image and cannot be used is counted and told; what is damaged stops it, all
//! of it named at once.

mod account;
mod file;
mod layout;
mod walk;

use self::account::{Account, Reason};
pub(in crate::data) use self::file::{Read, read};
use self::layout::{Layout, called};
use self::walk::{Entry, below_root};
use crate::data::decode::{Decoder, Exif, Named, square_rgb};
use crate::data::findings::{Finding, bounded, counted};
use crate::data::names::{printable_name, shown};
use crate::data::origin::{DataSource, Origin};
use crate::data::read::DataError;
use crate::data::store::{Files, Store};
use crate::data::wanted::check_room;
use crate::data::{Dataset, Progress, Split, Untested, Wanted};
use rayon::prelude::*;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files that a thread decodes between two words on how far it is: enough that no thread waits for
/// long at the end of a block.
const BLOCK: usize = 16;

/// The formats that are read, for people.
const READ: &str = "JPEG, PNG, WebP, GIF, BMP, TIFF, PNM";

/// An image, and the class that it is in.
pub(in crate::data) struct File {
    pub(in crate::data) path: PathBuf,
    pub(in crate::data) label: u32,
}

/// Whether there are folders in this one.
fn is_here(root: &Path) -> bool {
    walk::directories(root).is_ok_and(|names| !names.is_empty())
}

/// Somebody's own images.
pub(super) struct Folder;

impl DataSource for Folder {
    fn about(&self) -> &'static str {
        "your own images: train/<class>/ and test/<class>/, with data.path"
    }

    fn origin(&self) -> Origin {
        Origin::Own("the directory that holds train/<class>/*.jpg and test/<class>/*.jpg")
    }

    fn is_at(&self, path: &Path) -> bool {
        is_here(path)
    }

    fn load(
        &self,
        path: &Path,
        wanted: &Wanted,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Dataset, DataError> {
        load(path, wanted, progress)
    }
}

/// Loads both splits: their images at one size, or where they lie. Classes are the directories of
/// `train`, in the order of their names.
fn load(
    root: &Path,
    wanted: &Wanted,
    progress: &mut dyn FnMut(Progress),
) -> Result<Dataset, DataError> {
    let listing = Listing::of(root, wanted.untested)?;
    let size = wanted.image_size;
    let needed = (listing.counts().iter().sum::<usize>() * 3 * size * size) as u64;
    let (known, [train, test]) = if wanted.is_streamed(needed) {
        listed(root, listing, wanted.exif, progress)?
    } else {
        check_room(needed, &root.to_string_lossy())?;
        decoded(listing, (size, wanted.exif), progress)?
    };
    let name = root.file_name().map_or_else(|| shown(root), printable_name);
    let mut data = Dataset::new(name, [3, size, size], known.classes, train, test);
    data.findings = known.findings;
    Ok(data)
}

/// Training and test split at `size` x `size` pixels.
fn decoded(
    listing: Listing<'_>,
    (size, exif): (usize, Exif),
    progress: &mut dyn FnMut(Progress),
) -> Result<(Known, [Split; 2]), DataError> {
    // All at once, so that it never takes twice as much while it grows.
    let mut splits =
        listing.counts().map(|count| (Vec::with_capacity(3 * size * size * count), Vec::new()));
    let make = |decoder: &Decoder, path: &Path| {
        file::read(path, |encoded| Ok(square_rgb(decoder.decode_encoded(&encoded, exif)?, size)))
    };
    let known = listing.read(make, progress, &mut |part, file, pixels: Vec<u8>| {
        let (all, labels) = &mut splits[part as usize];
        all.extend(pixels);
        labels.push(file.label);
        Ok(())
    })?;
    Ok((known, splits.map(|(pixels, labels)| Split::new(pixels, labels))))
}

/// Training and test split, whose files are looked at, and read when they are needed.
fn listed(
    root: &Path,
    listing: Listing<'_>,
    exif: Exif,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Known, [Split; 2]), DataError> {
    let (mut files, mut labels) = (Vec::new(), [Vec::new(), Vec::new()]);
    let look = |_: &Decoder, path: &Path| file::look(path);
    let known = listing.read(look, progress, &mut |part, file, looked| {
        let below = file.path.strip_prefix(root).unwrap_or(&file.path).to_owned();
        files.push((below, looked));
        labels[part as usize].push(file.label);
        Ok(())
    })?;
    let (train, n) = (labels[0].len() as u32, files.len() as u32);
    let store = Arc::new(Store::Files(Files::new(root.to_owned(), files, exif)));
    let [train_labels, test_labels] = labels;
    let split = |numbers, labels| Split::stored(&store, numbers, labels);
    Ok((known, [split(0..train, train_labels), split(train..n, test_labels)]))
}

/// A split of an image folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) enum Part {
    Train,
    Test,
}

/// All files of an image folder that may be images, none of them read yet.
pub(in crate::data) struct Listing<'a> {
    layout: Layout,
    files: [Vec<File>; 2],
    reading: Reading<'a>,
}

/// What is known of an image folder once all of it was read.
pub(in crate::data) struct Known {
    /// Class names, shape `[C]`.
    pub(in crate::data) classes: Vec<String>,
    pub(in crate::data) findings: Vec<Finding>,
}

impl<'a> Listing<'a> {
    pub(in crate::data) fn of(root: &'a Path, untested: Untested) -> Result<Self, DataError> {
        let layout = Layout::of(root, untested)?;
        let (account, wrong) = (Account::default(), Vec::new());
        let mut reading = Reading { root, account, wrong, skips: false, done: 0, of: 0 };
        let train = reading.list(&layout, &layout.train)?;
        let test = match &layout.test {
            Some(test) => reading.list(&layout, test)?,
            None => Vec::new(),
        };
        let files = [train, test];
        reading.of = files.iter().map(Vec::len).sum();
        Ok(Self { layout, files, reading })
    }

    /// The same, where damaged files are left out and told.
    pub(in crate::data) fn without_broken(mut self) -> Self {
        self.reading.skips = true;
        self
    }

    /// Files of each split.
    pub(in crate::data) fn counts(&self) -> [usize; 2] {
        [self.files[0].len(), self.files[1].len()]
    }

    /// Reads all files on all cores: `make` makes something of each, on any thread, and `take`
    /// gets what it made of images in their order, training images first.
    ///
    /// # Errors
    /// What is wrong with the folder, all of it in one go; or what `take` says.
    pub(in crate::data) fn read<T: Send>(
        self,
        make: impl Fn(&Decoder, &Path) -> Read<T> + Sync,
        progress: &mut dyn FnMut(Progress),
        take: &mut dyn FnMut(Part, &File, T) -> Result<(), DataError>,
    ) -> Result<Known, DataError> {
        let Self { mut layout, files: [train, test], mut reading } = self;
        let classes: Vec<String> = layout.classes.iter().map(|c| printable_name(c)).collect();
        let mut counts = [vec![0_u64; classes.len()], vec![0; classes.len()]];
        for (part, files) in [(Part::Train, train), (Part::Test, test)] {
            let Some(split) = layout.split(part).map(Path::to_owned) else { continue };
            reading.decode((&files, &split), &layout, &make, progress, &mut |file, made| {
                counts[part as usize][file.label as usize] += 1;
                take(part, file, made)
            })?;
        }
        let account = reading.complain(&layout, &classes, &counts)?;
        let mut findings = std::mem::take(&mut layout.findings);
        findings.extend(account.findings(|_| true));
        Ok(Known { classes, findings })
    }
}

/// What is gathered while the files are read.
struct Reading<'a> {
    root: &'a Path,
    account: Account,
    /// Damaged files, in the order of their classes.
    wrong: Vec<String>,
    /// Whether damaged files are left out.
    skips: bool,
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

    /// Decodes side by side, a block at a time, while the one before is taken; the order is that of
    /// `files`.
    fn decode<T: Send>(
        &mut self,
        (files, split): (&[File], &Path),
        layout: &Layout,
        make: &(impl Fn(&Decoder, &Path) -> Read<T> + Sync),
        progress: &mut dyn FnMut(Progress),
        take: &mut dyn FnMut(&File, T) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let decoder = Decoder::default();
        let read = |block: &[File]| -> Vec<Read<T>> {
            block.par_iter().map(|file| make(&decoder, &file.path)).collect()
        };
        let mut blocks = files.chunks(BLOCK * rayon::current_num_threads()).peekable();
        self.tell(progress);
        let mut made = blocks.peek().map_or_else(Vec::new, |first| read(first));
        while let Some(block) = blocks.next() {
            let (before, next) = (std::mem::take(&mut made), blocks.peek());
            rayon::in_place_scope(|scope| {
                scope.spawn(|_| made = next.map_or_else(Vec::new, |next| read(next)));
                self.take((block, before), (layout, split), take)
            })?;
            self.tell(progress);
        }
        Ok(())
    }

    /// Takes what was made of a block of files.
    fn take<T>(
        &mut self,
        (block, made): (&[File], Vec<Read<T>>),
        (layout, split): (&Layout, &Path),
        take: &mut dyn FnMut(&File, T) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        self.done += block.len();
        for (file, made) in block.iter().zip(made) {
            let class = || printable_name(&layout.classes[file.label as usize]);
            match made {
                Read::Image(made) => take(file, made)?,
                Read::Lost(reason) => self.account.add(&place(split, &class()), reason),
                Read::Broken(_) if self.skips => {
                    self.account.add(&place(split, &class()), Reason::Broken)
                }
                Read::Broken(why) => {
                    self.wrong.push(format!("{}: {why}", below_root(self.root, &file.path)))
                }
                Read::Unreadable(source) => return Err(DataError::io(&file.path)(source)),
                Read::Foreign => {}
            }
        }
        Ok(())
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
        [train, test]: &[Vec<u64>; 2],
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
        let empty = classes.iter().zip(train).filter(|(_, n)| **n == 0);
        let empty: Vec<String> = empty.map(|(class, _)| place(&layout.train, class)).collect();
        if !empty.is_empty() {
            help.push(format!(
                "Each folder in the training split is a class: fill it with images ({READ}), or \
                 remove it."
            ));
        }
        let lines = empty
            .iter()
            .map(|place| format!("{place} has no training image{}", because(place)))
            .collect();
        wrong.extend(bounded(lines, |more| {
            format!("and {more} more classes have no training image")
        }));
        let is_empty = test.iter().all(|n| *n == 0) && damaged == 0;
        if let Some(split) = layout.test.as_deref().filter(|_| is_empty) {
            wrong.push(format!(
                "{}/ has no image that accuracy could be measured on",
                called(split)
            ));
            help.push(format!("Images are read from one folder for each class: {READ}."));
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
