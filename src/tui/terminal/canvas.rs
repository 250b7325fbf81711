//! What frames are written to: the terminal on standard output, a frame in one piece. Of a terminal
//! that does not know its size the usual one is assumed, and one that is gone is no reason to
//! panic.

use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that are kept until a frame is whole.
const FRAME: usize = 1 << 16;

/// Bytes written to the terminal by this process so far.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// See [`WRITTEN`].
pub fn written() -> u64 {
    WRITTEN.load(Ordering::Relaxed)
}

/// The terminal's output, with a count of what goes there. Holds no lock: a terminal that takes
/// nothing stops nobody else.
#[derive(Debug)]
struct Counted;

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = rustix::io::write(rustix::stdio::stdout(), bytes)?;
        WRITTEN.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The terminal as ratatui draws on it.
#[derive(Debug)]
pub struct Canvas(CrosstermBackend<BufWriter<Counted>>);

impl Canvas {
    pub fn new() -> Self {
        Self(CrosstermBackend::new(BufWriter::with_capacity(FRAME, Counted)))
    }
}

impl Write for Canvas {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Write::flush(&mut self.0)
    }
}

impl Backend for Canvas {
    type Error = io::Error;

    fn draw<'a, I: Iterator<Item = (u16, u16, &'a Cell)>>(&mut self, content: I) -> io::Result<()> {
        self.0.draw(content)
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.0.hide_cursor()
    }

    /// Never fails: ratatui calls it when all is over, too, and would then print the error to a
    /// terminal that is gone.
    fn show_cursor(&mut self) -> io::Result<()> {
        let _ = self.0.show_cursor();
        Ok(())
    }

    /// The terminal would have to be asked, and some never answer: nothing here needs it.
    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.0.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.0.clear()
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        self.0.clear_region(region)
    }

    fn size(&self) -> io::Result<Size> {
        let (width, height) = super::size();
        Ok(Size { width, height })
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: self.size()?, pixels: Size::default() })
    }

    fn flush(&mut self) -> io::Result<()> {
        Write::flush(self)
    }
}
