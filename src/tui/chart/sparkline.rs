//! A curve in one line of text.

use crate::tui::look::glyphs::Glyphs;

/// The last of `values` in `width` columns, each the mean of as many, between the smallest and the
/// largest of them.
pub fn sparkline(values: &[f64], width: usize, glyphs: &Glyphs) -> String {
    let values: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    if values.is_empty() || width == 0 {
        return String::new();
    }
    let columns = values.len().min(width);
    let mean = |x: usize| {
        let part = &values[x * values.len() / columns..((x + 1) * values.len() / columns)];
        part.iter().sum::<f64>() / part.len() as f64
    };
    let means: Vec<f64> = (0..columns).map(mean).collect();
    let low = means.iter().copied().fold(f64::INFINITY, f64::min);
    let high = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let eighths = |v: &f64| {
        if high > low { 1 + ((v - low) / (high - low) * 7.0).round() as usize } else { 4 }
    };
    means
        .iter()
        .map(|v| {
            if glyphs.ascii {
                ["_", ".", "-", "="][(eighths(v) - 1) / 2]
            } else {
                glyphs.column(eighths(v))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::look::glyphs::UNICODE;

    #[test]
    fn it_goes_from_the_smallest_to_the_largest() {
        assert_eq!(sparkline(&[0.0, 0.5, 1.0], 10, &UNICODE), "▁▅█");
        assert_eq!(sparkline(&[1.0; 3], 10, &UNICODE), "▄▄▄");
        assert_eq!(sparkline(&(0..100).map(f64::from).collect::<Vec<_>>(), 4, &UNICODE), "▁▃▆█");
        assert_eq!(sparkline(&[f64::NAN], 4, &UNICODE), "");
    }
}
