//! What looks like an image and counts for nothing: how often, where and why. Knows nothing of
//! pixels.

use crate::data::findings::{Finding, bounded, counted};
use std::collections::BTreeMap;

/// Why something counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::data) enum Reason {
    /// A format that is not read.
    Format(&'static str),
    /// A format that is read, under a name that no image has.
    Named(&'static str),
    /// A link that leads nowhere.
    Link,
    /// A link to a folder of the class that is read already.
    Loop,
    /// A pipe, a socket or a device.
    Special,
    /// It lies beside the class folders.
    NoClass,
    /// It should be an image, and is damaged or none.
    Broken,
}

impl Reason {
    /// `count` of them in `place`, for people.
    fn tell(self, place: &str, count: u64) -> String {
        let are = if count == 1 { "is" } else { "are" };
        let files = |what: &str| format!("{} in {place} {are} {what}", counted(count, "file"));
        match self {
            Self::Format(format) => {
                files(&format!("{format}, which is not read: convert to PNG or JPEG"))
            }
            Self::Named(format) => files(&format!(
                "{format} by content, but not by name, and not read: name them as images, .jpg say"
            )),
            Self::Link => {
                format!(
                    "{} in {place} lead{} nowhere",
                    counted(count, "link"),
                    if count == 1 { "s" } else { "" }
                )
            }
            Self::Loop => {
                let lead = if count == 1 { "leads" } else { "lead" };
                format!(
                    "{} in {place} {lead} to a folder outside the class or read before, and {are} \
                     not followed",
                    counted(count, "link")
                )
            }
            Self::Special => files("a pipe, socket or device, and not read"),
            Self::NoClass => files("beside the class folders, and not read"),
            Self::Broken => files("damaged, and left out"),
        }
    }

    /// `count` of them in a few words.
    fn briefly(self, count: u64) -> String {
        match self {
            Self::Format(format) | Self::Named(format) => counted(count, &format!("{format} file")),
            Self::Link | Self::Loop => counted(count, "broken link"),
            Self::Special => counted(count, "special file"),
            Self::NoClass => counted(count, "file"),
            Self::Broken => counted(count, "damaged file"),
        }
    }
}

/// Counts by place (`train/dog`) and reason.
#[derive(Debug, Default)]
pub(super) struct Account(BTreeMap<(String, Reason), u64>);

impl Account {
    pub(super) fn add(&mut self, place: &str, reason: Reason) {
        *self.0.entry((place.to_owned(), reason)).or_default() += 1;
    }

    /// What was lost in one place, in a few words; nothing for nothing.
    pub(super) fn briefly(&self, place: &str) -> String {
        let from = (place.to_owned(), Reason::Format(""));
        let here = self.0.range(from..).take_while(|((p, _), _)| p == place);
        here.map(|((_, reason), count)| reason.briefly(*count)).collect::<Vec<_>>().join(", ")
    }

    /// All of it, for people; places that are told elsewhere can be left out.
    pub(super) fn findings(&self, tell: impl Fn(&str) -> bool) -> Vec<Finding> {
        let told = self.0.iter().filter(|((place, _), _)| tell(place));
        let all = told
            .map(|((place, reason), count)| Finding::Lost(reason.tell(place, *count)))
            .collect::<Vec<_>>();
        let lost: u64 = self.0.values().sum();
        bounded(all, |more| {
            Finding::Lost(format!(
                "and so on in {}: {} in all are not read",
                counted(more as u64, "more place"),
                counted(lost, "file")
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_counted_by_place_and_reason() {
        let mut account = Account::default();
        for _ in 0..12 {
            account.add("train/dog", Reason::Format("AVIF"));
        }
        account.add("train/cat", Reason::Link);
        let texts: Vec<String> =
            account.findings(|_| true).iter().map(|f| f.text().to_owned()).collect();
        assert_eq!(
            texts,
            [
                "1 link in train/cat leads nowhere",
                "12 files in train/dog are AVIF, which is not read: convert to PNG or JPEG"
            ]
        );
        assert_eq!(
            (account.briefly("train/dog"), account.briefly("train/do")),
            ("12 AVIF files".into(), String::new())
        );
        for k in 0..1_000 {
            account.add(&format!("train/{k:04}"), Reason::Format("QOI"));
        }
        let all = account.findings(|_| true);
        assert_eq!(
            (all.len(), all[20].text()),
            (21, "and so on in 982 more places: 1,013 files in all are not read")
        );
    }
}
