//! Ways of a release beside rolling and canary: blue-green, recreate, and smoke tests before traffic.

use mainstay_e2e::{Load, Platform, until};

fn keys(deploy: &str) -> String {
    format!(
        "    run: ./bin/mainstay-sample\n    port: 3000\n    replicas: 2\n    ready: {{ path: /ready }}\n    \
         env:\n      GREETING: hello\n    deploy: {deploy}"
    )
}

fn waits(platform: &Platform) -> String {
    let status = platform.status().unwrap_or_default();
    status["waits"].to_string()
}

#[test]
fn green_is_previewed_takes_all_at_once_and_goes_back_at_once_when_it_is_worse() {
    let way = "{ blue_green: { preview: preview.localhost, flip: manual, after: 2s, warm: 1s, every: 1s, least: 20, \
               abort_if: [error_rate > 5%] } }";
    let platform = Platform::single("bluegreen", &keys(way));
    platform.up();
    let load = Load::start(platform.port, "/", 4);
    load.more(50);
    let deploy = platform.begin(&["deploy", "--set", "services.web.env.GREETING=good"]);
    until("green to be looked at", || {
        waits(&platform).contains("a person").then_some(())
    });
    for _ in 0..20 {
        assert!(
            platform.front().starts_with("hello from web v1"),
            "blue serves"
        );
        let preview = platform.page("preview.localhost", "/");
        assert!(preview.contains("good from web v2"), "{preview}");
    }
    platform.run(&["promote"]).exits(0);
    until("the flip", || {
        platform
            .front()
            .starts_with("good from web v2")
            .then_some(())
    });
    deploy.wait().exits(0).says(&["v2 serves"]);
    load.more(50);
    load.stop_without_failure();
    let preview = platform.page("preview.localhost", "/");
    assert!(
        preview.contains("good from web v2"),
        "it shows what serves: {preview}"
    );

    let load = Load::start(platform.port, "/", 4);
    load.more(50);
    let deploy = platform.begin(&["deploy", "--set", "services.web.env.FAULT_ERROR_RATE=1"]);
    until("green to be looked at", || {
        waits(&platform).contains("a person").then_some(())
    });
    platform.run(&["promote"]).exits(0);
    deploy
        .wait()
        .exits(1)
        .says(&["web is worse", "error_rate", "v2 serves"]);
    drop(load.stop());
    let load = Load::start(platform.port, "/", 2);
    load.more(50);
    load.stop_without_failure();
    assert!(platform.front().starts_with("good from web v2"));
}

#[test]
fn what_cannot_overlap_never_runs_beside_another_release() {
    let platform = Platform::single("recreate", &keys("recreate"));
    platform.up();
    let deploy = platform.begin(&["deploy", "--set", "services.web.env.GREETING=good"]);
    until("the new release alone", || {
        let text = platform.status()?.to_string();
        let (old, new) = (text.contains("web.v1."), text.contains("web.v2."));
        assert!(!(old && new && runs_both(&platform)), "both run: {text}");
        (new && !old && platform.history()[0]["state"] == "serving").then_some(())
    });
    deploy.wait().exits(0).says(&["v2 serves"]);
    assert!(platform.front().starts_with("good from web v2"));
}

/// Processes of both releases at the same time.
fn runs_both(platform: &Platform) -> bool {
    let status = platform.status().unwrap_or_default();
    let instances = status["services"][0]["instances"].as_array().cloned();
    let running = |release: &str| {
        let found = instances.iter().flatten().find(|one| {
            let name = one["name"].as_str().unwrap_or_default();
            name.starts_with(&format!("web.{release}.")) && one["pid"].is_u64()
        });
        found.is_some()
    };
    running("v1") && running("v2")
}

#[test]
fn an_instance_whose_page_is_not_as_said_takes_no_traffic() {
    let smoke = "{ smoke: { home: { get: /, contains: \"hello from\", within: 2s } } }";
    let platform = Platform::single("smoke", &keys(smoke));
    platform.up();
    let load = Load::start(platform.port, "/", 2);
    load.more(20);
    platform
        .run(&["deploy", "--set", "services.web.env.GREETING=bye"])
        .exits(1)
        .says(&[
            "smoke test `home`",
            "does not contain `hello from`",
            "v1 serves",
        ]);
    load.more(20);
    load.stop_without_failure();
    platform
        .run(&["deploy", "--set", "services.web.env.OTHER=x"])
        .exits(0)
        .says(&["v3 serves"]);
}
