//! Every reader of files takes whatever is in them: it may refuse, but not panic, hang, or allocate
//! what a number says. `make fuzz` tries longer: EARLYBIRD_FUZZ says how many, EARLYBIRD_FUZZ_SEED
//! from which seed on. What fails is kept as a file.

mod memory;
mod mutate;
mod readers;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
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

/// What a reader has in its hands, for whoever watches it.
type InHand = Mutex<Option<(u64, Vec<u8>, Instant)>>;

/// Keeps what was read, and says how to read it again.
fn kept(name: &str, seed: u64, bytes: &[u8], wrong: &str) -> String {
    let file = std::env::temp_dir().join(format!("earlybird-fuzz-{name}-{seed}"));
    std::fs::write(&file, bytes).unwrap();
    let again = format!("EARLYBIRD_FUZZ_SEED={seed} EARLYBIRD_FUZZ=1");
    format!("{name}, seed {seed}: {wrong}\n  What it read is in {}; again: {again}", file.display())
}

/// Ends the tests when a reader hangs, until `ended` tells that there is nothing left to read.
fn watch(name: &str, in_hand: &InHand, ended: &Receiver<()>) {
    while ended.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
        let in_hand = in_hand.lock().unwrap();
        let Some((seed, bytes, began)) = in_hand.as_ref() else { continue };
        if began.elapsed() > HANGS {
            eprintln!("{}", kept(name, *seed, bytes, "it hangs"));
            std::process::abort(); // nothing else ends a thread
        }
    }
}

/// Feeds `reader` with what `make` makes of each seed; the first thing that goes wrong is told with
/// its seed, and kept.
fn fuzz(name: &str, make: impl Fn(&mut ChaCha8Rng) -> Vec<u8>, mut reader: impl FnMut(&[u8])) {
    let first = number("EARLYBIRD_FUZZ_SEED").unwrap_or(1);
    let count = number("EARLYBIRD_FUZZ").unwrap_or(MUTATIONS);
    let in_hand = InHand::default();
    std::thread::scope(|scope| {
        let (_reads, ended) = channel();
        scope.spawn({
            let in_hand = &in_hand;
            move || watch(name, in_hand, &ended)
        });
        for seed in first..first.saturating_add(count) {
            let bytes = make(&mut ChaCha8Rng::seed_from_u64(seed));
            *in_hand.lock().unwrap() = Some((seed, bytes.clone(), Instant::now()));
            memory::largest();
            let panicked = catch_unwind(AssertUnwindSafe(|| reader(&bytes))).is_err();
            let asked = memory::largest();
            match () {
                () if panicked => panic!("{}", kept(name, seed, &bytes, "it panicked (see above)")),
                () if asked > MOST_BYTES => {
                    panic!(
                        "{}",
                        kept(name, seed, &bytes, &format!("it asked for {asked} bytes at once"))
                    )
                }
                () => {}
            }
        }
    });
}
