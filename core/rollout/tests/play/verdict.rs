//! One row: rules, then readings an interval apart, then what the run says.
//!
//! Readings: `3/400` errors of requests, `3/400~1/400` with the baseline's, `0.3@200` a value of 200
//! requests, `0.3` a value, `NaN`, `-` nothing, `!` trouble, `stop`.

use mainstay_atoms::Moment;
use mainstay_rollout::{
    Condition, Judged, MetricRules, Most, Reading, Run, RunRules, Sight, Trouble,
};

pub(crate) fn row(row: &str) -> String {
    let (rules, readings) = row.split_once(" : ").expect("rules : readings");
    let (rules, interval) = read_rules(rules);
    let rules = RunRules::from([("m".to_owned(), rules)]);
    let mut run = Run::new(&rules, Moment(0));
    let mut now = 0;
    for reading in readings.split_whitespace() {
        match reading {
            "stop" => run.stop(),
            _ => run.take(&rules, "m", &sight(reading), Moment(now)),
        }
        now += interval;
    }
    run.verdict(&rules).to_string().replace(": m: ", ": ")
}

/// `abort CONDITION, pass CONDITION, every 10s, count 3, failures 1, doubts 0, errors 4, least 100`.
fn read_rules(text: &str) -> (MetricRules, u64) {
    let mut judged = Judged {
        abort_if: None,
        pass_if: None,
    };
    let mut others = Vec::new();
    for part in text.split(", ") {
        let (key, value) = part.trim().split_once(' ').unwrap_or((part.trim(), ""));
        let condition = || Some(Condition::try_from(value.to_owned()).expect("a condition"));
        match key {
            "abort" => judged.abort_if = condition(),
            "pass" => judged.pass_if = condition(),
            _ => others.push((key, value)),
        }
    }
    let mut rules = MetricRules::new(judged);
    for (key, value) in others {
        let number = || value.parse::<u32>().expect("a number");
        match key {
            "every" => rules.interval = Some(super::seconds(value)),
            "once" => rules.interval = None,
            "count" => rules.count = Some(number()),
            "delay" => rules.initial_delay = super::seconds(value),
            "failures" => rules.failure_limit = Most::Of(number()),
            "doubts" => rules.inconclusive_limit = Most::Of(number()),
            "errors" => rules.consecutive_error_limit = Most::Of(number()),
            "least" => rules.min_samples = number().into(),
            "dry" => rules.dry_run = true,
            "" => {}
            other => panic!("`{other}`"),
        }
    }
    let every = rules
        .interval
        .map_or(10_000, |every| every.as_secs() * 1000);
    (rules, every)
}

fn sight(text: &str) -> Sight {
    match text.split_once('~') {
        Some((own, baseline)) => Sight {
            own: reading(own),
            baseline: Some(reading(baseline)),
        },
        None => Sight::own(reading(text)),
    }
}

fn reading(text: &str) -> Reading {
    let number = |text: &str| text.parse::<f64>().expect("a number");
    if let Some((hits, of)) = text.split_once('/') {
        return Reading::Counts {
            hits: hits.parse().expect("a count"),
            of: of.parse().expect("a count"),
        };
    }
    if let Some((value, samples)) = text.split_once('@') {
        return Reading::Sampled {
            value: number(value),
            samples: samples.parse().expect("a count"),
        };
    }
    match text {
        "-" => Reading::Nothing,
        "!" => Reading::Trouble(Trouble::Away {
            why: "connection refused".into(),
        }),
        "slow" => Reading::Trouble(Trouble::Slow { limit_ms: 5000 }),
        _ => Reading::Number(number(text)),
    }
}
