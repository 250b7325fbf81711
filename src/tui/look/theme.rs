//! Colours by meaning: a role is a name, a theme says what it looks like, the terminal's colour
//! level what is left of it.

use crate::dashboard::Tone;
use crate::tui::near::did_you_mean;
use ratatui::style::{Color, Modifier, Style};
use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use termprofile::TermProfile;

/// What something on the screen means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    Text,
    Dim,
    Title,
    Border,
    Key,
    Good,
    Warning,
    Bad,
    Pretrain,
    Biased,
    Uniform,
    Loss,
    LossRaw,
    Accuracy,
    Best,
    Average,
    Weights,
    Quartile,
    Share,
    Expected,
    Drawn,
    Mark,
    Change,
    Selected,
    Arm1,
    Arm2,
    Arm3,
    Arm4,
    Arm5,
    Arm6,
}

/// The arms of a comparison in turn, the baseline first: distinct in 16 colours and for
/// colour-blind readers.
pub const ARMS: [Role; 6] =
    [Role::Arm1, Role::Arm2, Role::Arm3, Role::Arm4, Role::Arm5, Role::Arm6];

/// How a message of this tone looks.
pub fn role_of(tone: Tone) -> Role {
    match tone {
        Tone::Note => Role::Dim,
        Tone::Good => Role::Good,
        Tone::Warning => Role::Warning,
        Tone::Bad => Role::Bad,
    }
}

const ROLES: [(&str, Role); 30] = [
    ("text", Role::Text),
    ("dim", Role::Dim),
    ("title", Role::Title),
    ("border", Role::Border),
    ("key", Role::Key),
    ("good", Role::Good),
    ("warning", Role::Warning),
    ("bad", Role::Bad),
    ("pretrain", Role::Pretrain),
    ("biased", Role::Biased),
    ("uniform", Role::Uniform),
    ("loss", Role::Loss),
    ("loss_raw", Role::LossRaw),
    ("accuracy", Role::Accuracy),
    ("best", Role::Best),
    ("average", Role::Average),
    ("weights", Role::Weights),
    ("quartile", Role::Quartile),
    ("share", Role::Share),
    ("expected", Role::Expected),
    ("drawn", Role::Drawn),
    ("mark", Role::Mark),
    ("change", Role::Change),
    ("selected", Role::Selected),
    ("arm1", Role::Arm1),
    ("arm2", Role::Arm2),
    ("arm3", Role::Arm3),
    ("arm4", Role::Arm4),
    ("arm5", Role::Arm5),
    ("arm6", Role::Arm6),
];

/// The themes in the binary; the first is the base of the others.
const EMBEDDED: [(&str, &str); 5] = [
    ("dark", include_str!("../../../themes/dark.toml")),
    ("light", include_str!("../../../themes/light.toml")),
    ("high-contrast", include_str!("../../../themes/high-contrast.toml")),
    ("colorblind", include_str!("../../../themes/colorblind.toml")),
    ("mono", include_str!("../../../themes/mono.toml")),
];

/// Styles of all roles.
#[derive(Clone, Debug, PartialEq)]
pub struct Theme {
    name: String,
    styles: BTreeMap<Role, Style>,
}

/// Why there is no such theme.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThemeError {
    /// No theme has this name.
    #[error("unknown theme \"{name}\"\n  There are {known}.")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A theme file is wrong.
    #[error("theme {theme}: {what}")]
    Invalid {
        /// Which one: its name or its file.
        theme: String,
        /// What is wrong.
        what: String,
    },
}

/// What a theme's file says.
#[derive(Clone, Debug, PartialEq)]
struct Source {
    name: String,
    /// The theme that what it leaves out is taken from.
    inherits: Option<String>,
    styles: BTreeMap<Role, Style>,
}

/// All themes there are: those in the binary, and a person's own, which may have the same names.
#[derive(Clone, Debug, PartialEq)]
pub struct Themes(Vec<Source>);

impl Default for Themes {
    fn default() -> Self {
        let parsed = EMBEDDED.iter().map(|(name, text)| parse(name, name, text));
        Self(parsed.filter_map(Result::ok).collect()) // a test parses every one
    }
}

impl Themes {
    /// Those in the binary and the `*.toml` of `directory`, if there is one.
    ///
    /// # Errors
    /// [`ThemeError::Invalid`] with the file.
    pub fn load(directory: &Path) -> Result<Self, ThemeError> {
        let mut themes = Self::default();
        let mut files: Vec<_> = std::fs::read_dir(directory)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        files.retain(|path| path.extension().is_some_and(|e| e == "toml"));
        files.sort();
        for path in files {
            let file = path.display().to_string();
            let name =
                path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            let text = std::fs::read_to_string(&path)
                .map_err(|e| ThemeError::Invalid { theme: file.clone(), what: e.to_string() })?;
            let source = parse(&name, &file, &text)?;
            match themes.0.iter_mut().find(|s| s.name == name) {
                // What it leaves out of a theme in the binary stays as it was.
                Some(known) => {
                    known.inherits = source.inherits.or(known.inherits.take());
                    known.styles.extend(source.styles);
                }
                None => themes.0.push(source),
            }
        }
        for source in &themes.0 {
            themes.styles_of(source, 0)?;
        }
        Ok(themes)
    }

    /// Their names, in the order in which a key cycles through them.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|s| s.name.clone()).collect()
    }

    /// The theme of this name, in the colours of `level`.
    ///
    /// # Errors
    /// [`ThemeError::Unknown`].
    pub fn get(&self, name: &str, level: TermProfile) -> Result<Theme, ThemeError> {
        let Some(source) = self.0.iter().find(|s| s.name == name) else {
            return Err(ThemeError::Unknown {
                name: name.to_owned(),
                known: self.names().join(", "),
            });
        };
        let styles = self
            .styles_of(source, 0)?
            .into_iter()
            .map(|(role, style)| (role, fit(style, level)))
            .collect();
        Ok(Theme { name: name.to_owned(), styles })
    }

    /// The theme after this one.
    pub fn after(&self, theme: &Theme, level: TermProfile) -> Theme {
        let at = self.0.iter().position(|s| s.name == theme.name).unwrap_or(0);
        self.get(&self.0[(at + 1) % self.0.len()].name, level).unwrap_or_else(|_| theme.clone())
    }

    fn styles_of(
        &self,
        source: &Source,
        depth: usize,
    ) -> Result<BTreeMap<Role, Style>, ThemeError> {
        let invalid = |what: String| ThemeError::Invalid { theme: source.name.clone(), what };
        if depth > self.0.len() {
            return Err(invalid("it inherits from itself".into()));
        }
        let base = match source.inherits.as_deref() {
            None if source.name == EMBEDDED[0].0 => return Ok(source.styles.clone()),
            inherits => inherits.unwrap_or(EMBEDDED[0].0),
        };
        let Some(base) = self.0.iter().find(|s| s.name == base) else {
            return Err(invalid(format!(
                "it inherits from \"{base}\", which there is not: {}",
                self.names().join(", ")
            )));
        };
        let mut styles = self.styles_of(base, depth + 1)?;
        styles.extend(source.styles.clone());
        Ok(styles)
    }
}

impl Theme {
    /// The name of its file, or of one in the binary.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How a role looks.
    pub fn style(&self, role: Role) -> Style {
        self.styles.get(&role).copied().unwrap_or_default()
    }
}

/// The style in the colours that the terminal has; modifiers stay.
fn fit(mut style: Style, level: TermProfile) -> Style {
    style.fg = style.fg.and_then(|c| level.adapt_color(c));
    style
}

fn parse(name: &str, file: &str, text: &str) -> Result<Source, ThemeError> {
    let invalid = |what: String| ThemeError::Invalid { theme: file.to_owned(), what };
    let mut table: BTreeMap<String, String> =
        toml::from_str(text).map_err(|e| invalid(e.to_string()))?;
    let inherits = table.remove("inherits");
    let mut styles = BTreeMap::new();
    for (key, value) in table {
        let Some((_, role)) = ROLES.iter().find(|(n, _)| *n == key) else {
            let near = did_you_mean(&key, ROLES.iter().map(|(name, _)| *name));
            return Err(invalid(format!("there is no role {key}{near}")));
        };
        let mut style = Style::new();
        for word in value.split_whitespace() {
            style = match word {
                "bold" => style.add_modifier(Modifier::BOLD),
                "dim" => style.add_modifier(Modifier::DIM),
                "italic" => style.add_modifier(Modifier::ITALIC),
                "underlined" => style.add_modifier(Modifier::UNDERLINED),
                "reversed" => style.add_modifier(Modifier::REVERSED),
                "reset" => style,
                color => style.fg(Color::from_str(color)
                    .map_err(|_| invalid(format!("{key}: no such colour or modifier: {color}")))?),
            };
        }
        styles.insert(*role, style);
    }
    Ok(Source { name: name.to_owned(), inherits, styles })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn theme(name: &str, level: TermProfile) -> Theme {
        Themes::default().get(name, level).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    #[test]
    fn every_theme_parses_and_has_every_role() {
        for (name, text) in EMBEDDED {
            parse(name, name, text).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(theme(name, TermProfile::TrueColor).styles.len(), ROLES.len(), "{name}");
        }
        assert_eq!(parse("dark", "dark", EMBEDDED[0].1).expect("base").styles.len(), ROLES.len());
    }

    #[test]
    fn without_colours_only_modifiers_are_left() {
        for (name, _) in EMBEDDED {
            let theme = theme(name, TermProfile::NoColor);
            assert!(theme.styles.values().all(|s| s.fg.is_none() && s.bg.is_none()), "{name}");
        }
    }

    #[test]
    fn sixteen_colours_keep_drawn_apart_from_share() {
        for name in ["dark", "light", "high-contrast", "colorblind"] {
            let theme = theme(name, TermProfile::Ansi16);
            assert_ne!(theme.style(Role::Share).fg, theme.style(Role::Drawn).fg, "{name}");
            assert_ne!(theme.style(Role::Pretrain).fg, theme.style(Role::Biased).fg, "{name}");
            let arms: std::collections::HashSet<_> =
                ARMS.iter().map(|r| theme.style(*r).fg).collect();
            assert_eq!(arms.len(), ARMS.len(), "{name}: {arms:?}");
        }
    }

    #[test]
    fn cycling_comes_back_to_the_first() {
        let (themes, first) = (Themes::default(), theme("dark", TermProfile::TrueColor));
        let mut current = first.clone();
        for _ in themes.names() {
            current = themes.after(&current, TermProfile::TrueColor);
        }
        assert_eq!(current, first);
        assert!(matches!(
            themes.get("neon", TermProfile::TrueColor),
            Err(ThemeError::Unknown { .. })
        ));
    }

    #[test]
    fn a_persons_themes_may_be_partial_and_wrong_ones_are_refused_with_their_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let write =
            |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
        write("mine.toml", "inherits = \"light\"\nbad = \"#ff0000\"\n");
        write("dark.toml", "good = \"#00ff00\"\n");
        let themes = Themes::load(dir.path()).expect("both are right");
        let mine = themes.get("mine", TermProfile::TrueColor).expect("there");
        assert_eq!(mine.style(Role::Bad).fg, Some(Color::Rgb(255, 0, 0)));
        assert_eq!(
            mine.style(Role::Loss),
            theme("light", TermProfile::TrueColor).style(Role::Loss)
        );
        let dark = themes.get("dark", TermProfile::TrueColor).expect("there");
        assert_eq!(dark.style(Role::Good).fg, Some(Color::Rgb(0, 255, 0)));
        assert_eq!(dark.style(Role::Loss), theme("dark", TermProfile::TrueColor).style(Role::Loss));
        for (text, part) in [
            ("goood = 'red'", "did you mean good?"),
            ("good = 'grren'", "grren"),
            ("inherits = 'broken'", "inherits from itself"),
            ("inherits = 'neon'", "neon"),
            ("good = ", "broken.toml"),
        ] {
            write("broken.toml", text);
            let told = Themes::load(dir.path()).expect_err(text).to_string();
            assert!(told.contains(part) && told.contains("broken"), "{told}");
        }
    }
}
