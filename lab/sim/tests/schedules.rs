//! Ten thousand lives, each under its own seed.
#![expect(clippy::print_stdout, reason = "the seeds are printed")]

use mainstay_sim::Schedule;

#[test]
fn every_life_keeps_the_promises_and_converges() {
    let first: u64 = std::env::var("MAINSTAY_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let count: u64 = std::env::var("MAINSTAY_SCHEDULES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(10_000);
    println!("seeds {first}..{}", first + count);
    let (mut lives, mut plans) = (0, 0);
    for seed in first..first + count {
        let story = Schedule::new(seed).live(seed);
        if !story.broken.is_empty() && count == 1 {
            println!("{}", story.trace.join("\n"));
        }
        assert!(
            story.broken.is_empty(),
            "seed {seed}: {}\nreplay it: MAINSTAY_SEED={seed} MAINSTAY_SCHEDULES=1 cargo test -p mainstay-sim",
            story.broken.join("\n")
        );
        lives += story.lives;
        plans += story.plans;
    }
    println!("{count} schedules, {lives} control planes, {plans} plans, no promise broken");
}
