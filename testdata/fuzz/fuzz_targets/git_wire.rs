#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modules::proto::git::fuzz::wire(data));
