//! What the language costs: CPU time of this thread, which a busy machine does not stretch.

use anyhow::{Context as _, Result, anyhow, ensure};
use mainstay_atoms::{Actor, Digest, Moment, ReleaseNumber, Wall};
use mainstay_plan::{
    Contents, Limits, Observed, Pace, Parent, Plan, Purpose, ReleaseRecord, Target, check, decide,
};
use mainstay_spec::Platform;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

#[path = "../../../core/spec/tests/large/mod.rs"]
mod large;

/// Best and median of the rounds, in milliseconds of CPU.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Cost {
    /// What it costs when nothing disturbs the caches.
    pub best_ms: f64,
    /// The figure.
    pub median_ms: f64,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Bytes of the file of 1,000 services.
    pub thousand_bytes: usize,
    /// That file, parsed and checked.
    pub thousand: Cost,
    /// A file of 200 services, parsed and checked.
    pub two_hundred: Cost,
    /// A first release of 200 services, decided and looked at by the second mind.
    pub plan_two_hundred: Cost,
    /// `/proc/loadavg` before and after.
    pub load: [String; 2],
}

/// Measures, so many rounds of each.
pub fn measure(rounds: usize) -> Result<Report> {
    let before = crate::platform::load()?;
    let (thousand, two_hundred) = (large::many_services(1000), large::many_services(200));
    let record = record(understood(&two_hundred)?);
    Ok(Report {
        thousand_bytes: thousand.len(),
        thousand: cost(rounds, || understood(&thousand).map(drop))?,
        two_hundred: cost(rounds, || understood(&two_hundred).map(drop))?,
        plan_two_hundred: cost(rounds, || planned(&record))?,
        load: [before, crate::platform::load()?],
    })
}

fn understood(text: &str) -> Result<Platform> {
    let wrong = |faults| anyhow!("the file has mistakes: {faults:?}");
    let tree = mainstay_spec::parse_file("mainstay.yaml", text.as_bytes()).map_err(wrong)?;
    let resolved = mainstay_spec::resolve(&tree, None, &[]).map_err(wrong)?;
    Ok(resolved.platform)
}

fn record(platform: Platform) -> ReleaseRecord {
    let names = platform.services.keys().cloned();
    let artifacts = names.map(|name| (name, Digest::of(b"artifact"))).collect();
    let contents = Contents {
        platform,
        artifacts,
    };
    ReleaseRecord::over(None, ReleaseNumber(1), contents)
}

fn planned(record: &ReleaseRecord) -> Result<()> {
    let observed = Observed::nothing();
    let target = Target {
        release: ReleaseNumber(1),
        record,
        pace: Pace::Rolling,
        serves: false,
        trial: None,
    };
    let decision = decide(Some(target), &observed, &Limits::default(), Moment(0));
    let plan = Plan {
        parent: Parent {
            release: None,
            generation: observed.generation,
            plan: None,
        },
        release: Some(ReleaseNumber(1)),
        contents: Some(record.contents.digest()),
        purpose: Purpose::Deploy,
        by: Actor::itself(),
        made_at: Wall(0),
        steps: decision.steps,
        report: decision.report,
    };
    let notes = check(&plan, Some(record), None, &observed);
    ensure!(notes.is_empty(), "the second mind objects: {notes:?}");
    Ok(())
}

fn cost(rounds: usize, mut work: impl FnMut() -> Result<()>) -> Result<Cost> {
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let began = cpu_ms();
        work()?;
        times.push(cpu_ms() - began);
    }
    times.sort_by(f64::total_cmp);
    let best_ms = *times.first().context("at least one round")?;
    let median_ms = times[times.len() / 2];
    Ok(Cost { best_ms, median_ms })
}

/// CPU time of this thread so far.
#[expect(clippy::cast_precision_loss, reason = "a time in a report")]
fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}
