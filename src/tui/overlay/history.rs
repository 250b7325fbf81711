//! Lines of the command line, kept from one cockpit to the next. A disk that does not take them is
//! no reason to complain.

use etcetera::BaseStrategy;
use std::path::PathBuf;

/// Lines that are kept.
const KEPT: usize = 500;

/// `$XDG_STATE_HOME/earlybird/history` (usually `~/.local/state/earlybird/history`).
fn file() -> Option<PathBuf> {
    let base = etcetera::choose_base_strategy().ok()?;
    Some(base.state_dir().unwrap_or_else(|| base.data_dir()).join("earlybird/history"))
}

/// The lines, oldest first.
pub fn read() -> Vec<String> {
    let text = file().and_then(|f| std::fs::read_to_string(f).ok()).unwrap_or_default();
    text.lines().map(String::from).collect()
}

/// Keeps them.
pub fn write(lines: &[String]) {
    let Some(file) = file() else { return };
    let _ = file.parent().map(std::fs::create_dir_all);
    let _ = std::fs::write(file, lines.join("\n") + "\n");
}

/// Adds a line, which is kept once.
pub fn add(lines: &mut Vec<String>, line: String) {
    lines.retain(|earlier| *earlier != line);
    lines.push(line);
    let surplus = lines.len().saturating_sub(KEPT);
    lines.drain(..surplus);
}
