//! What a data set is made of, as checksums: a run goes on only with what it began with.
//! Knows nothing of files: the same images are the same data wherever they lie.

use super::{Dataset, Images, Resident, Split, Stored};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Bytes that a core digests at a time.
const CHUNK: usize = 8 << 20;

/// A data set as loaded: after the long tail, limits, validation split and flipped labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Channels, height, width.
    shape: [usize; 3],
    /// Class names, shape `[C]`.
    classes: Vec<String>,
    train: SplitIdentity,
    test: SplitIdentity,
    validation: SplitIdentity,
    /// Whether its images are read while it is trained on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    streamed: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SplitIdentity {
    samples: usize,
    /// SHA-256 of the labels.
    labels: String,
    /// SHA-256 of the pixels.
    pixels: String,
}

impl Identity {
    /// That of `data`. All cores read it once: some hundred megabytes a second on each.
    pub fn of(data: &Dataset) -> Self {
        Self {
            shape: data.shape,
            classes: data.classes.clone(),
            train: SplitIdentity::of(&data.train),
            test: SplitIdentity::of(&data.test),
            validation: SplitIdentity::of(&data.validation),
            streamed: matches!(data.train.images, Images::Stored(_)),
        }
    }

    /// Where its images are to be where `wanted` is asked for: where they were, if that is left to
    /// the program.
    pub fn resident(&self, wanted: Resident) -> Resident {
        match (wanted, self.streamed) {
            (Resident::Auto, true) => Resident::Stream,
            (Resident::Auto, false) => Resident::Device,
            (wanted, _) => wanted,
        }
    }

    /// All of it as one SHA-256, in hex.
    pub fn sha256(&self) -> String {
        hex(&Sha256::digest(serde_json::to_string(self).unwrap_or_default().as_bytes()))
    }

    /// What `now` has other than this, for people; nothing when both are the same.
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if self.shape != now.shape {
            let size = |[c, h, w]: [usize; 3]| format!("{h}x{w}x{c}");
            found.push(format!("images of {} instead of {}", size(now.shape), size(self.shape)));
        }
        if self.classes.len() != now.classes.len() {
            found.push(format!("{} classes instead of {}", now.classes.len(), self.classes.len()));
        } else if let Some((was, is)) =
            self.classes.iter().zip(&now.classes).find(|(was, is)| was != is)
        {
            found.push(format!(
                "class \"{}\" instead of \"{}\"",
                is.escape_debug(),
                was.escape_debug()
            ));
        }
        if self.streamed != now.streamed {
            let words = |streamed| if streamed { "streamed" } else { "in memory" };
            let (was, is) = (words(self.streamed), words(now.streamed));
            return vec![format!("its images were {was}, and are {is} now (data.resident)")];
        }
        let splits = [
            ("training", &self.train, &now.train),
            ("test", &self.test, &now.test),
            ("validation", &self.validation, &now.validation),
        ];
        found.extend(splits.into_iter().filter_map(|(name, was, is)| was.difference(is, name)));
        found
    }
}

impl SplitIdentity {
    fn of(split: &Split) -> Self {
        let labels: Vec<u8> = split.labels.iter().flat_map(|c| c.to_le_bytes()).collect();
        Self {
            samples: split.len(),
            labels: digest(&labels),
            pixels: match &split.images {
                Images::Bytes(pixels) => digest(pixels),
                Images::Stored(stored) => marks(stored),
            },
        }
    }

    fn difference(&self, now: &Self, name: &str) -> Option<String> {
        if self.samples != now.samples {
            return Some(format!("{} {name} images instead of {}", now.samples, self.samples));
        }
        match (self.labels != now.labels, self.pixels != now.pixels) {
            (false, false) => None,
            (true, false) => Some(format!("the {name} images are the same under other labels")),
            (false, true) => Some(format!(
                "the {name} images have other pixels (replaced, or classes exchanged)"
            )),
            (true, true) => Some(format!("other {name} images under other labels")),
        }
    }
}

/// SHA-256 of what images that were not read are known by, in hex.
fn marks(Stored { store, numbers }: &Stored) -> String {
    let mut all = Sha256::new();
    numbers.iter().for_each(|number| all.update(store.mark(*number)));
    hex(&all.finalize())
}

/// SHA-256 of the SHA-256 of each chunk, in hex.
fn digest(bytes: &[u8]) -> String {
    let chunks: Vec<_> = bytes.par_chunks(CHUNK).map(Sha256::digest).collect();
    let mut all = Sha256::new();
    chunks.iter().for_each(|chunk| all.update(chunk));
    hex(&all.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> Dataset {
        let labels = |n: u8| (0..u32::from(n)).map(|i| i % 2).collect();
        let split = |n: u8| Split::new((0..64 * n).collect(), labels(n));
        Dataset::new("tiny", [1, 8, 8], vec!["cat".into(), "dog".into()], split(3), split(2))
    }

    fn spoil(split: &mut Split) {
        let mut pixels = split.pixels().to_vec();
        pixels[5] ^= 1;
        split.images = Images::Bytes(pixels);
    }

    #[test]
    fn whatever_differs_is_named_and_the_same_content_is_the_same_data() {
        let was = Identity::of(&data());
        let same = Dataset { name: "elsewhere".into(), ..data() };
        assert_eq!(was.differences(&Identity::of(&same)), Vec::<String>::new());
        type Change = fn(&mut Dataset);
        let changes: [(Change, &str); 7] = [
            (|d| spoil(&mut d.train), "the training images have other pixels"),
            (|d| spoil(&mut d.test), "the test images have other pixels"),
            (|d| d.train.labels[0] = 1, "the training images are the same under other labels"),
            (|d| d.classes[1] = "do\x1bg".into(), "class \"do\\u{1b}g\" instead of \"dog\""),
            (|d| d.classes.push("emu".into()), "3 classes instead of 2"),
            (|d| d.shape = [1, 4, 16], "images of 4x16x1 instead of 8x8x1"),
            (|d| d.train.labels.truncate(2), "2 training images instead of 3"),
        ];
        for (change, part) in changes {
            let mut other = data();
            change(&mut other);
            let now = Identity::of(&other);
            let found = was.differences(&now).join("; ");
            assert!(found.contains(part), "{found}");
            assert_ne!(was.sha256(), now.sha256());
        }
    }

    #[test]
    fn chunks_do_not_hide_what_is_behind_them() {
        let mut bytes = vec![0; 2 * CHUNK + 5];
        let before = digest(&bytes);
        bytes[2 * CHUNK + 4] = 1;
        assert_ne!(digest(&bytes), before);
    }
}
