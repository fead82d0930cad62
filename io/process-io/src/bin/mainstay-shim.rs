//! Shim and launcher by themselves: what tests start in place of the whole binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("shim") => mainstay_process_io::shim_main(),
        Some("launch") => mainstay_process_io::launch_main(),
        _ => ExitCode::FAILURE,
    }
}
