//! The comparison on simulated services: how often it is wrong, and whether it keeps the time it states.
//!
//! The ordinary run is small and deterministic; `MAINSTAY_TRIALS=10000 cargo test -p mainstay-rollout
//! --release --test simulation -- --nocapture` prints the figures of `docs/verdicts.md`.

#![expect(clippy::print_stdout, reason = "the figures are what a reader wants")]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts of a simulation stay small"
)]

use mainstay_atoms::Share;
use mainstay_rollout::{Arm, Baseline, Compared, Need, Standing, Traffic, Weights, Zone, need};

/// Seconds between looks.
const LOOK: u64 = 5;

/// A service, and how its canary does.
#[derive(Clone, Copy)]
struct Service {
    per_second: f64,
    error_rate: f64,
    canary: u64,
    baseline: Baseline,
}

/// How a canary of a service ended within the stated time.
#[derive(Default, Clone, Copy)]
struct Ends {
    aborted: u32,
    passed: u32,
    open: u32,
    /// Sum of the seconds to the first verdict.
    seconds: u64,
}

/// Lives one rollout: looks every five seconds until `until`. A good canary is watched to the end even
/// after it passed, so that every chance of a false abort is counted; a bad one that passed first is lost.
fn live(service: Service, ratio: f64, until: u64, random: &mut fastrand::Rng, ends: &mut Ends) {
    let weights = Weights::of(Share(service.canary), service.baseline);
    let compared = weights.compared(service.baseline);
    let mut evidence = Compared::new(Zone::default(), Arm::default(), Arm::default());
    let (mut own, mut other) = (Arm::default(), Arm::default());
    let mut first = None;
    let per_look = service.per_second * LOOK as f64;
    for look in 1..=until / LOOK {
        // The rate moves by ±30 % over the rollout: what both arms share must not matter.
        let drift = 1.0 + 0.3 * (look as f64 / 40.0).sin();
        let rate = (service.error_rate * drift).min(1.0);
        arrive(
            &mut own,
            per_look * share(weights.canary),
            rate * ratio,
            random,
        );
        arrive(&mut other, per_look * share(compared), rate, random);
        evidence.look(own, other);
        let standing = evidence.standing();
        match standing {
            Standing::Worse => {
                if first != Some(Standing::NoWorse) || ratio <= 1.0 {
                    ends.aborted += 1;
                    ends.seconds += look * LOOK;
                } else {
                    ends.passed += 1;
                }
                return;
            }
            Standing::NoWorse if first.is_none() => {
                first = Some(standing);
                if ratio <= 1.0 {
                    ends.seconds += look * LOOK;
                }
            }
            _ => {}
        }
    }
    match first {
        Some(_) => ends.passed += 1,
        None => ends.open += 1,
    }
}

fn share(share: Share) -> f64 {
    share.0 as f64 / 1e4
}

/// Requests of one look, by Poisson, each failing with the rate.
fn arrive(arm: &mut Arm, mean: f64, rate: f64, random: &mut fastrand::Rng) {
    let requests = poisson(mean, random);
    arm.requests += requests;
    arm.errors += (0..requests).filter(|_| random.f64() < rate).count() as u64;
}

/// Knuth's method in pieces, so that the exponential does not underflow.
fn poisson(mean: f64, random: &mut fastrand::Rng) -> u64 {
    let (mut left, mut count) = (mean, 0);
    while left > 0.0 {
        let piece = left.min(50.0);
        left -= piece;
        let (limit, mut product) = ((-piece).exp(), random.f64());
        while product > limit {
            count += 1;
            product *= random.f64();
        }
    }
    count
}

fn services() -> Vec<Service> {
    let mut services = Vec::new();
    for per_second in [1.0, 3.0, 10.0, 30.0, 100.0] {
        for error_rate in [0.002, 0.01, 0.05] {
            for (canary, baseline) in [
                (500, Baseline::SameAge),
                (500, Baseline::Stable),
                (5000, Baseline::SameAge),
                (5000, Baseline::Stable),
            ] {
                services.push(Service {
                    per_second,
                    error_rate,
                    canary,
                    baseline,
                });
            }
        }
    }
    services
}

fn stated(service: Service) -> Option<u64> {
    let weights = Weights::of(Share(service.canary), service.baseline);
    let traffic = Traffic {
        per_second: service.per_second,
        error_rate: service.error_rate,
    };
    let compared = weights.compared(service.baseline);
    match need(Zone::default(), traffic, weights.canary, compared) {
        Need::Within(time) => Some(time.as_secs()),
        Need::Unreachable => None,
    }
}

#[test]
fn false_aborts_and_missed_regressions_stay_below_one_in_a_hundred() {
    let trials = std::env::var_os("MAINSTAY_TRIALS")
        .map_or(12, |text| text.to_string_lossy().parse().expect("a number"));
    let mut random = fastrand::Rng::with_seed(20_261_126);
    let (mut false_aborts, mut missed, mut late, mut all) = (0, 0, 0, 0);
    println!(
        " req/s  errors canary  against    stated   first verdict (good, bad)  false  missed  no verdict"
    );
    for service in services() {
        let Some(until) = stated(service) else {
            println!(
                "{:>6} {:>6}% {:>5}%  unreachable",
                service.per_second,
                service.error_rate * 100.0,
                service.canary / 100
            );
            continue;
        };
        let (mut good, mut bad) = (Ends::default(), Ends::default());
        for _ in 0..trials {
            live(service, 1.0, until, &mut random, &mut good);
            live(service, 3.0, until, &mut random, &mut bad);
        }
        let miss = bad.passed + bad.open;
        println!(
            "{:>6} {:>6}% {:>5}%  {:<8} {:>7}s {:>10}s {:>10}s {:>11} {:>7} {:>7}",
            service.per_second,
            service.error_rate * 100.0,
            service.canary / 100,
            format!("{:?}", service.baseline),
            until,
            good.seconds / u64::from(trials),
            bad.seconds / u64::from(trials),
            good.aborted,
            miss,
            good.open,
        );
        if trials >= 500 {
            // Each service by itself, three standard deviations of the count beyond 1 %.
            let most = f64::from(trials) * 0.01 + 3.0 * (f64::from(trials) * 0.01).sqrt();
            assert!(f64::from(good.aborted) <= most && f64::from(miss) <= most);
        }
        false_aborts += good.aborted;
        missed += miss;
        late += good.open;
        all += trials;
    }
    println!(
        "of {all} each: {false_aborts} false aborts, {missed} missed, {late} good ones without a verdict"
    );
    assert!(all > 0);
    for wrong in [false_aborts, missed, late] {
        assert!(wrong * 100 <= all, "{wrong} of {all}");
    }
}

#[test]
fn a_release_that_is_broken_is_seen_after_a_few_requests() {
    let mut random = fastrand::Rng::with_seed(3);
    for (canary, baseline) in [(500, Baseline::Stable), (500, Baseline::SameAge)] {
        let service = Service {
            per_second: 100.0,
            error_rate: 0.01,
            canary,
            baseline,
        };
        let mut ends = Ends::default();
        for _ in 0..50 {
            live(service, 80.0, 60, &mut random, &mut ends);
        }
        assert_eq!(ends.aborted, 50);
        assert!(ends.seconds / 50 <= 10, "{} s", ends.seconds / 50);
    }
}
