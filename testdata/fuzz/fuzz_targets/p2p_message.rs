#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modules::proto::p2p::fuzz::message(data));
