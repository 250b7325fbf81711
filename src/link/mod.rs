//! The ways to reach a trainer. Commands go in, records come out; where the trainer lives is the link's business.
//! Knows nothing of what either means.

mod in_process;

pub use in_process::{CockpitEnd, TrainerEnd, in_process};
