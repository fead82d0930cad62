//! Releases are told: that one serves, failed, or waits for a person, to every channel once, whatever dies meanwhile.

use mainstay_e2e::{Platform, Receiver, until};
use serde_json::Value;

/// `web` whose releases are told to `chat`, and to a command that keeps what it was told.
fn platform(name: &str, receiver: &Receiver) -> Platform {
    let platform = Platform::single(
        name,
        "    run: ./bin/mainstay-sample\n    port: 3000\n    ready: { path: /ready }\n    deploy: { rolling: { deadline: 5s } }\n    env:\n      GREETING: hello",
    );
    platform.script("keep", "cat >> \"$1\"; echo >> \"$1\"");
    let keep = platform.folder().join("bin/keep");
    let kept = platform.folder().join("kept");
    let (url, text) = (receiver.url("/chat"), platform.text());
    platform.write(&format!(
        "{text}alerts:\n  channels:\n    chat: {{ webhook: {{ url: \"{url}\" }} }}\n    \
         file: {{ command: {{ run: [{}, {}] }} }}\n  to: [chat]\n  releases: [chat, file]\n",
        keep.display(),
        kept.display()
    ));
    platform.up();
    // Who hears is known once the first release serves.
    until("somebody who hears", || {
        platform
            .state()
            .join("told/chat/heard")
            .exists()
            .then_some(())
    });
    platform
}

/// Titles and keys of what was told.
fn told(bodies: impl Iterator<Item = String>) -> Vec<(String, String)> {
    let parsed = bodies.filter_map(|body| serde_json::from_str::<Value>(&body).ok());
    parsed
        .map(|body| {
            let text = |name: &str| {
                body["mainstay"][name]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            };
            (text("title"), text("key"))
        })
        .collect()
}

fn heard(receiver: &Receiver) -> Vec<(String, String)> {
    told(receiver.taken().into_iter().map(|one| one.body))
}

#[track_caller]
fn hears(receiver: &Receiver, words: &str) {
    until(words, || {
        let heard = heard(receiver);
        heard
            .iter()
            .any(|(title, _)| title.contains(words))
            .then_some(())
    });
}

#[test]
fn a_release_that_serves_or_fails_is_told_to_every_channel() {
    let receiver = Receiver::answering("200 OK", "thanks");
    let platform = platform("news", &receiver);
    platform.edit("GREETING: hello", "GREETING: again");
    platform.run(&["deploy"]).exits(0);
    hears(&receiver, "v2 serves");
    platform.edit(
        "GREETING: again",
        "GREETING: again\n      FAULT_UNREADY: \"1\"",
    );
    platform.run(&["deploy"]).exits(1);
    hears(&receiver, "v3 failed");
    let kept = platform.folder().join("kept");
    until("what the command kept", || {
        let text = std::fs::read_to_string(&kept).ok()?;
        let told = told(text.lines().map(str::to_owned));
        (told.len() == 2).then_some(())
    });
    let heard = heard(&receiver);
    assert_eq!(heard.len(), 2, "once each: {heard:?}");
    assert!(heard[0].0.starts_with("news-"), "{heard:?}");
}

#[test]
fn what_could_not_be_told_is_told_after_a_kill_under_the_same_key() {
    let receiver = Receiver::answering("500 Internal Server Error", "no");
    let platform = platform("untold", &receiver);
    platform.edit("GREETING: hello", "GREETING: again");
    platform.run(&["deploy"]).exits(0);
    hears(&receiver, "v2 serves");
    until("who was not told", || {
        let status = platform.status()?;
        let said = status["attention"].to_string();
        (said.contains("`chat` was not told that v2 serves") && said.contains("500")).then_some(())
    });
    platform.process("serve").kill();
    let before = heard(&receiver).len();
    receiver.change("200 OK", "thanks");
    platform.up();
    until("the same again", || {
        (heard(&receiver).len() > before).then_some(())
    });
    let heard = heard(&receiver);
    assert!(heard.iter().all(|one| *one == heard[0]), "{heard:?}");
    until("nothing to complain of", || {
        (!platform.status()?["attention"]
            .to_string()
            .contains("was not told"))
        .then_some(())
    });
}

#[test]
fn a_release_that_waits_for_people_says_so() {
    let receiver = Receiver::answering("200 OK", "thanks");
    let platform = platform("waits", &receiver);
    let ungated = platform.text().replace("hello", "again");
    platform.write(&format!("{ungated}gates: {{ approvals: {{ need: 1 }} }}\n"));
    let deploy = platform.begin(&["deploy"]);
    let asks = |release: &str| {
        format!("{release} waits for 1 person to agree: `mainstay approve {release}`")
    };
    hears(&receiver, &asks("v2"));
    let token = platform.run(&["token", "make", "ann"]).exits(0);
    let as_ann = [("MAINSTAY_TOKEN", token.out.trim())];
    platform.run_as(&["approve", "v2"], &as_ann).exits(0);
    deploy.wait().exits(0);
    hears(&receiver, "v2 serves");

    // One that takes the gates away passes them first, and a way back passes.
    platform.write(&ungated);
    let deploy = platform.begin(&["deploy"]);
    hears(&receiver, &asks("v3"));
    platform.run(&["abort"]).exits(0);
    hears(&receiver, "v3 was aborted by");
    drop(deploy.wait());
    platform.run(&["rollback", "v1"]).exits(0);
    hears(&receiver, "v4 serves");
    let heard = heard(&receiver);
    assert!(
        !heard.iter().any(|(title, _)| title.contains("v4 waits")),
        "{heard:?}"
    );
}
