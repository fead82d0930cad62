//! Stores and runs of jobs in the simulated world, and what is promised about them.

use super::World;
use mainstay_atoms::{Launch, Moment, ServiceName};
use mainstay_execute::EffectFault;

impl World {
    /// When and how a run of a job ends.
    pub(super) fn run_ends(&mut self) -> (Moment, i32) {
        let long = self.chance(self.faults.stubborn);
        let takes = if long { 60_000 } else { self.rng.u64(5..3000) };
        let code = i32::from(self.chance(self.faults.crash * 20));
        (Moment(self.now.0 + takes), code)
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

    /// Only a server that is ready lets anybody in.
    pub(super) fn provision(&self, store: &ServiceName) -> Result<(), EffectFault> {
        let mut processes = self.processes.iter();
        let up = processes.any(|((id, _), one)| {
            id.service == *store && one.ended.is_none() && one.ready_at <= self.now
        });
        if up {
            Ok(())
        } else {
            Err(EffectFault::Later("the server does not answer".into()))
        }
    }
}
