//! Which idempotency keys were recorded, and where.
//!
//! In memory and rebuilt at each open, because an index of random keys in the database would write a
//! page for every row. Sixteen bytes an entry, in one sorted list, with a small map before it.

use mainstay_ledger::IdempotencyKey;
use std::collections::HashMap;

/// Keys in the map before they are merged into the list.
const RECENT: usize = 16 * 1024;

/// Fingerprints of keys with the indexes of their rows. Two keys may share one, so a hit is only a
/// place to look at.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    settled: Vec<(u64, u64)>,
    recent: HashMap<u64, Vec<u64>>,
}

impl Seen {
    /// Rows that may carry this key.
    pub(crate) fn places(&self, key: &IdempotencyKey) -> impl Iterator<Item = u64> {
        let print = fingerprint(key);
        let start = self.settled.partition_point(|&(known, _)| known < print);
        let settled = self.settled[start..].iter();
        let settled = settled.take_while(move |&&(known, _)| known == print);
        let recent = self.recent.get(&print).into_iter().flatten().copied();
        settled.map(|&(_, index)| index).chain(recent)
    }

    /// Notes a row.
    pub(crate) fn add(&mut self, key: &IdempotencyKey, index: u64) {
        self.recent.entry(fingerprint(key)).or_default().push(index);
        if self.recent.len() >= RECENT.max(self.settled.len() / 8) {
            self.settle();
        }
    }

    fn settle(&mut self) {
        let recent = self.recent.drain();
        let pairs = recent.flat_map(|(print, rows)| rows.into_iter().map(move |row| (print, row)));
        self.settled.extend(pairs);
        self.settled.sort_unstable();
    }
}

/// The two halves of a key folded together; a caller's key has its entropy in either.
fn fingerprint(key: &IdempotencyKey) -> u64 {
    let half = |at: usize| {
        let bytes = key[at..at + 8].try_into();
        u64::from_be_bytes(bytes.expect("eight bytes of sixteen"))
    };
    half(0).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ half(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_before_and_after_settling_also_under_one_fingerprint() {
        let mut seen = Seen::default();
        let key = |n: u64| {
            let mut key = [0; 16];
            key[8..].copy_from_slice(&(n % 20_000).to_be_bytes());
            key
        };
        for n in 0..50_000 {
            seen.add(&key(n), n);
        }
        assert!(seen.settled.len() >= RECENT && !seen.recent.is_empty());
        for n in [0, 7, 9_999, 19_999] {
            let mut places: Vec<u64> = seen.places(&key(n)).collect();
            places.sort_unstable();
            assert_eq!(places, (n..50_000).step_by(20_000).collect::<Vec<_>>());
        }
        assert_eq!(seen.places(&[9; 16]).count(), 0);
    }
}
