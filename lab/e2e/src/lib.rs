//! What tests of the built binary need: a platform in a folder of its own, its processes, and requests.
//!
//! Nothing here names a crate of the product: the binary, the files it leaves, its JSON and its exit
//! codes are all that these tests may lean on. Every wait is for a condition and has a deadline.

pub mod api;
pub mod clock;
pub mod condition;
pub mod mount;
pub mod platform;
pub mod process;
pub mod receiver;
pub mod socket;
pub mod story;
pub mod traffic;

pub use condition::until;
pub use mount::Mount;
pub use platform::{Outcome, Platform, is_steady, pids};
pub use process::Process;
pub use receiver::Receiver;
pub use socket::Socket;
pub use traffic::{Load, get};

/// Whether these tests may change users; those that need it are passed over otherwise, and say so.
pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        say("skipped: not root");
    }
    root
}

/// What a test wants read: that it was passed over, and why.
pub fn say(text: &str) {
    platform::show(text);
}
