//! `earlybird`: parse the command line, carry it out, end with its code.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    earlybird::cli::run(earlybird::cli::Cli::parse()).into()
}
