//! Probes against real listeners and commands.

#[expect(dead_code, reason = "the stage serves other tests too")]
mod common;

use common::{EPOCH, Stage};
use mainstay_atoms::{Check, Generation, Probe};
use mainstay_process_io::{Answer, Artifacts, ProbeFact, Prober, Watched};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Answers each connection with the next of these responses, the last for ever.
fn server(responses: Vec<String>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1024];
            let _read = stream.read(&mut request);
            let at = counted
                .fetch_add(1, Ordering::SeqCst)
                .min(responses.len() - 1);
            let _sent = stream.write_all(responses[at].as_bytes());
        }
    });
    (address, count)
}

fn response(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn watched(check: Check, address: Option<SocketAddr>) -> Watched {
    Watched {
        id: "web.v1.1".parse().unwrap(),
        generation: Generation(1),
        address,
        ready: Some(Probe::readiness(check)),
        serves: false,
        health: None,
    }
}

fn prober() -> Prober {
    common::prober(Path::new("/nowhere"))
}

fn until(prober: &Prober, what: &str, done: impl Fn(&ProbeFact) -> bool) -> ProbeFact {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let fact = prober.facts().into_values().next().unwrap();
        if done(&fact) {
            return fact;
        }
        assert!(Instant::now() < deadline, "in 20 s not: {what}; {fact:?}");
        thread::park_timeout(Duration::from_millis(2));
    }
}

fn answer(fact: &ProbeFact) -> Option<&Answer> {
    fact.readiness.as_ref()?.answer.as_ref()
}

#[test]
fn an_instance_is_asked_eagerly_until_ready_and_keeps_its_last_answer() {
    let slow = response("503 Service Unavailable", &"warming up ".repeat(300));
    let (address, count) = server(vec![
        slow.clone(),
        slow.clone(),
        slow,
        response("200 OK", "fine"),
    ]);
    let prober = prober();
    let mut watched = watched(Check::Http("/ready".into()), Some(address));
    watched.ready.as_mut().unwrap().every = Duration::from_mins(10);
    prober.set(vec![watched]);
    let fact = until(&prober, "a failure", |fact| answer(fact).is_some());
    let side = fact.readiness.unwrap();
    assert!(!fact.ready);
    assert_eq!(side.request, format!("GET http://{address}/ready"));
    assert!(matches!(&side.answer, Some(Answer::Status { code: 503, body }) if body.len() == 1024));
    let fact = until(&prober, "ready", |fact| fact.ready);
    let body = "fine".into();
    assert_eq!(answer(&fact), Some(&Answer::Status { code: 200, body }));
    assert_eq!(
        count.load(Ordering::SeqCst),
        4,
        "not asked again before its period"
    );
}

#[test]
fn refused_and_timed_out_are_told_apart() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let prober = prober();
    prober.set(vec![watched(Check::Http("/".into()), Some(free))]);
    let fact = until(&prober, "an answer", |fact| answer(fact).is_some());
    assert_eq!(answer(&fact), Some(&Answer::Refused));
    // A listener that never accepts: the connection stands, the answer does not come.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut watched = watched(Check::Http("/".into()), Some(silent.local_addr().unwrap()));
    watched.generation = Generation(2);
    let timeout = Duration::from_millis(50);
    watched.ready.as_mut().unwrap().timeout = timeout;
    prober.set(vec![watched]);
    let fact = until(&prober, "an answer", |fact| answer(fact).is_some());
    assert_eq!(answer(&fact), Some(&Answer::TimedOut { after: timeout }));
    assert_eq!(fact.generation, Generation(2));
}

#[test]
fn a_listener_is_enough_for_tcp_and_its_end_takes_readiness_away() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut watched = watched(Check::Tcp, Some(listener.local_addr().unwrap()));
    let probe = watched.ready.as_mut().unwrap();
    (probe.every, probe.fail) = (Duration::from_millis(5), 3);
    let prober = prober();
    prober.set(vec![watched]);
    until(&prober, "ready", |fact| fact.ready);
    drop(listener);
    let fact = until(&prober, "unready", |fact| !fact.ready);
    assert!(fact.readiness.unwrap().failures >= 3);
}

#[test]
fn a_command_is_asked_as_the_instance_itself_would() {
    let stage = Stage::new();
    let mut launch = stage.script("echo as $(id -u); sleep 1000");
    launch.env.insert("WORD".into(), "hello".into());
    launch.size.files = Some(77);
    stage.runtime.start(&launch, EPOCH).unwrap();
    let uid = stage.line("as ")["as ".len()..].to_owned();
    let prober = common::prober(&stage.state);
    let script = "echo $WORD $(id -u) $(ulimit -n); pwd; yes | head -c 100000; exit 3";
    let ask = |words: &[&str]| Check::Exec(words.iter().map(|&word| word.into()).collect());
    let mut watched = watched(ask(&["sh", "-c", script]), None);
    prober.set(vec![watched.clone()]);
    let fact = until(&prober, "an answer", |fact| answer(fact).is_some());
    let Some(Answer::Exit {
        code: Some(3),
        output,
    }) = answer(&fact)
    else {
        panic!("{fact:?}");
    };
    let cwd = Artifacts::new(&stage.state).path(launch.artifact);
    let begin = format!("hello {uid} 77\n{}\ny\n", cwd.display());
    assert!(output.starts_with(&begin), "{output}");
    assert_eq!(output.len(), 1024);
    watched.ready = Some(Probe::readiness(ask(&["true"])));
    prober.set(vec![watched.clone()]);
    until(&prober, "ready", |fact| fact.ready);
    watched.ready = Some(Probe::readiness(ask(&["./missing"])));
    watched.generation = Generation(2);
    prober.set(vec![watched]);
    let fact = until(&prober, "an answer", |fact| answer(fact).is_some());
    let Some(Answer::Exit { code, output }) = answer(&fact) else {
        panic!("{fact:?}");
    };
    assert_eq!(*code, Some(127));
    assert!(output.contains("missing"), "{output}");
}

#[test]
fn a_command_without_an_answer_in_time_ends_with_all_it_started() {
    ends_with_all_it_started("sleep 4321 & sleep 4321; true", b"sleep\x004321\0");
}

#[test]
fn a_command_that_leaves_its_output_to_others_ends_with_them() {
    ends_with_all_it_started("sleep 4322 & true", b"sleep\x004322\0");
}

fn ends_with_all_it_started(script: &str, started: &[u8]) {
    let stage = Stage::new();
    let launch = stage.script("sleep 1000");
    stage.runtime.start(&launch, EPOCH).unwrap();
    let mut watched = watched(
        Check::Exec(vec!["sh".into(), "-c".into(), script.into()]),
        None,
    );
    let probe = watched.ready.as_mut().unwrap();
    (probe.timeout, probe.every) = (Duration::from_secs(1), Duration::from_hours(1));
    let (timeout, prober) = (probe.timeout, common::prober(&stage.state));
    prober.set(vec![watched]);
    let fact = until(&prober, "an answer", |fact| answer(fact).is_some());
    assert_eq!(answer(&fact), Some(&Answer::TimedOut { after: timeout }));
    drop(prober);
    common::until("the end of what it started", || {
        let left = std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == started)
        });
        (!left).then_some(())
    });
}

#[test]
fn early_failures_of_liveness_are_forgiven_and_later_ones_count() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut watched = watched(Check::Tcp, Some(free));
    watched.ready = None;
    let mut probe = Probe::liveness(Check::Tcp);
    (probe.every, probe.after) = (Duration::from_millis(5), Duration::from_hours(1));
    watched.health = Some(probe);
    let prober = prober();
    prober.set(vec![watched.clone()]);
    let refused = |fact: &ProbeFact| fact.liveness.as_ref().is_some_and(|side| side.repeated > 5);
    let fact = until(&prober, "several failures", refused);
    assert!(fact.live && fact.ready);
    watched.generation = Generation(2);
    watched.health.as_mut().unwrap().after = Duration::ZERO;
    prober.set(vec![watched]);
    until(&prober, "not alive", |fact| !fact.live);
}

#[test]
fn what_is_no_longer_watched_is_forgotten_and_asked_no_more() {
    let (address, _) = server(vec![response("200 OK", "")]);
    let prober = prober();
    prober.set(vec![watched(Check::Tcp, Some(address))]);
    until(&prober, "ready", |fact| fact.ready);
    prober.set(Vec::new());
    assert!(prober.facts().is_empty());
    let (sender, dropped) = mpsc::channel();
    thread::spawn(move || {
        drop(prober);
        sender.send(()).unwrap();
    });
    dropped.recv_timeout(Duration::from_secs(10)).unwrap();
}
