//! A table as one worker serves from it.

use crate::pool::Pool;
use crate::series::Traffic;
use crate::upstream::Upstream;
use crate::worker::Worker;
use mainstay_atoms::{Generation, InstanceId, ReleaseNumber, ServiceName, Wall};
use mainstay_routing::{Listener, Router, Table};
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
    /// By the number of the route.
    routes: Vec<Way>,
    pools: HashMap<ServiceName, Rc<Pool>>,
    locals: HashMap<SocketAddr, Way>,
}

/// What a worker is about to serve from, and who leaves with what it serves from now.
#[derive(Debug)]
pub(crate) struct Next {
    pub(crate) serving: Rc<Serving>,
    /// And how long their streams may go on.
    leaving: Vec<(Rc<Upstream>, Duration)>,
}

impl Next {
    /// Its time has come: tells those who left.
    pub(crate) fn begin(self) -> Rc<Serving> {
        for (upstream, window) in &self.leaving {
            upstream.leave(*window);
        }
        self.serving
    }
}

/// A route, or the local address of a service.
#[derive(Debug, Clone, Default)]
pub(crate) struct Way {
    /// Its number in metrics.
    pub(crate) label: u32,
    /// Only instances of this release answer, if any.
    pub(crate) only: Option<ReleaseNumber>,
    /// Nobody does but the gateway itself, until this moment; it may be over.
    pub(crate) paused: Option<Wall>,
    /// Who answers; nobody: the table has a route to a service that it does not have.
    pub(crate) pool: Option<Rc<Pool>>,
}

impl Serving {
    /// What is served next: takes over the upstreams and budgets that stay. Nothing is changed yet.
    pub(crate) fn next(&self, compiled: &Compiled, worker: &Worker) -> Next {
        let mut known: HashMap<Run, Rc<Upstream>> = HashMap::new();
        for upstream in self.upstreams() {
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
                let stays = known.get(&run).is_some_and(|one| one.backend == *backend);
                if stays {
                    return known.remove(&run);
                }
                let traffic = compiled.traffic.get(&run)?.clone();
                Some(Rc::new(Upstream::new(backend.clone(), traffic)))
            });
            let members = members.collect();
            let before = self.pools.get(service).map(|pool| &**pool);
            let pool = Pool::new(service, pool, members, before, worker);
            pools.insert(service.clone(), Rc::new(pool));
        }
        let window = |service: &ServiceName| {
            let pool = pools.get(service).or_else(|| self.pools.get(service));
            pool.map_or(Duration::ZERO, |pool| pool.streams)
        };
        let leaving = known.into_values().map(|upstream| {
            let window = window(&upstream.backend.instance.service);
            (upstream, window)
        });
        let leaving = leaving.collect();
        Next {
            serving: Rc::new(Self::assemble(compiled, pools, worker)),
            leaving,
        }
    }

    fn assemble(
        compiled: &Compiled,
        pools: HashMap<ServiceName, Rc<Pool>>,
        worker: &Worker,
    ) -> Self {
        let found = compiled.router.routes().iter().map(|route| Way {
            label: worker.number(&route.label),
            only: route.only,
            paused: route.paused,
            pool: pools.get(&route.service).cloned(),
        });
        let routes = found.collect();
        let locals = compiled
            .table
            .listeners
            .iter()
            .filter_map(|listener| match listener {
                Listener::Public { .. } => None,
                Listener::Local { address, service } => {
                    let way = Way {
                        label: worker.number(&format!("local/{service}")),
                        only: None,
                        paused: None,
                        pool: pools.get(service).cloned(),
                    };
                    Some((*address, way))
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

    pub(crate) fn route(&self, number: usize) -> Option<&Way> {
        self.routes.get(number)
    }

    /// The service that a local address stands for.
    pub(crate) fn local(&self, address: SocketAddr) -> Option<&Way> {
        self.locals.get(&address)
    }

    pub(crate) fn pool(&self, service: &ServiceName) -> Option<&Rc<Pool>> {
        self.pools.get(service)
    }

    pub(crate) fn upstreams(&self) -> impl Iterator<Item = &Rc<Upstream>> {
        self.pools.values().flat_map(|pool| &pool.members)
    }
}
