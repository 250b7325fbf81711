//! Things that are drawn from plain figures. Know no dashboard and no key.

mod chart;
mod class_bars;
mod histogram;
mod timeline;

pub use chart::{Curve, CurveChart, CurveKind};
pub use class_bars::{ClassBars, ClassRow};
pub use histogram::Columns;
pub use timeline::Timeline;

use unicode_width::UnicodeWidthStr;

/// `text` in exactly `width` columns: cut with `mark`, or padded on the right.
pub fn fit(text: &str, width: usize, mark: &str) -> String {
    let cut = clip(text, width, mark);
    let pad = width.saturating_sub(cut.width());
    cut + &" ".repeat(pad)
}

/// `text` in at most `width` columns, cut with `mark`.
pub fn clip(text: &str, width: usize, mark: &str) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(mark.width());
    let mut out = String::new();
    for c in text.chars() {
        let mut next = out.clone();
        next.push(c);
        if next.width() > room {
            break;
        }
        out = next;
    }
    if room > 0 { out + mark } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_fits_its_columns_even_when_characters_are_wide() {
        assert_eq!(fit("abc", 5, "…"), "abc  ");
        assert_eq!(fit("abcdef", 5, "…"), "abcd…");
        assert_eq!(fit("日本語", 5, "…"), "日本…");
        assert_eq!(fit("日本語", 4, "…"), "日… ");
        assert_eq!(clip("abc", 0, "…"), "");
    }
}
