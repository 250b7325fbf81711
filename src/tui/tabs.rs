//! The tabs of the cockpit.

/// A tab.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tab {
    /// How the run gets on, in four panels.
    #[default]
    Overview,
    /// The weights and what is drawn by them.
    Importance,
    /// Every class.
    Classes,
    /// Single samples, as pictures.
    Samples,
    /// Other runs beside this one.
    Compare,
    /// The machine, and what was said.
    System,
}

impl Tab {
    /// All, in their order.
    pub const ALL: [Self; 6] = [
        Self::Overview,
        Self::Importance,
        Self::Classes,
        Self::Samples,
        Self::Compare,
        Self::System,
    ];

    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Importance => "Importance",
            Self::Classes => "Classes",
            Self::Samples => "Samples",
            Self::Compare => "Compare",
            Self::System => "System",
        }
    }

    /// The one so many further on, around.
    pub fn next(self, by: i64) -> Self {
        let count = Self::ALL.len() as i64;
        Self::ALL[(self as i64 + by).rem_euclid(count) as usize]
    }

    /// The one of this name, or whose name begins so.
    pub fn named(text: &str) -> Option<Self> {
        let text = text.to_lowercase();
        Self::ALL
            .into_iter()
            .find(|t| !text.is_empty() && t.name().to_lowercase().starts_with(&text))
    }

    /// Whether it has curves over steps, or a histogram with a logarithmic axis.
    pub(super) fn has_charts(self) -> bool {
        !matches!(self, Self::Samples)
    }

    /// Panels between which the focus moves.
    pub(super) fn panels(self) -> usize {
        match self {
            Self::Overview => 4,
            Self::Importance => 3,
            Self::Classes | Self::Samples => 1,
            Self::Compare => 2,
            Self::System => 4,
        }
    }
}
