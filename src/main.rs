//! `earlybird`: parse the command line, carry it out, end with its code.

use std::process::ExitCode;

fn main() -> ExitCode {
    earlybird::cli::run().into()
}
