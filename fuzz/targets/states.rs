//! The law `states` of `src/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| natsync::internals::check("states", input));
