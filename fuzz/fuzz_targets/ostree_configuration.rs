#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| treeseal_fuzz::ostree_configuration(bytes));
