//! A table as one worker serves from it.

use crate::series::Traffic;
use crate::upstream::Upstream;
use crate::worker::{self, Worker};
use mainstay_atoms::{Generation, InstanceId, ServiceName};
use mainstay_routing::{
    Admission, Budget, Listener, Router, Side, Split, Table, balance, next_place,
};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Which run of which instance.
pub(crate) type Run = (InstanceId, Generation);

/// A table with its router, made once and given to every worker with counters of the worker's own.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) table: Arc<Table>,
    pub(crate) router: Arc<Router>,
    /// Counters of this worker, by instance.
    pub(crate) traffic: BTreeMap<Run, Arc<Traffic>>,
}

/// A table with upstreams.
#[derive(Debug, Default)]
pub(crate) struct Serving {
    router: Arc<Router>,
    /// By route: its number in metrics and who answers.
    routes: Vec<(u32, Option<Rc<Pool>>)>,
    pools: HashMap<ServiceName, Rc<Pool>>,
    locals: HashMap<SocketAddr, (u32, Option<Rc<Pool>>)>,
}

/// Who answers for a service.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) service: ServiceName,
    pub(crate) members: Vec<Rc<Upstream>>,
    split: Option<Split>,
    /// The place of the last request among all, which says which side answers it.
    place: Rc<Cell<u64>>,
    streams: Duration,
    pub(crate) budget: Rc<Cell<Budget>>,
}

impl Serving {
    /// Takes over the upstreams and budgets that stay; tells the others that they left.
    pub(crate) fn follow(&self, compiled: &Compiled, worker: &Worker) -> Self {
        let mut known: HashMap<Run, Rc<Upstream>> = HashMap::new();
        for upstream in self.pools.values().flat_map(|pool| &pool.members) {
            let run = (
                upstream.backend.instance.clone(),
                upstream.backend.generation,
            );
            known.insert(run, upstream.clone());
        }
        let mut pools = HashMap::new();
        for (service, pool) in &compiled.table.services {
            let members = pool.backends.iter().filter_map(|backend| {
                let run = (backend.instance.clone(), backend.generation);
                match known.remove(&run) {
                    Some(upstream) if upstream.backend == *backend => Some(upstream),
                    _ => {
                        let traffic = compiled.traffic.get(&run)?.clone();
                        Some(Rc::new(Upstream::new(backend.clone(), traffic)))
                    }
                }
            });
            let before = self.pools.get(service);
            let budget = before.map(|pool| pool.budget.clone());
            let place = before.map(|pool| pool.place.clone());
            let pool = Pool {
                service: service.clone(),
                members: members.collect(),
                split: pool.split.clone(),
                place: place.unwrap_or_else(|| Rc::new(Cell::new(worker.draw() << 16))),
                streams: pool.streams,
                budget: budget.unwrap_or_default(),
            };
            pools.insert(service.clone(), Rc::new(pool));
        }
        let window = |service: &ServiceName| {
            let pool = pools.get(service).or_else(|| self.pools.get(service));
            pool.map_or(Duration::ZERO, |pool| pool.streams)
        };
        for upstream in known.values() {
            upstream.leave(window(&upstream.backend.instance.service));
        }
        Self::assemble(compiled, pools, worker)
    }

    fn assemble(
        compiled: &Compiled,
        pools: HashMap<ServiceName, Rc<Pool>>,
        worker: &Worker,
    ) -> Self {
        let found = compiled.router.routes().iter().map(|route| {
            let pool = pools.get(&route.service).cloned();
            (worker.number(&route.label), pool)
        });
        let routes = found.collect();
        let locals = compiled
            .table
            .listeners
            .iter()
            .filter_map(|listener| match listener {
                Listener::Public { .. } => None,
                Listener::Local { address, service } => {
                    let number = worker.number(&format!("local/{service}"));
                    Some((*address, (number, pools.get(service).cloned())))
                }
            });
        let locals = locals.collect();
        Self {
            router: compiled.router.clone(),
            routes,
            pools,
            locals,
        }
    }

    pub(crate) fn router(&self) -> &Router {
        &self.router
    }

    pub(crate) fn route(&self, number: usize) -> (u32, Option<&Rc<Pool>>) {
        self.routes
            .get(number)
            .map_or((0, None), |(label, pool)| (*label, pool.as_ref()))
    }

    /// The service that a local address stands for.
    pub(crate) fn local(&self, address: SocketAddr) -> Option<&(u32, Option<Rc<Pool>>)> {
        self.locals.get(&address)
    }

    pub(crate) fn pool(&self, service: &ServiceName) -> Option<&Rc<Pool>> {
        self.pools.get(service)
    }

    pub(crate) fn upstreams(&self) -> impl Iterator<Item = &Rc<Upstream>> {
        self.pools.values().flat_map(|pool| &pool.members)
    }
}

impl Pool {
    /// Picks an instance that has not left and was not tried; one set aside only when no other is left. Where
    /// requests are shared among sides, another side answers only when nobody of the one whose turn it is can.
    pub(crate) fn pick(&self, worker: &Worker, tried: &[Rc<Upstream>]) -> Option<Rc<Upstream>> {
        if let [only] = &self.members[..] {
            let fits = !only.has_left() && tried.is_empty();
            return fits.then(|| only.clone());
        }
        let Some(split) = &self.split else {
            return self.pick_of(|_| true, worker, tried);
        };
        if tried.is_empty() {
            // A further try takes no place of its own.
            self.place.set(next_place(self.place.get()));
        }
        let turn = split.at(self.place.get());
        [turn, Side::Stable, Side::Baseline, Side::Canary]
            .iter()
            .find_map(|side| {
                let ours = |upstream: &Upstream| split.side(&upstream.backend) == *side;
                self.pick_of(ours, worker, tried)
            })
    }

    fn pick_of(
        &self,
        ours: impl Fn(&Upstream) -> bool,
        worker: &Worker,
        tried: &[Rc<Upstream>],
    ) -> Option<Rc<Upstream>> {
        let (now, draws) = (worker::moment(), (worker.draw(), worker.draw()));
        let fresh = |upstream: &Rc<Upstream>| {
            let tried = tried.iter().any(|other| Rc::ptr_eq(other, upstream));
            (ours(upstream) && !upstream.has_left() && !tried)
                .then(|| upstream.traffic.in_flight.get())
        };
        let admission = |at: usize| self.members[at].outlier().admission(now);
        let load = |at: usize| fresh(&self.members[at]);
        let probed = (0..self.members.len())
            .find(|at| admission(*at) == Admission::Probe && load(*at).is_some());
        let open = |at: usize| {
            (admission(at) == Admission::Open)
                .then(|| load(at))
                .flatten()
        };
        let picked = probed
            .or_else(|| balance::pick(self.members.len(), draws, open))
            .or_else(|| balance::pick(self.members.len(), draws, load))?;
        let upstream = self.members[picked].clone();
        if probed.is_some() {
            upstream.judge(|outlier| outlier.picked(now));
        }
        Some(upstream)
    }
}
