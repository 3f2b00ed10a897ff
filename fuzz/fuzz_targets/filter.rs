//! Query parameters of lists by v2, and the links made of them (images-v2.md §8, hardening.md A29, A43).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrine_fuzz::filter::run(data));
