//! The law `checksum_lists` of `src/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| natsync::internals::check("checksum_lists", input));
