//! What goes wrong in the simulated world: by chance, at one point, or as a test says.

use super::{Run, World};
use mainstay_atoms::{Moment, Role, ServiceName};
use mainstay_plan::Step;
use mainstay_rollout::Board;
use mainstay_workload::Exit;

/// How often things go wrong, each as a chance in a thousand per look or effect.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// A running process ends by itself.
    pub crash: u32,
    /// A started process never becomes ready.
    pub unready: u32,
    /// A process ignores the request to stop until it is killed.
    pub stubborn: u32,
    /// The gateway is away for a while.
    pub gateway: u32,
    /// Nothing can be recorded.
    pub disk: u32,
    /// The control plane is killed.
    pub kill: u32,
    /// The server of a store takes up to a minute to be ready.
    pub slow: u32,
    /// The server of a store refuses its data and ends.
    pub refuse: u32,
    /// What is prepared or provisioned, and the start of a run, take another try.
    pub later: u32,
    /// A run of a job fails.
    pub fail: u32,
    /// A run of a job does not end by itself.
    pub hang: u32,
    /// A shim is killed, and its process with it.
    pub shim: u32,
    /// The machine goes down and comes back.
    pub reboot: u32,
    /// The civil clock jumps by minutes or hours, forward or back.
    pub clock: u32,
    /// What others say of a release is late, missing, nonsense or bad.
    pub lie: u32,
}

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    /// The control plane.
    ControlPlane,
    /// The gateway; it comes back with its last table.
    Gateway,
    /// The shim of the instance that the step is about, or else of some service.
    Shim,
    /// The server of a store.
    Store,
    /// Everything at once, as when the machine goes down.
    Everything,
}

impl Victim {
    /// Each of them.
    pub const ALL: [Self; 5] = [
        Self::ControlPlane,
        Self::Gateway,
        Self::Shim,
        Self::Store,
        Self::Everything,
    ];
}

impl World {
    /// Ends all faults: what hangs comes to life, and nothing new goes wrong.
    pub fn recover(&mut self) {
        self.faults = Faults::default();
        self.loads.calm = true;
        self.bad.clear();
        self.crashing.clear();
        self.flapping.clear();
        self.immortal.clear();
        self.refusing.clear();
        self.hanging.clear();
        self.failing.clear();
        self.slow = None;
        (self.disk_full, self.data_full) = (false, false);
        for process in self.processes.values_mut() {
            process.ready_at = process.ready_at.min(Moment(self.now.0 + 100));
        }
    }

    /// The gateway does not answer for so many milliseconds.
    pub fn gateway_away(&mut self, milliseconds: u64) {
        self.gateway_back = Some(Moment(self.now.0 + milliseconds));
    }

    /// The gateway is killed: what was in flight is lost, its last table is on its disk.
    pub fn kill_gateway(&mut self) {
        let back = self.rng.u64(10..1500);
        self.gateway_away(back);
        // It counts from the beginning.
        self.board = Board::default();
        for process in self.processes.values_mut() {
            process.in_flight = 0;
        }
    }

    /// Ends one living process of this service by itself; false when there is none.
    pub fn crash(&mut self, service: &str) -> bool {
        let exit = Exit {
            code: Some(1),
            ..Exit::default()
        };
        let found = self.living(|(id, _), _| id.service.as_str() == service);
        found.is_some_and(|run| self.end(&run, exit))
    }

    /// Ends the run of a service that started last.
    pub fn crash_newest(&mut self, service: &ServiceName) {
        let living = self.processes.iter().filter(|(_, one)| one.ended.is_none());
        let own = living.filter(|((id, _), _)| id.service == *service);
        let newest = own.max_by_key(|((_, generation), _)| *generation);
        if let Some(run) = newest.map(|(run, _)| run.clone()) {
            self.end(&run, by_itself());
        }
    }

    /// Kills the shim of one living process of this service; false when there is none.
    pub fn kill_shim(&mut self, service: &str) -> bool {
        let found = self.living(|(id, _), _| id.service.as_str() == service);
        found.is_some_and(|run| self.end(&run, cut_off()))
    }

    /// The machine goes down and comes back: no process is left, and tables and records are.
    pub fn reboot(&mut self) {
        let all: Vec<Run> = self.processes.keys().cloned().collect();
        for run in all {
            self.end(&run, cut_off());
        }
        self.kill_gateway();
        self.killed = true;
    }

    fn living(&self, which: impl Fn(&Run, Role) -> bool) -> Option<Run> {
        let mut living = self.processes.iter().filter(|(_, one)| one.ended.is_none());
        living
            .find(|(run, one)| which(run, one.launch.role()))
            .map(|(run, _)| run.clone())
    }

    fn end(&mut self, run: &Run, exit: Exit) -> bool {
        let now = self.now;
        let process = self.processes.get_mut(run);
        let Some(process) = process.filter(|one| one.ended.is_none()) else {
            return false;
        };
        process.ended = Some((exit, now));
        process.in_flight = 0;
        true
    }

    /// Kills whom the test wants killed at this step.
    pub(super) fn strike(&mut self, step: &Step) {
        let own = |run: &Run, _| step.instance() == Some(&run.0);
        match self.victim {
            Victim::ControlPlane => self.killed = true,
            Victim::Gateway => self.kill_gateway(),
            Victim::Shim => {
                let found = self.living(own);
                let found = found.or_else(|| self.living(|_, role| role == Role::Service));
                found.map(|run| self.end(&run, cut_off()));
            }
            Victim::Store => {
                let found = self.living(|_, role| role == Role::Store);
                let killed = Exit {
                    signal: Some(9),
                    ..Exit::default()
                };
                found.map(|run| self.end(&run, killed));
            }
            Victim::Everything => self.reboot(),
        }
    }

    /// What happens by chance while time passes.
    pub(super) fn disasters(&mut self) {
        if self.chance(self.faults.gateway) {
            let away = self.rng.u64(10..3000);
            if self.rng.bool() {
                self.kill_gateway();
            } else {
                self.gateway_away(away);
            }
        }
        if self.gateway_back.is_some_and(|at| at <= self.now) {
            self.gateway_back = None;
        }
        if self.chance(self.faults.shim) {
            let living: Vec<Run> = self.alive().into_keys().collect();
            if !living.is_empty() {
                let which = self.rng.usize(0..living.len());
                self.end(&living[which], cut_off());
            }
        }
        if self.chance(self.faults.reboot) {
            self.reboot();
        }
        if self.chance(self.faults.clock) {
            let minutes = self.rng.i64(-300..300);
            let far = if self.rng.bool() { 60_000 } else { 1_000 };
            self.civil_ahead += minutes * far;
        }
        if self.data_full {
            while let Some(run) = self.living(|_, role| role == Role::Store) {
                self.end(&run, by_itself());
            }
        }
    }
}

/// Nobody saw it end.
fn cut_off() -> Exit {
    Exit {
        signal: Some(9),
        lost: true,
        ..Exit::default()
    }
}

/// It ended by itself, and badly.
fn by_itself() -> Exit {
    Exit {
        code: Some(1),
        ..Exit::default()
    }
}
