//! A world in which every step works at once.

use crate::scene::{NOW, Scene};
use mainstay_atoms::{Fact, Moment};
use mainstay_plan::{GatewaySeen, Purpose, Step, order_digest};
use mainstay_workload::{Instance, Readiness, Running};
use std::collections::BTreeMap;

/// Does these steps; then every process that runs is ready and the gateway serves the last table.
pub(crate) fn apply(scene: &mut Scene, steps: &[Step]) {
    for step in steps {
        one(scene, step);
    }
    let seen = &mut scene.observed;
    // Long enough has passed for every back-off.
    seen.attempts.clear();
    for instance in &mut seen.instances {
        instance.readiness = Readiness::Ready { since: Moment(1) };
    }
    seen.gateway = Fact::Known {
        value: GatewaySeen {
            generation: seen.serving.generation,
            pauses: 0,
            load: BTreeMap::new(),
        },
        at: NOW,
    };
}

fn one(scene: &mut Scene, step: &Step) {
    let seen = &mut scene.observed;
    match step {
        Step::Start { launch } => {
            seen.generation = launch.generation;
            seen.instances.retain(|one| one.id != launch.instance);
            seen.instances.push(Instance {
                id: launch.instance.clone(),
                generation: launch.generation,
                contents: launch.contents,
                address: launch.address,
                started: NOW,
                running: Running::Yes { pid: 1 },
                readiness: Readiness::Ready { since: NOW },
                live: true,
                stop: launch.stop.clone(),
                role: launch.role(),
            });
        }
        Step::Publish(publish) => {
            seen.generation = publish.generation;
            seen.serving.apply(publish);
        }
        Step::Stop {
            instance,
            generation,
            ..
        } => {
            let found = seen.instances.iter_mut();
            let mut found =
                found.filter(|one| one.id == *instance && one.generation == *generation);
            if let Some(one) = found.next() {
                one.running = Running::Ended {
                    exit: mainstay_workload::Exit::default(),
                    at: NOW,
                };
                one.live = true;
            }
        }
        Step::Clear {
            instance,
            generation,
        } => {
            let other = |one: &Instance| one.id != *instance || one.generation != *generation;
            seen.instances.retain(other);
        }
        Step::Prepare { order } | Step::Provision { order } => {
            seen.stores.insert(order.store.clone(), order_digest(order));
        }
        Step::Serve { .. } => scene.purpose = Purpose::Heal,
        Step::AwaitReady { .. }
        | Step::Smoke { .. }
        | Step::AwaitAcknowledged { .. }
        | Step::AwaitDrained { .. }
        | Step::AwaitStopped { .. }
        | Step::AwaitRun { .. } => {}
    }
}
