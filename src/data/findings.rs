//! What people should know of a data set that can be trained on all the same, and lists that end.

/// How many of a kind are told; the rest is counted.
const TOLD: usize = 20;

/// Something to know of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Images that count for nothing, or a class without training samples.
    Lost(String),
    /// Nothing is lost, but it may not be what was meant.
    Note(String),
}

impl Finding {
    /// For people.
    pub fn text(&self) -> &str {
        match self {
            Self::Lost(text) | Self::Note(text) => text,
        }
    }

    /// Whether images or classes are lost.
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::Lost(_))
    }
}

/// The first [`TOLD`] of `all`; `rest` says how many more there are.
pub(super) fn bounded<T>(mut all: Vec<T>, rest: impl FnOnce(usize) -> T) -> Vec<T> {
    let more = all.len().saturating_sub(TOLD);
    if more > 1 {
        all.truncate(TOLD);
        all.push(rest(more));
    }
    all
}

/// `1 file`, `1,200 files`.
pub fn counted(n: u64, one: &str) -> String {
    let ending = if one.ends_with('s') || one.ends_with("ch") { "es" } else { "s" };
    format!("{} {one}{}", grouped(n), if n == 1 { "" } else { ending })
}

/// With commas between thousands.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (k, digit) in digits.chars().enumerate() {
        if k > 0 && (digits.len() - k).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends_and_says_how_much_more_there_is() {
        assert_eq!(bounded((0..21).collect(), |_| 99).len(), 21, "one more is shown, not counted");
        assert_eq!(bounded((0..500).collect(), |more| more as i32)[18..], [18, 19, 480]);
        assert_eq!(
            (counted(1, "file"), counted(1_234_567, "class")),
            ("1 file".into(), "1,234,567 classes".into())
        );
    }
}
