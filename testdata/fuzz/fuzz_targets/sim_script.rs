#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modules::sim::fuzz::script(data));
