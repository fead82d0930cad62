//! Stores and runs of jobs in the simulated world, and what is promised about them.

use super::World;
use mainstay_atoms::{Launch, Moment, Role};
use mainstay_execute::EffectFault;
use mainstay_spec::StoreOrder;

impl World {
    /// How long an instance takes from its start until it is ready.
    pub(super) fn boots(&mut self, role: Role) -> u64 {
        if role == Role::Store {
            if let Some(slow) = self.slow {
                return slow;
            }
            if self.chance(self.faults.slow) {
                return self.rng.u64(2_000..60_000);
            }
        }
        self.rng.u64(5..400)
    }

    /// When and how a process ends that nobody stops.
    pub(super) fn ends_by_itself(&mut self, launch: &Launch) -> Option<(Moment, i32)> {
        let name = &launch.instance.service;
        match launch.role() {
            Role::Job => {
                let hangs = self.hanging.contains(name) || self.chance(self.faults.hang);
                let takes = if hangs {
                    u64::MAX / 2
                } else {
                    self.rng.u64(5..3000)
                };
                let fails = self.failing.contains(name) || self.chance(self.faults.fail);
                let once = std::mem::take(&mut self.fails_once);
                Some((Moment(self.now.0 + takes), i32::from(fails || once)))
            }
            Role::Store => {
                let refuses = self.refusing.contains(name) || self.chance(self.faults.refuse);
                refuses.then(|| (Moment(self.now.0 + 3), 1))
            }
            Role::Service => None,
        }
    }

    /// No run of a job begins twice, and none while another of it lives.
    pub(super) fn start_run(&mut self, launch: &Launch) {
        let id = &launch.instance;
        if !self.began.insert(id.clone()) {
            self.breaks(&format!("{id} is run a second time"));
        }
        let mut processes = self.processes.iter();
        let other =
            processes.find(|((other, _), one)| other.service == id.service && one.ended.is_none());
        if let Some(((other, _), _)) = other {
            let other = other.clone();
            self.breaks(&format!("{id} runs beside {other}"));
        }
        let due = launch
            .job
            .as_ref()
            .filter(|job| !job.at_least_once)
            .and_then(|job| Some((job.due?, job.attempt)));
        if let Some((due, attempt)) = due
            && !self.due.insert((id.service.clone(), due, attempt))
        {
            self.breaks(&format!("{id} is for a time that had its run"));
        }
    }

    /// A server has its data to itself, and finds it prepared.
    pub(super) fn start_server(&mut self, launch: &Launch) {
        let id = &launch.instance;
        let mut processes = self.processes.iter();
        let other =
            processes.any(|((other, _), one)| other.service == id.service && one.ended.is_none());
        if other {
            self.breaks(&format!("{id} is a second server on its data"));
        }
        if !self.prepared.contains(&id.service) {
            self.breaks(&format!("{id} starts before its data is prepared"));
        }
    }

    /// A store's folder, first contents and configuration.
    pub(super) fn prepare(&mut self, order: &StoreOrder) -> Result<(), EffectFault> {
        if self.data_full {
            return Err(EffectFault::Later("no space left on device".into()));
        }
        if self.chance(self.faults.later) {
            return Err(EffectFault::Later("its folder is busy".into()));
        }
        self.prepared.insert(order.store.clone());
        Ok(())
    }

    /// Only a server that is ready lets anybody in.
    pub(super) fn provision(&mut self, order: &StoreOrder) -> Result<(), EffectFault> {
        let mut processes = self.processes.iter();
        let up = processes.any(|((id, _), one)| {
            id.service == order.store && one.ended.is_none() && one.ready_at <= self.now
        });
        if !up || self.chance(self.faults.later) {
            return Err(EffectFault::Later("the server does not answer".into()));
        }
        let users = order.users.iter().map(|user| user.name.clone()).collect();
        self.promised.users.insert(order.store.clone(), users);
        Ok(())
    }
}
