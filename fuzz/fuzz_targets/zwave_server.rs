#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lockbridge_fuzz::server(data));
