//! The `natsync` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    natsync::run(std::env::args_os())
}
