//! Which directories are the splits and the classes. Knows nothing of files' contents.

use super::Part;
use super::walk::{Entry, directories, entries};
use crate::data::Untested;
use crate::data::decode::Named;
use crate::data::findings::{Finding, bounded, counted};
use crate::data::names::{composed, printable_name, shown};
use crate::data::read::DataError;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Names of the training split, the likeliest first; case does not matter.
const TRAIN: [&str; 2] = ["train", "training"];
/// Names of the split that accuracy is measured on, the likeliest first.
const TEST: [&str; 5] = ["test", "testing", "val", "valid", "validation"];
const HELP: &str =
    "An image folder is train/<class>/*.jpg with test/<class>/*.jpg (or val/) beside it.
  Where it has no test images, training holds some out with data.validation = 0.1.";

/// The splits and classes of an image folder.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) train: PathBuf,
    /// `None`: test images are held out of the training split.
    pub(super) test: Option<PathBuf>,
    /// Directory names, shape `[C]`: in the order of their bytes.
    pub(super) classes: Vec<OsString>,
    /// What is told of it.
    pub(super) findings: Vec<Finding>,
}

impl Layout {
    /// The directory of a split.
    pub(super) fn split(&self, part: Part) -> Option<&Path> {
        match part {
            Part::Train => Some(&self.train),
            Part::Test => self.test.as_deref(),
        }
    }

    /// Looks at the directories of `root`.
    pub(super) fn of(root: &Path, untested: Untested) -> Result<Self, DataError> {
        let wrong =
            |wrong: Vec<String>| DataError::Folder { root: shown(root), wrong, help: HELP.into() };
        if root.as_os_str().is_empty() {
            let help = "Set it to the folder that holds train/ and test/.".into();
            return Err(DataError::Missing {
                what: "data.source = \"folder\" needs data.path".into(),
                help,
            });
        }
        if !root.is_dir() {
            return Err(wrong(vec!["it is no directory".into()]));
        }
        let alike = |e: Alike| wrong(vec![e.to_string()]);
        let names = directories(root)?;
        let train = pick(&names, TRAIN[0]).map_err(alike)?;
        let train = match train {
            Some(name) => Some(name),
            None => pick(&names, TRAIN[1]).map_err(alike)?,
        };
        let train = match train {
            Some(name) => root.join(name),
            None if untested == Untested::HeldOut && are_classes(&names) => root.to_owned(),
            None => return Err(wrong(vec![no_train(&names)])),
        };
        let classes = directories(&train)?;
        if classes.is_empty() {
            return Err(wrong(vec![format!(
                "{} has no class folders{}",
                called(&train),
                loose(&train)?
            )]));
        }
        let mut candidates = Vec::new();
        for name in TEST {
            candidates.extend(pick(&names, name).map_err(alike)?.map(|name| root.join(name)));
        }
        let mut findings = twins(&train, &classes);
        let test = measured_on(&train, &classes, &candidates, &mut findings);
        let test = match (test, untested) {
            (Ok(test), _) => Some(test),
            (Err(Unmeasured::NoLabels(why)), Untested::HeldOut) => {
                findings.extend(why.into_iter().map(Finding::Note));
                None
            }
            (Err(Unmeasured::Nothing), Untested::HeldOut) => None,
            (Err(why), _) => return Err(wrong(why.told(&train))),
        };
        Ok(Self { train, test, classes, findings })
    }
}

/// Directories whose names differ in their case only, where one is wanted.
#[derive(Debug, thiserror::Error)]
#[error("{} could each be {wanted}/: rename all but one", .names.join(" and "))]
struct Alike {
    names: Vec<String>,
    wanted: &'static str,
}

/// The directory of this name: exactly, or in another case.
fn pick<'a>(names: &'a [OsString], wanted: &'static str) -> Result<Option<&'a OsString>, Alike> {
    if let Some(exact) = names.iter().find(|n| *n == wanted) {
        return Ok(Some(exact));
    }
    let alike: Vec<&OsString> = names.iter().filter(|n| n.eq_ignore_ascii_case(wanted)).collect();
    match alike[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => {
            let names: Vec<String> =
                alike.iter().map(|n| format!("{}/", printable_name(n))).collect();
            Err(Alike { names, wanted })
        }
    }
}

/// Whether these directories may be classes that are in no split.
fn are_classes(names: &[OsString]) -> bool {
    names.len() > 1 && !names.iter().any(|n| TEST.iter().any(|t| n.eq_ignore_ascii_case(t)))
}

/// Without `train/`.
fn no_train(names: &[OsString]) -> String {
    let split = |n: &&OsString| TEST.iter().any(|t| n.eq_ignore_ascii_case(t));
    let classes: Vec<String> =
        names.iter().filter(|n| !split(n)).map(|n| printable_name(n)).collect();
    if classes.len() < 2 {
        return "it has no train/".into();
    }
    let listed = bounded(classes, |more| format!("{more} more")).join(", ");
    let remedy = if are_classes(names) { "set data.validation = 0.1, or " } else { "" };
    format!(
        "it has no train/; if these are its classes, {remedy}move most images of each into train/ \
         and the rest into test/: {listed}"
    )
}

/// Why there is no split that accuracy can be measured on.
enum Unmeasured {
    /// None has the name of one.
    Nothing,
    /// Those that there are have no class of the training split.
    NoLabels(Vec<String>),
    /// Its classes are others.
    Other(Vec<String>),
}

impl Unmeasured {
    /// For people.
    fn told(self, train: &Path) -> Vec<String> {
        match self {
            Self::Nothing => vec![format!(
                "it has {}/, but neither test/ nor val/: set data.validation = 0.1, or move some \
                 images of each class there",
                called(train)
            )],
            Self::NoLabels(why) | Self::Other(why) => why,
        }
    }
}

/// The first candidate with a class of `train`.
fn measured_on(
    train: &Path,
    classes: &[OsString],
    candidates: &[PathBuf],
    findings: &mut Vec<Finding>,
) -> Result<PathBuf, Unmeasured> {
    let known: HashSet<&OsStr> = classes.iter().map(OsString::as_os_str).collect();
    let unreadable = |e: DataError| Unmeasured::Other(vec![e.to_string()]);
    let mut unlabelled = Vec::new();
    let mut chosen: Option<(&PathBuf, Vec<OsString>)> = None;
    for candidate in candidates {
        let has = directories(candidate).map_err(unreadable)?;
        if !has.iter().any(|c| known.contains(c.as_os_str())) {
            let loose = loose(candidate).map_err(unreadable)?;
            unlabelled.push(format!(
                "{}/ has no folder of a class in {}/{loose}",
                called(candidate),
                called(train)
            ));
        } else if let Some((test, _)) = &chosen {
            let text = format!(
                "{}/ is not read: accuracy is measured on {}/",
                called(candidate),
                called(test)
            );
            findings.push(Finding::Note(text));
        } else {
            chosen = Some((candidate, has));
        }
    }
    let Some((test, has)) = chosen else {
        return Err(if unlabelled.is_empty() {
            Unmeasured::Nothing
        } else {
            Unmeasured::NoLabels(unlabelled)
        });
    };
    findings.extend(
        unlabelled
            .into_iter()
            .map(|why| Finding::Note(format!("{why}: {}/ is used", called(test)))),
    );
    let looks: HashMap<String, &OsString> =
        classes.iter().filter_map(|c| Some((composed(c)?, c))).collect();
    let extra = has.iter().filter(|c| !known.contains(c.as_os_str())).map(|c| {
        let place = format!("{}/{}", called(test), printable_name(c));
        match composed(c).and_then(|look| looks.get(&look)) {
            Some(twin) => format!("{} {TWINS}: rename one", both(test, c, train, twin)),
            None => format!("{place} is a class that {}/ does not have", called(train)),
        }
    });
    let extra = bounded(extra.collect(), |more| format!("and {more} more"));
    if extra.is_empty() { Ok(test.clone()) } else { Err(Unmeasured::Other(extra)) }
}

const TWINS: &str =
    "look alike, but are written with other characters (composed, NFC, and decomposed, NFD)";

/// Two places, their letters told apart.
fn both(a: &Path, a_class: &OsStr, b: &Path, b_class: &OsStr) -> String {
    let letters = |class: &OsStr| class.to_string_lossy().escape_default().to_string();
    format!("{}/{} and {}/{}", called(a), letters(a_class), called(b), letters(b_class))
}

/// Classes of one split that look alike.
fn twins(split: &Path, classes: &[OsString]) -> Vec<Finding> {
    let mut looks: HashMap<String, &OsString> = HashMap::new();
    let mut found = Vec::new();
    for class in classes {
        if let Some(twin) = composed(class).and_then(|look| looks.insert(look, class)) {
            found.push(Finding::Note(format!(
                "{} {TWINS}: they are two classes",
                both(split, twin, split, class)
            )));
        }
    }
    bounded(found, |more| Finding::Note(format!("and {more} more classes that look alike")))
}

/// How many images lie directly in a split, in words; nothing for none.
fn loose(split: &Path) -> Result<String, DataError> {
    let is_image = |e: &Entry| matches!(e, Entry::File(path) if Named::of(path).is_image());
    let count = entries(split)?.iter().filter(|e| is_image(e)).count() as u64;
    Ok(if count == 0 {
        String::new()
    } else {
        format!(" ({} without a class lie in it)", counted(count, "image"))
    })
}

/// The name of a split's directory.
pub(super) fn called(split: &Path) -> String {
    split.file_name().map_or_else(|| shown(split), printable_name)
}
