//! Metrics that are read from elsewhere: what the file names, and what it must not ship.

use mainstay_e2e::{Platform, Receiver, until};

const KEYS: &str = "    run: ./bin/mainstay-sample\n    port: 3000\n    ready: { path: /ready }\n    env: { QUIET: \"1\" }";

#[test]
fn what_the_file_names_is_read_and_keys_are_not_shipped() {
    let far = Receiver::answering("200 OK", "colour{of=\"far\"} 7\n");
    let platform = Platform::single("targets", KEYS);
    let text = platform.text();
    let named = |more: &str| {
        let url = far.url("/metrics");
        platform.write(&format!(
            "{text}signals: {{ targets: {{ far: {{ url: \"{url}\", every: 1s{more} }} }} }}\n"
        ));
    };
    let file = |text: &str| {
        std::fs::write(platform.folder().join("ca.pem"), text).expect("the folder takes a file");
    };
    named(", ca: ca.pem");
    for (text, why) in [
        ("nothing", "holds no certificate in PEM"),
        (
            "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n",
            "holds a private key",
        ),
    ] {
        file(text);
        platform.run(&["plan"]).exits(1).says(&["ca.pem", why]);
    }
    named("");
    platform.up();
    let query = "colour{job=\"far\",of=\"far\"} + on (job, instance) up{job=\"far\"}";
    until("what the target tells", || {
        let answer = platform.run(&["query", "--json", query]).json();
        (answer["data"]["result"][0]["value"][1] == "8").then_some(())
    });
    platform.run(&["down"]).exits(0);
}
