//! All promises in one binary (linking LibTorch takes its time); one file a promise.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests say it in their names, and may panic")]

mod answers;
mod attach;
mod bench;
mod cli;
mod cockpit;
mod compare;
mod comparison_faults;
mod configs;
mod data;
mod endings;
mod environment;
mod errnos;
mod evaluate;
mod faults;
mod faulty;
mod fetch;
mod field;
mod film;
mod forged;
mod fuzz;
mod harmed_comparisons;
mod hostile_text;
mod hosts;
mod method;
mod moved;
mod neighbours;
mod pty;
mod replaced;
mod report;
mod resume;
mod samples;
mod screens;
mod signals;
mod support;
mod terminal;
