//! The status page: what a platform says of itself to whoever asks from outside, and when that is believed.
//!
//! A [`Page`] is signed as a C2SP signed note (<https://c2sp.org/signed-note>) by a key for nothing else ([`key`]),
//! whose name says the platform and environment; the note's text is that name and the page as JSON, a line each.
//! [`believe`] is the only way back from what an address answered to a page: caches, captive portals, copies of
//! yesterday and other platforms are told apart, each with its reason ([`Doubt`]).
//!
//! Invariants: a page says nothing of addresses, versions or alerts; its time is when the platform was seen, and nothing
//! here changes it; hostile bytes give a typed doubt, within [`BODY_MAX`].
//!
//! What this crate never does: read a clock, a file or entropy. Times are milliseconds since 1970.

mod doubt;
mod html;
mod page;

pub use doubt::{BODY_MAX, Doubt, Expected, SKEW_MS, believe};
pub use mainstay_ledger::{NoteFault, PublicKey, SigningKey};
pub use page::{Page, Signed, State, key, key_of, overall};
