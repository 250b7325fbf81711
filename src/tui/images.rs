//! Images of samples as the terminal can show them: its own graphics, half blocks, shades, or characters by brightness. Keeps
//! what was encoded.

use super::preferences::ImageStyle;
use image::imageops::FilterType;
use image::{DynamicImage, GrayImage, RgbImage};
use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use ratatui::widgets::Widget;
use ratatui_image::errors::Errors;
use ratatui_image::picker::{Picker, ProtocolType};
use ratatui_image::protocol::Protocol;
use ratatui_image::protocol::halfblocks::Halfblocks;
use ratatui_image::{Image, Resize};
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use termprofile::TermProfile;

/// Encoded images that are kept at most.
const KEPT: usize = 500;
/// From dark to bright.
const RAMP: &[u8] = b" .:-=+*#%@";
const SHADES: [&str; 5] = [" ", "░", "▒", "▓", "█"];

/// How images are drawn.
pub struct Images {
    way: Way,
    /// By sample and size.
    encoded: RefCell<HashMap<(u32, u16, u16), Protocol>>,
}

enum Way {
    /// Half blocks in these colours.
    Blocks(TermProfile),
    /// The terminal's own graphics.
    Graphics(Box<Picker>),
    /// Characters; whether Unicode's shades.
    Characters(bool),
}

impl fmt::Debug for Images {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Images").finish_non_exhaustive()
    }
}

impl Default for Images {
    /// Half blocks in any colour.
    fn default() -> Self {
        Self::new(Way::Blocks(TermProfile::TrueColor))
    }
}

impl Images {
    fn new(way: Way) -> Self {
        Self { way, encoded: RefCell::default() }
    }

    /// As `style` says, on a terminal with these colours. Only a terminal that is known to answer is asked what it can do: from
    /// another one the answer could be awaited for ever.
    pub fn find(style: ImageStyle, level: TermProfile) -> Self {
        let protocol = match style {
            ImageStyle::Ascii => return Self::new(Way::Characters(false)),
            _ if level < TermProfile::Ansi256 && !matches!(style, ImageStyle::Kitty | ImageStyle::Iterm2 | ImageStyle::Sixel) => {
                return Self::new(Way::Characters(true));
            }
            ImageStyle::Blocks => return Self::new(Way::Blocks(level)),
            ImageStyle::Auto if !has_graphics() => return Self::new(Way::Blocks(level)),
            ImageStyle::Auto => None,
            ImageStyle::Kitty => Some(ProtocolType::Kitty),
            ImageStyle::Iterm2 => Some(ProtocolType::Iterm2),
            ImageStyle::Sixel => Some(ProtocolType::Sixel),
        };
        let mut picker = Picker::from_query_stdio().unwrap_or_else(|_| Picker::halfblocks());
        if let Some(protocol) = protocol {
            picker.set_protocol_type(protocol);
        }
        match picker.protocol_type() {
            ProtocolType::Halfblocks => Self::new(Way::Blocks(level)),
            _ => Self::new(Way::Graphics(Box::new(picker))),
        }
    }

    /// Draws the image of sample `index` on `area`; `pixels` are bytes `[h, w, c]` of `shape` (channels, height, width).
    pub fn draw(&self, index: u32, pixels: &[u8], shape: [usize; 3], area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        let Some(image) = image_of(pixels, shape).filter(|_| !area.is_empty()) else { return };
        match &self.way {
            Way::Characters(unicode) => characters(&image, *unicode, area, buf),
            Way::Blocks(_) | Way::Graphics(_) => {
                let mut encoded = self.encoded.borrow_mut();
                if encoded.len() > KEPT {
                    encoded.clear();
                }
                let key = (index, area.width, area.height);
                let protocol = match encoded.entry(key) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(place) => {
                        let Ok(protocol) = self.encode(image, Size { width: area.width, height: area.height }) else { return };
                        place.insert(protocol)
                    }
                };
                Image::new(protocol).render(area, buf);
                if let Way::Blocks(level @ (TermProfile::Ansi256 | TermProfile::Ansi16)) = self.way {
                    adapt(level, area, buf);
                }
            }
        }
    }

    fn encode(&self, image: DynamicImage, size: Size) -> Result<Protocol, Errors> {
        match &self.way {
            // Pixels as they are: small images are not to be blurred.
            Way::Graphics(picker) => picker.new_protocol(image, size, Resize::Scale(Some(FilterType::Nearest))),
            _ => Halfblocks::new(image, size).map(Protocol::Halfblocks),
        }
    }

    /// Forgets what was encoded: other samples have these numbers now.
    pub fn forget(&self) {
        self.encoded.borrow_mut().clear();
    }
}

/// Whether the terminal is one of those that show images and say so.
fn has_graphics() -> bool {
    let has = |variable: &str, words: &[&str]| {
        std::env::var(variable).is_ok_and(|value| words.iter().any(|word| value.to_lowercase().contains(word)))
    };
    has("TERM", &["kitty", "ghostty", "foot", "mlterm", "contour", "wezterm"])
        || has("TERM_PROGRAM", &["iterm", "wezterm", "mintty", "vscode", "rio", "warp", "ghostty", "konsole"])
        || has("LC_TERMINAL", &["iterm"])
        || std::env::var("KITTY_WINDOW_ID").is_ok_and(|id| !id.is_empty())
}

fn image_of(pixels: &[u8], [c, h, w]: [usize; 3]) -> Option<DynamicImage> {
    let (w, h) = (w as u32, h as u32);
    if c == 3 {
        return RgbImage::from_raw(w, h, pixels.to_vec()).map(DynamicImage::from);
    }
    let first = pixels.iter().copied().step_by(c.max(1)).collect();
    GrayImage::from_raw(w, h, first).map(DynamicImage::from)
}

fn characters(image: &DynamicImage, unicode: bool, area: Rect, buf: &mut Buffer) {
    let small = image.resize_exact(u32::from(area.width), u32::from(area.height), FilterType::Triangle).to_luma8();
    for (x, y, pixel) in small.enumerate_pixels() {
        let cell = &mut buf[(area.x + x as u16, area.y + y as u16)];
        let share = usize::from(pixel.0[0]);
        if unicode {
            cell.set_symbol(SHADES[share * SHADES.len() / 256]);
        } else {
            cell.set_char(char::from(RAMP[share * RAMP.len() / 256]));
        }
    }
}

fn adapt(level: TermProfile, area: Rect, buf: &mut Buffer) {
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            let cell = &mut buf[(x, y)];
            cell.fg = level.adapt_color(cell.fg).unwrap_or_default();
            cell.bg = level.adapt_color(cell.bg).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brightness_becomes_characters() {
        let (area, pixels) = (Rect::new(0, 0, 4, 2), [0, 0, 255, 255, 0, 0, 255, 255]);
        let drawn = |way: Way| {
            let mut buf = Buffer::empty(area);
            Images::new(way).draw(0, &pixels, [1, 2, 4], area, &mut buf);
            (0..4).map(|x| buf[(x, 0)].symbol().to_owned()).collect::<String>()
        };
        assert_eq!(drawn(Way::Characters(false)), "  @@");
        assert_eq!(drawn(Way::Characters(true)), "  ██");
    }

    #[test]
    fn half_blocks_have_the_colours_of_the_pixels() {
        let area = Rect::new(0, 0, 2, 1);
        let mut buf = Buffer::empty(area);
        Images::default().draw(0, &[0, 255, 0, 255], [1, 2, 2], area, &mut buf);
        let [left, right] = [0, 1].map(|x| buf[(x, 0)].bg);
        assert_eq!((left, right), (ratatui::style::Color::Rgb(0, 0, 0), ratatui::style::Color::Rgb(255, 255, 255)));
    }
}
