//! Work that is done again and again on the same memory, with other values in it. A CUDA device
//! captures it as a graph, and does all of it at one launch from then on; any other one does it
//! anew each time, so that the same memory serves there, too.

use super::{path, shim};
use burn::backend::DispatchDevice;
use burn::backend::libtorch::LibTorchDevice;
use burn::tensor::Device;
use std::fmt;

/// Whether there is anything to be gained by [`Repeated`] on `device`. Where the processor takes
/// the bodies of other devices there is not, but it is done all the same: for the tests.
pub fn can_repeat(device: &Device) -> bool {
    path::is_launched(device) && (cuda_index(device).is_none() || shim::has_graphs())
}

/// Whether this program has CUDA graphs.
pub fn has_graphs() -> bool {
    shim::has_graphs()
}

fn cuda_index(device: &Device) -> Option<usize> {
    match device.as_dispatch() {
        DispatchDevice::LibTorch(LibTorchDevice::Cuda(index)) => Some(*index),
        _ => None,
    }
}

/// Work that gives a `T` of tensors, which are the same ones each time.
pub struct Repeated<T> {
    graph: Option<shim::Graph>,
    /// How often the work was done without a graph.
    warm: usize,
    given: Option<T>,
}

impl<T> Repeated<T> {
    /// How often the work is done before it is captured: libraries make their plans meanwhile.
    const WARM_UP: usize = 3;

    /// Of work on `device`.
    pub fn new(device: &Device) -> Self {
        Self { graph: cuda_index(device).map(shim::Graph::new), warm: 0, given: None }
    }

    /// Whether the next time captures the work: if that panics, nothing of it was done.
    pub fn is_about_to_capture(&self) -> bool {
        #[cfg(test)]
        if FAILS.get() {
            return self.warm == Self::WARM_UP;
        }
        let is_new = self.graph.as_ref().is_some_and(|graph| !graph.is_captured());
        is_new && self.warm == Self::WARM_UP
    }

    /// Does the work. Its inputs are in the same memory as the last time, and whatever else it
    /// changes is changed in place; what it gives holds until it is done again. Once it is
    /// captured, `work` is not called: nothing of it may matter but what the device does.
    ///
    /// # Panics
    /// When the device fails, or the work cannot be captured: with LibTorch's message.
    pub fn run(&mut self, work: impl FnOnce() -> T) -> &T {
        #[cfg(test)]
        if FAILS.get() && self.is_about_to_capture() {
            work();
            panic!("LibTorch: operation not permitted when stream is capturing");
        }
        let given = match (&mut self.graph, self.given.take()) {
            (Some(graph), Some(given)) if graph.is_captured() => {
                graph.launch();
                given
            }
            // A launch failed, and what it gives is lost.
            (Some(graph), None) if graph.is_captured() => panic!("LibTorch: the graph is broken"),
            (Some(graph), _) if self.warm == Self::WARM_UP => {
                let given = graph.capture(work);
                graph.launch(); // capturing does nothing of it
                given
            }
            _ => {
                self.warm += 1;
                work()
            }
        };
        self.given.insert(given)
    }
}

impl<T> fmt::Debug for Repeated<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repeated").field("graph", &self.graph).finish_non_exhaustive()
    }
}

#[cfg(test)]
thread_local! {
    /// Whether a capture on this thread fails after its work was asked for.
    static FAILS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs `body` by the bodies of other devices, where each capture fails.
#[cfg(test)]
pub(crate) fn with_failing_captures<T>(body: impl FnOnce() -> T) -> T {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            FAILS.set(false);
        }
    }
    let _reset = Reset;
    FAILS.set(true);
    path::with_device_path(true, body)
}
