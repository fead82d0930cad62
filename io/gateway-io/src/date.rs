//! The time in answers, written once for all of them until the clock is read again.

use std::cell::RefCell;
use std::time::SystemTime;

thread_local! {
    static DATE: RefCell<String> = RefCell::new(written());
}

fn written() -> String {
    httpdate::fmt_http_date(SystemTime::now())
}

/// Reads the clock.
pub(crate) fn tick() {
    DATE.set(written());
}

/// Adds `date` and its value to a head.
pub(crate) fn put(head: &mut Vec<u8>) {
    head.extend_from_slice(b"date: ");
    DATE.with_borrow(|date| head.extend_from_slice(date.as_bytes()));
    head.extend_from_slice(b"\r\n");
}
