//! The `natsync` binary.

use std::process::ExitCode;

/// Small files are many small allocations on several threads, at which C libraries differ widely.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(clippy::disallowed_methods, reason = "the arguments of the process")]
fn main() -> ExitCode {
    natsync::run(std::env::args_os())
}
