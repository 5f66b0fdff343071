#![no_main]
// The module alone needs nothing but std; the package would bring its stores along, built anew for the fuzzer.
#[allow(dead_code, unused_imports)]
#[path = "../../../src/proto/mod.rs"]
mod proto;

libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::special::fuzz::line(data));
