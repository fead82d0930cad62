//! Counts that follow what is measured: load makes them grow, its end makes them shrink, a person outranks
//! both for a time, and nothing of it is lost with the control plane. So does what waits in a store.

use mainstay_e2e::{Load, Platform, pids, traffic, until};
use serde_json::Value;

/// One to three instances of `web`, of which each is to answer 20 requests a second.
fn platform(name: &str) -> Platform {
    let scale = "{ min: 1, max: 3, requests: 20/s, every: 1s, settle: 3s, warm_up: 0s }";
    let keys = format!(
        "    run: ./bin/mainstay-sample\n    port: 3000\n    scale: {scale}\n    ready: {{ path: /ready }}\n    env:\n      GREETING: hello"
    );
    let platform = Platform::single(name, &keys);
    platform.up();
    platform
}

/// What `scale` says of `web`.
fn web(platform: &Platform) -> Value {
    let rows = platform.json(&["scale"]);
    let rows = rows.as_array().expect("a list of services");
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows[0].clone()
}

/// Waits until so many instances are wanted, run, and are ready.
fn has(platform: &Platform, count: u64) -> Value {
    until(&format!("{count} instances of web"), || {
        let status = platform.status()?;
        let web = &status["services"][0];
        let instances = web["instances"].as_array()?.len() as u64;
        let all = web["desired"] == count && web["ready"] == count && instances == count;
        (all && mainstay_e2e::is_steady(&status)).then_some(status)
    })
}

#[test]
fn load_makes_it_grow_and_its_end_makes_it_shrink() {
    let platform = platform("scale");
    has(&platform, 1);
    let load = Load::start(platform.port, "/", 4);
    has(&platform, 3);
    let row = web(&platform);
    assert!(
        row["changed"]["why"].to_string().contains("requests"),
        "{row}"
    );
    assert_eq!(row["figures"][0]["target"], "20/s");
    platform.run(&["scale"]).exits(0).says(&["web", "1 to 3"]);
    platform
        .run(&["why", "web"])
        .exits(0)
        .says(&["scaled", "3 of 1 to 3", "requests"]);
    platform
        .run(&["status"])
        .exits(0)
        .says(&["web has 3 of 1 to 3"]);

    // A release keeps the count that was decided, whatever its own turns start beside it.
    platform.edit("GREETING: hello", "GREETING: again");
    platform.run(&["deploy"]).exits(0).says(&["v2 serves"]);
    let status = has(&platform, 3);
    assert_eq!(status["services"][0]["release"], "v2");

    // A control plane that is killed finds the count and touches nobody.
    let before = pids(&status);
    platform.process("serve").kill();
    platform.up();
    assert_eq!(pids(&has(&platform, 3)), before);
    load.more(50);
    load.stop_without_failure();
    has(&platform, 1);
    let row = web(&platform);
    assert_eq!(row["changed"]["to"], 1, "{row}");

    // Narrower bounds of a release hold at once; going back takes those of before.
    platform.edit("min: 1, max: 3", "min: 2, max: 2");
    platform.run(&["deploy"]).exits(0);
    has(&platform, 2);
    platform.run(&["rollback", "v2"]).exits(0);
    let row = web(&platform);
    assert_eq!((&row["min"], &row["max"]), (&1.into(), &3.into()), "{row}");
}

#[test]
fn what_a_person_sets_holds_for_its_time_and_outlives_the_control_plane() {
    let platform = platform("hand");
    has(&platform, 1);
    platform
        .run(&["scale", "web", "2", "--for", "1h"])
        .exits(0)
        .says(&["web has 2 instances until"]);
    let before = pids(&has(&platform, 2));
    platform.process("serve").kill();
    platform.up();
    assert_eq!(pids(&has(&platform, 2)), before);
    let hand = web(&platform)["hand"].clone();
    assert_eq!(hand["instances"], 2, "{hand}");
    platform
        .run(&["scale", "web", "--auto"])
        .exits(0)
        .says(&["left to what is measured"]);
    has(&platform, 1);
    assert!(web(&platform)["hand"].is_null());

    // One that is over ends by itself.
    platform.json(&["scale", "web", "3", "--for", "2s"]);
    until("three", || {
        (web(&platform)["changed"]["to"] == 3).then_some(())
    });
    has(&platform, 1);
    assert!(web(&platform)["hand"].is_null());
    let events = platform.run(&["why", "web"]).exits(0);
    events.says(&["3 → 1"]);
}

#[test]
fn processor_time_and_memory_of_real_processes_are_measured() {
    let scale = "{ min: 1, max: 2, cpu: 50%, memory: 90%, every: 1s, settle: 2s, warm_up: 0s }";
    let keys = format!(
        "    run: ./bin/busy\n    size: {{ cpu: 100m, memory: 256Mi }}\n    scale: {scale}"
    );
    let platform = Platform::single("busy", &keys);
    let text = platform.text();
    let (services, _) = text.split_once("domains:").expect("the file has domains");
    platform.write(services);
    let calm = platform.folder().join("calm");
    platform.script(
        "busy",
        &format!(
            "while [ ! -e {} ]; do :; done; exec sleep 1000",
            calm.display()
        ),
    );
    platform.up();
    has(&platform, 2);
    let row = web(&platform);
    let why = row["changed"]["why"].to_string();
    assert!(why.contains("cpu") && why.contains("memory"), "{row}");
    std::fs::write(&calm, "").expect("a file can be written");
    has(&platform, 1);
    let figures = web(&platform)["figures"].clone();
    assert!(figures[1]["measured"].as_str().is_some(), "{figures}");
}

/// The wanted count of a service, and why.
fn row_of(platform: &Platform, service: &str) -> Value {
    let rows = platform.json(&["scale"]);
    let rows = rows.as_array().expect("a list of services");
    let row = rows.iter().find(|row| row["service"] == service);
    row.unwrap_or_else(|| panic!("{service} is scaled: {rows:?}"))
        .clone()
}

#[track_caller]
fn wants(platform: &Platform, service: &str, count: u64) -> Value {
    until(&format!("{count} instances of {service}"), || {
        let row = row_of(platform, service);
        (row["count"] == count).then_some(row)
    })
}

#[test]
fn what_waits_in_a_store_makes_it_grow_and_its_end_makes_it_shrink() {
    let platform = Platform::shop("queue");
    let quick = "every: 1s, settle: 2s, warm_up: 0s";
    let by = |name: &str, store: &str, queue: &str| {
        format!(
            "  {name}:\n    run: ./bin/waits\n    needs: [{store}]\n    scale: {{ min: 1, max: 3, {queue}, per: 2, {quick} }}\n\n"
        )
    };
    let query = "SELECT count(*) FROM orders WHERE NOT done";
    let services = by("packer", "cache", "queue: orders")
        + &by(
            "clerk",
            "db",
            &format!("queue: {{ of: db, query: \"{query}\" }}"),
        );
    platform.edit(
        "  worker:",
        &format!("{services}  worker:\n    replicas: 0"),
    );
    platform.script("waits", "exec sleep 1000");
    platform.up();
    let made = "the tables are there before web serves, so both can count";
    for service in ["packer", "clerk"] {
        let row = until(made, || {
            let row = row_of(&platform, service);
            (row["figures"][0]["measured"] == "0").then_some(row)
        });
        assert_eq!(row["count"], 1, "{row}");
    }

    // Nobody works: both see what waits, in Redis and in PostgreSQL.
    for _ in 0..5 {
        let order = || traffic::post_with(platform.port, "/orders", "item=tea").ok();
        until("an order", || order().filter(|answer| answer.status < 300));
    }
    for service in ["packer", "clerk"] {
        let row = wants(&platform, service, 3);
        assert_eq!(row["figures"][0]["target"], "2 each", "{row}");
    }
    platform
        .run(&["scale"])
        .exits(0)
        .says(&["packer", "queue 5 of 2 each"]);

    // What is done waits no longer.
    platform.edit("replicas: 0", "replicas: 1");
    platform.run(&["deploy"]).exits(0);
    for service in ["packer", "clerk"] {
        wants(&platform, service, 1);
    }
    // What cannot be counted changes nothing, and says why.
    platform.edit("WHERE NOT done", "WHERE NOT ready");
    platform.run(&["deploy"]).exits(0);
    until("a question that the server refuses", || {
        let why = row_of(&platform, "clerk")["why"].to_string();
        why.contains("does not exist").then_some(())
    });
    assert_eq!(row_of(&platform, "clerk")["count"], 1);
}

#[test]
fn what_cannot_be_set_is_refused_and_changes_nothing() {
    let platform = platform("refused");
    for (words, code, said) in [
        (vec!["scale", "web", "9"], 1, "out of its bounds, 1 to 3"),
        (vec!["scale", "api", "2"], 1, "scaled are web"),
        (vec!["scale", "web", "--auto"], 1, "nobody set the count"),
        (
            vec!["scale", "web", "2", "--for", "soon"],
            1,
            "such as `30m`",
        ),
        (
            vec!["scale", "web", "2", "--for", "1ms"],
            1,
            "a second to thirty days",
        ),
        (vec!["scale", "api"], 1, "`api` is not scaled"),
        (
            vec!["scale", "web", "2", "--auto"],
            1,
            "cannot be used with",
        ),
    ] {
        platform.run(&words).exits(code).says(&[said]);
    }
    let row = web(&platform);
    assert!(row["hand"].is_null() && row["count"] == 1, "{row}");
    platform.edit("scale: {", "replicas: 1 # {");
    platform.run(&["deploy"]).exits(0);
    platform
        .run(&["scale", "web", "2"])
        .exits(1)
        .says(&["has a fixed count"]);
    platform
        .run(&["scale"])
        .exits(0)
        .says(&["no service is scaled"]);
}
