//! Lists: which lines are shown, which one is selected, and which names are wanted. Pure.

/// Whether `filter` is in `name`, whatever the case.
pub fn matches(name: &str, filter: &str) -> bool {
    filter.is_empty() || name.to_lowercase().contains(&filter.to_lowercase())
}

/// The first of `count` lines that is shown on `height` lines, so that the selected one is among
/// them.
pub fn first_shown(selected: usize, count: usize, height: usize) -> usize {
    selected.saturating_sub(height / 2).min(count.saturating_sub(height))
}

/// The selected line of a list whose length changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection(usize);

/// Lines of a page.
const PAGE: i64 = 10;

impl Selection {
    /// The selected one of `lines`.
    pub fn of(self, lines: usize) -> usize {
        self.0.min(lines.saturating_sub(1))
    }

    /// Selects a line, or what is nearest.
    pub fn set(&mut self, line: i64, lines: usize) {
        self.0 = line.clamp(0, lines.saturating_sub(1) as i64) as usize;
    }

    /// So many lines further down.
    pub fn down(&mut self, by: i64, lines: usize) {
        self.set(self.of(lines) as i64 + by, lines);
    }

    /// So many pages further down.
    pub fn page(&mut self, by: i64, lines: usize) {
        self.down(by * PAGE, lines);
    }

    /// The last line (1), or the first (-1).
    pub fn edge(&mut self, by: i64, lines: usize) {
        self.set(if by > 0 { i64::MAX } else { 0 }, lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_line_is_always_shown() {
        for (count, height) in [(5, 10), (100, 10), (10, 10), (1, 1), (3, 0)] {
            for selected in 0..count {
                let first = first_shown(selected, count, height);
                assert!(
                    height == 0 || (first..first + height).contains(&selected),
                    "{selected} of {count} on {height}"
                );
                assert!(first == 0 || first + height <= count);
            }
        }
    }

    #[test]
    fn a_filter_does_not_mind_the_case() {
        assert!(
            matches("Ankle boot", "BOOT")
                && matches("ÄPFEL", "äp")
                && matches("x", "")
                && !matches("Bag", "boot")
        );
    }
}
