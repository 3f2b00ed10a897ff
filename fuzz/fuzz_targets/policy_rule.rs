//! Files of the operator: policy rules (operations.md §5) and property protections (operations.md §4).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrine_fuzz::policy_rule::run(data));
