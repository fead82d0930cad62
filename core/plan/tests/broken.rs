//! Plans broken by hand: for each the second mind names the rule that objects.

mod scene;

use mainstay_atoms::{ReleaseNumber, Share};
use mainstay_plan::{Plan, Purpose, Routes, Step};
use scene::Scene;
use std::collections::BTreeSet;

/// A rolling update of two instances, and a service that goes.
const ROLLING: &str = "deploy v2 over v1
serves web x2 version=1
wants web x2 version=2 surge=1 unavailable=0
serves old x1
seen web.v1.1 ready in
seen web.v1.2 ready in
seen old.v1.1 ready in";

/// A worker without a port.
const QUIET: &str = "deploy v2 over v1
serves worker x1 quiet version=1
wants worker x1 quiet version=2
seen worker.v1.1 ready";

/// A release on trial beside one of two instances.
const TRIAL: &str = "deploy v2 over v1
serves web x2 version=1
wants web x2 version=2
trial web canary=1 baseline=1 shares=5%/5%
seen web.v1.1 ready in
seen web.v1.2 ready in
seen web.v1.3 ready";

/// One that cannot overlap.
const ALONE: &str = "deploy v2 over v1
serves web x1 version=1
wants web x1 version=2 recreate
seen web.v1.1 ready in";

/// One whose route is paused.
const PAUSED: &str = "deploy v2 over v1
serves web x1 version=1
wants web x1 version=2
paused localhost/
seen web.v1.1 ready in";

/// One whose pages are asked for.
const SMOKE: &str = "deploy v2 over v1
serves web x1 version=1
wants web x1 version=2 smoke
seen web.v1.1 ready in";

/// Name, scene, what breaks it, and the rule that objects.
type Broken = (&'static str, &'static str, fn(&mut Plan), &'static str);

const BROKEN: &[Broken] = &[
    (
        "made from another generation",
        ROLLING,
        |plan| plan.parent.generation.0 += 1,
        "parent",
    ),
    (
        "a generation used twice",
        ROLLING,
        |plan| {
            let number = plan.parent.generation;
            launches(plan).for_each(|launch| launch.generation = number);
        },
        "generation",
    ),
    (
        "tables that count down",
        ROLLING,
        |plan| {
            let mut number = 90;
            for publish in publications(plan) {
                number -= 1;
                publish.generation.0 = number;
            }
        },
        "generation",
    ),
    (
        "a start over a living run",
        ROLLING,
        |plan| {
            launches(plan).for_each(|launch| launch.instance = "web.v1.2".parse().unwrap());
        },
        "one_run",
    ),
    (
        "a start on a used address",
        ROLLING,
        |plan| {
            launches(plan)
                .for_each(|launch| launch.address = Some(([127, 0, 0, 1], 20_001).into()));
        },
        "address",
    ),
    (
        "a table with a wrong address",
        ROLLING,
        |plan| {
            backends(plan).for_each(|one| one.address.set_port(9));
        },
        "address",
    ),
    (
        "more than the rules allow",
        ROLLING,
        |plan| front(plan, |step| matches!(step, Step::Start { .. })),
        "surge",
    ),
    (
        "a wait for a run that nobody started",
        ROLLING,
        |plan| drops(plan, |step| matches!(step, Step::Start { .. })),
        "known",
    ),
    (
        "a stop of somebody unknown",
        ROLLING,
        |plan| {
            for step in &mut plan.steps {
                if let Step::Stop { generation, .. } = step {
                    generation.0 += 70;
                }
            }
        },
        "known",
    ),
    (
        "traffic before ready",
        ROLLING,
        |plan| drops(plan, |step| matches!(step, Step::AwaitReady { .. })),
        "ready",
    ),
    (
        "traffic to a run of long ago",
        ROLLING,
        |plan| backends(plan).for_each(|one| one.generation.0 = 0),
        "ready",
    ),
    (
        "nobody takes traffic",
        ROLLING,
        |plan| {
            for publish in publications(plan) {
                publish
                    .pools
                    .values_mut()
                    .flatten()
                    .for_each(|pool| pool.backends.clear());
            }
        },
        "floor",
    ),
    (
        "one too few takes traffic",
        ROLLING,
        |plan| {
            for publish in publications(plan) {
                publish
                    .pools
                    .values_mut()
                    .flatten()
                    .for_each(|pool| drop(pool.backends.pop()));
            }
        },
        "floor",
    ),
    (
        "a worker is stopped before its successor is ready",
        QUIET,
        |plan| {
            front(plan, |step| matches!(step, Step::Stop { .. }));
        },
        "floor",
    ),
    (
        "a pool is removed that a route needs",
        ROLLING,
        |plan| {
            let routes = mainstay_plan::Routes::of(&Scene::read(ROLLING).record.unwrap().contents);
            for publish in publications(plan) {
                publish.routes = Some(routes.clone());
                publish.pools.values_mut().for_each(|pool| *pool = None);
            }
        },
        "routes",
    ),
    (
        "a stop while the table is on its way",
        ROLLING,
        |plan| drops(plan, |step| matches!(step, Step::AwaitAcknowledged { .. })),
        "acknowledged",
    ),
    (
        "a wait for a table of long ago",
        ROLLING,
        |plan| {
            for step in &mut plan.steps {
                if let Step::AwaitAcknowledged { generation, .. } = step {
                    generation.0 = 1;
                }
            }
        },
        "acknowledged",
    ),
    (
        "the last table is not awaited",
        ROLLING,
        |plan| {
            let last = plan
                .steps
                .iter()
                .rposition(|step| matches!(step, Step::AwaitAcknowledged { .. }));
            plan.steps.remove(last.unwrap());
        },
        "acknowledged",
    ),
    (
        "a drain of who takes traffic",
        ROLLING,
        |plan| front(plan, |step| matches!(step, Step::AwaitDrained { .. })),
        "drain",
    ),
    (
        "a stop without a drain",
        ROLLING,
        |plan| drops(plan, |step| matches!(step, Step::AwaitDrained { .. })),
        "drain",
    ),
    (
        "a stop of who takes traffic",
        ROLLING,
        |plan| front(plan, |step| matches!(step, Step::Stop { .. })),
        "stop",
    ),
    (
        "a stop that nobody awaits",
        ROLLING,
        |plan| drops(plan, |step| matches!(step, Step::AwaitStopped { .. })),
        "stopped",
    ),
    (
        "a wait for an end that nobody asked for",
        ROLLING,
        |plan| drops(plan, |step| matches!(step, Step::Stop { .. })),
        "stopped",
    ),
    (
        "traces cleared under a living process",
        ROLLING,
        |plan| front(plan, |step| matches!(step, Step::Clear { .. })),
        "clear",
    ),
    (
        "it serves before anything is ready",
        ROLLING,
        |plan| front(plan, |step| matches!(step, Step::Serve { .. })),
        "serve",
    ),
    (
        "it never serves",
        ROLLING,
        |plan| drops(plan, |step| matches!(step, Step::Serve { .. })),
        "serve",
    ),
    (
        "it serves twice",
        ROLLING,
        |plan| {
            let serve = plan
                .steps
                .iter()
                .find(|step| matches!(step, Step::Serve { .. }))
                .cloned();
            plan.steps.extend(serve);
        },
        "serve",
    ),
    (
        "another release serves",
        ROLLING,
        |plan| {
            for step in &mut plan.steps {
                if let Step::Serve { release } = step {
                    release.0 = 9;
                }
            }
        },
        "serve",
    ),
    (
        "healing makes a release serve",
        ROLLING,
        |plan| plan.purpose = Purpose::Heal,
        "serve",
    ),
    (
        "more than all of the traffic",
        TRIAL,
        |plan| splits(plan).for_each(|split| split.canary = Share(9_900)),
        "shares",
    ),
    (
        "a trial that says of what serves that it is fewer, and leaves it so",
        TRIAL,
        |plan| {
            splits(plan).for_each(|split| split.fresh_above = 1);
            for publish in publications(plan) {
                for pool in publish.pools.values_mut().flatten() {
                    pool.backends
                        .retain(|one| one.instance.to_string() == "web.v1.1");
                }
            }
        },
        "floor",
    ),
    (
        "traffic for a release that has no instance",
        TRIAL,
        |plan| splits(plan).for_each(|split| split.release.0 = 9),
        "shares",
    ),
    (
        "a release on trial that is to serve",
        TRIAL,
        |plan| {
            plan.purpose = Purpose::Deploy;
            plan.steps.push(Step::Serve {
                release: ReleaseNumber(2),
            });
        },
        "shares",
    ),
    (
        "a start beside what cannot overlap",
        ALONE,
        |plan| front(plan, |step| matches!(step, Step::Start { .. })),
        "alone",
    ),
    (
        "pages asked for before it is ready",
        SMOKE,
        |plan| front(plan, |step| matches!(step, Step::Smoke { .. })),
        "smoke",
    ),
    (
        "a pause that is forgotten with its route",
        PAUSED,
        |plan| publications(plan).for_each(|publish| publish.routes = Some(Routes::default())),
        "paused",
    ),
];

#[test]
fn every_broken_plan_is_refused_by_its_rule() {
    let mut rules = BTreeSet::new();
    for (name, text, break_it, rule) in BROKEN {
        let scene = Scene::read(text);
        let mut plan = scene.plan(scene.decide());
        assert!(
            scene.notes(&plan).is_empty(),
            "{name}: the plan is sound before"
        );
        break_it(&mut plan);
        let found: Vec<&str> = scene.notes(&plan).iter().map(|note| note.rule).collect();
        assert!(
            found.contains(rule),
            "{name}: `{rule}` does not object, {found:?}"
        );
        rules.insert(*rule);
    }
    assert!(BROKEN.len() >= 20);
    let all = BTreeSet::from([
        "acknowledged",
        "address",
        "alone",
        "clear",
        "drain",
        "floor",
        "generation",
        "known",
        "one_run",
        "parent",
        "paused",
        "ready",
        "routes",
        "serve",
        "shares",
        "smoke",
        "stop",
        "stopped",
        "surge",
    ]);
    assert_eq!(rules, all, "every rule has its broken plan");
}

fn launches(plan: &mut Plan) -> impl Iterator<Item = &mut mainstay_atoms::Launch> {
    plan.steps.iter_mut().filter_map(|step| match step {
        Step::Start { launch } => Some(&mut **launch),
        _ => None,
    })
}

fn publications(plan: &mut Plan) -> impl Iterator<Item = &mut mainstay_plan::Publish> {
    plan.steps.iter_mut().filter_map(|step| match step {
        Step::Publish(publish) => Some(publish),
        _ => None,
    })
}

fn backends(plan: &mut Plan) -> impl Iterator<Item = &mut mainstay_routing::Backend> {
    let pools = publications(plan).flat_map(|publish| publish.pools.values_mut());
    pools.flatten().flat_map(|pool| &mut pool.backends)
}

fn splits(plan: &mut Plan) -> impl Iterator<Item = &mut mainstay_routing::Split> {
    let pools = publications(plan).flat_map(|publish| publish.pools.values_mut());
    pools.flatten().filter_map(|pool| pool.split.as_mut())
}

fn front(plan: &mut Plan, which: fn(&Step) -> bool) {
    plan.steps.sort_by_key(|step| !which(step));
}

fn drops(plan: &mut Plan, which: fn(&Step) -> bool) {
    plan.steps.retain(|step| !which(step));
}
