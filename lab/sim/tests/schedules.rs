//! Twenty thousand lives, each under its own seed.
#![expect(clippy::print_stdout, reason = "the seeds are printed")]

use mainstay_sim::live_all;

fn number(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

/// Seeds of longer searches that found a mistake.
const FOUND: [u64; 7] = [
    // A release needed a store that the plan before it had asked to stop.
    39_792,
    // The clock was ahead while a job ran, and what came due after it was set back never ran.
    520_874,
    // A release on trial took over from one that had replaced what served, and nobody was left to serve.
    51_819, // The same, from one that was larger than what served.
    2_304,
    // A release that was judged bad while it had no traffic at all stood still for ever.
    566_270,
    // What cannot overlap was started beside another release of itself while the gateway was away.
    12_799,
    // A count grew while the plan that was made before it still shrank the service.
    57_640,
];

#[test]
fn what_was_found_once_stays_mended() {
    for seed in FOUND {
        let tally = live_all(seed, 1, |_| {});
        let broken = tally.broken.map(|story| story.broken.join("\n"));
        assert_eq!(broken, None, "seed {seed}");
    }
}

#[test]
fn every_life_keeps_the_promises_and_converges() {
    let first = number("MAINSTAY_SEED", 1);
    let count = number("MAINSTAY_SCHEDULES", 20_000);
    println!("seeds {first}..{}", first + count);
    let tally = live_all(first, count, |_| {});
    if let Some(story) = tally.broken {
        panic!(
            "seed {}: {}\nreplay it: cargo xtask sim --schedules 1 --seed {}",
            story.seed,
            story.broken.join("\n"),
            story.seed
        );
    }
    let (lives, plans) = (tally.lives, tally.plans);
    println!("{count} schedules, {lives} control planes, {plans} plans, no promise broken");
}
