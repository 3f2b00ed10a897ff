//! Patches of images in both dialects (images-v2.md §9, hardening.md A44): an operation is carried out whole or not at
//! all, and never touches what only the service sets.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrine_fuzz::patch::run(data));
