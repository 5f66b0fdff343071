#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modules::cluster::fuzz::routes(data));
