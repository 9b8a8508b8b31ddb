#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| apisec_fuzz::specification::run(data));
