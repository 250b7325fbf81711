//! Where this user's files are that can be made or fetched again: downloads, compiled kernels.

use etcetera::BaseStrategy;
use std::path::PathBuf;

/// `$XDG_CACHE_HOME/earlybird` (usually `~/.cache/earlybird`).
pub fn cache_dir() -> PathBuf {
    let base = etcetera::choose_base_strategy().map(|s| s.cache_dir());
    base.unwrap_or_else(|_| std::env::temp_dir()).join("earlybird")
}
