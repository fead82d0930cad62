//! Every row of `payloads.txt` over TCP, whole and byte by byte.

mod support;

use std::io::Write;
use support::instance::Instance;
use support::{Gateway, Peer, eventually};

struct Row {
    name: &'static str,
    statuses: Vec<u16>,
    closes: bool,
    upstream: &'static str,
    bytes: Vec<u8>,
}

fn rows() -> Vec<Row> {
    let lines = include_str!("payloads.txt")
        .lines()
        .filter(|line| !line.starts_with('#'));
    lines.map(row).collect()
}

fn row(line: &'static str) -> Row {
    let columns: Vec<&str> = line.splitn(5, " | ").collect();
    let [name, statuses, closes, upstream, bytes] = columns[..] else {
        panic!("not five columns: {line}");
    };
    assert!(["yes", "no"].contains(&closes), "{line}");
    let statuses = statuses
        .split(',')
        .map(|status| status.parse().unwrap())
        .collect();
    Row {
        name,
        statuses,
        closes: closes == "yes",
        upstream,
        bytes: unescape(&repeat(bytes)),
    }
}

fn repeat(text: &str) -> String {
    let Some((before, rest)) = text.split_once('{') else {
        return text.into();
    };
    let (inside, after) = rest.split_once('}').unwrap();
    let (unit, count) = inside.rsplit_once('*').unwrap();
    format!(
        "{before}{}{}",
        unit.repeat(count.parse().unwrap()),
        repeat(after)
    )
}

fn unescape(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        let escape = if byte == b'\\' { rest.next() } else { None };
        bytes.push(match escape {
            None => byte,
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'0') => 0,
            Some(b'x') => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            Some(other) => panic!("no escape \\{}", char::from(other)),
        });
    }
    bytes
}

fn send(peer: &mut Peer, bytes: &[u8], size: usize) {
    for piece in bytes.chunks(size) {
        // A gateway that has refused reads on for a while, and then does not.
        if peer.stream.write_all(piece).is_err() {
            return;
        }
    }
}

/// `LINE BODY` of a request as the instance saw it, after checking what holds for every request.
fn seen(request: &str) -> String {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap();
    let fields: Vec<String> = lines.map(str::to_lowercase).collect();
    let count = |name: &str| {
        fields
            .iter()
            .filter(|field| field.starts_with(name))
            .count()
    };
    assert_eq!(count("host:"), 1, "{request}");
    assert_eq!(count("x-forwarded-for:"), 1, "{request}");
    assert!(
        fields.contains(&"x-forwarded-for: 127.0.0.1".into()),
        "{request}"
    );
    assert!(
        count("content-length:") + count("transfer-encoding:") <= 1,
        "{request}"
    );
    for gone in [
        "forwarded:",
        "x-real-ip:",
        "upgrade: h2c",
        "http2-settings:",
        "x-own:",
        "expect:",
        "trailer:",
    ] {
        assert_eq!(count(gone), 0, "{request}");
    }
    let body = if count("transfer-encoding:") == 1 {
        unchunk(body)
    } else {
        body.into()
    };
    format!("{line} {body}").trim_end().into()
}

fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        whole.push_str(&rest[..size]);
        body = &rest[size + 2.min(rest.len() - size)..];
    }
    whole
}

fn check(row: &Row, size: usize, gateway: &Gateway, instance: &Instance) {
    let how = format!("{} in pieces of {size}", row.name);
    let (before, _) = (instance.bytes(), instance.requests());
    let mut peer = gateway.connect();
    send(&mut peer, &row.bytes, size);
    for status in &row.statuses {
        let answer = peer
            .try_answer()
            .unwrap_or_else(|| panic!("{how}: no answer {status}"));
        assert_eq!(answer.status, *status, "{how}: {answer:?}");
    }
    if row.closes {
        assert_eq!(String::from_utf8_lossy(&peer.rest()), "", "{how}");
    } else {
        assert_eq!(
            peer.get("/after").status,
            200,
            "{how}: the connection goes on"
        );
        eventually("the request behind", || {
            (instance.count() > 0).then_some(())
        });
    }
    let requests: Vec<String> = instance
        .requests()
        .iter()
        .map(|request| seen(request))
        .collect();
    let mut requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    if !row.closes {
        assert_eq!(requests.pop(), Some("GET /after HTTP/1.1"), "{how}");
    }
    match row.upstream {
        "none" | "cut" => assert_eq!(requests, [""; 0], "{how}"),
        expected => assert_eq!(requests.join("; "), expected, "{how}"),
    }
    let silent = row.closes && (row.upstream == "none" || (row.upstream == "cut" && size > 1));
    if silent {
        assert_eq!(
            instance.bytes(),
            before,
            "{how}: no byte reaches the instance"
        );
    }
}

/// Runs the rows in pieces of a size against a gateway and an instance of their own, so that bytes
/// on their way from one kind of row are not counted in another.
fn run<'a>(rows: impl Iterator<Item = &'a Row>, size: impl Fn(&Row) -> usize) {
    let instance = Instance::start("payload");
    let gateway = Gateway::serving(&["workers=1"], &[instance.address]);
    for row in rows {
        check(row, size(row), &gateway, &instance);
    }
}

#[test]
fn every_payload_has_one_verdict() {
    let rows = rows();
    assert!(rows.len() >= 67, "{} rows", rows.len());
    run(rows.iter(), |row| row.bytes.len());
}

#[test]
fn the_verdict_is_the_same_byte_by_byte() {
    let (cut, other): (Vec<Row>, Vec<Row>) =
        rows().into_iter().partition(|row| row.upstream == "cut");
    run(cut.iter(), |_| 1);
    run(other.iter(), |_| 1);
}
