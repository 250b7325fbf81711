//! The NVIDIA GPUs that a process sees, in its own order: CUDA counts them by variables of the
//! environment, NVML by their places on the bus. They are matched by UUID. Knows no screen.

use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::{Device, Nvml};

/// A GPU, or a MIG instance of one, as NVML tells of it. What it does not tell is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GpuFigures {
    /// Its number as `cuda:N` in the process that trains.
    pub cuda: usize,
    /// As its maker calls it.
    pub name: String,
    /// Compute capability, as (9, 0).
    pub capability: Option<(i32, i32)>,
    /// Whether it is a MIG instance, a part of a GPU.
    pub is_mig: bool,
    /// Percent of the time in which it computed. NVML has no such figure of MIG instances.
    pub utilization: Option<u32>,
    /// Bytes used and in all.
    pub memory: Option<(u64, u64)>,
    /// Watts; of a MIG instance, of the whole GPU.
    pub power: Option<f64>,
    /// Degrees Celsius; of a MIG instance, of the whole GPU.
    pub temperature: Option<u32>,
}

/// The GPUs that a process sees.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gpus {
    /// In its own order, by `cuda:N`.
    pub visible: Vec<GpuFigures>,
    /// How many more there are in the machine.
    pub hidden: usize,
    /// Whether the numbers may be other ones: GPUs of several kinds, which CUDA orders by speed
    /// unless `CUDA_DEVICE_ORDER=PCI_BUS_ID`.
    pub is_order_unsure: bool,
}

/// What decides which GPUs a process sees.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Variables {
    /// `CUDA_VISIBLE_DEVICES`
    visible: Option<String>,
    /// `CUDA_DEVICE_ORDER`
    order: Option<String>,
}

impl Variables {
    /// Those of process `pid`, or of this process where its own cannot be read.
    pub(super) fn of(pid: Option<u32>) -> Self {
        let environment = pid.and_then(|pid| std::fs::read(format!("/proc/{pid}/environ")).ok());
        match environment {
            Some(environment) => Self::read(&String::from_utf8_lossy(&environment)),
            None => {
                let own = |name: &str| std::env::var(name).ok();
                Self { visible: own("CUDA_VISIBLE_DEVICES"), order: own("CUDA_DEVICE_ORDER") }
            }
        }
    }

    /// From `NAME=VALUE`, each ended by a NUL.
    fn read(environment: &str) -> Self {
        let of = |name: &str| {
            let found = environment.split('\0').find_map(|entry| entry.strip_prefix(name));
            found.and_then(|rest| rest.strip_prefix('=')).map(str::to_owned)
        };
        Self { visible: of("CUDA_VISIBLE_DEVICES"), order: of("CUDA_DEVICE_ORDER") }
    }
}

/// What tells GPUs apart.
#[derive(Clone, Debug, Default, PartialEq)]
struct Identity {
    name: String,
    uuid: String,
    /// UUIDs of its MIG instances; empty where there are none.
    mig: Vec<String>,
}

/// Place in the list of a GPU, and of its MIG instance where one is meant.
type Place = (usize, Option<usize>);

/// Which of `all`, which are in the order of the bus, a process sees, in its order.
fn visible(all: &[Identity], variables: &Variables) -> Vec<Place> {
    let Some(listed) = &variables.visible else {
        // CUDA takes the first MIG instance of a GPU that has some.
        return (0..all.len()).map(|gpu| (gpu, first_mig(&all[gpu]))).collect();
    };
    let mut seen = Vec::new();
    for entry in listed.split(',').map(str::trim) {
        // What is no GPU, or one that was named before, ends the list.
        match named(all, entry) {
            Some(place) if !seen.contains(&place) => seen.push(place),
            _ => break,
        }
    }
    seen
}

fn first_mig(gpu: &Identity) -> Option<usize> {
    (!gpu.mig.is_empty()).then_some(0)
}

/// The one GPU or MIG instance that an entry of `CUDA_VISIBLE_DEVICES` means: a number, or the
/// beginning of a UUID.
fn named(all: &[Identity], entry: &str) -> Option<Place> {
    if let Ok(number) = entry.parse::<usize>() {
        return all.get(number).map(|gpu| (number, first_mig(gpu)));
    }
    if !entry.starts_with("GPU-") && !entry.starts_with("MIG-") {
        return None;
    }
    let places = all.iter().enumerate().flat_map(|(g, gpu)| {
        let instances = gpu.mig.iter().enumerate().map(move |(i, uuid)| (uuid, (g, Some(i))));
        std::iter::once((&gpu.uuid, (g, first_mig(gpu)))).chain(instances)
    });
    let mut found = places.filter(|(uuid, _)| uuid.starts_with(entry)).map(|(_, place)| place);
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// Whether numbers may mean other GPUs than those of the bus.
fn is_order_unsure(all: &[Identity], variables: &Variables) -> bool {
    let by_bus = variables.order.as_deref() == Some("PCI_BUS_ID");
    let by_number = variables
        .visible
        .as_ref()
        .is_none_or(|listed| listed.split(',').any(|entry| entry.trim().parse::<usize>().is_ok()));
    let differ = all.iter().any(|gpu| gpu.name != all[0].name);
    !by_bus && by_number && differ
}

/// Looks at the GPUs that a process with these variables sees.
pub(super) fn look(nvml: &Nvml, variables: &Variables) -> Gpus {
    let devices: Vec<Device<'_>> = (0..nvml.device_count().unwrap_or(0))
        .filter_map(|i| nvml.device_by_index(i).ok())
        .collect();
    let instances: Vec<Vec<Device<'_>>> = devices.iter().map(mig_instances).collect();
    let all: Vec<Identity> = devices
        .iter()
        .zip(&instances)
        .map(|(device, instances)| Identity {
            name: device.name().unwrap_or_default(),
            uuid: device.uuid().unwrap_or_default(),
            mig: instances.iter().map(|mig| mig.uuid().unwrap_or_default()).collect(),
        })
        .collect();
    let seen = visible(&all, variables);
    let of = |(cuda, (gpu, mig)): (usize, Place)| {
        figures(cuda, &devices[gpu], mig.and_then(|mig| instances[gpu].get(mig)))
    };
    let hidden = (0..all.len()).filter(|gpu| !seen.iter().any(|(g, _)| g == gpu)).count();
    Gpus {
        visible: seen.into_iter().enumerate().map(of).collect(),
        hidden,
        is_order_unsure: is_order_unsure(&all, variables),
    }
}

/// The driver's version, and the GPUs that this process sees; `None` where NVML is not there.
pub fn own_gpus() -> Option<(String, Gpus)> {
    let nvml = Nvml::init().ok()?;
    Some((nvml.sys_driver_version().ok()?, look(&nvml, &Variables::of(None))))
}

fn mig_instances<'n>(device: &Device<'n>) -> Vec<Device<'n>> {
    let most = device.mig_device_count().unwrap_or(0);
    (0..most).filter_map(|i| device.mig_device_by_index(i).ok()).collect()
}

fn figures(cuda: usize, gpu: &Device<'_>, mig: Option<&Device<'_>>) -> GpuFigures {
    let part = mig.unwrap_or(gpu);
    GpuFigures {
        cuda,
        name: part.name().or_else(|_| gpu.name()).unwrap_or_else(|_| "GPU".to_owned()),
        capability: gpu.cuda_compute_capability().ok().map(|c| (c.major, c.minor)),
        is_mig: mig.is_some(),
        utilization: part.utilization_rates().ok().map(|u| u.gpu),
        memory: part.memory_info().ok().map(|m| (m.used, m.total)),
        power: gpu.power_usage().ok().map(|mw| f64::from(mw) / 1e3),
        temperature: gpu.temperature(TemperatureSensor::Gpu).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(name: &str, uuid: &str, mig: &[&str]) -> Identity {
        let mig = mig.iter().map(|uuid| (*uuid).to_owned()).collect();
        Identity { name: name.into(), uuid: uuid.into(), mig }
    }

    fn machine() -> Vec<Identity> {
        vec![
            gpu("H100", "GPU-aaaa1111", &[]),
            gpu("H100", "GPU-aabb2222", &[]),
            gpu("H100", "GPU-cccc3333", &["MIG-d1", "MIG-d2"]),
        ]
    }

    fn listed(visible: &str) -> Variables {
        Variables { visible: Some(visible.into()), order: None }
    }

    #[test]
    fn a_process_sees_the_gpus_that_its_variable_lists_in_that_order() {
        let whole = |gpu| (gpu, None);
        for (variable, wanted) in [
            ("0,1", vec![whole(0), whole(1)]),
            ("1,0", vec![whole(1), whole(0)]),
            (" 1 , 0", vec![whole(1), whole(0)]),
            ("GPU-cccc3333,GPU-aaaa1111", vec![(2, Some(0)), whole(0)]),
            ("GPU-aabb", vec![whole(1)]),
            ("MIG-d2,1", vec![(2, Some(1)), whole(1)]),
            // Whatever means no GPU, or more than one, ends the list.
            ("1,7,0", vec![whole(1)]),
            ("1,-1,0", vec![whole(1)]),
            ("GPU-aa,0", vec![]),
            ("0,0,1", vec![whole(0)]),
            ("", vec![]),
            ("-1", vec![]),
            ("NoDevFiles", vec![]),
        ] {
            assert_eq!(visible(&machine(), &listed(variable)), wanted, "{variable:?}");
        }
        let all = vec![whole(0), whole(1), (2, Some(0))];
        assert_eq!(visible(&machine(), &Variables::default()), all);
    }

    #[test]
    fn numbers_are_unsure_where_cuda_orders_different_gpus_by_speed() {
        let mixed = vec![gpu("T4", "GPU-1", &[]), gpu("H100", "GPU-2", &[])];
        assert!(is_order_unsure(&mixed, &Variables::default()));
        assert!(is_order_unsure(&mixed, &listed("1")));
        assert!(!is_order_unsure(&mixed, &listed("GPU-2")), "a UUID means one GPU");
        let by_bus = Variables { order: Some("PCI_BUS_ID".into()), ..listed("1") };
        assert!(!is_order_unsure(&mixed, &by_bus));
        assert!(!is_order_unsure(&machine(), &listed("1")), "all of one kind");
        assert!(!is_order_unsure(&[], &Variables::default()));
    }

    #[test]
    fn the_variables_are_read_from_a_process_s_environment() {
        let environment = "PATH=/bin\0CUDA_VISIBLE_DEVICES=2,0\0CUDA_VISIBLE_DEVICES_X=9\0";
        assert_eq!(Variables::read(environment), listed("2,0"));
        assert_eq!(Variables::read("CUDA_VISIBLE_DEVICES_X=9\0"), Variables::default());
        assert_eq!(Variables::read("CUDA_VISIBLE_DEVICES=\0"), listed(""));
    }
}
