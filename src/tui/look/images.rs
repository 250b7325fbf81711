//! Images of samples as the terminal can show them: its own graphics, half blocks, shades, or
//! characters by brightness. Keeps what was encoded.

use super::preferences::ImageStyle;
use crate::tui::input::Answer;
use crate::tui::terminal;
use image::imageops::FilterType;
use image::{DynamicImage, GrayImage, RgbImage};
use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use ratatui::widgets::Widget;
use ratatui_image::errors::Errors;
use ratatui_image::picker::cap_parser::{Parser, QueryStdioOptions};
use ratatui_image::picker::{Picker, ProtocolType};
use ratatui_image::protocol::Protocol;
use ratatui_image::protocol::halfblocks::Halfblocks;
use ratatui_image::{FontSize, Image, Resize};
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use termprofile::TermProfile;

/// Encoded images that are kept at most.
const KEPT: usize = 500;
/// Width and height of a character in pixels, where nothing tells.
const USUAL_CELL: (u16, u16) = (10, 20);
/// From dark to bright.
const RAMP: &[u8] = b" .:-=+*#%@";
const SHADES: [&str; 5] = [" ", "░", "▒", "▓", "█"];

/// How images are drawn.
pub struct Images {
    method: Method,
    /// What the terminal is asked, and has said, of its graphics.
    graphics: Option<Graphics>,
    /// By sample and size.
    encoded: RefCell<HashMap<(u32, u16, u16), Protocol>>,
}

enum Method {
    /// Half blocks in these colours.
    Blocks(TermProfile),
    /// The terminal's own graphics.
    Graphics(Box<Picker>),
    /// Characters; whether Unicode's shades.
    Characters(bool),
}

/// What is known of a terminal's graphics.
struct Graphics {
    /// Colours of half blocks, should there be none.
    level: TermProfile,
    /// What somebody asked for.
    wanted: Option<ProtocolType>,
    /// What the terminal says that it can.
    told: Option<ProtocolType>,
    /// Width and height of a character in pixels.
    cell: Option<(u16, u16)>,
}

impl fmt::Debug for Images {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Images").finish_non_exhaustive()
    }
}

impl Default for Images {
    /// Half blocks in any colour.
    fn default() -> Self {
        Self::new(Method::Blocks(TermProfile::TrueColor))
    }
}

impl Images {
    fn new(method: Method) -> Self {
        Self { method, graphics: None, encoded: RefCell::default() }
    }

    /// As `style` says, on a terminal with these colours, until the terminal says what more it can:
    /// it is to be asked the [`Self::question`].
    pub fn find(style: ImageStyle, level: TermProfile) -> Self {
        let wanted = match style {
            ImageStyle::Ascii => return Self::new(Method::Characters(false)),
            _ if level < TermProfile::Ansi256
                && !matches!(style, ImageStyle::Kitty | ImageStyle::Iterm2 | ImageStyle::Sixel) =>
            {
                return Self::new(Method::Characters(true));
            }
            ImageStyle::Blocks => return Self::new(Method::Blocks(level)),
            ImageStyle::Auto if !has_graphics() => return Self::new(Method::Blocks(level)),
            ImageStyle::Auto => None,
            ImageStyle::Kitty => Some(ProtocolType::Kitty),
            ImageStyle::Iterm2 => Some(ProtocolType::Iterm2),
            ImageStyle::Sixel => Some(ProtocolType::Sixel),
        };
        let graphics = Graphics { level, wanted, told: None, cell: terminal::cell() };
        let mut images = Self::new(graphics.method());
        images.graphics = Some(graphics);
        images
    }

    /// What the terminal is to be asked, if anything.
    pub fn question(&self) -> Option<String> {
        self.graphics.as_ref()?;
        let in_tmux = Picker::halfblocks().tmux_detected();
        let options = QueryStdioOptions {
            blacklist_protocols: not_asked_for(),
            ..QueryStdioOptions::default()
        };
        Some(Parser::query(in_tmux, options))
    }

    /// The terminal said something, at once or late; whether images are drawn in another method
    /// now.
    pub fn learn(&mut self, answer: Answer) -> bool {
        let Some(graphics) = &mut self.graphics else { return false };
        let before = (graphics.told, graphics.cell);
        match answer {
            Answer::Kitty if !not_asked_for().contains(&ProtocolType::Kitty) => {
                graphics.told = Some(ProtocolType::Kitty)
            }
            Answer::Kind { sixel: true } if !not_asked_for().contains(&ProtocolType::Sixel) => {
                graphics.told = graphics.told.or(Some(ProtocolType::Sixel));
            }
            Answer::Cell(width, height) => graphics.cell = Some((width, height)),
            _ => {}
        }
        if (graphics.told, graphics.cell) == before {
            return false;
        }
        self.method = graphics.method();
        self.forget();
        true
    }

    /// Draws the image of sample `index` on `area`; `pixels` are bytes `[h, w, c]` of `shape`
    /// (channels, height, width).
    pub fn draw(&self, index: u32, pixels: &[u8], shape: [usize; 3], area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        let Some(image) = image_of(pixels, shape).filter(|_| !area.is_empty()) else { return };
        match &self.method {
            Method::Characters(unicode) => characters(&image, *unicode, area, buf),
            Method::Blocks(_) | Method::Graphics(_) => {
                let mut encoded = self.encoded.borrow_mut();
                if encoded.len() > KEPT {
                    encoded.clear();
                }
                let key = (index, area.width, area.height);
                let protocol = match encoded.entry(key) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(place) => {
                        let Ok(protocol) =
                            self.encode(image, Size { width: area.width, height: area.height })
                        else {
                            return;
                        };
                        place.insert(protocol)
                    }
                };
                Image::new(protocol).render(area, buf);
                if let Method::Blocks(level @ (TermProfile::Ansi256 | TermProfile::Ansi16)) =
                    self.method
                {
                    adapt(level, area, buf);
                }
            }
        }
    }

    fn encode(&self, image: DynamicImage, size: Size) -> Result<Protocol, Errors> {
        match &self.method {
            // Pixels as they are: small images are not to be blurred.
            Method::Graphics(picker) => {
                picker.new_protocol(image, size, Resize::Scale(Some(FilterType::Nearest)))
            }
            _ => Halfblocks::new(image, size).map(Protocol::Halfblocks),
        }
    }

    /// Forgets what was encoded: other samples have these numbers now.
    pub fn forget(&self) {
        self.encoded.borrow_mut().clear();
    }
}

impl Graphics {
    /// How images are drawn by what is known now. What nobody asked for needs the size of a
    /// character.
    fn method(&self) -> Method {
        if self.cell.is_none() && self.wanted.is_none() {
            return Method::Blocks(self.level);
        }
        let (width, height) = self.cell.unwrap_or(USUAL_CELL);
        #[expect(
            deprecated,
            reason = "the other ways to make one read the terminal's answers themselves, and wait \
                      for them"
        )]
        let mut picker = Picker::from_fontsize(FontSize::new(width, height));
        if let Some(protocol) = self.wanted.or(self.told) {
            picker.set_protocol_type(protocol);
        }
        match picker.protocol_type() {
            ProtocolType::Halfblocks => Method::Blocks(self.level),
            _ => Method::Graphics(Box::new(picker)),
        }
    }
}

/// Protocols that the terminal claims and does not do well: WezTerm and Konsole are better at
/// iTerm2's (so ratatui-image, too).
fn not_asked_for() -> Vec<ProtocolType> {
    let is_set = |variable: &str| std::env::var(variable).is_ok_and(|value| !value.is_empty());
    if is_set("WEZTERM_EXECUTABLE") || is_set("KONSOLE_VERSION") {
        vec![ProtocolType::Kitty, ProtocolType::Sixel]
    } else {
        Vec::new()
    }
}

/// Whether the terminal is one of those that show images and say so.
fn has_graphics() -> bool {
    let has = |variable: &str, words: &[&str]| {
        std::env::var(variable)
            .is_ok_and(|value| words.iter().any(|word| value.to_lowercase().contains(word)))
    };
    has("TERM", &["kitty", "ghostty", "foot", "mlterm", "contour", "wezterm"])
        || has(
            "TERM_PROGRAM",
            &["iterm", "wezterm", "mintty", "vscode", "rio", "warp", "ghostty", "konsole"],
        )
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
    let small = image
        .resize_exact(u32::from(area.width), u32::from(area.height), FilterType::Triangle)
        .to_luma8();
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
        let drawn = |method: Method| {
            let mut buf = Buffer::empty(area);
            Images::new(method).draw(0, &pixels, [1, 2, 4], area, &mut buf);
            (0..4).map(|x| buf[(x, 0)].symbol().to_owned()).collect::<String>()
        };
        assert_eq!(drawn(Method::Characters(false)), "  @@");
        assert_eq!(drawn(Method::Characters(true)), "  ██");
    }

    #[test]
    fn half_blocks_have_the_colours_of_the_pixels() {
        let area = Rect::new(0, 0, 2, 1);
        let mut buf = Buffer::empty(area);
        Images::default().draw(0, &[0, 255, 0, 255], [1, 2, 2], area, &mut buf);
        let [left, right] = [0, 1].map(|x| buf[(x, 0)].bg);
        assert_eq!(
            (left, right),
            (ratatui::style::Color::Rgb(0, 0, 0), ratatui::style::Color::Rgb(255, 255, 255))
        );
    }
}
