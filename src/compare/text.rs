//! A comparison's outcome as text for a terminal: what was found, the table, the cautions. Knows
//! no page.

use super::outcome::{COLUMNS, Outcome, Row};

/// Columns of a terminal that sentences are broken to.
const WIDTH: usize = 100;
/// Columns of the table that are shown: the time is in the report.
const SHOWN: usize = COLUMNS - 1;

impl Outcome {
    /// What was found in sentences, the table from the highest difference to the lowest, and the
    /// cautions.
    pub fn text(&self) -> String {
        let found: String =
            self.finding().sentences().iter().map(|s| broken(s, "") + "\n").collect();
        let cautions: String =
            self.cautions().iter().map(|c| broken(&format!("- {c}"), "  ") + "\n").collect();
        format!("{found}\n{}\n{LEGEND}\n{cautions}", table(&self.ranked()))
    }
}

/// What the columns mean.
const LEGEND: &str = "\
Accuracies in percent, differences in points. speedup: median over seeds, and how many reached the
baseline's best. worst: recall of the worst class.
";

fn table(rows: &[Row]) -> String {
    let mut table = vec![Row::HEADER.map(str::to_owned)];
    table.extend(rows.iter().map(Row::cells));
    let width = |column: usize| table.iter().map(|r| r[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..SHOWN).map(width).collect();
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  "));
        cells.collect::<String>().trim_end().to_owned() + "\n"
    };
    table.iter().map(line).collect()
}

/// The sentence in lines of at most [`WIDTH`] columns; those after the first begin with `indent`.
fn broken(sentence: &str, indent: &str) -> String {
    let (mut out, mut used) = (String::new(), 0);
    for word in sentence.split(' ') {
        let wide = word.chars().count();
        if used > 0 && used + 1 + wide > WIDTH {
            out += "\n";
            out += indent;
            used = indent.len();
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out += word;
        used += wide;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{outcome, thirteen};

    #[test]
    fn the_text_begins_with_what_was_found_and_says_not_reached_in_words() {
        let three = outcome(&[
            ("uniform", &[0.79, 0.80, 0.78]),
            ("uniform-null", &[0.78, 0.80, 0.79]),
            ("biased", &[0.81, 0.82, 0.81]),
        ]);
        insta::with_settings!({ snapshot_path => "../../tests/snapshots" }, {
            insta::assert_snapshot!("three_arms", three.text());
            insta::assert_snapshot!("thirteen_arms", thirteen().text());
        });
    }

    #[test]
    fn no_line_is_wider_than_a_terminal_of_100_columns() {
        let text = thirteen().text();
        let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(wide.is_empty(), "{wide:#?}");
        assert!(text.starts_with("biased-systematic beats uniform: +"), "{text}");
    }
}
