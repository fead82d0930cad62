//! Kills at any moment: what was acknowledged is there afterwards.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "counts are small"
)]

mod support;

use mainstay_signals_io::{Client, Config, File};
use support::{Signals, until};

/// A request of remote-write in version 1.0, compressed.
fn write_request(series: &[(&str, i64, f64)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, at_ms, value) in series {
        let mut label = Vec::new();
        bytes(&mut label, 1, b"__name__");
        bytes(&mut label, 2, name.as_bytes());
        let mut sample = vec![0x09];
        sample.extend(value.to_bits().to_le_bytes());
        sample.push(0x10);
        varint(&mut sample, at_ms.cast_unsigned());
        let mut one = Vec::new();
        bytes(&mut one, 1, &label);
        bytes(&mut one, 2, &sample);
        bytes(&mut body, 1, &one);
    }
    snap::raw::Encoder::new().compress_vec(&body).unwrap()
}

fn bytes(out: &mut Vec<u8>, field: u8, content: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn post(client: &Client, body: &[u8]) -> Option<(u16, Vec<u8>)> {
    client
        .ask_typed("POST", "/api/v1/write", "application/x-protobuf", body)
        .ok()
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.unwrap().as_millis()).unwrap()
}

#[test]
fn nothing_acknowledged_is_lost_by_kills() {
    let mut signals = Signals::start();
    let begin = now_ms() - 600_000;
    let mut acknowledged = 0;
    for round in 0..20u64 {
        let client = signals.client();
        let pid = rustix::process::Pid::from_raw(signals.pid().cast_signed()).unwrap();
        // Killed after so many requests, at a moment that nobody chose.
        let kill_after = 5 + (round * 7919) % 40;
        let killer = std::thread::spawn(move || {
            let begun = std::time::Instant::now();
            while begun.elapsed() < std::time::Duration::from_millis(kill_after) {
                std::thread::yield_now();
            }
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        });
        loop {
            let next = acknowledged + 1;
            let body = write_request(&[
                ("one", begin + next * 10, next as f64),
                ("two", begin + next * 10, next as f64),
            ]);
            match post(&client, &body) {
                Some((204, _)) => acknowledged = next,
                Some((status, body)) => panic!("{status}: {}", String::from_utf8_lossy(&body)),
                None => break,
            }
        }
        killer.join().unwrap();
        signals.kill();
        signals.start_again();
        if acknowledged == 0 {
            // Killed before anything was taken: there may be no series yet.
            continue;
        }
        // One more may have been taken, whose answer was cut off.
        let count = signals.value("count_over_time(one[1h])");
        assert!(
            count >= acknowledged as f64 && count <= acknowledged as f64 + 1.0,
            "{count} of {acknowledged}"
        );
        acknowledged = count as i64;
        assert!(signals.value("count_over_time(two[1h])") >= acknowledged as f64 - 1.0);
    }
    assert!(acknowledged > 20, "{acknowledged} requests in all");
}

#[test]
fn configuration_and_alerts_survive_a_kill() {
    let mut signals = Signals::start();
    let rules = "groups:\n- name: g\n  interval: 100ms\n  rules:\n  - alert: Always\n    expr: vector(1) > 0\n    for: 1h\n";
    signals.configure(&Config {
        generation: 7,
        rules: vec![File {
            name: "r.yml".into(),
            text: rules.into(),
        }],
        ..Config::default()
    });
    let pending = |signals: &Signals| {
        let (_, text) = signals.get("/api/v1/alerts");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value["data"]["alerts"][0]["activeAt"]
            .as_str()
            .map(str::to_owned)
    };
    until("the alert is pending", || pending(&signals).is_some());
    let since = pending(&signals);
    signals.kill();
    signals.start_again();
    assert_eq!(signals.client().config().unwrap().generation, 7);
    until("the alert is there again", || pending(&signals).is_some());
    assert_eq!(pending(&signals), since);
    let broken = signals.client().configure(&Config {
        generation: 8,
        rules: vec![File {
            name: "r.yml".into(),
            text: "groups: [{name: g, rules: [{record: a, expr: 'sum('}]}]".into(),
        }],
        ..Config::default()
    });
    assert!(broken.unwrap_err().to_string().contains("r.yml"));
    assert_eq!(signals.client().config().unwrap().generation, 7);
}

#[test]
fn what_is_sent_wrongly_is_refused() {
    let mut signals = Signals::start();
    let client = signals.client();
    let now = now_ms();
    assert_eq!(
        post(&client, &write_request(&[("a", now, 1.0)])).unwrap().0,
        204
    );
    // The same again is no fault; an older one is, and so is one from the future.
    assert_eq!(
        post(&client, &write_request(&[("a", now, 1.0)])).unwrap().0,
        204
    );
    for (body, status, why) in [
        (write_request(&[("a", now - 5, 1.0)]), 400, "out of order"),
        (write_request(&[("a", now + 3_600_000, 1.0)]), 400, "future"),
        (write_request(&[("", now, 1.0)]), 400, "no name"),
        (
            vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0],
            400,
            "the limit is",
        ),
        (b"garbage".to_vec(), 400, ""),
        (vec![0; 40 << 20], 413, "more than"),
    ] {
        let Some((found, answer)) = post(&client, &body) else {
            // Whoever is refused while it still sends may see the connection end.
            assert_eq!(status, 413);
            continue;
        };
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            found == status && answer.contains(why),
            "{why}: {found} {answer}"
        );
    }
    assert!(signals.is_running());
    signals.sees("a", 1.0);
}
