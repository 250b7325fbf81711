//! Paths in a config: what a person types is meant from where they type it, and a run may be
//! continued from anywhere else.

use super::RunConfig;

impl RunConfig {
    /// Makes the paths of the config absolute, from the working directory. Empty ones stay empty:
    /// they mean no path.
    pub fn make_paths_absolute(&mut self) {
        for path in [&mut self.data.path, &mut self.model.init] {
            *path = absolute(path);
        }
    }
}

/// `path` with a leading `~` taken for the home directory, as shells do: in a file or behind an
/// equals sign no shell has.
fn at_home(path: &str) -> Option<String> {
    let rest = path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
    let home = etcetera::home_dir().ok()?;
    Some(home.join(rest.trim_start_matches('/')).to_str()?.trim_end_matches('/').to_owned())
}

/// `path` from the root on, or from `~`. One that cannot be said so (the working directory is gone,
/// or its name is not UTF-8) stays as it is.
pub fn absolute(path: &str) -> String {
    let from_root =
        || at_home(path).or_else(|| std::path::absolute(path).ok()?.to_str().map(str::to_owned));
    if path.is_empty() { String::new() } else { from_root().unwrap_or_else(|| path.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_the_root_and_no_path_stays_none() {
        let mut config = RunConfig::default();
        config.data.path = "images".into();
        config.make_paths_absolute();
        let here = std::env::current_dir().expect("a directory");
        assert_eq!(config.data.path, here.join("images").display().to_string());
        assert_eq!(config.model.init, "");
        assert_eq!(absolute("/mnt/images"), "/mnt/images");
        let home = etcetera::home_dir().expect("a home").display().to_string();
        assert_eq!(
            [absolute("~"), absolute("~/sets/cats")],
            [home.clone(), format!("{home}/sets/cats")]
        );
        assert_eq!(
            absolute("~cats"),
            here.join("~cats").display().to_string(),
            "a name, not a home"
        );
    }
}
