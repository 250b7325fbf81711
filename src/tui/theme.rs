//! Colours by meaning: a role is a name, a theme says what it looks like, the terminal's colour level what is left of it.

use ratatui::style::{Color, Modifier, Style};
use std::collections::BTreeMap;
use std::str::FromStr;
use termprofile::TermProfile;

/// What something on the screen means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it; themes/dark.toml lists them")]
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
    Weights,
    Quartile,
    Share,
    Expected,
    Drawn,
    Mark,
    Arm1,
    Arm2,
    Arm3,
    Arm4,
    Arm5,
    Arm6,
}

/// The arms of a comparison in turn, the baseline first: distinct in 16 colours and for colour-blind readers.
pub const ARMS: [Role; 6] = [Role::Arm1, Role::Arm2, Role::Arm3, Role::Arm4, Role::Arm5, Role::Arm6];

const ROLES: [(&str, Role); 27] = [
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
    ("weights", Role::Weights),
    ("quartile", Role::Quartile),
    ("share", Role::Share),
    ("expected", Role::Expected),
    ("drawn", Role::Drawn),
    ("mark", Role::Mark),
    ("arm1", Role::Arm1),
    ("arm2", Role::Arm2),
    ("arm3", Role::Arm3),
    ("arm4", Role::Arm4),
    ("arm5", Role::Arm5),
    ("arm6", Role::Arm6),
];

/// The themes in the binary; the first is the base of the others.
const THEMES: [(&str, &str); 5] = [
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
    ("colorblind", include_str!("../../themes/colorblind.toml")),
    ("mono", include_str!("../../themes/mono.toml")),
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
        /// Which one.
        theme: String,
        /// What is wrong.
        what: String,
    },
}

impl Theme {
    /// Names of all themes, in the order in which a key cycles through them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        THEMES.iter().map(|(name, _)| *name)
    }

    /// The theme of this name, in the colours of `level`.
    ///
    /// # Errors
    /// [`ThemeError::Unknown`].
    pub fn named(name: &str, level: TermProfile) -> Result<Self, ThemeError> {
        let Some((name, text)) = THEMES.iter().find(|(n, _)| *n == name) else {
            let known = Self::names().collect::<Vec<_>>().join(", ");
            return Err(ThemeError::Unknown { name: name.to_owned(), known });
        };
        let mut styles = parse("dark", THEMES[0].1)?;
        styles.extend(parse(name, text)?);
        let styles = styles.into_iter().map(|(role, style)| (role, fit(style, level))).collect();
        Ok(Self { name: (*name).to_owned(), styles })
    }

    /// The theme after this one.
    pub fn next(&self, level: TermProfile) -> Self {
        let names: Vec<_> = Self::names().collect();
        let at = names.iter().position(|n| *n == self.name).unwrap_or(0);
        Self::named(names[(at + 1) % names.len()], level).unwrap_or_else(|_| self.clone())
    }

    /// Its name.
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

fn parse(theme: &str, text: &str) -> Result<BTreeMap<Role, Style>, ThemeError> {
    let invalid = |what: String| ThemeError::Invalid { theme: theme.to_owned(), what };
    let table: BTreeMap<String, String> = toml::from_str(text).map_err(|e| invalid(e.message().to_owned()))?;
    let mut styles = BTreeMap::new();
    for (name, value) in table {
        let role = ROLES.iter().find(|(n, _)| *n == name).ok_or_else(|| invalid(format!("unknown role {name}")))?.1;
        let mut style = Style::new();
        for word in value.split_whitespace() {
            style = match word {
                "bold" => style.add_modifier(Modifier::BOLD),
                "dim" => style.add_modifier(Modifier::DIM),
                "italic" => style.add_modifier(Modifier::ITALIC),
                "underlined" => style.add_modifier(Modifier::UNDERLINED),
                "reversed" => style.add_modifier(Modifier::REVERSED),
                "reset" => style,
                color => {
                    style.fg(Color::from_str(color).map_err(|_| invalid(format!("{name}: no such colour or modifier: {color}")))?)
                }
            };
        }
        styles.insert(role, style);
    }
    Ok(styles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_theme_parses_and_has_every_role() {
        for name in Theme::names() {
            let theme = Theme::named(name, TermProfile::TrueColor).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(theme.styles.len(), ROLES.len(), "{name}");
        }
        assert_eq!(parse("dark", THEMES[0].1).expect("base").len(), ROLES.len());
    }

    #[test]
    fn without_colours_only_modifiers_are_left() {
        for name in Theme::names() {
            let theme = Theme::named(name, TermProfile::NoColor).expect("theme");
            assert!(theme.styles.values().all(|s| s.fg.is_none() && s.bg.is_none()), "{name}");
        }
    }

    #[test]
    fn sixteen_colours_keep_drawn_apart_from_share() {
        for name in ["dark", "light", "high-contrast", "colorblind"] {
            let theme = Theme::named(name, TermProfile::Ansi16).expect("theme");
            assert_ne!(theme.style(Role::Share).fg, theme.style(Role::Drawn).fg, "{name}");
            assert_ne!(theme.style(Role::Pretrain).fg, theme.style(Role::Biased).fg, "{name}");
            let arms: std::collections::HashSet<_> = ARMS.iter().map(|r| theme.style(*r).fg).collect();
            assert_eq!(arms.len(), ARMS.len(), "{name}: {arms:?}");
        }
    }

    #[test]
    fn cycling_comes_back_to_the_first() {
        let first = Theme::named("dark", TermProfile::TrueColor).expect("theme");
        let mut theme = first.clone();
        for _ in Theme::names() {
            theme = theme.next(TermProfile::TrueColor);
        }
        assert_eq!(theme, first);
        assert!(matches!(Theme::named("neon", TermProfile::TrueColor), Err(ThemeError::Unknown { .. })));
    }
}
