//! How many threads compute on the CPU, and why so many. Knows nothing of what they compute.

use super::{Because, Threads, Waiting};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

/// What batch systems call the processors that a task of theirs may use.
const JOBS: [&str; 4] = ["SLURM_CPUS_PER_TASK", "NCPUS", "NSLOTS", "LSB_DJOB_NUMPROC"];
/// What users set for every program of this kind.
const ASKED: [&str; 2] = ["OMP_NUM_THREADS", "MKL_NUM_THREADS"];

/// How threads wait, as libgomp reads the environment; `get` gives a variable's value.
fn waiting(get: impl Fn(&str) -> Option<String>) -> Waiting {
    // libgomp looks 300,000 times by default, and 30 billion times with `active`.
    const PASSIVE_AT_MOST: u64 = 30_000;
    let policy = get("OMP_WAIT_POLICY").map(|v| v.trim().to_lowercase());
    let count = |v: String| match v.trim() {
        "infinite" | "infinity" => Some(u64::MAX),
        number => number.parse().ok(),
    };
    match (get("GOMP_SPINCOUNT").and_then(count), policy.as_deref()) {
        (Some(count), _) if count <= PASSIVE_AT_MOST => Waiting::Passive,
        (None, Some("passive")) => Waiting::Passive,
        _ => Waiting::Spinning,
    }
}

/// What this process may use.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Limits {
    /// Logical processors that there are.
    online: usize,
    /// Those in the affinity mask.
    allowed: usize,
    /// Physical cores among them.
    cores: usize,
    /// What the control group's quota leaves of them, rounded down.
    quota: usize,
}

impl Limits {
    fn find() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let status = read("/proc/self/status");
        let allowed =
            status.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
        // The standard library goes by the affinity mask and by the quota of either version of
        // control groups.
        let quota = std::thread::available_parallelism().map_or(1, usize::from);
        let cpus = numbers(allowed);
        if cpus.is_empty() {
            return Self { online: quota, allowed: quota, cores: quota, quota };
        }
        let online = numbers(&read("/sys/devices/system/cpu/online")).len();
        let cores = cores(Path::new("/sys/devices/system/cpu"), &cpus);
        Self { online: online.max(cpus.len()), allowed: cpus.len(), cores, quota }
    }
}

/// The numbers in a list of the kernel's, as `0-3,8`.
fn numbers(list: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (from, to) = part.trim().split_once('-').unwrap_or((part.trim(), part.trim()));
        Some(from.parse().ok()?..=to.parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

/// Physical cores among these logical processors; as many as those where the kernel does not tell.
fn cores(root: &Path, cpus: &[usize]) -> usize {
    let siblings = |cpu: &usize| {
        let topology = root.join(format!("cpu{cpu}/topology"));
        let read = |file| std::fs::read_to_string(topology.join(file));
        read("thread_siblings_list").unwrap_or_else(|_| cpu.to_string())
    };
    cpus.iter().map(siblings).collect::<BTreeSet<_>>().len()
}

/// How many threads compute, and why: what was asked for on the command line, else in the
/// environment; else as many as there are physical cores, but no more than anything here allows.
/// `get` gives a variable's value.
fn choose(
    asked: Option<usize>,
    limits: &Limits,
    get: impl Fn(&str) -> Option<String>,
) -> (usize, Because) {
    // OpenMP takes a list here, a number for each level of nesting.
    let number = |name: &'static str| {
        let value = get(name)?.split(',').next()?.trim().parse().ok().filter(|n| *n > 0)?;
        Some((value, Because::Variable(name.into())))
    };
    if let Some(asked) = asked {
        return (asked.max(1), Because::CommandLine);
    }
    if let Some(found) = ASKED.into_iter().find_map(number) {
        return found;
    }
    let restricted = limits.allowed < limits.online;
    let mut bounds =
        vec![(limits.cores, if restricted { Because::Affinity } else { Because::Cores })];
    if limits.quota < limits.allowed {
        bounds.push((limits.quota, Because::Quota));
    }
    bounds.extend(JOBS.into_iter().filter_map(number));
    let least = bounds.into_iter().min_by_key(|(count, _)| *count);
    least.map_or((1, Because::Cores), |(count, because)| (count.max(1), because))
}

/// What [`use_threads`] chose in this process.
static CHOSEN: OnceLock<Threads> = OnceLock::new();

/// How many threads would compute in this process, and why. `asked` is what the command line says.
pub fn threads_for(asked: Option<usize>) -> Threads {
    let get = |name: &str| std::env::var(name).ok();
    let (count, because) = choose(asked, &Limits::find(), get);
    Threads { count, because, waiting: waiting(get) }
}

/// Has so many threads compute as `asked`, or as fit this machine; once, before anything is
/// computed.
pub fn use_threads(asked: Option<usize>) -> &'static Threads {
    CHOSEN.get_or_init(|| {
        let threads = threads_for(asked);
        tch::set_num_threads(i32::try_from(threads.count).unwrap_or(i32::MAX));
        if std::env::var_os("RAYON_NUM_THREADS").is_none() {
            // Fails where the pool was used already; it is then as wide as the affinity mask.
            let _ = rayon::ThreadPoolBuilder::new().num_threads(threads.count).build_global();
        }
        threads
    })
}

/// The threads that compute in this process; `None` before [`use_threads`].
pub fn threads_in_use() -> Option<&'static Threads> {
    CHOSEN.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Limits = Limits { online: 128, allowed: 128, cores: 64, quota: 128 };

    fn chosen(
        asked: Option<usize>,
        limits: &Limits,
        environment: &[(&str, &str)],
    ) -> (usize, Because) {
        choose(asked, limits, |name| {
            environment.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
        })
    }

    #[test]
    fn threads_are_no_more_than_cores_affinity_quota_and_job_allow() {
        let variable = |name: &str| Because::Variable(name.into());
        let part = Limits { allowed: 16, cores: 8, quota: 16, ..SERVER };
        let container = Limits { quota: 4, ..SERVER };
        let slurm = [("SLURM_CPUS_PER_TASK", "6")];
        for (asked, limits, environment, wanted) in [
            (None, &SERVER, &[][..], (64, Because::Cores)),
            (None, &part, &[], (8, Because::Affinity)),
            (None, &container, &[], (4, Because::Quota)),
            (None, &SERVER, &slurm, (6, variable("SLURM_CPUS_PER_TASK"))),
            (None, &container, &slurm, (4, Because::Quota)),
            (None, &SERVER, &[("SLURM_CPUS_PER_TASK", "1000")], (64, Because::Cores)),
            (None, &SERVER, &[("NSLOTS", "2")], (2, variable("NSLOTS"))),
            (None, &SERVER, &[("NCPUS", "none of your business")], (64, Because::Cores)),
            (None, &SERVER, &[("NCPUS", "0")], (64, Because::Cores)),
            (
                None,
                &container,
                &[("OMP_NUM_THREADS", "12,2"), slurm[0]],
                (12, variable("OMP_NUM_THREADS")),
            ),
            (None, &container, &[("OMP_NUM_THREADS", ""), slurm[0]], (4, Because::Quota)),
            (Some(3), &container, &[("OMP_NUM_THREADS", "12")], (3, Because::CommandLine)),
        ] {
            assert_eq!(
                chosen(asked, limits, environment),
                wanted,
                "{asked:?} {limits:?} {environment:?}"
            );
        }
    }

    #[test]
    fn cores_are_counted_once_each() {
        assert_eq!(numbers("\t0-2,8,10-11\n"), [0, 1, 2, 8, 10, 11]);
        assert_eq!(numbers(""), [0_usize; 0]);
        let root = tempfile::tempdir().expect("tempdir");
        for cpu in 0..8 {
            let topology = root.path().join(format!("cpu{cpu}/topology"));
            std::fs::create_dir_all(&topology).expect("made");
            std::fs::write(
                topology.join("thread_siblings_list"),
                format!("{},{}\n", cpu % 4, cpu % 4 + 4),
            )
            .expect("written");
        }
        assert_eq!(cores(root.path(), &[0, 1, 2, 3, 4, 5, 6, 7]), 4);
        assert_eq!(cores(root.path(), &[0, 4]), 1);
        assert_eq!(cores(Path::new("/nowhere"), &[0, 4]), 2);
    }

    #[test]
    fn how_threads_wait_is_told_as_libgomp_reads_it() {
        let waiting = |set: &[(&str, &str)]| {
            waiting(|name| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        };
        assert_eq!(waiting(&[]), Waiting::Spinning);
        assert_eq!(waiting(&[("OMP_WAIT_POLICY", "PASSIVE")]), Waiting::Passive);
        assert_eq!(waiting(&[("OMP_WAIT_POLICY", "active")]), Waiting::Spinning);
        assert_eq!(
            waiting(&[("OMP_WAIT_POLICY", "passive"), ("GOMP_SPINCOUNT", "infinite")]),
            Waiting::Spinning
        );
        assert_eq!(
            waiting(&[("OMP_WAIT_POLICY", "active"), ("GOMP_SPINCOUNT", "0")]),
            Waiting::Passive
        );
        assert_eq!(
            waiting(&[("OMP_WAIT_POLICY", "passive"), ("GOMP_SPINCOUNT", "10000000")]),
            Waiting::Spinning
        );
    }
}
