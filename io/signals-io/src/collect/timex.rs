//! How well the kernel keeps the time, with the names of the field's `node_exporter`.

use super::Page;
use rtime_clock::adjtime::{Timex, adjtimex};

/// `STA_NANO` of `adjtimex(2)`: the offset is in nanoseconds, else in microseconds.
const NANO: i32 = 0x2000;

/// `TIME_ERROR` of `adjtimex(2)`: nobody keeps the clock.
const UNKEPT: i32 = 5;

/// What the kernel says.
#[derive(Debug, Clone, Copy)]
struct Reading {
    state: i32,
    status: i32,
    offset: f64,
    /// Both in microseconds.
    maxerror: f64,
    esterror: f64,
}

/// Asks without changing anything: no modes are set. A kernel that does not answer, as where a sandbox forbids the
/// call, says nothing.
pub(super) fn put(page: &mut Page) {
    let mut timex = Timex::new();
    let Ok(state) = adjtimex(&mut timex) else {
        return;
    };
    let timex = &timex.0;
    let reading = Reading {
        state,
        status: timex.status,
        offset: timex.offset as f64,
        maxerror: timex.maxerror as f64,
        esterror: timex.esterror as f64,
    };
    show(page, reading);
}

fn show(page: &mut Page, reading: Reading) {
    let unit = if reading.status & NANO == 0 { 1e6 } else { 1e9 };
    let kept = f64::from(u8::from(reading.state != UNKEPT));
    for (metric, value) in [
        ("node_timex_offset_seconds", reading.offset / unit),
        ("node_timex_sync_status", kept),
        ("node_timex_maxerror_seconds", reading.maxerror / 1e6),
        ("node_timex_estimated_error_seconds", reading.esterror / 1e6),
    ] {
        page.kind(metric, "gauge");
        page.put(metric, &[], value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(reading: Reading) -> String {
        let mut page = Page::default();
        show(&mut page, reading);
        page.text().to_owned()
    }

    #[test]
    fn the_unit_of_the_offset_is_the_kernels() {
        let reading = Reading {
            state: 0,
            status: NANO | 1,
            offset: -2_500_000.0,
            maxerror: 16_000_000.0,
            esterror: 500.0,
        };
        let text = shown(reading);
        for line in [
            "node_timex_offset_seconds -0.0025\n",
            "node_timex_sync_status 1\n",
            "node_timex_maxerror_seconds 16\n",
            "node_timex_estimated_error_seconds 0.0005\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        let text = shown(Reading {
            state: UNKEPT,
            status: 0x40,
            ..reading
        });
        assert!(text.contains("node_timex_offset_seconds -2.5\n"), "{text}");
        assert!(text.contains("node_timex_sync_status 0\n"), "{text}");
    }

    #[test]
    fn the_kernel_answers() {
        let mut page = Page::default();
        put(&mut page);
        let text = page.text();
        assert!(
            text.is_empty() || text.contains("\nnode_timex_sync_status "),
            "{text}"
        );
    }
}
