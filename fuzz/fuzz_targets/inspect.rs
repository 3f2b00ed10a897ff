//! Image formats on the stream (hardening.md A14 to A17, R-24).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrine_fuzz::inspect::run(data));
