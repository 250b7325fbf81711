//! What a person wants of every cockpit: `cockpit.toml` in the config directory, with the command line on top, and the themes
//! beside it. Knows no terminal.

use super::glyphs::Braille;
use super::keymap::Keymap;
use super::theme::Themes;
use etcetera::BaseStrategy;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How many colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
pub enum ColorLevel {
    /// As many as the terminal has.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// Any.
    #[serde(rename = "truecolor")]
    #[value(name = "truecolor")]
    TrueColor,
    /// 256.
    #[serde(rename = "256")]
    #[value(name = "256")]
    Ansi256,
    /// The terminal's own 16.
    #[serde(rename = "16")]
    #[value(name = "16")]
    Ansi16,
    /// None.
    #[serde(rename = "none")]
    None,
}

/// How samples are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ImageStyle {
    /// As the terminal can.
    #[default]
    Auto,
    /// Kitty's graphics.
    Kitty,
    /// iTerm2's images.
    Iterm2,
    /// Sixels.
    Sixel,
    /// Half blocks.
    Blocks,
    /// Characters by brightness.
    Ascii,
}

/// How somebody is told that a run ended, failed, or waits because of a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Notify {
    /// On the screen only.
    #[default]
    Off,
    /// The terminal's bell.
    Bell,
    /// A notification of the desktop (OSC 9), where the terminal passes it on, and the bell.
    Desktop,
}

/// What is in `cockpit.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    theme: Option<String>,
    color: ColorLevel,
    ascii: bool,
    braille: Option<bool>,
    images: ImageStyle,
    fps: Option<u16>,
    mouse: Option<bool>,
    notify: Notify,
    keys: BTreeMap<String, Vec<String>>,
}

/// What the command line says about it.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Name of a theme.
    pub theme: Option<String>,
    /// How many colours.
    pub color: Option<ColorLevel>,
    /// ASCII only.
    pub ascii: bool,
    /// How samples are drawn.
    pub images: Option<ImageStyle>,
    /// Frames per second at most.
    pub fps: Option<u16>,
    /// How somebody is told.
    pub notify: Option<Notify>,
    /// Whether the terminal may be asked for its background: not where nothing is drawn on it.
    pub may_ask_terminal: bool,
}

/// Everything a person wants.
#[derive(Clone, Debug)]
pub struct Preferences {
    /// Theme; none: what fits the terminal's background.
    pub theme: Option<String>,
    /// How many colours.
    pub color: ColorLevel,
    /// ASCII only.
    pub ascii: bool,
    /// Whether curves are drawn in braille.
    pub braille: Braille,
    /// How samples are drawn.
    pub images: ImageStyle,
    /// Frames per second at most; none: by the line.
    pub fps: Option<u16>,
    /// Whether the mouse is listened to at first.
    pub mouse: bool,
    /// How somebody is told.
    pub notify: Notify,
    /// Whether the terminal may be asked for its background.
    pub may_ask_terminal: bool,
    /// Which keys do what.
    pub keymap: Keymap,
    /// The themes there are.
    pub themes: Themes,
}

impl Preferences {
    /// Those of the config directory, with what the command line says on top.
    ///
    /// # Errors
    /// What is wrong in which file, and what to do.
    pub fn load(asked: &Asked) -> Result<Self, String> {
        Self::load_from(&directory(), asked)
    }

    /// The same from any directory; what it lacks is as usual.
    ///
    /// # Errors
    /// What is wrong in which file, and what to do.
    pub fn load_from(directory: &Path, asked: &Asked) -> Result<Self, String> {
        let path = directory.join("cockpit.toml");
        let at = |what: String| format!("{}: {what}", path.display());
        let file: File = match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|e| at(e.to_string()))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => File::default(),
            Err(e) => return Err(at(e.to_string())),
        };
        if file.fps.is_some_and(|fps| !(1..=60).contains(&fps)) {
            return Err(at("fps: expected a whole number in 1..=60".into()));
        }
        Ok(Self {
            theme: asked.theme.clone().or(file.theme),
            color: asked.color.unwrap_or(file.color),
            ascii: asked.ascii || file.ascii,
            braille: file.braille.map_or(Braille::WhereKnown, |yes| if yes { Braille::Yes } else { Braille::No }),
            images: asked.images.unwrap_or(file.images),
            fps: asked.fps.or(file.fps),
            mouse: file.mouse.unwrap_or(true),
            notify: asked.notify.unwrap_or(file.notify),
            may_ask_terminal: asked.may_ask_terminal,
            keymap: Keymap::with(&file.keys).map_err(at)?,
            themes: Themes::load(&directory.join("themes")).map_err(|e| e.to_string())?,
        })
    }
}

/// `$XDG_CONFIG_HOME/earlybird` (usually `~/.config/earlybird`).
pub fn directory() -> PathBuf {
    let base = etcetera::choose_base_strategy().map(|s| s.config_dir());
    base.unwrap_or_else(|_| PathBuf::from(".")).join("earlybird")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Preferences, String> {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("cockpit.toml"), text).expect("written");
        Preferences::load_from(dir.path(), &Asked { fps: Some(7), ..Asked::default() })
    }

    #[test]
    fn the_command_line_comes_after_the_file() {
        let p = load("theme = \"light\"\nfps = 30\nmouse = false\n[keys]\ntheme = [\"T\"]\n").expect("allowed");
        assert_eq!((p.theme.as_deref(), p.fps, p.mouse), (Some("light"), Some(7), false));
        assert_ne!(p.keymap, Keymap::default());
    }

    #[test]
    fn what_is_wrong_names_the_file() {
        let wrong = |text: &str| load(text).expect_err(text);
        for (text, part) in [
            ("thme = 'x'", "thme"),
            ("fps = 900", "1..=60"),
            ("[keys]\ntheme = ['e']", "set-e"),
            ("color = 'pink'", "pink"),
            ("theme = ", "cockpit.toml"),
        ] {
            let told = wrong(text);
            assert!(told.contains(part) && told.contains("cockpit.toml"), "{told}");
        }
    }
}
