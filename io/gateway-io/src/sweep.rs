//! Limits in time, checked for all connections of a worker together: no request pays for a timer.

use crate::connection::Order;
use crate::series::Failure;
use crate::worker::{self, Worker};
use std::rc::Rc;

/// The task that checks.
pub(crate) struct Sweeper {
    pub(crate) worker: Rc<Worker>,
}

impl Sweeper {
    pub(crate) async fn run(self) {
        let mut ticks = tokio::time::interval(self.worker.limits.tick());
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.worker.tick();
            self.sweep();
        }
    }

    fn sweep(&self) {
        let (now, limits) = (worker::now_ms(), &self.worker.limits);
        self.worker.each_client(|state| {
            if let Some(order) = state.overdue(now, limits) {
                if order == Order::Kill {
                    self.worker.ledger.failed(Failure::Timeout);
                }
                state.order(order);
            }
        });
        self.worker.each_lifeline(|lifeline| {
            let since = lifeline.waiting_ms.get();
            if since != 0 && u128::from(now.saturating_sub(since)) > limits.response.as_millis() {
                lifeline.expire();
            }
        });
        for upstream in self.worker.serving().upstreams() {
            upstream.prune(limits.pooled);
        }
    }
}
