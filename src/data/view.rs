//! What a model is shown of an image of any size: a square, cut out and scaled. A pure function of
//! (seed, epoch, position in the epoch) and of the image's size. Knows nothing of files.

use crate::stream::{Purpose, stream};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use rand::Rng;

/// An image in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// RGB bytes, shape `[height, width, 3]`.
    pub rgb: Vec<u8>,
}

/// A part of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Columns left of it.
    pub left: f64,
    /// Rows above it.
    pub top: f64,
    /// Columns.
    pub width: f64,
    /// Rows.
    pub height: f64,
}

/// Random resized crops (Szegedy et al. 2015), drawn as torchvision's `RandomResizedCrop` draws
/// them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomResized {
    /// Least and largest share of the image's area, in (0, 1].
    pub scale: [f64; 2],
    /// Least and largest width over height, above 0.
    pub ratio: [f64; 2],
    /// Mirrored with probability 1/2.
    pub flip: bool,
}

/// Windows that are tried before the largest one in the middle is taken.
const ATTEMPTS: usize = 10;

impl RandomResized {
    /// Random words of 32 bits that each draw has to itself: four for each attempt, and one for the
    /// mirror. Always as many, so that any position can be asked for alone; a multiple of 16, which
    /// the generator makes at a time.
    const WORDS: usize = 48;

    /// The window of the draw at `position` of `epoch`, of an image of so many pixels, and whether
    /// it is mirrored.
    pub fn window(
        &self,
        (seed, epoch, position): (u64, u64, usize),
        [width, height]: [u32; 2],
    ) -> (Window, bool) {
        let mut rng = stream(seed, Purpose::Augment, epoch);
        rng.set_word_pos(position as u128 * Self::WORDS as u128);
        let words: [u32; Self::WORDS] = std::array::from_fn(|_| rng.next_u32());
        let attempts = words[..4 * ATTEMPTS].as_chunks::<4>().0;
        let window = attempts.iter().find_map(|words| self.attempt(*words, [width, height]));
        let is_mirrored = self.flip && words[4 * ATTEMPTS] & 1 == 1;
        (window.unwrap_or_else(|| self.largest([width, height])), is_mirrored)
    }

    fn attempt(&self, words: [u32; 4], [width, height]: [u32; 2]) -> Option<Window> {
        let [area, ratio, top, left] = words;
        let within = |word: u32, [low, high]: [f64; 2]| {
            low + (high - low) * (f64::from(word) / f64::from(u32::MAX))
        };
        let area = f64::from(width) * f64::from(height) * within(area, self.scale);
        // libm: the last bits of the system's functions differ from machine to machine.
        let ratio = libm::exp(within(ratio, self.ratio.map(libm::log)));
        let (w, h) = ((area * ratio).sqrt().round() as u32, (area / ratio).sqrt().round() as u32);
        if w == 0 || h == 0 || w > width || h > height {
            return None;
        }
        let offset = |word: u32, most: u32| (u64::from(word) * (u64::from(most) + 1)) >> 32;
        let (left, top) = (offset(left, width - w) as f64, offset(top, height - h) as f64);
        Some(Window { left, top, width: f64::from(w), height: f64::from(h) })
    }

    /// The largest window in the middle of an allowed ratio.
    fn largest(&self, [width, height]: [u32; 2]) -> Window {
        let (w, h) = (f64::from(width), f64::from(height));
        let [low, high] = self.ratio;
        let (cut_w, cut_h) = if w / h < low {
            (w, (w / low).round().clamp(1.0, h))
        } else if w / h > high {
            ((h * high).round().clamp(1.0, w), h)
        } else {
            (w, h)
        };
        let (left, top) = (((w - cut_w) / 2.0).floor(), ((h - cut_h) / 2.0).floor());
        Window { left, top, width: cut_w, height: cut_h }
    }
}

/// The square in the middle that is left where the short side is scaled to `resized` pixels and
/// `size` x `size` of them are kept.
pub fn centre([width, height]: [u32; 2], size: usize, resized: usize) -> Window {
    let (w, h) = (f64::from(width), f64::from(height));
    let side = w.min(h) * size as f64 / resized.max(size) as f64;
    Window { left: (w - side) / 2.0, top: (h - side) / 2.0, width: side, height: side }
}

/// Scales windows of images to squares. One for each thread: it keeps its memory.
#[derive(Debug, Default)]
pub struct Scaler(Resizer);

/// An image that cannot be scaled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it cannot be scaled: {0}")]
pub struct ScaleError(String);

impl Scaler {
    /// The window of `picture` as `size` x `size` pixels, antialiased, after `out`: RGB bytes.
    ///
    /// # Errors
    /// When the window is not inside the image.
    pub fn scale(
        &mut self,
        picture: &Picture,
        window: Window,
        (size, is_mirrored): (usize, bool),
        out: &mut Vec<u8>,
    ) -> Result<(), ScaleError> {
        let from = ImageRef::new(picture.width, picture.height, &picture.rgb, PixelType::U8x3)
            .map_err(|e| ScaleError(e.to_string()))?;
        let at = out.len();
        out.resize(at + 3 * size * size, 0);
        let side = size as u32;
        let mut to = Image::from_slice_u8(side, side, &mut out[at..], PixelType::U8x3)
            .map_err(|e| ScaleError(e.to_string()))?;
        let Window { left, top, width, height } = window;
        let options = ResizeOptions::new()
            .crop(left, top, width, height)
            .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        self.0.resize(&from, &mut to, &options).map_err(|e| ScaleError(e.to_string()))?;
        if is_mirrored {
            out[at..].chunks_exact_mut(3 * size).for_each(mirror);
        }
        Ok(())
    }
}

/// Turns a row of RGB bytes round.
fn mirror(row: &mut [u8]) {
    let n = row.len() / 3;
    for left in 0..n / 2 {
        for c in 0..3 {
            row.swap(3 * left + c, 3 * (n - 1 - left) + c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: RandomResized =
        RandomResized { scale: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0], flip: true };

    #[test]
    fn windows_lie_inside_and_have_the_share_and_the_shape_that_was_asked_for() {
        let mut areas = Vec::new();
        for position in 0..5_000 {
            let (w, _) = USUAL.window((1, 2, position), [500, 375]);
            assert!(w.left >= 0.0 && w.left + w.width <= 500.0, "{w:?}");
            assert!(w.top >= 0.0 && w.top + w.height <= 375.0, "{w:?}");
            let ratio = w.width / w.height;
            assert!((0.74..1.35).contains(&ratio), "{w:?}");
            areas.push(w.width * w.height / (500.0 * 375.0));
        }
        // Uniform in 0.08..1, but large ones fit less often: torchvision has 0.432 here.
        let mean = areas.iter().sum::<f64>() / areas.len() as f64;
        assert!((0.42..0.444).contains(&mean), "{mean}");
        assert!(areas.iter().all(|a| (0.079..1.001).contains(a)));
    }

    #[test]
    fn any_draw_can_be_asked_for_alone_and_each_is_another() {
        let draw = |epoch, position| USUAL.window((7, epoch, position), [640, 480]);
        let all: Vec<_> = (0..50).map(|position| draw(1, position)).collect();
        assert_eq!(draw(1, 37), all[37]);
        assert_ne!(draw(2, 37), all[37]);
        assert!((1..50).all(|k| all[k].0 != all[k - 1].0));
        let mirrored = all.iter().filter(|(_, mirrored)| *mirrored).count();
        assert!((10..40).contains(&mirrored), "{mirrored}");
    }

    #[test]
    fn images_that_no_window_fits_give_the_largest_one_in_the_middle() {
        let wide = USUAL.window((1, 1, 1), [4_000, 10]).0;
        assert_eq!((wide.height, wide.width), (10.0, 13.0));
        assert!((wide.left - 1_993.0).abs() <= 1.0, "{wide:?}");
        let pixel = USUAL.window((1, 1, 1), [1, 1]).0;
        assert_eq!(pixel, Window { left: 0.0, top: 0.0, width: 1.0, height: 1.0 });
    }

    #[test]
    fn a_window_of_the_size_asked_for_is_copied_and_mirrored() {
        let rgb: Vec<u8> = (0..6 * 4 * 3).map(|v| v as u8).collect();
        let picture = Picture { width: 6, height: 4, rgb };
        let window = Window { left: 1.0, top: 1.0, width: 2.0, height: 2.0 };
        let pixel = |x: usize, y: usize| &picture.rgb[3 * (6 * y + x)..][..3];
        let mut out = vec![9];
        Scaler::default().scale(&picture, window, (2, false), &mut out).expect("scaled");
        let plain = [&[9], pixel(1, 1), pixel(2, 1), pixel(1, 2), pixel(2, 2)].concat();
        assert_eq!(out, plain);
        let mut out = Vec::new();
        Scaler::default().scale(&picture, window, (2, true), &mut out).expect("scaled");
        assert_eq!(out, [pixel(2, 1), pixel(1, 1), pixel(2, 2), pixel(1, 2)].concat());
        let outside = Window { left: 5.0, ..window };
        assert!(Scaler::default().scale(&picture, outside, (2, false), &mut Vec::new()).is_err());
    }

    #[test]
    fn the_centre_is_what_resizing_and_cutting_leaves() {
        let window = centre([500, 375], 224, 256);
        assert!((window.width - 328.125).abs() < 1e-9 && window.width == window.height);
        assert!((window.left - 85.9375).abs() < 1e-9, "{window:?}");
        assert_eq!(centre([500, 375], 224, 0).width, 375.0);
    }
}
