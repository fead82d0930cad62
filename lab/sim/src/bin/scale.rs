//! `scale [SERVICES [REPLICAS]]`: what one control plane costs in a world of many services: an idle
//! tick, and one change from its request to its recorded plan. CPU time, because machines are shared.
#![expect(clippy::print_stdout, reason = "a benchmark prints its report")]

use mainstay_execute::Phase;
use mainstay_plan::{Contents, Event};
use mainstay_sim::{Schedule, contents, service};
use std::fs;

/// Ticks of a world in which nothing happens.
const IDLE: u32 = 50;

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|text| text.parse::<u32>().ok());
    let services = numbers.next().flatten().unwrap_or(1_000);
    let replicas = numbers.next().flatten().unwrap_or(3);
    let mut schedule = Schedule::new(1);
    schedule.world.quiet = true;
    assert!(schedule.ship(version(services, replicas, 0)), "it is taken");
    let before = cpu_ms();
    let serves = schedule.until(100_000_000, |engine, _| {
        engine.phase() == Phase::Steady && engine.under_way().is_none()
    });
    assert!(serves, "the first release serves");
    println!(
        "first release of {services} services, {replicas} instances each: {:.0} ms CPU",
        cpu_ms() - before
    );
    let before = cpu_ms();
    for _ in 0..IDLE {
        schedule.tick();
        schedule.world.pass(200);
    }
    let world = {
        let before = cpu_ms();
        for _ in 0..IDLE {
            schedule.world.pass(200);
        }
        cpu_ms() - before
    };
    let idle = (cpu_ms() - before - 2.0 * world) / f64::from(IDLE);
    println!(
        "idle tick: {idle:.2} ms CPU; five of them a second: {:.2} % of a core",
        idle / 2.0
    );
    let before = cpu_ms();
    assert!(schedule.ship(version(services, replicas, 1)), "it is taken");
    let planned = schedule.world.entries().len();
    schedule.tick();
    let entries = &schedule.world.entries()[planned..];
    let plans = entries
        .iter()
        .filter(|entry| matches!(entry.event, Event::PlanRecorded { .. }));
    assert_eq!(plans.count(), 1, "the change is planned at once");
    println!(
        "one change, from its request to its first step: {:.0} ms CPU",
        cpu_ms() - before
    );
    println!(
        "resident: {} MiB, the simulated world with it",
        resident_kib() / 1024
    );
}

/// Contents in which one service of many changes with the version.
fn version(services: u32, replicas: u32, number: u32) -> Contents {
    let names: Vec<String> = (0..services).map(|number| format!("s{number}")).collect();
    let all = names
        .iter()
        .map(|name| (name.as_str(), service(replicas, &[])));
    let mut contents = contents(all.collect(), 1);
    if let Some(first) = contents.platform.services.values_mut().next() {
        first.env.insert("VERSION".into(), number.to_string());
    }
    contents
}

/// CPU time of this process so far, in milliseconds (`/proc/self/schedstat` counts nanoseconds).
fn cpu_ms() -> f64 {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let spent: Option<f64> = text
        .split_whitespace()
        .next()
        .and_then(|text| text.parse().ok());
    spent.unwrap_or_default() / 1e6
}

fn resident_kib() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}
