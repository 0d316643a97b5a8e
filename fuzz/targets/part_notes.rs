//! The law `part_notes` of `src/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| natsync::internals::check("part_notes", input));
