#![no_main]
libfuzzer_sys::fuzz_target!(init: pugmark_fuzz::let_parquet_panic(), |bytes: &[u8]| pugmark_query::fuzzing::cube_file(bytes));
