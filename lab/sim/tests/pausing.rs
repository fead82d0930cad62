//! Routes that are paused, in the simulated world: whole stories, each a promise of its own.

use mainstay_atoms::{Actor, RouteName, Share, Wall};
use mainstay_execute::{Engine, Refusal, RouteRefusal, Stand, World as _};
use mainstay_plan::{Contents, Event};
use mainstay_rollout::{Baseline, Condition, Stages};
use mainstay_sim::{Kill, KillPoint, Schedule, contents, service};
use serde_json::json;
use std::time::Duration;

const LONG: u64 = 600_000;
const MINUTE: Duration = Duration::from_secs(60);

fn route() -> RouteName {
    RouteName::new("localhost/").expect("a valid name")
}

fn ann() -> Actor {
    Actor("ann".into())
}

/// `web`, whose route `HomeFails` pauses for a minute, and again after two.
fn version(number: u32) -> Contents {
    let mut contents = contents(vec![("web", service(2, &[]))], number);
    let then = json!({ "pause": "localhost/", "for": "1m", "cool_down": "2m" });
    contents.platform.signals.alerts = Some(json!({ "then": { "HomeFails": then } }));
    contents
}

fn started(seed: u64) -> Schedule {
    let mut schedule = Schedule::new(seed);
    assert!(schedule.ship(version(1)));
    assert!(schedule.settle(LONG), "the first release serves");
    schedule
}

fn passes(schedule: &mut Schedule, milliseconds: u64) {
    schedule.until(milliseconds, |_, _| false);
    let broken = &schedule.world.broken;
    assert!(broken.is_empty(), "{broken:?}");
}

fn fires(schedule: &mut Schedule) {
    let cool_down = Duration::from_secs(120);
    schedule.world.fires(Some(&["HomeFails"]), cool_down);
}

fn by_hand(schedule: &mut Schedule, lasts: Duration) -> Result<Wall, Refusal> {
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let wish = (lasts, "it fails".to_owned());
    engine.pause_route(&route(), wish, &ann(), world)
}

fn resume(schedule: &mut Schedule) -> Result<(), Refusal> {
    let (engine, world) = schedule.engine().expect("the disk is not full");
    engine.resume_route(&route(), &ann(), world)
}

/// Whether the gateway answers the route itself, and how often an alert paused it.
fn stands(schedule: &Schedule) -> (bool, usize) {
    let now = schedule.world.now().1;
    let table = schedule.world.table();
    let itself = table.is_some_and(|table| table.pauses.left("localhost/", now).is_some());
    let acted = |event: &Event| matches!(event, Event::AlertActed { .. });
    let entries = schedule.world.entries().iter();
    (itself, entries.filter(|one| acted(&one.event)).count())
}

fn stand(schedule: &mut Schedule) -> Stand {
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let (now, _) = world.now();
    engine.actions(now).remove(0).stand
}

#[test]
fn an_alert_pauses_a_route_once_a_cool_down_whoever_is_killed() {
    let mut schedule = started(1);
    fires(&mut schedule);
    for _ in 0..5 {
        passes(&mut schedule, 9_000);
        assert_eq!(stands(&schedule), (true, 1));
        schedule.world.killed = true;
        schedule.world.kill_gateway();
    }
    passes(&mut schedule, 30_000);
    assert_eq!(
        stands(&schedule),
        (false, 1),
        "it ends by itself, and cools down"
    );
    passes(&mut schedule, 60_000);
    assert_eq!(stands(&schedule), (true, 2));
    schedule.world.fires(Some(&[]), Duration::ZERO);
    passes(&mut schedule, 90_000);
    assert_eq!(stands(&schedule), (false, 2));
}

#[test]
fn what_a_person_said_stands() {
    let mut schedule = started(2);
    by_hand(&mut schedule, MINUTE / 2).expect("it is a route");
    fires(&mut schedule);
    passes(&mut schedule, 20_000);
    assert_eq!(stands(&schedule), (true, 0));
    assert_eq!(stand(&mut schedule), Stand::Held("ann paused it".into()));
    passes(&mut schedule, 15_000);
    assert_eq!(stands(&schedule), (true, 1), "hers is over");
    resume(&mut schedule).expect("it is paused");
    for _ in 0..11 {
        schedule.world.killed = true;
        passes(&mut schedule, 10_000);
        assert_eq!(stands(&schedule), (false, 1), "she resumed it");
    }
    let Stand::Held(why) = stand(&mut schedule) else {
        panic!("it is held: {:?}", stand(&mut schedule));
    };
    assert!(why.starts_with("ann resumed it; again in "), "{why}");
    passes(&mut schedule, 15_000);
    assert_eq!(stands(&schedule), (true, 2), "a cool-down later");
    // A second time by hand is the last word, shorter or longer.
    let until = by_hand(&mut schedule, 10 * MINUTE).expect("it is a route");
    let shorter = by_hand(&mut schedule, MINUTE).expect("it is a route");
    assert!(shorter < until);
    schedule.world.fires(None, Duration::ZERO);
    passes(&mut schedule, 61_000);
    assert_eq!(stands(&schedule), (false, 2));
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let mut schedule = started(3);
    let open = Refusal::Route(RouteRefusal::Open { route: route() });
    assert_eq!(resume(&mut schedule), Err(open));
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let other = RouteName::new("localhost/shop").expect("a valid name");
    let wish = (MINUTE, String::new());
    let unknown = RouteRefusal::Unknown {
        route: other.clone(),
        known: vec!["localhost/".into()],
    };
    let refused = engine.pause_route(&other, wish, &ann(), world);
    assert_eq!(refused, Err(Refusal::Route(unknown)));
    schedule.world.disk_full = true;
    let refused = by_hand(&mut schedule, MINUTE);
    assert!(matches!(refused, Err(Refusal::Record(_))), "{refused:?}");
    schedule.world.disk_full = false;
    passes(&mut schedule, 10_000);
    assert_eq!(stands(&schedule), (false, 0));
    let (engine, world) = schedule.engine().expect("the disk is not full");
    engine.go_down(&ann(), world).expect("it runs");
    assert_eq!(by_hand(&mut schedule, MINUTE), Err(Refusal::GoingDown));
}

#[test]
fn killed_at_any_point_it_is_paused_and_resumed_all_the_same() {
    for kill in [Kill::BeforeEffect, Kill::BeforeOutcome] {
        let mut schedule = started(4);
        let at = KillPoint {
            step: "pause",
            kill,
        };
        schedule.world.kill_at = Some(at);
        by_hand(&mut schedule, MINUTE).expect("it is recorded");
        assert!(schedule.world.killed, "{kill:?} is passed");
        passes(&mut schedule, 2_000);
        assert!(stands(&schedule).0, "{kill:?}");
        schedule.world.kill_at = Some(at);
        resume(&mut schedule).expect("it is recorded");
        assert!(schedule.world.killed, "{kill:?} is passed");
        passes(&mut schedule, 2_000);
        assert!(!stands(&schedule).0, "{kill:?}");
    }
}

#[test]
fn a_gateway_that_is_away_is_told_when_it_is_back() {
    let mut schedule = started(5);
    schedule.world.gateway_away(5_000);
    by_hand(&mut schedule, MINUTE).expect("it is recorded");
    let told = |engine: &Engine| engine.routes(Wall(0))[0].told;
    let (engine, _) = schedule.engine().expect("the disk is not full");
    assert!(!told(engine));
    passes(&mut schedule, 10_000);
    assert!(stands(&schedule).0);
    let (engine, _) = schedule.engine().expect("the disk is not full");
    assert!(told(engine));
}

#[test]
fn releases_go_on_beside_a_pause_and_a_route_that_goes_drops_it() {
    let mut schedule = started(6);
    by_hand(&mut schedule, 10 * MINUTE).expect("it is a route");
    assert!(schedule.ship(version(2)));
    assert!(schedule.settle(60_000), "a rolling update");
    schedule.world.crash("web");
    assert!(schedule.settle(60_000), "healing");
    let (engine, world) = schedule.engine().expect("the disk is not full");
    engine.go_down(&ann(), world).expect("it runs");
    passes(&mut schedule, 20_000);
    let (engine, world) = schedule.engine().expect("the disk is not full");
    engine.come_up(&ann(), world).expect("it is down");
    assert!(schedule.settle(60_000), "everything runs again");
    assert!(stands(&schedule).0, "it is paused all the while");
    let mut moved = version(3);
    let domains = &mut moved.platform.domains;
    let (host, mut routes) = domains.pop_first().expect("a host");
    let web = routes.remove("/").expect("its route");
    routes.insert("/shop".into(), web);
    domains.insert(host, routes);
    assert!(schedule.ship(moved));
    assert!(schedule.settle(60_000));
    assert!(schedule.ship(version(4)));
    assert!(schedule.settle(60_000));
    passes(&mut schedule, 5_000);
    assert!(
        !stands(&schedule).0,
        "nobody paused the route that came back"
    );
}

#[test]
fn a_release_on_trial_is_not_judged_by_a_pause() {
    let tried = |number| {
        let mut contents = version(number);
        let name = mainstay_atoms::ServiceName::new("web").expect("a valid name");
        let web = contents
            .platform
            .services
            .get_mut(&name)
            .expect("it is there");
        web.canary = Some(mainstay_spec::Canary {
            steps: Stages::held([50], Duration::from_secs(3)).expect("rising steps"),
            abort_if: vec![Condition::try_from("error_rate > 10%".to_owned()).expect("one")],
            baseline: Baseline::Stable,
            every: Duration::from_secs(1),
            least: 20,
            patience: Duration::from_secs(120),
            bake: Duration::from_secs(1),
            sticky: false,
            chosen: vec![],
            mirror: Share::default(),
        });
        contents
    };
    let mut schedule = started(7);
    by_hand(&mut schedule, MINUTE).expect("it is a route");
    assert!(schedule.ship(tried(2)));
    passes(&mut schedule, 50_000);
    let moves = |schedule: &mut Schedule| {
        let (engine, _) = schedule.engine().expect("the disk is not full");
        engine.history().moving.is_some() && engine.failure().is_none()
    };
    assert!(moves(&mut schedule), "nobody judges it while nobody comes");
    assert!(schedule.settle(60_000), "then it is judged, and serves");
    let (engine, _) = schedule.engine().expect("the disk is not full");
    assert_eq!(engine.history().serving.map(|one| one.0), Some(2));
}
