//! Figures as PNG, for slides and papers that take no SVG. The letters are in the program: a server
//! may have no fonts.

use super::Figure;
use crate::report::ReportError;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};
use std::sync::Arc;

/// Pixels of a PNG to one of the SVG.
const SCALE: f32 = 3.5;

/// Draws SVG into pixels.
pub(in crate::report) struct Renderer {
    options: Options<'static>,
}

impl Renderer {
    /// With its font loaded.
    pub(in crate::report) fn new() -> Self {
        let mut options = Options::default();
        let fonts = Arc::make_mut(&mut options.fontdb);
        fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
        let family =
            fonts.faces().next().and_then(|f| f.families.first()).map(|(name, _)| name.clone());
        fonts.set_sans_serif_family(family.unwrap_or_default());
        Self { options }
    }

    /// The figure as the bytes of a PNG.
    ///
    /// # Errors
    /// [`ReportError::Figure`].
    pub(in crate::report) fn png(&self, figure: &Figure) -> Result<Vec<u8>, ReportError> {
        let fail = |why: String| ReportError::Figure { name: figure.name, why };
        let tree = Tree::from_str(&figure.svg, &self.options).map_err(|e| fail(e.to_string()))?;
        let (width, height) =
            ((tree.size().width() * SCALE) as u32, (tree.size().height() * SCALE) as u32);
        let mut pixels =
            Pixmap::new(width, height).ok_or_else(|| fail(format!("{width}x{height} pixels")))?;
        resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
        pixels.encode_png().map_err(|e| fail(e.to_string()))
    }
}
