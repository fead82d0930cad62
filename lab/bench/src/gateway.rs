//! On-CPU time per request of our gateway beside Debian's nginx.

use anyhow::{Context, Result, ensure};
use mainstay_atoms::{Epoch, Generation, HostName, ReleaseNumber, ServiceName, Share};
use mainstay_gateway_io::Client;
use mainstay_routing::{Backend, Listener, Pauses, Pool, Route, Split, Table};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Pairs of runs; each pair in a random order.
    pub pairs: usize,
    /// How long each run takes.
    pub seconds: u64,
    /// Client connections.
    pub connections: usize,
    /// Whether a release is on trial: of two instances one is the canary, whose clients stay on their side. Each
    /// answer gives a cookie then, because `wrk` keeps none.
    pub trial: bool,
}

/// One run of one server.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Run {
    /// Requests answered.
    pub requests: u64,
    /// Answers that were no success, and connections that broke.
    pub failures: u64,
    /// On-CPU time per request of all threads of the server, in nanoseconds.
    pub cpu_ns: f64,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The median of the paired ratios, ours over nginx's: the figure.
    pub ratio: f64,
    /// All paired ratios, in order of size: how far the machine let them scatter.
    pub ratios: Vec<f64>,
    /// Requests that were not answered well, by either.
    pub failures: u64,
    /// `/proc/loadavg` before the runs and after them.
    pub load: [String; 2],
    /// Ours.
    pub ours: Vec<Run>,
    /// nginx's, in the same order.
    pub nginx: Vec<Run>,
    /// Resident memory of our gateway, with a table and before any request, in KiB.
    pub idle_rss_kib: u64,
    /// Resident memory of our gateway after all runs, in KiB.
    pub loaded_rss_kib: u64,
}

impl std::fmt::Display for Report {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sum = |runs: &[Run]| runs.iter().map(|run| run.requests).sum::<u64>();
        let quartile = |part: usize| self.ratios.get(self.ratios.len() * part / 4);
        let (low, high) = (quartile(1).unwrap_or(&0.0), quartile(3).unwrap_or(&0.0));
        write!(
            out,
            "gateway/nginx on-CPU per request: {:.3} (median of {} pairs; middle half {low:.3} to {high:.3}); \
             {} and {} requests, {} failed; load {} before, {} after",
            self.ratio,
            self.ratios.len(),
            sum(&self.ours),
            sum(&self.nginx),
            self.failures,
            self.load[0],
            self.load[1],
        )
    }
}

const UPSTREAM: u16 = 18_391;
const OURS: u16 = 18_392;
const NGINX: u16 = 18_393;

/// Children that end with the benchmark.
pub(crate) struct Guard(pub(crate) Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // SIGTERM first: a killed nginx master leaves its worker behind.
        Command::new("kill")
            .arg(self.0.id().to_string())
            .status()
            .ok();
        let deadline = Instant::now() + Duration::from_secs(3);
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Measures. The servers run on the first core, the load (`wrk`) and the upstream on the second.
pub fn measure(plan: Plan) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let this = std::env::current_exe()?;
    let upstream = spawn(1, &this, &["upstream", &UPSTREAM.to_string()])?;
    let nginx = start_nginx(folder.path())?;
    let ours = start_ours(folder.path(), &this, plan.trial)?;
    for port in [UPSTREAM, OURS, NGINX] {
        wait_for(port)?;
    }
    let idle_rss_kib = rss_kib(ours.0.id())?;
    let before = load()?;
    let (mut our_runs, mut nginx_runs) = (Vec::new(), Vec::new());
    let ours_once = || run(plan, OURS, ours.0.id());
    let nginx_once = || run(plan, NGINX, nginx.0.id());
    ours_once()?;
    nginx_once()?;
    for pair in 0..plan.pairs {
        if coin(pair) {
            our_runs.push(ours_once()?);
            nginx_runs.push(nginx_once()?);
        } else {
            nginx_runs.push(nginx_once()?);
            our_runs.push(ours_once()?);
        }
    }
    let ratios = ratios(&our_runs, &nginx_runs);
    let report = Report {
        ratio: *ratios
            .get(ratios.len() / 2)
            .context("no pairs were measured")?,
        ratios,
        failures: our_runs
            .iter()
            .chain(&nginx_runs)
            .map(|run| run.failures)
            .sum(),
        load: [before, load()?],
        ours: our_runs,
        nginx: nginx_runs,
        idle_rss_kib,
        loaded_rss_kib: rss_kib(ours.0.id())?,
    };
    drop((upstream, nginx, ours));
    Ok(report)
}

/// Each run over the one beside it: what slows the machine down for a while slows both.
fn ratios(ours: &[Run], nginx: &[Run]) -> Vec<f64> {
    let pairs = ours.iter().zip(nginx);
    let mut ratios: Vec<f64> = pairs
        .map(|(ours, nginx)| ours.cpu_ns / nginx.cpu_ns)
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios
}

fn load() -> Result<String> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split_whitespace().next().unwrap_or("").into())
}

fn coin(pair: usize) -> bool {
    use std::hash::BuildHasher;
    std::hash::RandomState::new().hash_one(pair) & 1 == 0
}

fn spawn(core: usize, program: &Path, arguments: &[&str]) -> Result<Guard> {
    let mut command = Command::new("taskset");
    command
        .arg("-c")
        .arg(core.to_string())
        .arg(program)
        .args(arguments);
    let child = command.stdout(Stdio::null()).spawn();
    Ok(Guard(child.with_context(|| {
        format!("cannot start {}", program.display())
    })?))
}

fn start_nginx(folder: &Path) -> Result<Guard> {
    let place = folder.display();
    let conf = format!(
        "worker_processes 1;\ndaemon off;\npid {place}/nginx.pid;\nerror_log {place}/error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {place}/a; proxy_temp_path {place}/b;\n\
         fastcgi_temp_path {place}/c; uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;\n\
         upstream bench {{ server 127.0.0.1:{UPSTREAM}; keepalive 256; keepalive_requests 1000000000; }}\n\
         server {{ listen 127.0.0.1:{NGINX}; location / {{ proxy_pass http://bench; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; }} }} }}\n"
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, conf)?;
    let path = path.to_str().context("a path that is not text")?;
    spawn(
        0,
        Path::new("/usr/sbin/nginx"),
        &["-c", path, "-e", "stderr"],
    )
}

fn start_ours(folder: &Path, this: &Path, trial: bool) -> Result<Guard> {
    let (socket, kept) = (folder.join("gateway.sock"), folder.join("table.json"));
    let text = |path: &PathBuf| {
        path.to_str()
            .map(str::to_owned)
            .context("a path that is not text")
    };
    let gateway = spawn(0, this, &["process", &text(&socket)?, &text(&kept)?])?;
    let mut client = connect(&socket)?;
    client.publish(&table(trial)?)?;
    Ok(gateway)
}

/// The control socket of a gateway that was started just now.
pub(crate) fn connect(socket: &Path) -> Result<Client> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match Client::connect(socket) {
            Ok(client) => return Ok(client),
            Err(fault) if Instant::now() > deadline => return Err(fault.into()),
            Err(_) => std::thread::yield_now(),
        }
    }
}

fn table(trial: bool) -> Result<Table> {
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let service = ServiceName::new("web")?;
    let backend = |release: u64| {
        anyhow::Ok(Backend {
            instance: format!("web.v{release}.1").parse()?,
            generation: Generation(1),
            release: ReleaseNumber(release),
            address: address(UPSTREAM),
        })
    };
    let split = Split {
        release: ReleaseNumber(2),
        canary: Share(1_000),
        baseline: Share(0),
        fresh_above: 1,
        sticky: true,
        chosen: vec![],
        mirror: Share(0),
    };
    let mut backends = vec![backend(1)?];
    if trial {
        backends.push(backend(2)?);
    }
    let route = Route {
        prefix: "/".into(),
        service: service.clone(),
        only: None,
    };
    Ok(Table {
        epoch: Epoch(1),
        generation: Generation(1),
        listeners: vec![Listener::Public {
            address: address(OURS),
        }],
        domains: BTreeMap::from([(HostName::new("localhost")?, vec![route])]),
        services: BTreeMap::from([(
            service,
            Pool {
                streams: Duration::from_secs(1),
                backends,
                split: trial.then_some(split),
            },
        )]),
        pauses: Pauses::default(),
    })
}

fn wait_for(port: u16) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(5);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(Instant::now() < deadline, "nobody listens on port {port}");
        std::thread::yield_now();
    }
    Ok(())
}

fn run(plan: Plan, port: u16, pid: u32) -> Result<Run> {
    let before = cpu_ns(pid)?;
    let output = Command::new("taskset")
        .args([
            "-c",
            "1",
            "wrk",
            "-t1",
            &format!("-c{}", plan.connections),
            &format!("-d{}s", plan.seconds),
        ])
        .arg(format!("http://127.0.0.1:{port}/"))
        .output()
        .context("`wrk` is missing: apt-get install wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (requests, failures) = counted(&text).with_context(|| format!("wrk said:\n{text}"))?;
    ensure!(requests > 0, "no request was answered:\n{text}");
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio of two measured numbers"
    )]
    let cpu_ns = (cpu_ns(pid)? - before) as f64 / requests as f64;
    Ok(Run {
        requests,
        failures,
        cpu_ns,
    })
}

/// Requests and failures in what `wrk` prints.
fn counted(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().find(|line| line.contains(" requests in "))?;
    let requests = line.split_whitespace().next()?.parse().ok()?;
    let bad = text
        .lines()
        .filter(|line| line.contains("Non-2xx") || line.contains("Socket errors"));
    // Numbers stand behind the colon: `Non-2xx or 3xx responses: 7`.
    let numbers = bad
        .filter_map(|line| line.split_once(':'))
        .flat_map(|(_, counts)| counts.split(|letter: char| !letter.is_ascii_digit()));
    let failures = numbers.filter_map(|word| word.parse::<u64>().ok()).sum();
    Some((requests, failures))
}

/// On-CPU time of a process, its threads and its children.
fn cpu_ns(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?.path();
        let stat = fs::read_to_string(thread.join("schedstat"))?;
        sum += stat
            .split_whitespace()
            .next()
            .context("an empty schedstat")?
            .parse::<u64>()?;
        for child in fs::read_to_string(thread.join("children"))?.split_whitespace() {
            sum += cpu_ns(child.parse()?)?;
        }
    }
    Ok(sum)
}

fn rss_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let word = line.and_then(|line| line.split_whitespace().next());
    Ok(word.context("no VmRSS")?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_is_counted() {
        let good =
            "Running 1s test\n  30258 requests in 1.10s, 34.14MB read\nRequests/sec:  27510\n";
        assert_eq!(counted(good), Some((30_258, 0)));
        let bad = format!(
            "{good}  Socket errors: connect 1, read 2, write 0, timeout 4\n  Non-2xx or 3xx responses: 7\n"
        );
        assert_eq!(counted(&bad), Some((30_258, 14)));
        assert_eq!(counted("unable to connect"), None);
    }

    #[test]
    fn a_ratio_is_of_neighbours() {
        let run = |cpu_ns| Run {
            requests: 1,
            failures: 0,
            cpu_ns,
        };
        let (ours, nginx) = (
            [run(2.0), run(30.0), run(4.0)],
            [run(1.0), run(10.0), run(4.0)],
        );
        assert_eq!(ratios(&ours, &nginx), [1.0, 2.0, 3.0]);
    }
}
