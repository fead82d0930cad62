//! Counts that follow what is measured, in the simulated world: whole stories, each a promise of its own.

use mainstay_atoms::{Actor, Millicores, Range, ServiceName, Share};
use mainstay_execute::{Engine, ScaleView, World as _};
use mainstay_plan::{Contents, Event};
use mainstay_sim::{Schedule, by_load, by_queue, contents, service, with_stores};
use mainstay_spec::Scale;
use std::time::Duration;

const LONG: u64 = 600_000;

fn web() -> ServiceName {
    ServiceName::new("web").expect("a valid name")
}

fn by() -> Actor {
    Actor("ann".into())
}

/// `web` with one to six instances, of which each is to answer twenty requests a second.
fn version(number: u32) -> Contents {
    let mut web = service(1, &[]);
    by_load(&mut web, (1, 6));
    contents(vec![("web", web)], number)
}

fn with(number: u32, change: impl Fn(&mut Scale)) -> Contents {
    let mut contents = version(number);
    let service = contents.platform.services.get_mut(&web());
    change(
        service
            .and_then(|one| one.scale.as_mut())
            .expect("it is scaled"),
    );
    contents
}

fn started(seed: u64, contents: Contents, rate: u64) -> Schedule {
    let mut schedule = Schedule::new(seed);
    schedule.world.steady_load("web", rate);
    assert!(schedule.ship(contents));
    assert!(schedule.settle(LONG), "the first release serves");
    schedule
}

fn view(engine: &Engine, now: mainstay_atoms::Wall) -> ScaleView {
    engine.scales(now).into_iter().next().expect("it is scaled")
}

fn count(schedule: &mut Schedule) -> u32 {
    let (engine, world) = schedule.engine().expect("the disk is not full");
    view(engine, world.now().1).count
}

/// Waits until so many are wanted and in place.
fn reaches(schedule: &mut Schedule, wanted: u32) {
    let there = schedule.until(LONG, |engine, world| {
        view(engine, world.now().1).count == wanted
    });
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let found = view(engine, world.now().1);
    assert!(there, "{wanted} are wanted: {found:?}");
    assert!(schedule.settle(LONG), "{wanted} run");
    assert!(schedule.in_place());
    kept(schedule);
}

fn passes(schedule: &mut Schedule, milliseconds: u64) {
    schedule.until(milliseconds, |_, _| false);
    kept(schedule);
}

fn kept(schedule: &Schedule) {
    let broken = &schedule.world.broken;
    assert!(broken.is_empty(), "{broken:?}");
}

/// Every change of a count, with its reason.
fn changes(schedule: &Schedule) -> Vec<(u32, String)> {
    let entries = schedule.world.entries().iter();
    let changes = entries.filter_map(|entry| match &entry.event {
        Event::Scaled { instances, why, .. } => Some((*instances, why.clone())),
        _ => None,
    });
    changes.collect()
}

#[test]
fn it_follows_the_load_and_waits_before_it_shrinks() {
    let mut schedule = started(1, version(1), 60);
    reaches(&mut schedule, 3);
    schedule.world.steady_load("web", 110);
    reaches(&mut schedule, 6);
    let before = schedule.world.now().0;
    schedule.world.steady_load("web", 10);
    reaches(&mut schedule, 1);
    let after = schedule.world.now().0.since(before);
    assert!(after >= Duration::from_secs(5), "it shrank after {after:?}");
    // Each change says what was measured.
    let changes = changes(&schedule);
    assert!(
        changes.iter().all(|(_, why)| why.contains("requests")),
        "{changes:?}"
    );
    assert!(changes.len() <= 6, "{changes:?}");
}

#[test]
fn processor_time_is_a_target_too() {
    let contents = {
        let mut contents = with(1, |scale| {
            (scale.requests, scale.cpu) = (None, Some(Share(5000)));
        });
        let web = contents
            .platform
            .services
            .get_mut(&web())
            .expect("it is there");
        web.size.cpu = Some(Range::exactly(Millicores(1000)));
        contents
    };
    // A request costs ten milliseconds: 140 a second keep 1.4 cores busy, half a core each.
    let mut schedule = started(2, contents, 140);
    reaches(&mut schedule, 3);
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let looked = view(engine, world.now().1)
        .looked
        .expect("it was looked at");
    assert!(looked.why.starts_with("cpu "), "{looked:?}");
}

#[test]
fn fifty_releases_at_constant_load_change_no_count() {
    for seed in 0..5 {
        let mut schedule = started(seed, version(1), 60);
        reaches(&mut schedule, 3);
        passes(&mut schedule, 10_000);
        let before = changes(&schedule);
        for number in 2..12 {
            assert!(schedule.ship(version(number)));
            assert!(schedule.settle(LONG), "v{number} serves");
            passes(&mut schedule, 3_000);
        }
        assert_eq!(changes(&schedule), before);
    }
}

#[test]
fn a_control_plane_that_begins_knows_the_count_and_shrinks_only_after_its_window() {
    let mut schedule = started(3, version(1), 60);
    reaches(&mut schedule, 3);
    let processes = schedule.world.alive();
    schedule.world.steady_load("web", 0);
    schedule.world.killed = true;
    let before = schedule.world.now().0;
    assert!(schedule.settle(LONG));
    assert_eq!(count(&mut schedule), 3);
    assert_eq!(schedule.world.alive(), processes);
    reaches(&mut schedule, 1);
    let after = schedule.world.now().0.since(before);
    assert!(after >= Duration::from_secs(5), "it shrank after {after:?}");
}

#[test]
fn a_control_plane_killed_again_and_again_never_shrinks_early() {
    let mut schedule = started(4, version(1), 60);
    reaches(&mut schedule, 3);
    schedule.world.steady_load("web", 0);
    for _ in 0..20 {
        passes(&mut schedule, 3_000);
        schedule.world.killed = true;
    }
    assert_eq!(count(&mut schedule), 3, "no window was ever full");
    reaches(&mut schedule, 1);
}

#[test]
fn without_figures_it_neither_grows_nor_shrinks() {
    let mut schedule = started(5, version(1), 60);
    reaches(&mut schedule, 3);
    schedule.world.steady_load("web", 0);
    schedule.world.gateway_away(60_000);
    passes(&mut schedule, 50_000);
    assert_eq!(count(&mut schedule), 3);
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let looked = view(engine, world.now().1)
        .looked
        .expect("it was looked at");
    assert!(
        looked.why.contains("the gateway does not answer"),
        "{looked:?}"
    );
    reaches(&mut schedule, 1);
}

#[test]
fn what_a_person_sets_outranks_the_load_until_its_time() {
    let mut schedule = started(6, version(1), 60);
    reaches(&mut schedule, 3);
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let hour = Duration::from_secs(3600);
    let refused = engine.set_scale(&web(), (7, hour), &by(), world);
    assert!(refused.is_err(), "the most is six");
    let wish = (2, Duration::from_secs(60));
    engine
        .set_scale(&web(), wish, &by(), world)
        .expect("it is set");
    // It holds at once, and through the end of the control plane.
    assert_eq!(count(&mut schedule), 2);
    schedule.world.killed = true;
    passes(&mut schedule, 40_000);
    assert_eq!(count(&mut schedule), 2);
    reaches(&mut schedule, 3);
    let (engine, world) = schedule.engine().expect("the disk is not full");
    assert_eq!(view(engine, world.now().1).hand, None);
    assert!(
        engine.free_scale(&web(), &by(), world).is_err(),
        "it is over"
    );
}

#[test]
fn a_plan_under_way_does_not_hold_up_growth() {
    let mut schedule = started(7, version(1), 60);
    reaches(&mut schedule, 3);
    schedule.world.steady_load("web", 0);
    let leaves = schedule.until(LONG, |engine, _| {
        engine.under_way().is_some_and(|(plan, _)| {
            plan.steps
                .iter()
                .any(|step| matches!(step, mainstay_plan::Step::Stop { .. }))
        })
    });
    assert!(leaves, "it shrinks");
    schedule.world.steady_load("web", 120);
    reaches(&mut schedule, 6);
}

#[test]
fn a_release_of_another_service_that_hangs_does_not_hold_up_growth() {
    let both = |number: u32| {
        let mut services = version(1);
        let mut api = service(1, &[]);
        api.env.insert("NUMBER".into(), number.to_string());
        let name = ServiceName::new("api").expect("a valid name");
        let artifact = services.artifacts[&web()];
        services.artifacts.insert(name.clone(), artifact);
        services.platform.services.insert(name, api);
        services
    };
    let mut schedule = started(11, both(1), 20);
    passes(&mut schedule, 10_000);
    assert_eq!(count(&mut schedule), 1);
    let name = ServiceName::new("api").expect("a valid name");
    schedule.world.bad.extend(both(2).digest_of(&name));
    assert!(schedule.ship(both(2)));
    passes(&mut schedule, 2_000);
    schedule.world.steady_load("web", 60);
    let grown = schedule.until(LONG, |engine, world| {
        assert!(engine.history().moving.is_some(), "the release still hangs");
        let mut alive = world.alive().into_keys().map(|(id, _)| id);
        alive.by_ref().filter(|id| id.service == web()).count() >= 3
    });
    assert!(grown, "three run");
    kept(&schedule);
}

#[test]
fn a_minimum_by_the_calendar_holds_without_load() {
    let always = mainstay_atoms::Schedule::new("* * * * *", "UTC").expect("a schedule");
    let contents = with(1, |scale| {
        scale.at.push(mainstay_spec::Floor {
            begins: always.clone(),
            lasts: Duration::from_secs(120),
            min: 3,
        });
    });
    let mut schedule = started(12, contents, 0);
    reaches(&mut schedule, 3);
    passes(&mut schedule, 20_000);
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let view = view(engine, world.now().1);
    assert_eq!((view.count, view.min, view.scheduled), (3, 3, true));
    let why = view.looked.expect("it was looked at").why;
    assert!(why.starts_with("scheduled minimum"), "{why}");
}

#[test]
fn an_hour_of_use_says_what_size_fits() {
    let mut fixed = contents(vec![("web", service(1, &[]))], 1);
    let web_service = fixed
        .platform
        .services
        .get_mut(&web())
        .expect("it is there");
    web_service.size.cpu = Some(Range::exactly(Millicores(2000)));
    // Twenty requests a second, ten milliseconds each: a fifth of a core.
    let mut schedule = started(13, fixed, 20);
    let advice = |schedule: &mut Schedule| {
        let (engine, _) = schedule.engine().expect("the disk is not full");
        engine.size_advice(&web())
    };
    assert_eq!(advice(&mut schedule), [], "nothing is known yet");
    for _ in 0..65 * 60 {
        schedule.tick();
        schedule.world.pass(1_000);
    }
    let found = advice(&mut schedule);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].part, "cpu");
    let ask = found[0].ask.clone().expect("two cores are too many");
    let ask: Millicores = ask.parse().expect("cores");
    assert!((200..300).contains(&ask.0), "{found:?}");
}

#[test]
fn bounds_come_and_go_with_their_release() {
    let mut schedule = started(8, version(1), 60);
    reaches(&mut schedule, 3);
    assert!(schedule.ship(with(2, |scale| scale.max = 2)));
    reaches(&mut schedule, 2);
    let (engine, world) = schedule.engine().expect("the disk is not full");
    engine
        .roll_back(None, &by(), world)
        .expect("there is an earlier one");
    reaches(&mut schedule, 3);
    let (engine, world) = schedule.engine().expect("the disk is not full");
    assert_eq!(view(engine, world.now().1).max, 6);
}

#[test]
fn a_fixed_count_is_where_scaling_begins() {
    let fixed = contents(vec![("web", service(4, &[]))], 1);
    let mut schedule = started(9, fixed.clone(), 70);
    let all = schedule.world.alive();
    assert_eq!(all.len(), 4);
    let mut scaled = fixed.clone();
    let web_service = scaled
        .platform
        .services
        .get_mut(&web())
        .expect("it is there");
    by_load(web_service, (1, 6));
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let plan = engine.preview(scaled.clone(), &by(), world);
    let starts = |step: &mainstay_plan::Step| matches!(step, mainstay_plan::Step::Start { .. });
    assert!(!plan.steps.iter().any(starts), "{:?}", plan.steps);
    // A kept plan is made for the same count.
    engine
        .apply_plan(plan, scaled, &by(), world)
        .expect("nothing has moved");
    assert!(schedule.settle(LONG));
    assert_eq!(schedule.world.alive(), all, "nobody is replaced");
    assert_eq!(count(&mut schedule), 4);
    assert!(schedule.ship(fixed));
    assert!(schedule.settle(LONG));
    assert_eq!(schedule.world.alive(), all);
}

#[test]
fn a_release_on_trial_is_none_of_the_count() {
    let mut schedule = started(10, tried(1, 3), 60);
    reaches(&mut schedule, 3);
    let before = changes(&schedule);
    assert!(schedule.ship(tried(2, 3)));
    let shared = schedule.until(LONG, |_, world| {
        let pools = world
            .table()
            .into_iter()
            .flat_map(|table| table.services.values());
        pools.into_iter().any(|pool| pool.split.is_some())
    });
    assert!(shared, "it is on trial");
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let stands = view(engine, world.now().1).stands;
    assert!(stands.is_some_and(|why| why.starts_with("v2 is")));
    assert!(schedule.settle(LONG), "it serves");
    assert_eq!(changes(&schedule), before);
    kept(&schedule);
}

/// `web` with one to so many instances, whose releases pass two steps.
fn tried(number: u32, max: u32) -> Contents {
    let mut contents = with(number, |scale| scale.max = max);
    let service = contents.platform.services.get_mut(&web());
    service.expect("it is there").canary = Some(canary());
    contents
}

#[test]
fn what_serves_grows_beside_a_canary_and_shrinks_after_it() {
    let mut schedule = started(14, tried(1, 6), 55);
    reaches(&mut schedule, 3);
    // A hundred requests a second come while it is on trial, of which 90 and then 50 go to what serves.
    assert!(schedule.ship(tried(2, 6)));
    let grown = schedule.until(LONG, |engine, world| {
        let moving = engine.history().moving.is_some();
        moving && view(engine, world.now().1).count == 5
    });
    assert!(grown, "it grows while it is on trial");
    let most = schedule.until(LONG, |engine, world| {
        let alive = world.alive().into_keys().map(|(id, _)| id);
        let old = alive.filter(|id| id.release.0 == 1).count();
        assert!(
            view(engine, world.now().1).count >= 5,
            "it shrinks on trial"
        );
        old == 5
    });
    assert!(most, "five of what serves run");
    assert!(schedule.settle(LONG), "it serves");
    let (engine, _) = schedule.engine().expect("the disk is not full");
    assert_eq!(engine.history().serving.map(|release| release.0), Some(2));
    assert!(schedule.in_place());
    schedule.world.steady_load("web", 55);
    reaches(&mut schedule, 3);
}

#[test]
fn a_canary_that_begins_sets_nobody_aside_of_those_that_serve() {
    let warm = |number| {
        let mut contents = tried(number, 6);
        let service = contents.platform.services.get_mut(&web());
        let scale = service.and_then(|one| one.scale.as_mut());
        scale.expect("it is scaled").warm_up = Duration::from_secs(30);
        contents
    };
    let mut schedule = started(15, warm(1), 10);
    passes(&mut schedule, 40_000);
    assert_eq!(count(&mut schedule), 1);
    // Its first instance has the place in its release that the only one of what serves has in its own.
    assert!(schedule.ship(warm(2)));
    let grown = schedule.until(LONG, |engine, world| {
        engine.history().moving.is_some() && view(engine, world.now().1).count > 1
    });
    assert!(grown, "it grows while it is on trial");
    kept(&schedule);
}

fn canary() -> mainstay_spec::Canary {
    let condition = "error_rate > 10%".to_owned();
    mainstay_spec::Canary {
        steps: mainstay_rollout::Stages::held([10, 50], Duration::from_secs(3))
            .expect("rising steps"),
        abort_if: vec![condition.try_into().expect("a condition")],
        baseline: mainstay_rollout::Baseline::Stable,
        every: Duration::from_secs(1),
        least: 20,
        patience: Duration::from_secs(20),
        bake: Duration::from_secs(2),
        sticky: false,
        chosen: vec![],
        mirror: Share::default(),
    }
}

/// `web` with one to six instances, of which each is to have twenty of what waits in `db`.
fn queued() -> Contents {
    let mut contents = with_stores(contents(vec![("web", service(1, &[]))], 1), 256);
    let services = &mut contents.platform.services;
    let web = services.get_mut(&web()).expect("it is there");
    let store = web.needs.first().cloned().expect("it needs a store");
    by_queue(web, &store, (1, 6));
    contents
}

#[test]
fn what_waits_makes_it_grow_and_nobody_shrinks_by_what_nobody_counted() {
    let mut schedule = Schedule::new(14);
    schedule.world.queue("web", Some(50));
    assert!(schedule.ship(queued()));
    assert!(schedule.settle(LONG), "the first release serves");
    reaches(&mut schedule, 3);
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let looked = view(engine, world.now().1).looked;
    let why = looked.expect("it was looked at").why;
    assert_eq!(why, "queue 50 of 20 each");

    schedule.world.queue("web", None);
    passes(&mut schedule, 30_000);
    assert_eq!(count(&mut schedule), 3);
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let looked = view(engine, world.now().1).looked;
    let why = looked.expect("it was looked at").why;
    assert!(why.contains("the store does not answer"), "{why}");

    schedule.world.queue("web", Some(0));
    reaches(&mut schedule, 1);
    schedule.world.queue("web", Some(1_000_000));
    reaches(&mut schedule, 6);
}
