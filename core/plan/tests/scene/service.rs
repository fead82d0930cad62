//! Services of a scene, and what is wanted of them on trial.

use mainstay_atoms::{Check, HostName, Probe, ServiceName, Share, Size, Smoke, Stop};
use mainstay_plan::Goal;
use mainstay_rollout::Weights;
use mainstay_spec::{Amount, BlueGreen, Rolling, Scale, Service};
use std::collections::BTreeMap;
use std::time::Duration;

/// `web x3 surge=1 unavailable=0 needs=api version=2 scale=1..6 quiet`.
pub(super) fn service(name: &str, words: &[&str]) -> (ServiceName, Service) {
    let name = ServiceName::new(name).expect("a valid name");
    let mut deploy = Rolling::default();
    let mut service = plain();
    for word in words {
        let count = |text: &str| Amount::Count(text.parse().expect("a count"));
        match word.split_once('=') {
            None if *word == "recreate" => service.recreate = true,
            None if *word == "smoke" => {
                let home = Smoke {
                    get: "/".into(),
                    expect: 200,
                    contains: None,
                    within: Duration::from_secs(10),
                };
                service.smoke.insert("home".into(), home);
            }
            None if *word == "quiet" => (service.port, service.ready) = (None, None),
            None => {
                let count = word.strip_prefix('x').and_then(|count| count.parse().ok());
                service.replicas = count.expect("replicas are like x3");
            }
            Some(("needs", needs)) => {
                let needs = needs
                    .split(',')
                    .map(|need| ServiceName::new(need).expect("a name"));
                service.needs = needs.collect();
            }
            Some(("before", text)) => {
                service.before = vec![ServiceName::new(text).expect("a name")];
            }
            Some(("after", text)) => service.after = vec![ServiceName::new(text).expect("a name")],
            Some(("preview", host)) => service.blue_green = Some(blue_green(host)),
            Some(("surge", text)) => deploy.surge = count(text),
            Some(("unavailable", text)) => deploy.unavailable = count(text),
            Some(("scale", bounds)) => {
                let (min, max) = bounds.split_once("..").expect("scale=1..6");
                let bound = |text: &str| text.parse().expect("a bound");
                service.replicas = bound(min);
                service.scale = Some(scale(bound(min), bound(max)));
            }
            Some(("version", text)) => {
                service.env.insert("VERSION".into(), text.into());
            }
            _ => panic!("what is `{word}`?"),
        }
    }
    service.deploy = deploy;
    (name, service)
}

/// `trial web canary=1 baseline=1 shares=5%/5%`.
pub(super) fn goal(words: &[&str]) -> Goal {
    let value = |key: &str| words.iter().find_map(|word| word.strip_prefix(key));
    let count = |key: &str| value(key).map_or(0, |count| count.parse().expect("a count"));
    let shares = value("shares=").expect("shares").split_once('/');
    let share = |text: &str| text.parse::<Share>().expect("a share");
    let (canary, baseline) = shares.expect("two shares");
    let (canary, baseline) = (share(canary), share(baseline));
    Goal {
        canary: count("canary="),
        baseline: count("baseline="),
        weights: Weights {
            canary,
            baseline,
            stable: Share(10_000 - canary.0 - baseline.0),
        },
    }
}

fn scale(min: u32, max: u32) -> Scale {
    Scale {
        min,
        max,
        cpu: None,
        memory: None,
        requests: Some(50_000),
        p95: None,
        queue: None,
        every: Scale::EVERY,
        settle: Scale::SETTLE,
        warm_up: Scale::WARM_UP,
        at: vec![],
    }
}

fn blue_green(preview: &str) -> BlueGreen {
    BlueGreen {
        preview: Some(HostName::new(preview).expect("a host")),
        manual: false,
        before: Duration::ZERO,
        after: Duration::from_secs(60),
        abort_if: vec![],
        every: Duration::from_secs(10),
        least: 100,
        patience: Duration::from_secs(60),
        warm: Duration::from_secs(60),
    }
}

fn plain() -> Service {
    Service {
        build: None,
        run: vec!["./program".into()],
        artifact: vec!["program".into()],
        port: Some(8080),
        needs: vec![],
        inject: BTreeMap::new(),
        canary: None,
        metrics: None,
        slo: None,
        blue_green: None,
        recreate: false,
        smoke: BTreeMap::new(),
        before: vec![],
        after: vec![],
        health: None,
        ready: Some(Probe::readiness(Check::Http("/ready".into()))),
        replicas: 1,
        scale: None,
        size: Size::default(),
        env: BTreeMap::new(),
        stop: Stop::default(),
        deploy: Rolling {
            min_ready: Duration::ZERO,
            ..Rolling::default()
        },
    }
}
