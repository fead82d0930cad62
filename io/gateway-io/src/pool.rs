//! Who answers for a service, and who of them answers a request.

use crate::turn::Turn;
use crate::upstream::Upstream;
use crate::worker::{self, Worker};
use mainstay_atoms::ServiceName;
use mainstay_routing::{Admission, Budget, Side, Split, balance, cookie, is_within, next_place};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// The instances of a service, as one worker sees them.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) service: ServiceName,
    pub(crate) members: Vec<Rc<Upstream>>,
    pub(crate) split: Option<Split>,
    /// Of the cookie that keeps a client on its side.
    pub(crate) cookie: Box<str>,
    /// The place of the last request among all, which says which side answers it.
    requests: Rc<Cell<u64>>,
    /// The place of the last request that might have been copied, which says whether it was.
    copies: Rc<Cell<u64>>,
    pub(crate) streams: Duration,
    pub(crate) budget: Rc<Cell<Budget>>,
}

impl Pool {
    /// A pool of the table with these members; what goes on from request to request is taken over from the pool
    /// `before` it.
    pub(crate) fn new(
        service: &ServiceName,
        pool: &mainstay_routing::Pool,
        members: Vec<Rc<Upstream>>,
        before: Option<&Self>,
        worker: &Worker,
    ) -> Self {
        let fresh = || Rc::new(Cell::new(worker.draw() << 16));
        let requests = before.map(|pool| pool.requests.clone());
        let copies = before.map(|pool| pool.copies.clone());
        let budget = before.map(|pool| pool.budget.clone());
        Self {
            service: service.clone(),
            members,
            split: pool.split.clone(),
            cookie: format!("{}{service}", cookie::PREFIX).into(),
            requests: requests.unwrap_or_else(fresh),
            copies: copies.unwrap_or_else(fresh),
            streams: pool.streams,
            budget: budget.unwrap_or_default(),
        }
    }

    /// The place of a request that has none.
    pub(crate) fn next_place(&self) -> u64 {
        advance(&self.requests)
    }

    /// Picks an instance that has not left and was not tried; one set aside only when no other is left. A side
    /// whose turn it is and of which nobody is admitted leaves the request to the others; that counts as a failed
    /// attempt of it, so that a release that is set aside is not judged by silence.
    pub(crate) fn pick(
        &self,
        worker: &Worker,
        turn: Turn,
        tried: &[Rc<Upstream>],
    ) -> Option<Rc<Upstream>> {
        if let Turn::Only(release) = turn {
            let ours = |upstream: &Upstream| upstream.backend.release == release;
            return self.pick_of(ours, worker, tried);
        }
        if let [only] = &self.members[..] {
            let fits = !only.has_left() && tried.is_empty();
            return fits.then(|| only.clone());
        }
        match (&self.split, turn) {
            (Some(split), Turn::Side(side)) => self.pick_side(split, side, worker, tried),
            _ => self.pick_of(|_| true, worker, tried),
        }
    }

    fn pick_side(
        &self,
        split: &Split,
        side: Side,
        worker: &Worker,
        tried: &[Rc<Upstream>],
    ) -> Option<Rc<Upstream>> {
        let of = |side: Side| move |upstream: &Upstream| split.side(&upstream.backend) == side;
        let order = side.order();
        let admitted = |side: &Side| self.admitted(of(*side), worker, tried);
        let anyone = |side: &Side| self.anyone(of(*side), worker, tried);
        let found = order.iter().find_map(admitted);
        let picked = found.or_else(|| order.iter().find_map(anyone))?;
        if tried.is_empty() && !of(side)(&picked) {
            let missed = self
                .members
                .iter()
                .find(|one| of(side)(one) && !one.has_left());
            if let Some(missed) = missed {
                missed.traffic.failures.add(1);
            }
        }
        Some(picked)
    }

    fn pick_of(
        &self,
        ours: impl Fn(&Upstream) -> bool + Copy,
        worker: &Worker,
        tried: &[Rc<Upstream>],
    ) -> Option<Rc<Upstream>> {
        self.admitted(ours, worker, tried)
            .or_else(|| self.anyone(ours, worker, tried))
    }

    /// Somebody who is not set aside, or whose time to be tried again has come.
    fn admitted(
        &self,
        ours: impl Fn(&Upstream) -> bool,
        worker: &Worker,
        tried: &[Rc<Upstream>],
    ) -> Option<Rc<Upstream>> {
        let now = worker::moment();
        let load = |at: usize| fresh(&self.members[at], &ours, tried);
        let admission = |at: usize| self.members[at].outlier().admission(now);
        let probed = (0..self.members.len())
            .find(|at| admission(*at) == Admission::Probe && load(*at).is_some());
        if let Some(probed) = probed {
            let upstream = self.members[probed].clone();
            upstream.judge(|outlier| outlier.picked(now));
            return Some(upstream);
        }
        self.open(ours, worker, tried)
    }

    /// Somebody who is not set aside.
    fn open(
        &self,
        ours: impl Fn(&Upstream) -> bool,
        worker: &Worker,
        tried: &[Rc<Upstream>],
    ) -> Option<Rc<Upstream>> {
        let now = worker::moment();
        let open = |at: usize| {
            let upstream = &self.members[at];
            let admitted = upstream.outlier().admission(now) == Admission::Open;
            admitted.then(|| fresh(upstream, &ours, tried)).flatten()
        };
        self.balanced(worker, open)
    }

    /// Whoever there is.
    fn anyone(
        &self,
        ours: impl Fn(&Upstream) -> bool,
        worker: &Worker,
        tried: &[Rc<Upstream>],
    ) -> Option<Rc<Upstream>> {
        self.balanced(worker, |at| fresh(&self.members[at], &ours, tried))
    }

    fn balanced(
        &self,
        worker: &Worker,
        load: impl Fn(usize) -> Option<u64>,
    ) -> Option<Rc<Upstream>> {
        let draws = (worker.draw(), worker.draw());
        let picked = balance::pick(self.members.len(), draws, load)?;
        Some(self.members[picked].clone())
    }

    /// Whether some requests are copied.
    pub(crate) fn has_copies(&self) -> bool {
        self.split.as_ref().is_some_and(|split| split.mirror.0 > 0)
    }

    /// Whether a copy of a request that `upstream` answers is due: of those that the stable side answers, a share.
    pub(crate) fn owes_copy(&self, upstream: &Upstream) -> bool {
        let stable = |split: &&Split| split.side(&upstream.backend) == Side::Stable;
        let split = self.split.as_ref().filter(stable);
        split.is_some_and(|split| is_within(split.mirror, advance(&self.copies)))
    }

    /// Who gets a copy: somebody of the canary who is not set aside. A copy probes nobody; users decide.
    pub(crate) fn pick_for_copy(&self, worker: &Worker) -> Option<Rc<Upstream>> {
        let split = self.split.as_ref()?;
        let canary = |upstream: &Upstream| split.side(&upstream.backend) == Side::Canary;
        self.open(canary, worker, &[])
    }
}

fn advance(place: &Cell<u64>) -> u64 {
    place.set(next_place(place.get()));
    place.get()
}

/// How busy an instance is that is one of those asked for, has not left and was not tried.
fn fresh(
    upstream: &Rc<Upstream>,
    ours: impl Fn(&Upstream) -> bool,
    tried: &[Rc<Upstream>],
) -> Option<u64> {
    let tried = tried.iter().any(|other| Rc::ptr_eq(other, upstream));
    (ours(upstream) && !upstream.has_left() && !tried).then(|| upstream.traffic.in_flight.get())
}
