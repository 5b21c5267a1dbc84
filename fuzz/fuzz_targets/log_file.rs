#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pugmark_store::fuzzing::log_file(bytes, &pugmark_fuzz::folds));
