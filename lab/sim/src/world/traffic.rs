//! The gateway of the simulated world: the table it takes, and the requests that come and go.

use super::{Run, World};
use mainstay_atoms::Moment;
use mainstay_execute::EffectFault;
use mainstay_routing::Table;
use std::collections::BTreeSet;

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

    pub(super) fn publish(&mut self, table: &Table) -> Result<(), EffectFault> {
        if self.gateway_back.is_some() {
            return Err(EffectFault::Later("the gateway does not answer".into()));
        }
        let held = self
            .pending
            .as_ref()
            .map(|(table, _)| table)
            .or(self.table.as_ref());
        if let Some(held) = held {
            let (new, old) = (
                (table.epoch, table.generation),
                (held.epoch, held.generation),
            );
            if new < old {
                self.breaks(&format!(
                    "table {} is older than {}",
                    table.generation, held.generation
                ));
                return Err(EffectFault::Fenced("a newer table".into()));
            }
            if table.generation == held.generation
                && (&table.services, &table.domains) != (&held.services, &held.domains)
            {
                self.breaks(&format!("table {} has two meanings", table.generation));
            }
        }
        self.highest = self.highest.max(table.generation);
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
        let delay = self.rng.u64(0..50);
        self.pending = Some((table.clone(), Moment(self.now.0 + delay)));
        Ok(())
    }
}
