//! `earlybird` trains image classifiers with *SGD Biased towards Early Important Samples* (Quercia, Morrison, Scharr,
//! Assent, ICDM 2023), live in a terminal.
//!
//! Dependencies point one way, and no arrow leads back:
//!
//! ```text
//! cli -> tui -> link -> protocol <- train -> importance, model, data
//!          \________________________________/      (all) -> config, stream
//! ```
//!
//! - [`importance`]: the method in plain Rust: slices in, slices out
//! - [`model`]: what is trained; [`model::kernels`] and [`model::device`] alone name LibTorch
//! - [`data`]: where images come from
//! - [`train`]: the session (a state machine, one step at a time) and the thread around it
//! - [`protocol`]: the vocabulary of events and commands
//! - [`link`]: how a cockpit reaches a trainer
//! - [`run`]: what a run leaves on the disk
//! - [`tui`]: the cockpit
//! - [`config`], [`stream`], [`cli`]: configs, random streams, the command line

pub mod cli;
pub mod config;
pub mod data;
pub mod importance;
pub mod link;
pub mod model;
pub mod protocol;
pub mod run;
pub mod stream;
pub mod train;
pub mod tui;
