//! An ordinary small HTTP application, as a user of the platform would write one.
//!
//! `PORT` (8080), `HOST` (127.0.0.1) and `GREETING` say where and what; `MAINSTAY_SERVICE`,
//! `MAINSTAY_RELEASE` and `MAINSTAY_INSTANCE` are shown when set; with `API_URL` the front page also
//! asks another service. `QUIET` ends the line per request on standard output. Faults: see [`fault`].
//! On SIGTERM it takes no more connections, finishes the requests in flight and exits with 0.

mod fault;
mod load;
mod page;
mod shop;
mod stream;

use fault::Faults;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// What every request sees.
struct App {
    greeting: String,
    service: String,
    release: String,
    instance: String,
    api_url: Option<String>,
    quiet: bool,
    faults: Faults,
    requests: AtomicU64,
    errors: AtomicU64,
    in_flight: AtomicU64,
    /// True once SIGTERM came: streams end.
    ending: watch::Sender<bool>,
    guests: Guests,
}

impl App {
    fn from_environment() -> Self {
        let text =
            |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.into());
        Self {
            greeting: text("GREETING", "hello"),
            service: text("MAINSTAY_SERVICE", "sample"),
            release: text("MAINSTAY_RELEASE", "v0"),
            instance: text("MAINSTAY_INSTANCE", "sample.v0.1"),
            api_url: std::env::var("API_URL").ok(),
            quiet: std::env::var_os("QUIET").is_some(),
            faults: Faults::from_environment(),
            requests: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            ending: watch::Sender::new(false),
            guests: Guests(watch::Sender::new(0)),
        }
    }
}

/// A line of log; nobody may be reading it.
fn log(line: &str) {
    drop(writeln!(io::stdout(), "{line}"));
}

fn main() -> ExitCode {
    let done = match std::env::args().nth(1).as_deref() {
        None | Some("serve") => web(),
        Some("worker") => worker().map(|()| 0),
        Some("load") => load().map(|()| 0),
        Some("migrate") => job(shop::migrate),
        Some("digest") => job(shop::digest),
        Some(other) => {
            Err(format!("`{other}` is none of serve, worker, load, migrate, digest").into())
        }
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(fault) => {
            drop(writeln!(io::stderr(), "sample: {fault}"));
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn web() -> Result<u8, shop::Failed> {
    let app = Arc::new(App::from_environment());
    Ok(serve(&app).await?)
}

/// The worker has a thread of its own; this one waits for SIGTERM.
#[tokio::main(flavor = "current_thread")]
async fn worker() -> Result<(), shop::Failed> {
    let mut term = signal(SignalKind::terminate())?;
    let ending = Arc::new(AtomicBool::new(false));
    let own = Arc::clone(&ending);
    let mut work = tokio::task::spawn_blocking(move || shop::work(&own));
    tokio::select! {
        done = &mut work => return done?,
        _ = term.recv() => {}
    }
    ending.store(true, std::sync::atomic::Ordering::Relaxed);
    work.await?
}

#[tokio::main(flavor = "current_thread")]
async fn load() -> Result<(), shop::Failed> {
    load::run().await
}

/// A job; `FAULT_JOB_MS` and `FAULT_JOB_EXIT` make it slow and make it fail.
fn job(work: fn() -> Result<(), shop::Failed>) -> Result<u8, shop::Failed> {
    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        text.parse::<u64>().ok()
    };
    if let Some(ms) = number("FAULT_JOB_MS") {
        std::thread::sleep(std::time::Duration::from_millis(ms));
    }
    work()?;
    Ok(number("FAULT_JOB_EXIT")
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(0))
}

async fn serve(app: &Arc<App>) -> io::Result<u8> {
    let host = std::env::var("HOST").unwrap_or_else(|_| "127.0.0.1".into());
    let port = std::env::var("PORT").unwrap_or_else(|_| "8080".into());
    let listener = TcpListener::bind(format!("{host}:{port}")).await?;
    let mut term = signal(SignalKind::terminate())?;
    log(&format!(
        "{} {} listens on {}",
        app.instance,
        app.release,
        listener.local_addr()?
    ));
    loop {
        tokio::select! {
            taken = listener.accept() => {
                if let Ok((stream, _)) = taken {
                    tokio::spawn(connection(Arc::clone(app), stream));
                }
            }
            code = app.faults.exit() => return Ok(code),
            _ = term.recv() => {
                if !app.faults.ignores_term() {
                    break;
                }
                log("asked to end; ignored");
            }
        }
    }
    drop(listener);
    log("asked to end; finishing requests in flight");
    app.ending.send_replace(true);
    tokio::select! {
        () = app.guests.gone() => Ok(0),
        code = app.faults.exit() => Ok(code),
    }
}

/// One connection, until its client closes it or the application ends and nothing is in flight.
async fn connection(app: Arc<App>, stream: TcpStream) {
    let _guest = app.guests.enter();
    let mut ending = app.ending.subscribe();
    stream.set_nodelay(true).ok();
    let answer = service_fn(|request| page::answer(Arc::clone(&app), request));
    let connection = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades();
    tokio::pin!(connection);
    // A client that goes away is no fault of ours.
    tokio::select! {
        ended = connection.as_mut() => return drop(ended),
        () = ended(&mut ending) => {}
    }
    connection.as_mut().graceful_shutdown();
    drop(connection.await);
}

/// Waits for SIGTERM.
async fn ended(ending: &mut watch::Receiver<bool>) {
    // The sender lives as long as the application.
    drop(ending.wait_for(|ending| *ending).await);
}

/// Counts what is still going on.
struct Guests(watch::Sender<usize>);

/// One of them, while it lives.
struct Guest(watch::Sender<usize>);

impl Guests {
    fn enter(&self) -> Guest {
        self.0.send_modify(|count| *count += 1);
        Guest(self.0.clone())
    }

    async fn gone(&self) {
        // The sender lives as long as we do.
        drop(self.0.subscribe().wait_for(|count| *count == 0).await);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
