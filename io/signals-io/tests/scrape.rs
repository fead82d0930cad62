//! Scrapes over real sockets: what targets show is found, and whatever they do harms nobody else.

mod support;

use mainstay_signals_io::{Reading, Target};
use std::io::Write as _;
use support::{Exposer, Signals, config, ok, target, until};

#[test]
fn what_a_target_shows_is_found_and_ends_with_it() {
    let exposer = Exposer::text("# TYPE a counter\n# HELP a What it is.\na{job=\"mine\"} 7\nb 1\n");
    let signals = Signals::start();
    signals.configure(&config(1, vec![exposer.target("api")]));
    signals.sees("a{job=\"api\",exported_job=\"mine\"}", 7.0);
    signals.sees("up", 1.0);
    signals.sees("scrape_samples_scraped", 2.0);
    let (_, metadata) = signals.get("/api/v1/metadata?metric=a");
    assert!(
        metadata.contains(r#""a":[{"type":"counter","help":"What it is.","unit":""}]"#),
        "{metadata}"
    );
    // A series that is no longer shown ends at once.
    exposer.change(|stream| drop(stream.write_all(&ok(b"b 2\n", ""))));
    signals.sees("b", 2.0);
    until("a has ended", || {
        signals.client().query("a") == Reading::NoData
    });
    // So does everything when the target fails.
    exposer
        .change(|stream| drop(stream.write_all(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")));
    signals.sees("up", 0.0);
    until("b has ended", || {
        signals.client().query("b") == Reading::NoData
    });
    // One that is no longer wanted is not down: it is gone.
    signals.configure(&config(2, Vec::new()));
    until("up has ended", || {
        signals.client().query("up") == Reading::NoData
    });
    let stale = signals
        .client()
        .configure(&config(2, Vec::new()))
        .unwrap_err();
    assert!(
        stale.to_string().contains("generation 2 is not newer"),
        "{stale}"
    );
}

/// What a hostile target sends, and what is said of it.
fn hostile() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let head = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n").into_bytes();
    let many: Vec<String> = (0..250_000)
        .map(|number| format!("m{{n=\"{number}\"}} 1\n"))
        .collect();
    let many = many.concat();
    let long = format!("m{{n=\"{}\"}} 1\n", "x".repeat(1 << 20));
    let mut chunked = head("Transfer-Encoding: chunked\r\n");
    chunked.extend(b"7fffffffffffffff\r\nabc");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&vec![b'#'; 100 << 20]).unwrap();
    let bomb = gzip.finish().unwrap();
    vec![
        ("lies", head("Content-Length: 99999999999\r\n"), "more than"),
        ("negative", head("Content-Length: -1\r\n"), "no number"),
        (
            "early",
            [head("Content-Length: 100\r\n"), b"a 1\n".to_vec()].concat(),
            "too early",
        ),
        ("chunks", chunked, "more than"),
        (
            "series",
            ok(many.as_bytes(), ""),
            "more than 200000 samples",
        ),
        ("labels", ok(long.as_bytes(), ""), "1048576 bytes"),
        ("utf8", ok(b"m{n=\"\xff\"} 1\n", ""), "UTF-8"),
        ("bomb", ok(&bomb, "Content-Encoding: gzip\r\n"), "more than"),
        (
            "torn",
            ok(&bomb[..50], "Content-Encoding: gzip\r\n"),
            "damaged",
        ),
        ("garbage", b"\x16\x03\x01 hello".to_vec(), "not HTTP"),
        (
            "moved",
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"
                .to_vec(),
            "status 302",
        ),
        ("half", ok(b"good 1\nbad{ 2\n", ""), "line 2"),
    ]
}

#[test]
fn hostile_targets_harm_nobody() {
    let good = Exposer::text("good_one 1\n");
    let exposers: Vec<(Exposer, &str, &str)> = hostile()
        .into_iter()
        .map(|(job, answer, why)| {
            let exposer = Exposer::new(move |stream| {
                drop(stream.write_all(&answer));
                drop(stream.shutdown(std::net::Shutdown::Both));
            });
            (exposer, job, why)
        })
        .collect();
    // It takes the connection and says nothing.
    let silent = Exposer::new(|_| std::thread::park());
    let mut signals = Signals::start();
    let mut targets: Vec<Target> = exposers
        .iter()
        .map(|(one, job, _)| one.target(job))
        .collect();
    targets.push(good.target("good"));
    targets.push(Target {
        timeout_ms: 50,
        ..silent.target("silent")
    });
    targets.push(target("metadata", "169.254.169.254:80"));
    signals.configure(&config(1, targets));
    signals.sees("good_one", 1.0);
    signals.sees("sum(up)", 1.0);
    let mut expected: Vec<(&str, &str)> =
        exposers.iter().map(|(_, job, why)| (*job, *why)).collect();
    expected.push(("silent", "no answer within 50 ms"));
    expected.push(("metadata", "link-local"));
    for (job, why) in expected {
        signals.sees(&format!("up{{job=\"{job}\"}}"), 0.0);
        let mut last = String::new();
        until(&format!("`{job}` fails with {why}: {last}"), || {
            last = fault_of(&signals, job);
            last.contains(why)
        });
    }
    assert_eq!(
        signals.client().query("good{job=\"half\"}"),
        Reading::NoData
    );
    assert!(signals.is_running());
    assert!(rss_mb(signals.pid()) < 200.0);
}

fn fault_of(signals: &Signals, job: &str) -> String {
    let (_, text) = signals.get("/api/v1/targets");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let targets = value["data"]["activeTargets"].as_array().unwrap();
    let one = targets
        .iter()
        .find(|one| one["labels"]["job"] == job)
        .unwrap();
    one["lastError"].as_str().unwrap().to_owned()
}

fn rss_mb(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

#[test]
fn bodies_come_in_chunks_compressed_and_over_unix_sockets() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"packed 3\n").unwrap();
    let packed = ok(&gzip.finish().unwrap(), "Content-Encoding: gzip\r\n");
    let packed = Exposer::new(move |stream| drop(stream.write_all(&packed)));
    let pieces = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npiec\r\n5;x=y\r\nes 4\n\r\n0\r\n\r\n";
    let pieces = Exposer::new(move |stream| drop(stream.write_all(pieces.as_bytes())));
    let until_end = Exposer::new(|stream| {
        drop(stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nopen_end 5\n"));
        drop(stream.shutdown(std::net::Shutdown::Both));
    });
    let signals = Signals::start();
    let own = Target {
        place: mainstay_signals_io::Place::Unix(signals.folder.path().join("s.sock")),
        ..target("own", "")
    };
    signals.configure(&config(
        1,
        vec![
            packed.target("a"),
            pieces.target("b"),
            until_end.target("c"),
            own,
        ],
    ));
    signals.sees("packed", 3.0);
    signals.sees("pieces", 4.0);
    signals.sees("open_end", 5.0);
    signals.sees("signals_targets{job=\"own\"}", 4.0);
}

#[test]
fn a_service_beyond_its_series_harms_no_other() {
    let many: Vec<String> = (0..50)
        .map(|number| format!("m{{n=\"{number}\"}} 1\n"))
        .collect();
    let (many, few) = (Exposer::text(&many.concat()), Exposer::text("m 1\n"));
    let signals = Signals::start();
    let mut config = config(1, vec![many.target("many"), few.target("few")]);
    config.limits.service_series_max = 20;
    signals.configure(&config);
    signals.sees("up{job=\"few\"}", 1.0);
    until("it is said", || {
        fault_of(&signals, "many").contains("`many` has 20 series, its limit")
    });
    assert!(
        signals
            .get("/metrics")
            .1
            .contains("signals_service_series{owned_by=\"many\"} 20\n")
    );
    signals.sees("count(m)", 1.0);
    // Series that are known go on when the limit is raised.
    config.generation = 2;
    config.limits.service_series_max = 200;
    signals.configure(&config);
    signals.sees("count(m{job=\"many\"})", 50.0);
}

#[test]
fn odd_values_are_kept_and_doubled_series_counted_once() {
    let exposer =
        Exposer::text("odd{n=\"1\"} NaN\nodd{n=\"2\"} +Inf\nodd{n=\"3\"} -0\ntwice 1\ntwice 2\n");
    let signals = Signals::start();
    signals.configure(&config(1, vec![exposer.target("api")]));
    signals.sees("twice", 1.0);
    assert!(signals.value("odd{n=\"1\"}").is_nan());
    assert!(signals.value("odd{n=\"2\"}").is_infinite());
}

#[test]
fn hostile_queries_are_refused() {
    let exposer = Exposer::text("a{x=\"1\"} 1\na{x=\"2\"} 1\nb{x=\"1\"} 1\nb{x=\"2\"} 1\n");
    let mut signals = Signals::start();
    signals.configure(&config(1, vec![exposer.target("api")]));
    signals.sees("count(a)", 2.0);
    let deep = format!("{}1{}", "(".repeat(50_000), ")".repeat(50_000));
    let sums = "sum(".repeat(10_000);
    for (query, status) in [
        (deep.as_str(), 400),
        (sums.as_str(), 400),
        ("a * on() b", 422),
        ("a{x=~\"(((a{1,100}){1,100}){1,100}){1,100}\"}", 400),
        ("sum_over_time(a[9999999y])", 400),
        ("", 400),
    ] {
        let mut form = String::from("query=");
        form.extend(query.bytes().map(|byte| format!("%{byte:02X}")));
        let (found, body) = post_form(&signals, &form);
        assert_eq!(found, status, "{} → {body}", &query[..query.len().min(40)]);
        assert!(body.contains("\"status\":\"error\""), "{body}");
    }
    let (status, body) = signals.get("/api/v1/query_range?query=a&start=0&end=2000000000&step=1");
    assert!(
        status == 400 && body.contains("11,000 points"),
        "{status} {body}"
    );
    assert!(signals.is_running());
    signals.sees("count(a)", 2.0);
}

/// Sends a form as clients of the field do.
fn post_form(signals: &Signals, form: &str) -> (u16, String) {
    use std::io::Read as _;
    let socket = signals.folder.path().join("s.sock");
    let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    let head = format!(
        "POST /api/v1/query HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        form.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(form.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer[9..12].parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, body.to_owned())
}
