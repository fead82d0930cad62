//! A release on trial: it gets its share, is judged by what the gateway counts, and goes on or goes back.

use mainstay_e2e::{Load, Platform, Process, pids, until};
use serde_json::Value;

/// Two instances of `web` behind the gateway, whose releases pass one step of half the traffic.
fn platform(name: &str, hold: &str) -> Platform {
    let canary = format!(
        "{{ steps: [50%], hold: {hold}, bake: 1s, every: 1s, least: 20, baseline: stable, abort_if: [error_rate > 5%] }}"
    );
    let keys = format!(
        "    run: ./bin/mainstay-sample\n    port: 3000\n    replicas: 2\n    ready: {{ path: /ready }}\n    env:\n      GREETING: hello\n    deploy:\n      canary: {canary}"
    );
    let platform = Platform::single(name, &keys);
    platform.up();
    platform
}

fn waits(platform: &Platform) -> String {
    let status = platform.status().unwrap_or_default();
    status["waits"].to_string()
}

fn releases(platform: &Platform, asked: usize) -> Vec<bool> {
    let fronts = (0..asked).map(|_| platform.front());
    fronts.map(|front| front.contains("web v2")).collect()
}

#[test]
fn a_good_release_earns_all_of_the_traffic_and_a_bad_one_goes_back() {
    let platform = platform("trial", "2s");
    let load = Load::start(platform.port, "/", 4);
    load.more(50);
    let change = ["--set", "services.web.env.GREETING=good"];
    until("the time that a verdict takes", || {
        let plan = platform.run(&["plan", change[0], change[1]]).exits(3);
        let plan = plan.says(&[
            "web earns its traffic by canary: 50% for 2s",
            "error_rate > 5%",
        ]);
        let known = plan.out.contains("requests/s to the canary (50%)")
            || plan.talk.contains("requests/s to the canary (50%)");
        known.then_some(())
    });
    platform
        .run(&["deploy", change[0], change[1]])
        .exits(0)
        .says(&["a verdict takes up to", "v2 serves"]);
    load.more(50);
    load.stop_without_failure();
    assert!(platform.front().starts_with("good from web v2"));

    let load = Load::start(platform.port, "/", 4);
    load.more(50);
    platform
        .run(&["deploy", "--set", "services.web.env.FAULT_ERROR_RATE=1"])
        .exits(1)
        .says(&["web is worse", "error_rate", "v2 serves"]);
    until("the bad release to be gone", || {
        let status = platform.status()?;
        let gone = !status.to_string().contains("web.v3.");
        (gone && mainstay_e2e::is_steady(&status)).then_some(())
    });
    let from = load.answered();
    drop(load.stop());
    assert!(from > 0);
    let load = Load::start(platform.port, "/", 2);
    load.more(50);
    load.stop_without_failure();
    let rows = platform.history();
    assert_eq!(rows[0]["state"], "failed", "{rows:?}");
}

#[test]
fn half_of_the_requests_go_to_the_canary_until_a_person_promotes_it() {
    let platform = platform("promote", "1h");
    let load = Load::start(platform.port, "/", 2);
    let deploy = platform.begin(&["deploy", "--set", "services.web.env.GREETING=good"]);
    until("the step", || {
        waits(&platform).contains("of the hold").then_some(())
    });
    let canary = releases(&platform, 40).iter().filter(|new| **new).count();
    assert!((15..=25).contains(&canary), "{canary} of 40");
    platform.run(&["pause"]).exits(0);
    until("the pause", || {
        waits(&platform).contains("a person").then_some(())
    });
    platform.run(&["resume"]).exits(0);
    until("the hold", || {
        waits(&platform).contains("of the hold").then_some(())
    });

    // What serves is kept whole meanwhile, and so is the canary.
    let running = || pids(&platform.status().unwrap_or_default());
    let victim = running()[0];
    Process::of(victim).expect("it runs").kill();
    until("everybody again", || {
        (running().len() == 3
            && !running().contains(&victim)
            && waits(&platform).contains("of the hold"))
        .then_some(())
    });

    // A control plane that is killed goes on where it was.
    platform.process("serve").kill();
    drop(deploy.wait());
    let up = platform.begin(&["up"]);
    until("the step again", || {
        waits(&platform).contains("of the hold").then_some(())
    });
    platform.run(&["promote"]).exits(0);
    until("the release serves", || {
        let rows = platform.history();
        let serves = |row: &Value| row["release"] == "v2" && row["state"] == "serving";
        rows.first().is_some_and(serves).then_some(())
    });
    up.wait().exits(0);
    assert!(releases(&platform, 20).iter().all(|new| *new));
    load.stop_without_failure();
    platform
        .run(&["promote"])
        .exits(1)
        .says(&["nothing is under way"]);
}

#[test]
fn services_on_trial_together_serve_together_and_one_that_is_worse_takes_all_back() {
    let platform = Platform::new("together");
    let canary = |abort: &str| {
        format!(
            "\n    deploy:\n      canary: {{ steps: [50%], hold: 2s, bake: 1s, every: 1s, least: 20, baseline: stable, abort_if: [{abort}] }}"
        )
    };
    for greeting in ["GREETING: hello", "GREETING: the api says hello"] {
        let with = format!("{greeting}{}", canary("error_rate > 5%"));
        platform.edit(&format!("{greeting}\n"), &format!("{with}\n"));
    }
    platform.edit(
        "      /api: { to: api }",
        "      /echo: { to: api }\n  api.localhost: { to: api }",
    );
    platform.up();
    let (web, api) = (
        Load::start(platform.port, "/", 3),
        Load::start(platform.port, "/echo", 3),
    );
    web.more(30);
    api.more(30);
    platform
        .run(&[
            "deploy",
            "--set",
            "services.web.env.GREETING=good",
            "--set",
            "services.api.env.GREETING=the api is good",
        ])
        .exits(0)
        .says(&["v2 serves"]);
    api.more(30);
    api.stop_without_failure();
    let page = |host: &str| platform.page(host, "/");
    assert!(page("localhost").starts_with("good from web v2"));
    assert!(page("api.localhost").starts_with("the api is good from api v2"));

    // The api of v3 fails; web of v3 is as good as before, and goes back with it.
    let api = Load::start(platform.port, "/echo", 3);
    api.more(30);
    platform
        .run(&[
            "deploy",
            "--set",
            "services.web.env.GREETING=better",
            "--set",
            "services.api.env.FAULT_ERROR_RATE=1",
        ])
        .exits(1)
        .says(&["api is worse", "error_rate", "v2 serves"]);
    until("v3 to be gone", || {
        let status = platform.status()?;
        let gone = !status.to_string().contains(".v3.");
        (gone && mainstay_e2e::is_steady(&status)).then_some(())
    });
    web.stop_without_failure();
    drop(api.stop());
    for host in ["localhost", "api.localhost"] {
        assert!(page(host).contains(" v2"), "{}", page(host));
    }
}
