//! Documents that create images through v2 (images-v2.md §6, hardening.md A44).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrine_fuzz::create_document::run(data));
