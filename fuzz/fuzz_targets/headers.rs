//! Headers: the metadata of v1 (images-v1.md §3) and ranges (images-v2.md §13.1, hardening.md A49).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrine_fuzz::headers::run(data));
