#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sluice_codec_fuzz::check("sse_split", input));
