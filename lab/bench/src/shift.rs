//! How soon a change of shares is seen, in every worker of a gateway under load.

use crate::gateway::{Guard, connect};
use anyhow::{Context, Result, ensure};
use mainstay_atoms::{Epoch, Generation, HostName, ReleaseNumber, ServiceName, Share};
use mainstay_routing::{Backend, Listener, Pauses, Pool, Route, Split, Table};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Tables that are published, each of which moves all traffic.
    pub tables: u64,
    /// Workers of the gateway.
    pub workers: usize,
    /// Clients, each of which asks over one connection and waits for each answer.
    pub clients: usize,
}

/// The median, the 99th percentile and the largest of some times, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Times {
    /// Half are shorter.
    pub median: u64,
    /// One in a hundred is longer.
    pub p99: u64,
    /// The longest.
    pub most: u64,
}

/// What came of it; times count from the call that publishes.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Tables published.
    pub tables: usize,
    /// Answers looked at.
    pub answers: usize,
    /// Until the last request was asked that the table before still answered: the shift.
    pub last_old: Times,
    /// Until the call came back.
    pub acknowledged: Times,
    /// Requests asked after anybody had been answered by the new table that the one before answered.
    pub apart: usize,
    /// Requests asked after the acknowledgement that the table before answered.
    pub late: usize,
    /// Answers that were no success.
    pub failures: usize,
}

/// One answer to a client.
struct Seen {
    asked: Instant,
    answered: Instant,
    /// Of the canary; nothing: it was no success.
    new: Option<bool>,
}

/// Moves all traffic from one instance to another and back, time after time.
pub fn measure(plan: Plan) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let place = |name: &str| folder.path().join(name).display().to_string();
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["process", &place("gateway.sock"), &place("table.json")]);
    let gateway = Guard(command.arg(plan.workers.to_string()).spawn()?);
    let mut client = connect(&folder.path().join("gateway.sock"))?;
    let entrance = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let instances = [serve(b'o')?, serve(b'n')?];
    client.publish(&table(1, entrance, instances)?)?;
    let (stop, (seen, all)) = (AtomicBool::new(false), mpsc::channel());
    let mut calls = Vec::new();
    let asked = std::thread::scope(|scope| {
        for _ in 0..plan.clients {
            let (seen, stop) = (seen.clone(), &stop);
            scope.spawn(move || ask(entrance, stop, &seen));
        }
        drop(seen);
        let published = (2..plan.tables + 2).try_for_each(|generation| {
            std::thread::sleep(PAUSE);
            let table = table(generation, entrance, instances)?;
            let called = Instant::now();
            client.publish(&table)?;
            calls.push((called, Instant::now(), generation.is_multiple_of(2)));
            anyhow::Ok(())
        });
        std::thread::sleep(PAUSE);
        stop.store(true, Relaxed);
        published
    });
    asked?;
    drop(gateway);
    report(&calls, &all.into_iter().collect::<Vec<Seen>>())
}

/// Between two tables.
const PAUSE: Duration = Duration::from_millis(100);

fn report(calls: &[(Instant, Instant, bool)], seen: &[Seen]) -> Result<Report> {
    ensure!(!seen.is_empty(), "nobody was answered");
    let (mut last_old, mut acknowledged) = (Vec::new(), Vec::new());
    let (mut apart, mut late) = (0, 0);
    for (number, (called, back, new)) in calls.iter().enumerate() {
        let end = calls.get(number + 1).map_or(*back + PAUSE, |next| next.0);
        // What was answered after the next call may have been answered by the next table.
        let within = |one: &&Seen| one.asked >= *called && one.answered < end;
        let during = seen.iter().filter(within);
        let (ours, old): (Vec<&Seen>, Vec<&Seen>) = during
            .filter(|one| one.new.is_some())
            .partition(|one| one.new == Some(*new));
        let first = ours.iter().map(|one| one.answered).min();
        apart += old
            .iter()
            .filter(|one| first.is_some_and(|first| one.asked > first))
            .count();
        late += old.iter().filter(|one| one.asked > *back).count();
        let last = old
            .iter()
            .map(|one| one.asked.duration_since(*called))
            .max();
        last_old.push(last.unwrap_or_default());
        acknowledged.push(back.duration_since(*called));
    }
    Ok(Report {
        tables: calls.len(),
        answers: seen.len(),
        last_old: times(last_old)?,
        acknowledged: times(acknowledged)?,
        apart,
        late,
        failures: seen.iter().filter(|one| one.new.is_none()).count(),
    })
}

fn times(mut all: Vec<Duration>) -> Result<Times> {
    all.sort_unstable();
    let at = |part: usize| {
        let place = (all.len() * part / 100).min(all.len().saturating_sub(1));
        all.get(place)
            .map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
    };
    let of = |part| at(part).context("no table was published");
    Ok(Times {
        median: of(50)?,
        p99: of(99)?,
        most: of(100)?,
    })
}

fn ask(entrance: SocketAddr, stop: &AtomicBool, seen: &mpsc::Sender<Seen>) {
    let Ok(mut stream) = TcpStream::connect(entrance) else {
        return;
    };
    let mut piece = [0; 1024];
    while !stop.load(Relaxed) {
        let asked = Instant::now();
        let written = stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        // An answer is small enough to come in one piece.
        let count = written.and_then(|()| stream.read(&mut piece)).unwrap_or(0);
        let last = piece[..count]
            .last()
            .filter(|_| piece.starts_with(b"HTTP/1.1 200"));
        let one = Seen {
            asked,
            answered: Instant::now(),
            new: last.map(|byte| *byte == b'n'),
        };
        if count == 0 || seen.send(one).is_err() {
            return;
        }
    }
}

/// An instance that answers every head with one letter, as long as the process lives.
fn serve(letter: u8) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n";
                let answer = [&head[..], &[letter]].concat();
                let mut piece = [0; 4096];
                while stream.read(&mut piece).is_ok_and(|count| count > 0)
                    && stream.write_all(&answer).is_ok()
                {}
            });
        }
    });
    Ok(address)
}

fn table(generation: u64, entrance: SocketAddr, instances: [SocketAddr; 2]) -> Result<Table> {
    let service = ServiceName::new("web")?;
    let canary = if generation.is_multiple_of(2) {
        10_000
    } else {
        0
    };
    let backend = |release: u64, address: SocketAddr| {
        anyhow::Ok(Backend {
            instance: format!("web.v{release}.1").parse()?,
            generation: Generation(1),
            release: ReleaseNumber(release),
            address,
        })
    };
    let pool = Pool {
        streams: Duration::from_secs(1),
        backends: vec![backend(1, instances[0])?, backend(2, instances[1])?],
        split: Some(Split {
            release: ReleaseNumber(2),
            canary: Share(canary),
            baseline: Share(0),
            fresh_above: 1,
            sticky: false,
            chosen: vec![],
            mirror: Share(0),
        }),
    };
    let route = Route {
        prefix: "/".into(),
        service: service.clone(),
        only: None,
    };
    Ok(Table {
        epoch: Epoch(1),
        generation: Generation(generation),
        listeners: vec![Listener::Public { address: entrance }],
        domains: BTreeMap::from([(HostName::new("localhost")?, vec![route])]),
        services: BTreeMap::from([(service, pool)]),
        pauses: Pauses::default(),
    })
}
