//! What the terminal can do, and the look that follows from it and from what was asked for.

use super::glyphs::{ASCII, Glyphs, UNICODE};
use super::preferences::{ColorLevel, ImageStyle, Preferences};
use super::theme::{Role, Theme, ThemeError, Themes};
use crate::tui::input::Answer;
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
    /// Whether it can show a screen at all: one whose TERM is `dumb`, or has no name, prints lines.
    pub draws: bool,
}

impl Terminal {
    /// Looks.
    pub fn find() -> Self {
        let out = std::io::stdout();
        let size = out.is_terminal().then(crate::tui::terminal::size);
        let colors = match color_level() {
            TermProfile::TrueColor => "truecolor",
            TermProfile::Ansi256 => "256",
            TermProfile::Ansi16 => "16",
            TermProfile::NoColor | TermProfile::NoTty => "none",
        };
        Self { size, unicode: locale_is_utf8(), colors: colors.into(), draws: can_draw() }
    }
}

/// How the cockpit looks.
#[derive(Clone, Debug)]
pub struct Appearance {
    /// Colours.
    pub theme: Theme,
    /// All the themes there are.
    pub themes: Themes,
    /// Characters.
    pub glyphs: Glyphs,
    /// Colours that the terminal has.
    pub level: TermProfile,
    /// Shortest time between two frames.
    pub frame: Duration,
    /// How samples are drawn.
    pub images: ImageStyle,
    /// Whether the terminal's background decides the theme, and the terminal is to be asked for it.
    pub asks_background: bool,
}

impl Appearance {
    /// From what was asked for and, where nothing was, from what is found without asking the
    /// terminal.
    ///
    /// # Errors
    /// [`ThemeError::Unknown`].
    pub fn find(wanted: &Preferences) -> Result<Self, ThemeError> {
        let level = match wanted.color {
            ColorLevel::Auto => color_level(),
            ColorLevel::TrueColor => TermProfile::TrueColor,
            ColorLevel::Ansi256 => TermProfile::Ansi256,
            ColorLevel::Ansi16 => TermProfile::Ansi16,
            ColorLevel::None => TermProfile::NoColor,
        };
        let ascii = wanted.ascii || !locale_is_utf8();
        let background = known_background();
        let theme = match (&wanted.theme, background) {
            (Some(name), _) => name,
            (None, _) if level < TermProfile::Ansi16 => "mono",
            (None, Some(Background::Light)) => "light",
            (None, _) => "dark",
        };
        let fps = wanted.fps.unwrap_or(if is_over_ssh() { FPS_SSH } else { FPS });
        let mut look = Self::new(theme, level, ascii, wanted.themes.clone())?;
        look.asks_background =
            wanted.theme.is_none() && level >= TermProfile::Ansi16 && background.is_none();
        look.frame = Duration::from_secs(1) / u32::from(fps.max(1));
        look.images = if ascii { ImageStyle::Ascii } else { wanted.images };
        if !ascii && !wanted.braille.is_wanted() {
            look.glyphs = look.glyphs.without_braille();
        }
        Ok(look)
    }

    /// The look of this theme, whatever the terminal.
    ///
    /// # Errors
    /// [`ThemeError::Unknown`].
    pub fn new(
        theme: &str,
        level: TermProfile,
        ascii: bool,
        themes: Themes,
    ) -> Result<Self, ThemeError> {
        Ok(Self {
            theme: themes.get(theme, level)?,
            themes,
            glyphs: if ascii { ASCII } else { UNICODE },
            level,
            frame: Duration::from_secs(1) / u32::from(FPS),
            images: if ascii { ImageStyle::Ascii } else { ImageStyle::Blocks },
            asks_background: false,
        })
    }

    /// The next theme.
    pub fn next_theme(&mut self) {
        self.choose(self.themes.after(&self.theme, self.level));
    }

    /// A person wants this theme, whatever the background.
    pub fn choose(&mut self, theme: Theme) {
        (self.theme, self.asks_background) = (theme, false);
    }

    /// The terminal said something, at once or late; whether the theme follows it.
    pub fn learn(&mut self, answer: Answer) -> bool {
        let Answer::Background { is_light } = answer else { return false };
        let theme = self.themes.get(if is_light { "light" } else { "dark" }, self.level);
        match theme.ok().filter(|theme| self.asks_background && theme.name() != self.theme.name()) {
            Some(theme) => {
                self.theme = theme;
                true
            }
            None => false,
        }
    }

    /// `text` in the look of `role`.
    pub fn span<'a>(&self, text: impl Into<Cow<'a, str>>, role: Role) -> Span<'a> {
        Span::styled(text, self.theme.style(role))
    }

    /// Whether curves cannot be told apart by their colour.
    pub fn is_colorless(&self) -> bool {
        self.level < TermProfile::Ansi16 || self.theme.name() == "mono"
    }
}

/// Whether the terminal understands more than lines, as far as TERM says.
pub fn can_draw() -> bool {
    std::env::var("TERM").is_ok_and(|term| !matches!(term.as_str(), "" | "dumb" | "unknown"))
}

pub fn is_over_ssh() -> bool {
    ["SSH_CONNECTION", "SSH_TTY"].iter().any(|v| std::env::var_os(v).is_some())
}

/// How light a background is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Background {
    Light,
    Dark,
}

/// What COLORFGBG or TERM say of the background; `None`: the terminal has to be asked. The Linux
/// console is dark, and prints what it does not understand.
fn known_background() -> Option<Background> {
    let told = std::env::var("COLORFGBG")
        .ok()
        .and_then(|v| v.rsplit(';').next().and_then(|b| b.parse::<u8>().ok()));
    match told {
        Some(7 | 15) => Some(Background::Light),
        Some(_) => Some(Background::Dark),
        None if std::env::var("TERM").is_ok_and(|t| t == "linux") => Some(Background::Dark),
        None => None,
    }
}

fn color_level() -> TermProfile {
    TermProfile::detect(&std::io::stdout(), DetectorSettings::default())
}

/// The first of LC_ALL, LC_CTYPE, LANG that says something decides, as in C programs; none at all
/// means C.
fn locale_is_utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|v| std::env::var(v).ok().filter(|s| !s.is_empty()));
    // Containers often set none of the three; their terminal is nearly always a modern one, which
    // TERM tells.
    match set {
        Some(locale) => {
            let locale = locale.to_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        }
        None => std::env::var("TERM")
            .is_ok_and(|t| !matches!(t.as_str(), "" | "dumb" | "linux" | "vt100" | "vt220")),
    }
}
