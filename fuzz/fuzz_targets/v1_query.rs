//! Query parameters of lists by v1 (images-v1.md §4, hardening.md A43).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrine_fuzz::v1_query::run(data));
