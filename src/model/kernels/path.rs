//! Which of LibTorch's bodies a kernel takes: the shim's loops, which are made for the processor,
//! or those of ATen's operators, which serve every device. The second can be had on the processor,
//! too, so that machines without a GPU test what a GPU runs.

use burn::backend::DispatchDevice;
use burn::tensor::Device;
use std::sync::OnceLock;

/// The variable that makes the processor take the bodies of other devices; "1" does.
const VARIABLE: &str = "EARLYBIRD_DEVICE_PATH";

/// Whether the shim's loops serve tensors on `device`.
pub(super) fn has_loops(device: tch::Device) -> bool {
    device == tch::Device::Cpu && !is_forced()
}

/// Whether work on `device` is launched, one operator after another, and each costs: on LibTorch's
/// devices beside the processor.
pub fn is_launched(device: &Device) -> bool {
    matches!(device.as_dispatch(), DispatchDevice::LibTorch(_)) && !has_loops_for(device)
}

/// [`has_loops`] for a device of Burn's.
pub(super) fn has_loops_for(device: &Device) -> bool {
    match device.as_dispatch() {
        DispatchDevice::LibTorch(device) => has_loops((*device).into()),
        _ => false,
    }
}

/// Whether the processor takes the bodies of other devices.
pub fn is_forced() -> bool {
    static BY_VARIABLE: OnceLock<bool> = OnceLock::new();
    #[cfg(test)]
    if let Some(forced) = FORCED.get() {
        return forced;
    }
    *BY_VARIABLE.get_or_init(|| std::env::var_os(VARIABLE).is_some_and(|value| value == "1"))
}

#[cfg(test)]
thread_local! {
    /// What a test asks for on its thread.
    static FORCED: std::cell::Cell<Option<bool>> = const { std::cell::Cell::new(None) };
}

/// Runs `body` by the bodies of other devices where `forced`, else by the shim's loops.
#[cfg(test)]
pub(crate) fn with_device_path<T>(forced: bool, body: impl FnOnce() -> T) -> T {
    struct Restore(Option<bool>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FORCED.set(self.0);
        }
    }
    let _restore = Restore(FORCED.replace(Some(forced)));
    body()
}
