//! A store that is filled and asked by hand, with times as somebody says them: for benchmarks of what reads it. The
//! process never does this.

use crate::config::Limits;
use crate::query;
use crate::store::{Bounds, Store, StoreFault};
use mainstay_metrics::{GroupId, Labels, Seat, gap};
use mainstay_promql::{Fault, Options, Outcome, When, parse};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// A real store in a folder.
#[derive(Debug)]
pub struct Filled {
    store: Store,
    seats: BTreeMap<Labels, Seat>,
    /// The window that the seats are of.
    epoch: u64,
}

impl Filled {
    /// Opens or makes it.
    pub fn open(folder: &Path) -> Result<Self, StoreFault> {
        Ok(Self {
            store: Store::open(folder, Bounds::default())?,
            seats: BTreeMap::new(),
            epoch: 0,
        })
    }

    /// Takes what a target shows at a time, in milliseconds since 1970, as a scrape does. Series beyond the limits are
    /// left out.
    pub fn show(
        &mut self,
        target: &str,
        series: &[(Labels, f64)],
        at_ms: i64,
    ) -> Result<(), StoreFault> {
        let mut live = self.store.live();
        live.ready()?;
        if self.epoch != live.epoch {
            self.epoch = live.epoch;
            self.seats.clear();
        }
        let target = live.target("bench", target);
        let mut rows: BTreeMap<GroupId, Vec<f64>> = BTreeMap::new();
        for (labels, value) in series {
            let seat = match self.seats.get(labels) {
                Some(seat) => *seat,
                None => match live.seat(target, labels, false) {
                    Ok(seat) => {
                        self.seats.insert(labels.clone(), seat);
                        seat
                    }
                    Err(_) => continue,
                },
            };
            let row = rows.entry(seat.group).or_default();
            row.resize(row.len().max(seat.slot as usize + 1), gap());
            row[seat.slot as usize] = *value;
        }
        let groups: Vec<GroupId> = rows.keys().copied().collect();
        for (group, mut row) in rows {
            live.row(group, at_ms, &mut row);
        }
        live.page_if_due(&groups, at_ms)?;
        live.commit()
    }

    /// Does what the store does by itself once a second; returns how many blocks there are.
    pub fn keep(&self, now_ms: i64) -> Result<usize, StoreFault> {
        self.store.keep(now_ms, false)?;
        Ok(self.store.live().volumes.len())
    }

    /// Asks, as the API does.
    pub fn ask(&self, text: &str, when: When) -> Result<Outcome, Fault> {
        let expr = parse(text, Options::default()).map_err(Fault::Parse)?;
        let settings = query::settings(&Limits::default());
        let deadline = Instant::now() + Duration::from_secs(60);
        let asked = query::ask(&self.store, text, &expr, when, &settings, deadline);
        asked.map(|(outcome, _)| outcome)
    }
}
