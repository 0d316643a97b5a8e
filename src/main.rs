//! The `natsync` binary.
fn main() {}
