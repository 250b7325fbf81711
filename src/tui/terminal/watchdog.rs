//! A way out of a screen whose terminal takes nothing any more (ctrl-s, a line that hangs): writing
//! to it blocks, and signals are then not heard by the loop that draws.

use super::give_back;
use crate::signals::Ending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long the loop may take to leave after a signal.
const PATIENCE: Duration = Duration::from_secs(1);

/// Ends this process when a signal came and the loop did not leave; until it is dropped.
#[derive(Debug)]
pub struct Watchdog {
    left: Arc<AtomicBool>,
}

impl Watchdog {
    /// # Errors
    /// When the system gives no handler or no thread.
    pub fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut ending = {
            let _inside = runtime.enter();
            Ending::new()?
        };
        let left = Arc::new(AtomicBool::new(false));
        let has_left = Arc::clone(&left);
        let watch = async move {
            loop {
                ending.next().await;
                let _ = tokio::time::timeout(PATIENCE, ending.next()).await;
                if !has_left.load(Ordering::Relaxed) {
                    give_back();
                    signal_hook::low_level::exit(0); // the run goes on, as when the loop leaves
                }
            }
        };
        std::thread::Builder::new()
            .name("watchdog".into())
            .spawn(move || runtime.block_on(watch))?;
        Ok(Self { left })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.left.store(true, Ordering::Relaxed);
    }
}
