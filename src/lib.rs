//! `earlybird` trains image classifiers with *SGD Biased towards Early Important Samples* (Quercia,
//! Morrison, Scharr, Assent, ICDM 2023), live in a terminal.
//!
//! Dependencies point one way, and no arrow leads back:
//!
//! ```text
//! cli -+-> tui ---> link --> dashboard --> protocol
//!      |-> compare --> host
//!      `-> host --> link, run --> train --> protocol
//! protocol --> config --> importance, model, data --> stream
//! ```
//!
//! - [`importance`]: the method in plain Rust: slices in, slices out
//! - [`model`]: what is trained; [`model::kernels`] and [`model::device`] alone name LibTorch
//! - [`data`]: where images come from
//! - [`train`]: the session (a state machine, one step at a time) and the thread around it
//! - [`protocol`]: the vocabulary of events and commands
//! - [`dashboard`]: the fold of events into the figures of a screen
//! - [`link`]: how a cockpit reaches a trainer: in its process, or over a socket
//! - [`run`]: what a run leaves on the disk, and the hub that writes it
//! - [`host`]: the process that trains a run, whether or not anybody looks
//! - [`compare`]: arms of one run, paired by seed, and what may be said of them
//! - [`report`]: runs and comparisons as a page with figures and tables
//! - [`tui`]: the cockpit
//! - [`mod@bench`]: what all of that costs
//! - [`config`], [`stream`], [`cli`]: configs, random streams, the command line
//! - [`advice`]: what to do about an error of the operating system
//! - [`cache`]: where the files are that can be made or fetched again
//! - [`printable`], `signals`: text of others made safe to show; the signals that would end a
//!   process

pub mod advice;
pub mod bench;
pub mod cache;
pub mod cli;
pub mod compare;
pub mod config;
pub mod dashboard;
pub mod data;
pub mod host;
pub mod importance;
pub mod link;
pub mod model;
pub mod printable;
pub mod protocol;
pub mod report;
pub mod run;
mod signals;
pub mod stream;
mod table;
pub mod train;
pub mod tui;
