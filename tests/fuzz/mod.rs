//! Every reader of files takes whatever is in them: it may refuse, but not panic, hang, or allocate what a number says.
//! `make fuzz` tries longer: EARLYBIRD_FUZZ says how many, EARLYBIRD_FUZZ_SEED from which seed on. What fails is kept as a file.

mod memory;
mod mutate;
mod readers;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Mutations of each reader's files in a plain run of the tests.
const MUTATIONS: u64 = 10_000;
/// Bytes that a reader may ask for at once: files here have less than a megabyte.
const MOST_BYTES: usize = 64 << 20;
/// One that takes so long hangs: they take milliseconds.
const HANGS: Duration = Duration::from_secs(30);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Feeds `reader` with what `make` makes of each seed; the first thing that goes wrong is told with its seed, and kept.
fn fuzz(name: &str, make: impl Fn(&mut ChaCha8Rng) -> Vec<u8>, mut reader: impl FnMut(&[u8])) {
    let first = number("EARLYBIRD_FUZZ_SEED").unwrap_or(1);
    let count = number("EARLYBIRD_FUZZ").unwrap_or(MUTATIONS);
    for seed in first..first.saturating_add(count) {
        let bytes = make(&mut ChaCha8Rng::seed_from_u64(seed));
        let began = Instant::now();
        memory::largest();
        let panicked = catch_unwind(AssertUnwindSafe(|| reader(&bytes))).is_err();
        let (asked, took) = (memory::largest(), began.elapsed());
        let wrong = match () {
            () if panicked => "it panicked (see above)".to_owned(),
            () if asked > MOST_BYTES => format!("it asked for {asked} bytes at once"),
            () if took > HANGS => format!("it took {took:?}"),
            () => continue,
        };
        let file = std::env::temp_dir().join(format!("earlybird-fuzz-{name}-{seed}"));
        std::fs::write(&file, &bytes).unwrap();
        let again = format!("EARLYBIRD_FUZZ_SEED={seed} EARLYBIRD_FUZZ=1");
        panic!("{name}, seed {seed}: {wrong}\n  What it read is in {}; again: {again}", file.display());
    }
}
