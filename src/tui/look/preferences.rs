//! What a person wants of every cockpit: `cockpit.toml` in the config directory, with the command
//! line on top, and the themes beside it. Knows no terminal.

use super::glyphs::Braille;
use super::theme::Themes;
use crate::tui::input::keymap::{Keymap, TabKeys};
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
    /// Which keys do what.
    pub keymap: Keymap,
    /// The themes there are.
    pub themes: Themes,
}

/// What is wrong with preferences. None of it keeps a screen from being drawn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// A file cannot be read; which one, and why.
    #[error("{0}")]
    Unreadable(String),
    /// What a file says makes no sense; which one, what, and what to do.
    #[error("{0}")]
    Content(String),
}

impl Preferences {
    /// Those of the config directory, with what the command line says on top; and what is wrong
    /// there, in words that name the file: the usual is taken instead.
    pub fn load(asked: &Asked, tabs: &[TabKeys]) -> (Self, Vec<Wrong>) {
        Self::load_from(&directory(), asked, tabs)
    }

    /// The same from any directory; what it lacks is as usual.
    pub fn load_from(directory: &Path, asked: &Asked, tabs: &[TabKeys]) -> (Self, Vec<Wrong>) {
        let mut wrong = Vec::new();
        let path = directory.join("cockpit.toml");
        let at = |what: String| Wrong::Content(format!("{}: {what}", path.display()));
        let file = File::read(&path).unwrap_or_else(|e| {
            wrong.push(e);
            File::default()
        });
        let fps = file.fps.filter(|fps| (1..=60).contains(fps));
        if fps != file.fps {
            wrong.push(at("fps: expected a whole number in 1..=60".into()));
        }
        let keymap = Keymap::with(tabs, &file.keys).unwrap_or_else(|what| {
            wrong.push(at(what.to_string()));
            Keymap::new(tabs)
        });
        let themes = Themes::load(&directory.join("themes")).unwrap_or_else(|e| {
            wrong.push(Wrong::Content(e.to_string()));
            Themes::default()
        });
        let preferences = Self {
            theme: asked.theme.clone().or(file.theme),
            color: asked.color.unwrap_or(file.color),
            ascii: asked.ascii || file.ascii,
            braille: file
                .braille
                .map_or(Braille::WhereKnown, |yes| if yes { Braille::Yes } else { Braille::No }),
            images: asked.images.unwrap_or(file.images),
            fps: asked.fps.or(fps),
            mouse: file.mouse.unwrap_or(true),
            notify: asked.notify.unwrap_or(file.notify),
            keymap,
            themes,
        };
        (preferences, wrong)
    }
}

impl File {
    /// What the file says, or what is wrong with it. One that is not there says nothing.
    fn read(path: &Path) -> Result<Self, Wrong> {
        let told = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|e| Wrong::Content(told(&e))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(Wrong::Unreadable(told(&e))),
        }
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
    use crate::tui::input::keymap::Tab;

    const TABS: &[TabKeys] = &[TabKeys { tab: Tab { name: "One", places: &[] }, rows: &[] }];

    fn load(text: &str) -> (Preferences, Vec<Wrong>) {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("cockpit.toml"), text).expect("written");
        let asked = Asked { fps: Some(7), ..Asked::default() };
        Preferences::load_from(dir.path(), &asked, TABS)
    }

    #[test]
    fn the_command_line_comes_after_the_file() {
        let (p, wrong) =
            load("theme = \"light\"\nfps = 30\nmouse = false\n[keys]\ntheme = [\"T\"]\n");
        assert_eq!((p.theme.as_deref(), p.fps, p.mouse), (Some("light"), Some(7), false));
        assert_ne!(p.keymap, Keymap::new(TABS));
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn what_is_wrong_names_the_file_and_the_rest_counts() {
        for (text, part) in [
            ("thme = 'x'", "thme"),
            ("mouse = false\nfps = 900", "1..=60"),
            ("mouse = false\n[keys]\ntheme = ['e']", "set-e"),
            ("color = 'pink'", "pink"),
            ("theme = ", "cockpit.toml"),
        ] {
            let (p, wrong) = load(text);
            let [Wrong::Content(told)] = &wrong[..] else { panic!("{text}: {wrong:?}") };
            assert!(told.contains(part) && told.contains("cockpit.toml"), "{told}");
            assert_eq!((p.mouse, p.fps), (!text.contains("mouse"), Some(7)), "{text}");
            assert_eq!(p.keymap, Keymap::new(TABS));
        }
    }

    #[test]
    fn a_directory_that_cannot_be_read_is_told_and_the_usual_is_taken() {
        let (p, wrong) =
            Preferences::load_from(Path::new("/dev/null/earlybird"), &Asked::default(), TABS);
        let [Wrong::Unreadable(told)] = &wrong[..] else { panic!("{wrong:?}") };
        assert!(told.contains("/dev/null/earlybird/cockpit.toml"), "{told}");
        assert_eq!((p.theme, p.mouse), (None, true));
    }
}
