//! What the terminal can do, and the look that follows from it and from what was asked for.

use super::glyphs::{ASCII, Glyphs, UNICODE};
use super::theme::{Role, Theme, ThemeError};
use ratatui::text::Span;
use std::borrow::Cow;
use std::io::IsTerminal;
use std::time::Duration;
use termprofile::{DetectorSettings, TermProfile};

/// Frames per second, unless asked otherwise: fewer over SSH.
const FPS: u16 = 15;
const FPS_SSH: u16 = 10;

/// What is known of the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Columns and rows; `None` when stdout is no terminal.
    pub size: Option<(u16, u16)>,
    /// Whether the locale is UTF-8.
    pub unicode: bool,
    /// Colour level: truecolor, 256, 16 or none.
    pub colors: String,
}

impl Terminal {
    /// Looks.
    pub fn find() -> Self {
        let out = std::io::stdout();
        let size = out.is_terminal().then(|| crossterm::terminal::size().ok()).flatten();
        let colors = match color_level() {
            TermProfile::TrueColor => "truecolor",
            TermProfile::Ansi256 => "256",
            TermProfile::Ansi16 => "16",
            TermProfile::NoColor | TermProfile::NoTty => "none",
        };
        Self { size, unicode: locale_is_utf8(), colors: colors.into() }
    }
}

/// How the cockpit looks.
#[derive(Clone, Debug)]
pub struct Appearance {
    /// Colours.
    pub theme: Theme,
    /// Characters.
    pub glyphs: Glyphs,
    /// Colours that the terminal has.
    pub level: TermProfile,
    /// Shortest time between two frames.
    pub frame: Duration,
}

impl Appearance {
    /// From what was asked for and, where nothing was, from what is found.
    ///
    /// # Errors
    /// [`ThemeError::Unknown`].
    pub fn find(theme: Option<&str>, ascii: bool, fps: Option<u16>) -> Result<Self, ThemeError> {
        let level = color_level();
        let ssh = ["SSH_CONNECTION", "SSH_TTY"].iter().any(|v| std::env::var_os(v).is_some());
        let fps = fps.unwrap_or(if ssh { FPS_SSH } else { FPS });
        let default = if level < TermProfile::Ansi16 { "mono" } else { "dark" };
        Ok(Self {
            theme: Theme::named(theme.unwrap_or(default), level)?,
            glyphs: if ascii || !locale_is_utf8() { ASCII } else { UNICODE },
            level,
            frame: Duration::from_secs(1) / u32::from(fps.max(1)),
        })
    }
}

impl Appearance {
    /// `text` in the look of `role`.
    pub(super) fn span<'a>(&self, text: impl Into<Cow<'a, str>>, role: Role) -> Span<'a> {
        Span::styled(text, self.theme.style(role))
    }

    /// Whether curves cannot be told apart by their colour.
    pub(super) fn is_colorless(&self) -> bool {
        self.level < TermProfile::Ansi16 || self.theme.name() == "mono"
    }
}

fn color_level() -> TermProfile {
    TermProfile::detect(&std::io::stdout(), DetectorSettings::default())
}

/// The first of LC_ALL, LC_CTYPE, LANG that says something decides, as in C programs; none at all means C.
fn locale_is_utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|v| std::env::var(v).ok().filter(|s| !s.is_empty()));
    // Containers often set none of the three; their terminal is nearly always a modern one, which TERM tells.
    match set {
        Some(locale) => {
            let locale = locale.to_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        }
        None => std::env::var("TERM").is_ok_and(|t| !matches!(t.as_str(), "" | "dumb" | "linux" | "vt100" | "vt220")),
    }
}
