//! Numbers and names as people read them.

use unicode_width::UnicodeWidthStr;

/// `75` as `1:15`, `3675` as `1:01:15`.
pub fn clock(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        h => format!("{h}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

/// `1234567` as `1,234,567`.
pub fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `1536` as `1.5 KiB`.
pub fn bytes(n: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = if n < 1.0 { 0 } else { ((n.log2() / 10.0) as usize).min(units.len() - 1) };
    let value = n / 1024_f64.powi(power as i32);
    if power == 0 { format!("{value:.0} B") } else { format!("{value:.1} {}", units[power]) }
}

/// `0.4567` as `45.67%`.
pub fn percent(share: f64) -> String {
    format!("{:.2}%", 100.0 * share)
}

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
        out.push(c);
        // Of the whole text: characters that join have less width together.
        if out.width() > room {
            out.pop();
            break;
        }
    }
    if room > 0 { out + mark } else { out }
}

/// `text` in lines of at most `width` columns, broken between words where that is possible.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut().filter(|l| l.width() + 1 + word.width() <= width) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// To two decimals with its sign; what rounds to zero is `+0.00`.
pub fn signed(value: f64) -> String {
    let rounded = (100.0 * value).round() / 100.0;
    format!("{:+.2}", rounded + 0.0) // -0 has a sign, the sum does not
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_break_between_words() {
        assert_eq!(
            wrap("the disk takes no more writes", 11),
            ["the disk", "takes no", "more writes"]
        );
        assert_eq!(wrap("incomprehensibilities", 5), ["incomprehensibilities"]);
        assert!(wrap("", 5).is_empty());
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            (clock(75.0), clock(3675.4), clock(0.0)),
            ("1:15".into(), "1:01:15".into(), "0:00".into())
        );
        assert_eq!(
            (thousands(7), thousands(1_234), thousands(1_234_567)),
            ("7".into(), "1,234".into(), "1,234,567".into())
        );
        assert_eq!(
            (bytes(0.0), bytes(900.0), bytes(1536.0)),
            ("0 B".into(), "900 B".into(), "1.5 KiB".into())
        );
        assert_eq!(bytes(3.5 * 1024_f64.powi(3)), "3.5 GiB");
    }

    #[test]
    fn text_fits_its_columns_even_when_characters_are_wide() {
        assert_eq!(fit("abc", 5, "…"), "abc  ");
        assert_eq!(fit("abcdef", 5, "…"), "abcd…");
        assert_eq!(fit("日本語", 5, "…"), "日本…");
        assert_eq!(fit("日本語", 4, "…"), "日… ");
        assert_eq!(clip("abc", 0, "…"), "");
    }
}
