//! Processes of the simulated world: how they start, live, stop and end.

use super::{Run, World};
use mainstay_atoms::{Launch, Moment, Role, Stop};
use mainstay_workload::Exit;

/// One process, alive or ended.
pub(super) struct Process {
    pub(super) launch: Launch,
    pub(super) started: Moment,
    pub(super) ready_at: Moment,
    pub(super) ended: Option<(Exit, Moment)>,
    pub(super) kill_at: Option<Moment>,
    pub(super) in_flight: u64,
    pub(super) left_table: Option<Moment>,
    pub(super) stop: Stop,
    /// It ends by itself then, and so: a run of a job, or a server that refuses its data.
    pub(super) ends_at: Option<(Moment, i32)>,
}

impl World {
    pub(super) fn processes_live(&mut self) {
        let now = self.now;
        let runs: Vec<Run> = self.processes.keys().cloned().collect();
        for run in runs {
            let mut crashes = self.chance(self.faults.crash);
            let immortal = self.immortal.contains(&run.0);
            let Some(process) = self.processes.get_mut(&run) else {
                continue;
            };
            if process.ended.is_some() {
                continue;
            }
            crashes |= self.crashing.contains(&process.launch.contents)
                && now.since(process.started).as_millis() > 50;
            let (ends, code) = match process.ends_at {
                Some((at, code)) => (at <= now, code),
                None => (false, 0),
            };
            if ends {
                let exit = Exit {
                    code: Some(code),
                    asked: process.kill_at.is_some(),
                    ..Exit::default()
                };
                process.ended = Some((exit, now));
            } else if process.kill_at.is_some_and(|at| at <= now) && !immortal {
                let exit = Exit {
                    code: Some(0),
                    asked: true,
                    ..Exit::default()
                };
                process.ended = Some((exit, now));
            } else if crashes {
                let exit = Exit {
                    code: Some(1),
                    asked: process.kill_at.is_some(),
                    ..Exit::default()
                };
                process.ended = Some((exit, now));
                process.in_flight = 0;
            }
        }
    }

    pub(super) fn start(&mut self, launch: &Launch) {
        let run = (launch.instance.clone(), launch.generation);
        if self.processes.contains_key(&run) {
            return;
        }
        let newer = self
            .processes
            .iter()
            .any(|((id, generation), _)| *id == launch.instance && *generation > launch.generation);
        let taken = self.processes.values().any(|one| {
            one.ended.is_none()
                && one.launch.address.is_some()
                && one.launch.address == launch.address
        });
        let alive = self
            .processes
            .iter()
            .any(|((id, _), one)| *id == launch.instance && one.ended.is_none());
        if newer {
            self.breaks(&format!(
                "{} starts with an old generation",
                launch.instance
            ));
        }
        if taken || alive {
            self.breaks(&format!("{} starts over a living process", launch.instance));
        }
        if launch.role() == Role::Job {
            self.start_run(launch);
        } else if launch.generation <= self.highest {
            let generation = launch.generation;
            self.breaks(&format!("generation {generation} is used a second time"));
        }
        if launch.role() != Role::Job {
            self.highest = self.highest.max(launch.generation);
        }
        if launch.role() == Role::Store {
            self.start_server(launch);
        } else {
            self.start_user(launch);
        }
        // A restart takes the place of the run that ended.
        self.processes.retain(|(id, _), _| *id != launch.instance);
        let silent = self.bad.contains(&launch.contents) || self.chance(self.faults.unready);
        let boot = if silent {
            u64::MAX / 2
        } else {
            self.boots(launch.role())
        };
        let process = Process {
            launch: launch.clone(),
            started: self.now,
            ready_at: Moment(self.now.0 + boot),
            ended: None,
            kill_at: None,
            in_flight: 0,
            left_table: Some(self.now),
            stop: launch.stop.clone(),
            ends_at: self.ends_by_itself(launch),
        };
        self.processes.insert(run, process);
    }

    pub(super) fn stop(&mut self, run: &Run, stop: &Stop) {
        let inside = self.in_table().contains(run);
        let stubborn = self.chance(self.faults.stubborn);
        let now = self.now;
        let quick = self.rng.u64(1..200);
        let Some(process) = self.processes.get_mut(run) else {
            return;
        };
        if process.ended.is_some() || process.kill_at.is_some() {
            return;
        }
        let grace = u64::try_from(stop.grace.as_millis()).unwrap_or(u64::MAX);
        process.kill_at = Some(Moment(now.0 + if stubborn { grace } else { quick }));
        let late = process
            .left_table
            .is_some_and(|at| now.since(at) >= process.stop.drain.max(process.stop.streams));
        let lost = process.in_flight;
        let server = (process.launch.role() == Role::Store).then_some(process.launch.contents);
        if let Some(contents) = server {
            self.stop_server(&run.0, contents);
        }
        self.stop_run(run);
        if inside {
            self.breaks(&format!(
                "{} is stopped while the gateway sends it requests",
                run.0
            ));
        } else if lost > 0 && !late {
            self.breaks(&format!(
                "{} is stopped with {lost} requests in flight",
                run.0
            ));
        }
    }

    pub(super) fn ready_since(&self, process: &Process) -> Option<Moment> {
        let flaps = self.flapping.contains(&process.launch.contents);
        let since = if flaps {
            Moment(self.now.0 / 1000 * 1000)
        } else {
            process.ready_at
        };
        let up = !flaps || (self.now.0 / 1000).is_multiple_of(2);
        (up && process.ready_at <= self.now).then_some(since.max(process.ready_at))
    }
}
