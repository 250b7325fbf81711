//! All promises in one binary (linking LibTorch takes its time); one file a promise.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests say it in their names, and may panic")]

mod attach;
mod bench;
mod cli;
mod cockpit;
mod compare;
mod configs;
mod data;
mod evaluate;
mod faults;
mod fetch;
mod film;
mod method;
mod pty;
mod report;
mod resume;
mod samples;
mod screens;
mod support;
mod terminal;
