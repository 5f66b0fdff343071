#![no_main]
// The modules alone need little; the package would bring its stores along, built anew for the fuzzer.
#[allow(dead_code, unused_imports)]
#[path = "../../../src/name/mod.rs"]
mod name;
#[allow(dead_code, unused_imports)]
#[path = "../../../src/proto/mod.rs"]
mod proto;

libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::special::fuzz::line(data));
