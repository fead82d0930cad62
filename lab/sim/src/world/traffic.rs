//! The gateway of the simulated world: the table it takes, and the requests that come and go.

use super::{Run, World};
use mainstay_atoms::Moment;
use mainstay_execute::EffectFault;
use mainstay_rollout::{Class, Origin};
use mainstay_routing::{Backend, Pool, Side, Table};
use std::collections::BTreeSet;
use std::time::Duration;

/// Requests a second, in a service on trial.
const RATE: u64 = 100;

/// Most requests that come at one time.
const MOST: u64 = 200;

impl World {
    pub(super) fn install(&mut self) {
        let due = self.pending.as_ref().is_some_and(|(_, at)| *at <= self.now);
        if self.gateway_back.is_none() && due {
            let table = self.pending.take().map(|(table, _)| table);
            self.table = table;
            let inside = self.in_table();
            for (run, process) in &mut self.processes {
                if inside.contains(run) {
                    process.left_table = None;
                } else if process.left_table.is_none() {
                    process.left_table = Some(self.now);
                }
            }
        }
    }

    pub(super) fn in_table(&self) -> BTreeSet<Run> {
        let pools = self.table.iter().flat_map(|table| table.services.values());
        pools
            .flat_map(|pool| &pool.backends)
            .map(|one| (one.instance.clone(), one.generation))
            .collect()
    }

    /// Requests start at runs in the table and finish a little later, sometimes much later.
    pub(super) fn requests(&mut self) {
        if self.gateway_back.is_some() {
            return;
        }
        let inside = self.in_table();
        for (run, process) in &mut self.processes {
            if process.in_flight > 0 && self.rng.u32(0..4) == 0 {
                process.in_flight -= 1;
            }
            if inside.contains(run) && process.ended.is_none() && self.rng.u32(0..3) == 0 {
                process.in_flight += 1;
            }
        }
    }

    /// What is counted while a service is on trial: requests go to its sides by their shares, and those of a
    /// release that is worse fail half of the time.
    pub(super) fn answers(&mut self, milliseconds: u64) {
        let pools = self.table.iter().flat_map(|table| &table.services);
        let shared: Vec<Pool> = pools
            .filter(|(name, pool)| pool.split.is_some() && !self.is_cut_off(name))
            .map(|(_, pool)| pool.clone())
            .collect();
        if shared.is_empty() || self.gateway_back.is_some() {
            return;
        }
        self.due_requests += milliseconds * RATE;
        let count = (self.due_requests / 1000).min(MOST);
        self.due_requests %= 1000;
        for _ in 0..count {
            for pool in &shared {
                self.answer(pool);
            }
        }
    }

    /// One request to one service.
    fn answer(&mut self, pool: &Pool) {
        let Some(split) = &pool.split else { return };
        let side = split.at(self.rng.u64(..));
        let runs = |side: Option<Side>| {
            let ours = move |one: &&Backend| side.is_none_or(|side| split.side(one) == side);
            let alive = |one: &&Backend| {
                let run = (one.instance.clone(), one.generation);
                self.processes
                    .get(&run)
                    .is_some_and(|one| one.ended.is_none())
            };
            let runs = pool.backends.iter().filter(ours).filter(alive);
            runs.map(|one| (one.instance.clone(), one.generation))
                .collect::<Vec<Run>>()
        };
        let mut able = runs(Some(side));
        if able.is_empty() {
            able = runs(None);
        }
        if able.is_empty() {
            return;
        }
        let run = able.swap_remove(self.rng.usize(0..able.len()));
        let contents = self.processes.get(&run).map(|one| one.launch.contents);
        let worse = contents.is_some_and(|contents| self.worse.contains(&contents));
        let class = if worse && self.rng.bool() {
            Class::ServerError
        } else {
            Class::Good
        };
        let origin = Origin {
            route: "localhost/".into(),
            instance: run.0,
        };
        let tally = self.board.tallies.entry(origin).or_default();
        tally.add(class, Duration::from_millis(5));
    }

    /// Takes a table after the one that the gateway holds.
    pub(super) fn publish(&mut self, table: &Table) -> Result<(), EffectFault> {
        self.follows(table)?;
        self.admits_ready(table);
        self.hand_over(table);
        Ok(())
    }

    pub(super) fn hand_over(&mut self, table: &Table) {
        self.highest = self.highest.max(table.generation);
        let delay = self.rng.u64(0..50);
        self.pending = Some((table.clone(), Moment(self.now.0 + delay)));
    }

    /// A table is no older than the one held, and has a number of its own.
    pub(super) fn follows(&mut self, table: &Table) -> Result<(), EffectFault> {
        if self.gateway_back.is_some() {
            return Err(EffectFault::Later("the gateway does not answer".into()));
        }
        let held = self
            .pending
            .as_ref()
            .map(|(table, _)| table)
            .or(self.table.as_ref());
        if let Some(held) = held {
            if table.number() < held.number() {
                self.breaks(&format!(
                    "table {} is older than {}",
                    table.generation, held.generation
                ));
                return Err(EffectFault::Fenced("a newer table".into()));
            }
            let other = (&table.services, &table.domains) != (&held.services, &held.domains);
            let repaused = table.pauses.number == held.pauses.number
                && table.epoch == held.epoch
                && table.pauses != held.pauses;
            if table.generation == held.generation && (other || repaused) {
                self.breaks(&format!("table {} has two meanings", table.generation));
            }
        }
        Ok(())
    }

    fn admits_ready(&mut self, table: &Table) {
        let unready: Vec<String> = table
            .services
            .values()
            .flat_map(|pool| &pool.backends)
            .filter(|one| {
                let process = self.processes.get(&(one.instance.clone(), one.generation));
                process.is_none_or(|one| one.ready_at > self.now)
            })
            .map(|one| one.instance.to_string())
            .collect();
        if !unready.is_empty() {
            self.breaks(&format!(
                "{} take traffic before they are ready",
                unready.join(" ")
            ));
        }
    }
}
