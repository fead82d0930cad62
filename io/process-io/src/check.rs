//! One question to one instance.

use crate::fault::is_want;
use crate::layout::Layout;
use crate::probe::{Answer, Place, Watched};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use mainstay_atoms::{Check, Probe};
use std::io;
use std::net::SocketAddr;
use std::process::Stdio;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

/// Bytes of an answer that are kept.
const KEPT: usize = 1024;

/// What is asked, for a person.
pub(crate) fn describe(check: &Check, address: Option<SocketAddr>) -> String {
    let place = address.map_or_else(|| "nowhere".into(), |address| address.to_string());
    match check {
        Check::Http(path) => format!("GET http://{place}{path}"),
        Check::Tcp => format!("connect to {place}"),
        Check::Exec(command) => command.join(" "),
    }
}

/// Asks once, within the probe's timeout.
pub(crate) async fn ask(place: &Place, watched: &Watched, probe: &Probe) -> Answer {
    let answer = async {
        match (&probe.check, watched.address) {
            (Check::Exec(command), _) => exec(place, watched, command).await,
            (Check::Http(path), Some(address)) => http(address, path).await,
            (Check::Tcp, Some(address)) => TcpStream::connect(address)
                .await
                .map_or_else(|fault| failed(&fault), |_| Answer::Connected),
            (_, None) => Answer::Failed {
                why: "the instance has no address".into(),
            },
        }
    };
    let after = probe.timeout;
    tokio::time::timeout(after, answer)
        .await
        .unwrap_or(Answer::TimedOut { after })
}

fn failed(fault: &io::Error) -> Answer {
    match fault.kind() {
        io::ErrorKind::ConnectionRefused => Answer::Refused,
        _ if is_want(fault) => Answer::NotAsked {
            why: fault.to_string(),
        },
        _ => Answer::Failed {
            why: fault.to_string(),
        },
    }
}

fn broken(fault: &hyper::Error) -> Answer {
    Answer::Failed {
        why: fault.to_string(),
    }
}

async fn http(address: SocketAddr, path: &str) -> Answer {
    page(address, path, KEPT).await
}

/// The answer to a GET, with at most `kept` bytes of its body.
pub(crate) async fn page(address: SocketAddr, path: &str, kept: usize) -> Answer {
    let stream = match TcpStream::connect(address).await {
        Ok(stream) => TokioIo::new(stream),
        Err(fault) => return failed(&fault),
    };
    let request = hyper::Request::get(path)
        .header("host", address.to_string())
        .header("user-agent", "mainstay-probe")
        .header("connection", "close")
        .body(Empty::<Bytes>::new());
    let request = match request {
        Ok(request) => request,
        Err(fault) => {
            return Answer::Failed {
                why: fault.to_string(),
            };
        }
    };
    let (mut sender, connection) = match hyper::client::conn::http1::handshake(stream).await {
        Ok(pair) => pair,
        Err(fault) => return broken(&fault),
    };
    let exchange = async {
        match sender.send_request(request).await {
            Ok(response) => read(response, kept).await,
            Err(fault) => broken(&fault),
        }
    };
    tokio::pin!(exchange);
    // The connection must be driven; once it ends, what it brought is still to be taken.
    tokio::select! {
        answer = &mut exchange => answer,
        _ = connection => exchange.await,
    }
}

async fn read(response: hyper::Response<Incoming>, most: usize) -> Answer {
    let code = response.status().as_u16();
    let mut body = response.into_body();
    let mut kept = Vec::new();
    while kept.len() < most {
        match body.frame().await {
            Some(Ok(frame)) => kept.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            Some(Err(fault)) => return broken(&fault),
            None => break,
        }
    }
    let body = text(&kept, most);
    Answer::Status { code, body }
}

/// The beginning of an answer as text.
fn text(bytes: &[u8], most: usize) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(most)]).into_owned()
}

/// Asked by a process of the instance's own: its user, folder, environment and limits.
async fn exec(place: &Place, watched: &Watched, command: &[String]) -> Answer {
    let layout = Layout {
        state: place.state.clone(),
    };
    let child = Command::new(&place.binary)
        .arg("launch")
        .arg(layout.instance(&watched.id))
        .arg(std::process::id().to_string())
        .args(command)
        .current_dir("/")
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => Group(child),
        Err(fault) => return failed(&fault),
    };
    let Group(child) = &mut child;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (out, err) = tokio::join!(beginning(out), beginning(err));
    // Asked last: until then its number names the group that is to end.
    match child.wait().await {
        Ok(status) => Answer::Exit {
            code: status.code(),
            output: text(&[out, err].concat(), KEPT),
        },
        Err(fault) => failed(&fault),
    }
}

/// A question that has no answer in time ends with everything it started.
struct Group(tokio::process::Child);

impl Drop for Group {
    fn drop(&mut self) {
        let pid = self.0.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            // It leads a session of its own; before it does, there is nobody else to end.
            rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).ok();
        }
    }
}

/// The first bytes of a stream, read to its end so that nobody waits for a reader.
async fn beginning(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut chunk = [0; KEPT];
    let Some(mut stream) = stream else {
        return kept;
    };
    while let Ok(count) = stream.read(&mut chunk).await {
        if count == 0 {
            break;
        }
        kept.extend(&chunk[..count.min(KEPT - kept.len().min(KEPT))]);
    }
    kept
}
