//! How much traffic each service has at present, from what the gateway counted lately.

use crate::world::World;
use mainstay_atoms::{Moment, ServiceName};
use mainstay_plan::ReleaseRecord;
use mainstay_rollout::{Board, Traffic};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How often the gateway is asked, and how many answers are kept: a minute of traffic.
const EVERY: Duration = Duration::from_secs(10);
const KEPT: usize = 6;

/// Requests and errors of one service.
type Counted = (u64, u64);

/// What was counted lately.
#[derive(Debug, Default)]
pub(crate) struct Traffics {
    /// Not asked before.
    next: Moment,
    last: Option<(Moment, Board)>,
    /// What came between two answers, and the time between them, oldest first.
    came: VecDeque<(Duration, BTreeMap<ServiceName, Counted>)>,
}

impl Traffics {
    /// Asks the gateway, if it is time and some service of what serves earns its traffic.
    pub(crate) fn take(&mut self, now: Moment, serves: &ReleaseRecord, world: &mut impl World) {
        if now < self.next {
            return;
        }
        self.next = now.after(EVERY);
        let mut services = serves.contents.platform.services.values();
        if !services.any(|one| one.canary.is_some() || one.blue_green.is_some()) {
            self.last = None;
            self.came.clear();
            return;
        }
        let Some(board) = world.board() else {
            return;
        };
        if let Some((at, before)) = &self.last {
            let mut counted: BTreeMap<ServiceName, Counted> = BTreeMap::new();
            for (origin, tally) in board.since(before).tallies {
                let arm = tally.arm();
                let sum = counted.entry(origin.instance.service).or_default();
                *sum = (
                    sum.0.saturating_add(arm.requests),
                    sum.1.saturating_add(arm.errors),
                );
            }
            self.came.push_back((now.since(*at), counted));
            while self.came.len() > KEPT {
                self.came.pop_front();
            }
        }
        self.last = Some((now, board));
    }

    /// The traffic of a service; none before anything was counted.
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
    pub(crate) fn of(&self, service: &ServiceName) -> Option<Traffic> {
        let over: Duration = self.came.iter().map(|(time, _)| *time).sum();
        if over.is_zero() {
            return None;
        }
        let counted = self
            .came
            .iter()
            .filter_map(|(_, counted)| counted.get(service));
        let (requests, errors) = counted.fold((0_u64, 0_u64), |sum, one| {
            (sum.0.saturating_add(one.0), sum.1.saturating_add(one.1))
        });
        Some(Traffic {
            per_second: requests as f64 / over.as_secs_f64(),
            error_rate: errors as f64 / requests.max(1) as f64,
        })
    }
}
