#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pugmark_store::fuzzing::run_block(bytes));
