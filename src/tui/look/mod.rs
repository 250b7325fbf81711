//! How things look: colours, characters, frames, numbers as people read them. Knows nothing of what
//! is shown.

pub mod appearance;
pub mod glyphs;
pub mod images;
pub mod list;
pub mod panel;
pub mod preferences;
pub mod text;
pub mod theme;
