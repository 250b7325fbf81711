//! Kernels without a GPU: their bodies as C++ on the processor, behind a driver that carries
//! launches out there; and NVRTC itself, where it is given.

use super::compiler::Target;
use super::driver::Grid;
use super::images::{Parts, SOURCE};
use super::loss::Logits;
use super::*;
use crate::model::device::DeviceName;
use crate::model::kernels::{ordinary_images, resident_bytes, shim};
use crate::stream::{Purpose, stream};
use burn::backend::LibTorch;
use burn::tensor::{Int, TensorData};
use burn_tch::TchTensor;
use rand::RngExt;
use std::ffi::{c_char, c_uint, c_void};
use tch::{Kind, Tensor};

/// A driver whose one device is the processor. Its handles are numbers that it knows again.
mod processor {
    use super::*;

    pub(super) const CONTEXT: usize = 11;
    const MODULE: usize = 12;
    const IMAGES: usize = 13;
    const LOSS: usize = 15;
    pub(super) const STREAM: usize = 14;
    const INVALID: c_int = 1;

    thread_local! {
        /// Contexts that are current on this thread, the last one on top.
        pub(super) static CURRENT: std::cell::RefCell<Vec<usize>> = const {
            std::cell::RefCell::new(Vec::new())
        };
        /// The last launch.
        pub(super) static LAUNCHED: std::cell::Cell<Option<Grid>> = const {
            std::cell::Cell::new(None)
        };
    }

    fn ok_if(right: bool) -> c_int {
        if right { 0 } else { INVALID }
    }

    fn is_current() -> bool {
        CURRENT.with_borrow(|all| all.last() == Some(&CONTEXT))
    }

    unsafe extern "C" fn init(_: c_uint) -> c_int {
        0
    }

    unsafe extern "C" fn device(to: *mut c_int, index: c_int) -> c_int {
        // SAFETY: the caller's variable.
        unsafe { *to = index };
        ok_if(index == 0)
    }

    unsafe extern "C" fn attribute(to: *mut c_int, attribute: c_int, _: c_int) -> c_int {
        // SAFETY: as above.
        unsafe { *to = if attribute == 75 { 8 } else { 6 } };
        ok_if([75, 76].contains(&attribute))
    }

    unsafe extern "C" fn retain(to: *mut *mut c_void, _: c_int) -> c_int {
        // SAFETY: as above.
        unsafe { *to = CONTEXT as *mut c_void };
        0
    }

    unsafe extern "C" fn push(context: *mut c_void) -> c_int {
        CURRENT.with_borrow_mut(|all| all.push(context as usize));
        0
    }

    unsafe extern "C" fn pop(_: *mut *mut c_void) -> c_int {
        ok_if(CURRENT.with_borrow_mut(Vec::pop).is_some())
    }

    unsafe extern "C" fn load(to: *mut *mut c_void, image: *const c_void) -> c_int {
        // SAFETY: as above; the image of these tests is at least two bytes.
        let is_image = unsafe {
            *to = MODULE as *mut c_void;
            image.cast::<[u8; 2]>().read() == *b"ok"
        };
        ok_if(is_image && is_current())
    }

    unsafe extern "C" fn find(
        to: *mut *mut c_void,
        module: *mut c_void,
        name: *const c_char,
    ) -> c_int {
        // SAFETY: as above; the name ends in a zero.
        let name = unsafe { CStr::from_ptr(name) };
        let kernels = [(IMAGES, c"earlybird_images"), (LOSS, c"earlybird_loss")];
        let found = kernels.into_iter().find(|(_, known)| *known == name);
        // SAFETY: as above.
        unsafe { *to = found.map_or(0, |(handle, _)| handle) as *mut c_void };
        ok_if(module as usize == MODULE && found.is_some())
    }

    #[allow(clippy::too_many_arguments)] // the driver's
    unsafe extern "C" fn launch(
        function: *mut c_void,
        blocks: c_uint,
        rows: c_uint,
        deep: c_uint,
        threads: c_uint,
        _: c_uint,
        _: c_uint,
        shared: c_uint,
        stream: *mut c_void,
        parameters: *mut *mut c_void,
        _: *mut *mut c_void,
    ) -> c_int {
        let known = stream as usize == STREAM && is_current();
        if !known || deep != 1 || shared != 0 || threads > 1024 || rows > 65_535 {
            return INVALID;
        }
        LAUNCHED.set(Some(Grid { blocks, rows, threads }));
        // SAFETY: the one parameter is the kernel's task, whose tensors are the processor's.
        match function as usize {
            IMAGES => unsafe { shim::images_threads(*parameters, blocks * threads, rows) },
            LOSS if rows == 1 => unsafe { shim::loss_threads(*parameters, blocks * threads) },
            _ => return INVALID,
        }
        0
    }

    pub(super) fn driver() -> Driver {
        Driver {
            cuInit: init,
            cuDeviceGet: device,
            cuDeviceGetAttribute: attribute,
            cuDevicePrimaryCtxRetain: retain,
            cuCtxPushCurrent_v2: push,
            cuCtxPopCurrent_v2: pop,
            cuModuleLoadData: load,
            cuModuleGetFunction: find,
            cuLaunchKernel: launch,
        }
    }
}

/// Images `[b, h, w, c]` by the kernel.
fn by_kernel(parts: &Parts<'_>) -> Result<Option<Tensor>, KernelError> {
    let driver = processor::driver();
    let kernel = driver.load(0, b"ok", SOURCE.name)?;
    parts.make(&kernel, processor::STREAM as *mut c_void)
}

/// A case: images of `shape`, `b` of `n`, each moved by up to twice its size or not at all.
struct Case {
    shape: [usize; 3],
    n: usize,
    b: usize,
    crops: bool,
}

impl Case {
    /// The same images by the kernel and by the ordinary operations, as bits.
    fn both(&self, seed: u64) -> [Vec<u32>; 2] {
        let (mut rng, [c, h, w]) = (stream(seed, Purpose::Init, 0), self.shape);
        let bytes: Vec<u8> = (0..self.n * c * h * w).map(|_| rng.random()).collect();
        let index: Vec<i64> = (0..self.b).map(|_| rng.random_range(0..self.n as i64)).collect();
        let mut by = |side: usize| rng.random_range(-2 * side as i64..=2 * side as i64);
        let crops: Vec<i64> = (0..self.b).flat_map(|k| [by(h), by(w), (k % 2) as i64]).collect();
        let (scale, shift): (Vec<f32>, Vec<f32>) =
            (0..c).map(|_| (rng.random_range(-0.1..0.1), rng.random_range(-3.0..3.0))).unzip();
        let (index, crops) = (
            Tensor::from_slice(&index),
            self.crops.then(|| Tensor::from_slice(&crops).view([-1, 3])),
        );
        let device = DeviceName::LibtorchCpu.open().expect("it works");
        let data = resident_bytes(&bytes, [self.n, c * h * w], &device);
        let whole = |t: &Tensor| TchTensor::new(t.copy()); // Burn may write to its own
        let channel = |v: &[f32]| {
            burn::tensor::Tensor::<1>::from_data(TensorData::new(v.to_vec(), [c]), &device)
        };
        let reference = ordinary_images(
            &data,
            burn::tensor::Tensor::<1, Int>::from_primitive::<LibTorch>(whole(&index)),
            crops.as_ref().map(|crops| {
                burn::tensor::Tensor::<2, Int>::from_primitive::<LibTorch>(whole(crops))
            }),
            [&channel(&scale), &channel(&shift)],
            self.shape,
        );
        let reference = reference.permute([0, 2, 3, 1]).into_data();
        let bytes = Tensor::from_slice(&bytes).view([self.n as i64, (c * h * w) as i64]);
        let channels = [Tensor::from_slice(&scale), Tensor::from_slice(&shift)];
        let made = by_kernel(&Parts {
            bytes: &bytes,
            index: &index,
            crops: crops.as_ref(),
            scale_shift: [&channels[0], &channels[1]],
            shape: self.shape,
        });
        let made = made.expect("a launch").expect("the kernel takes it");
        assert_eq!(made.size(), [self.b, h, w, c].map(|d| d as i64));
        let made = Vec::<f32>::try_from(made.flatten(0, -1)).expect("it works");
        [made, reference.iter::<f32>().collect()].map(|v| v.into_iter().map(f32::to_bits).collect())
    }
}

#[test]
fn the_kernel_gives_the_bits_of_the_ordinary_operations() {
    let shapes =
        [[1, 28, 28], [3, 32, 32], [1, 1, 1], [3, 7, 9], [3, 9, 7], [2, 1, 40], [4, 40, 1]];
    for (k, shape) in shapes.into_iter().enumerate() {
        for (n, b) in [(1, 1), (5, 3), (40, 64), (3, 130)] {
            for crops in [false, true] {
                let [kernel, ordinary] =
                    Case { shape, n, b, crops }.both(k as u64 * 100 + n as u64);
                let at = kernel.iter().zip(&ordinary).position(|(a, b)| a != b);
                let both = at.map(|at| [&kernel, &ordinary].map(|v| f32::from_bits(v[at])));
                assert_eq!(both, None, "{shape:?}, {b} of {n}, crops: {crops}, at {at:?}");
            }
        }
    }
}

/// Two pixels of one image `[1, 2, 1]`, in one channel as they are, for `b` images.
fn tiny(index: &[i64], crops: Option<&[i64]>) -> Vec<f32> {
    let bytes = Tensor::from_slice(&[1_u8, 2]).view([1, 2]);
    let (index, one) = (Tensor::from_slice(index), Tensor::from_slice(&[1_f32]));
    let crops = crops.map(|crops| Tensor::from_slice(crops).view([-1, 3]));
    let parts = Parts {
        bytes: &bytes,
        index: &index,
        crops: crops.as_ref(),
        scale_shift: [&one, &(&one * 0.0)],
        shape: [1, 2, 1],
    };
    Vec::<f32>::try_from(by_kernel(&parts).expect("a launch").expect("images").flatten(0, -1))
        .expect("it works")
}

#[test]
fn crops_as_far_away_as_there_are_numbers_show_zeros() {
    for far in [i64::MIN, i64::MIN + 1, -3, 3, i64::MAX] {
        for crop in [[far, 0, 0], [0, far, 0], [0, far, 1], [far, far, 1]] {
            assert_eq!(tiny(&[0], Some(&crop)), [0.0, 0.0], "{crop:?}");
        }
    }
    assert_eq!(tiny(&[0], Some(&[1, 0, 1])), [2.0, 0.0]);
}

#[test]
fn a_number_that_is_no_image_s_gives_nan_and_reads_nothing() {
    let made = tiny(&[0, 1, -1, i64::MAX, i64::MIN], None);
    assert_eq!(made[..2], [1.0, 2.0]);
    assert!(made[2..].iter().all(|v| v.is_nan()), "{made:?}");
}

#[test]
fn a_launch_covers_every_pixel_in_as_few_blocks_as_it_takes_and_leaves_the_context_as_it_was() {
    processor::CURRENT.with_borrow_mut(|all| all.push(5));
    let _ = Case { shape: [1, 28, 28], n: 2, b: 3, crops: true }.both(1);
    let grid = Grid { blocks: 7, rows: 3, threads: 128 };
    assert_eq!(processor::LAUNCHED.get(), Some(grid));
    // More images than a launch has rows: rows take several.
    assert!(tiny(&vec![0; 70_000], None).chunks(2).all(|pair| pair == [1.0, 2.0]));
    assert_eq!(processor::LAUNCHED.get().map(|grid| grid.rows), Some(65_535));
    assert_eq!(processor::CURRENT.with_borrow(Vec::clone), [5]);
}

#[test]
fn tensors_of_another_form_are_left_to_the_ordinary_operations() {
    let bytes = Tensor::zeros([4, 6], (Kind::Uint8, tch::Device::Cpu));
    let index = Tensor::from_slice(&[0_i64, 3]);
    let crops = Tensor::zeros([2, 3], (Kind::Int64, tch::Device::Cpu));
    let channel = Tensor::from_slice(&[1_f32, 1.0]);
    let taken = |[bytes, index, crops, scale]: [&Tensor; 4], shape| {
        let scale_shift = [scale, &channel];
        let parts = Parts { bytes, index, crops: Some(crops), scale_shift, shape };
        by_kernel(&parts).expect("it works").is_some()
    };
    let right = [&bytes, &index, &crops, &channel];
    assert!(taken(right, [2, 3, 1]));
    for shape in [[2, 1, 1], [3, 2, 1], [2, 0, 1], [0, 3, 1], [2, usize::MAX, usize::MAX]] {
        assert!(!taken(right, shape), "{shape:?}");
    }
    let half = |t: &Tensor| t.to_kind(Kind::Half);
    let faults: [(usize, Tensor); 8] = [
        (0, half(&bytes)),
        (0, bytes.transpose(0, 1).contiguous().transpose(0, 1)),
        (1, index.to_kind(Kind::Int)),
        (1, index.narrow(0, 0, 0)),
        (2, crops.to_kind(Kind::Int)),
        (2, crops.narrow(0, 0, 1)),
        (3, half(&channel)),
        (3, channel.narrow(0, 0, 1)),
    ];
    for (place, wrong) in &faults {
        let mut all = right;
        all[*place] = wrong;
        assert!(!taken(all, [2, 3, 1]), "{place}: {wrong:?}");
    }
}

#[test]
fn a_driver_that_refuses_is_an_error_in_words() {
    let driver = processor::driver();
    let Err(error) = driver.load(0, b"no image", SOURCE.name) else { panic!("it is no image") };
    assert_eq!(error.to_string(), "the driver's cuModuleLoadData failed (1)");
    assert!(processor::CURRENT.with_borrow(Vec::is_empty), "no context stays current");
    let Err(error) = driver.load(3, b"ok", SOURCE.name) else { panic!("there is no such device") };
    assert_eq!(error.to_string(), "the driver's cuDeviceGet failed (1)");
    assert_eq!(driver.capability(0), Ok(Capability(86)));
}

#[test]
fn without_nvidia_s_libraries_there_is_an_error_that_names_them_and_nothing_panics() {
    let error = open("libearlybird-has-no-such.so").expect_err("an error").to_string();
    assert!(error.starts_with("libearlybird-has-no-such.so cannot be loaded: "), "{error}");
    let c = open("libc.so.6").expect("it works");
    let Err(error) = Compiler::find(&c) else { panic!("the C library is no compiler") };
    assert_eq!(error.to_string(), "nvrtcVersion is missing in NVIDIA's libraries");
    if !tch::Cuda::is_available() {
        let (bytes, one) = (Tensor::from_slice(&[1_u8]).view([1, 1]), floats(&[1], 1));
        let (index, scale_shift) = (Tensor::from_slice(&[0_i64]), [&one, &one]);
        let parts =
            Parts { bytes: &bytes, index: &index, crops: None, scale_shift, shape: [1, 1, 1] };
        assert!(images::images(0, &parts).is_none(), "the ordinary operations are left");
        assert!(status(0).is_err());
        assert!(shim::cuda_stream(0).expect_err("an error").to_string().starts_with("LibTorch: "));
        assert!(shim::cuda_memory(0).expect_err("an error").to_string().contains("no CUDA device"));
    }
}

/// Values in -4..4.
fn floats(size: &[i64], seed: u64) -> Tensor {
    let mut rng = stream(seed, Purpose::Init, 0);
    let values: Vec<f32> =
        (0..size.iter().product::<i64>()).map(|_| rng.random_range(-4.0..4.0)).collect();
    Tensor::from_slice(&values).view(size)
}

/// Loss, figures and gradient by the kernel.
fn loss_by_kernel(logits: &Logits<'_>) -> Option<[Tensor; 3]> {
    let driver = processor::driver();
    let kernel = driver.load(0, b"ok", loss::SOURCE.name).expect("the kernel");
    logits.compute(&kernel, processor::STREAM as *mut c_void).expect("a launch")
}

#[test]
fn the_kernel_for_the_loss_gives_the_processor_s_bits_and_its_mean() {
    for (b, classes) in [(1, 1), (1, 10), (7, 3), (33, 10), (128, 100), (130, 1000)] {
        for (shifted, smoothing) in [(false, 0.0), (true, 0.1)] {
            let logits = floats(&[b, classes], 1);
            let labels: Vec<i64> = (0..b).map(|i| i * 31 % classes).collect();
            let (labels, factors) = (Tensor::from_slice(&labels), floats(&[b], 2).abs());
            let shifts = shifted.then(|| floats(&[2, classes], 3));
            let by_shim =
                shim::cross_entropy(&logits, &labels, &factors, shifts.as_ref(), smoothing);
            let [loss, figures, gradient] = by_shim.map(|t| t.expect("a tensor"));
            let parts = Logits {
                logits: &logits,
                labels: &labels,
                factors: &factors,
                shifts: shifts.as_ref(),
                smoothing,
            };
            let made = loss_by_kernel(&parts).expect("the kernel takes it");
            let what = format!("{b} of {classes}, shifted: {shifted}");
            assert!(made[1].equal(&figures) && made[2].equal(&gradient), "{what}");
            assert_eq!(made[0].size(), [1]);
            let mean = |t: &Tensor| t.double_value(&[0]);
            let (mean, theirs) = (mean(&made[0]), mean(&loss));
            // The processor sums in 64 bits.
            assert!(
                (mean - theirs).abs() < 1e-6 * theirs.abs().max(1.0),
                "{what}: {mean} {theirs}"
            );
        }
    }
}

#[test]
fn a_label_that_is_no_class_s_makes_its_sample_nan_and_the_loss() {
    let (logits, factors) = (floats(&[5, 3], 1), floats(&[5], 2));
    let labels = Tensor::from_slice(&[2, 3, -1, i64::MIN, i64::MAX]);
    let parts = Logits {
        logits: &logits,
        labels: &labels,
        factors: &factors,
        shifts: None,
        smoothing: 0.0,
    };
    let [loss, figures, gradient] = loss_by_kernel(&parts).expect("the kernel takes it");
    assert!(loss.double_value(&[0]).is_nan());
    for row in 0..5 {
        let nan = |t: &Tensor| bool::try_from(t.get(row).isnan().all()).expect("a truth");
        let any = |t: &Tensor| bool::try_from(t.get(row).isnan().any()).expect("a truth");
        assert!(if row > 0 { nan(&figures) && nan(&gradient) } else { !any(&figures) }, "{row}");
    }
}

#[test]
fn logits_of_another_form_are_left_to_the_ordinary_operations() {
    let right = [floats(&[4, 3], 1), Tensor::from_slice(&[0_i64, 1, 2, 0]), floats(&[4], 2)];
    let taken = |[logits, labels, factors]: [&Tensor; 3]| {
        let parts = Logits { logits, labels, factors, shifts: None, smoothing: 0.0 };
        loss_by_kernel(&parts).is_some()
    };
    assert!(taken(right.each_ref()));
    let faults = [
        (0, right[0].to_kind(Kind::BFloat16)),
        (0, right[0].transpose(0, 1).contiguous().transpose(0, 1)),
        (0, right[0].narrow(0, 0, 0)),
        (0, right[0].flatten(0, -1)),
        (1, right[1].to_kind(Kind::Int)),
        (1, right[1].narrow(0, 0, 3)),
        (2, right[2].to_kind(Kind::Double)),
        (2, right[2].narrow(0, 0, 1)),
    ];
    for (place, wrong) in &faults {
        let mut all = right.each_ref();
        all[*place] = wrong;
        assert!(!taken(all), "{place}: {wrong:?}");
    }
}

/// NVRTC: the library that EARLYBIRD_NVRTC names.
fn nvrtc() -> Compiler {
    let path = std::env::var("EARLYBIRD_NVRTC").expect("EARLYBIRD_NVRTC names libnvrtc.so");
    let library = open(&path).expect("it works");
    let compiler = Compiler::find(&library).expect("it works");
    std::mem::forget(library);
    compiler
}

#[test]
#[ignore = "needs NVRTC: make test-nvrtc"]
fn nvrtc_compiles_each_kernel_for_the_devices_that_there_are() {
    let nvrtc = nvrtc();
    println!("NVRTC {}", nvrtc.version().expect("it works"));
    for source in [&images::SOURCE, &loss::SOURCE] {
        let name = source.name;
        for number in [75, 80, 90, 100] {
            let target = nvrtc.target(Capability(number)).expect("a target");
            assert_eq!(target, Target::Machine(Capability(number)));
            let image = nvrtc.compile(source, target).expect("machine code");
            assert_eq!(image[..4], *b"\x7fELF", "machine code");
            assert!(image.windows(name.count_bytes()).any(|w| w == name.to_bytes()));
            let key = nvrtc.key(source, target).expect("a key");
            println!("{}: {} bytes, {key}", target.name(), image.len());
        }
        // A device that this NVRTC has never heard of gets PTX.
        let target = nvrtc.target(Capability(999)).expect("a target");
        let ptx = nvrtc.compile(source, target).expect("PTX");
        assert_eq!(ptx.last(), Some(&0), "with the zero that the driver looks for");
        let text = String::from_utf8_lossy(&ptx);
        let name = name.to_string_lossy();
        assert!(text.contains(&format!(".visible .entry {name}(")), "{text}");
        println!("{}: {} bytes of PTX", target.name(), ptx.len());
    }
    // Images are rounded twice: by no fused operation.
    let target = nvrtc.target(Capability(999)).expect("a target");
    let text = nvrtc.compile(&images::SOURCE, target).expect("PTX");
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("mul.rn.f32") && !text.contains("fma.rn.f32"), "{text}");
}

#[test]
#[ignore = "needs NVRTC: make test-nvrtc"]
fn what_nvrtc_refuses_is_an_error_with_its_log() {
    let source = Source { name: c"wrong", what: "nothing", text: c"__global__ void f() { g(); }" };
    let nvrtc = nvrtc();
    let error = nvrtc
        .compile(&source, nvrtc.target(Capability(90)).expect("it works"))
        .expect_err("an error");
    assert!(error.to_string().contains("identifier \"g\" is undefined"), "{error}");
}
