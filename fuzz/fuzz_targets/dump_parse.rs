#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| treeseal_fuzz::dump_parse(text));
