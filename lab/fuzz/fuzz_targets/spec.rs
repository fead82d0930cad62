//! Any bytes as a platform file: never a panic, faults in order, nothing that steers a terminal.
#![no_main]

#[path = "../../../core/spec/tests/body/mod.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::answer(bytes));
