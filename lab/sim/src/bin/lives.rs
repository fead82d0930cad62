//! `lives COUNT SEED`: so many lives from that seed on; the first that breaks a promise is shown.
#![expect(clippy::print_stdout, reason = "the run says what it came to")]

use mainstay_sim::live_all;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|text| text.parse::<u64>().ok());
    let (count, seed) = (numbers.next().flatten(), numbers.next().flatten());
    let (count, seed) = (count.unwrap_or(20_000), seed.unwrap_or(1));
    let began = Instant::now();
    println!("seeds {seed}..{}", seed + count);
    let tally = live_all(seed, count, |lived| {
        println!("{lived} lives after {:.0} s", began.elapsed().as_secs_f64());
    });
    if let Some(story) = tally.broken {
        for line in &story.trace {
            println!("{line}");
        }
        println!("seed {}:\n  {}", story.seed, story.broken.join("\n  "));
        println!(
            "replay it: cargo xtask sim --schedules 1 --seed {}",
            story.seed
        );
        return ExitCode::FAILURE;
    }
    println!(
        "{} schedules, {} control planes, {} plans, {} entries, no promise broken, {:.0} s",
        tally.schedules,
        tally.lives,
        tally.plans,
        tally.entries,
        began.elapsed().as_secs_f64()
    );
    ExitCode::SUCCESS
}
