//! The shim: one small process that holds one instance.
//!
//! Single-threaded, no async runtime, waits in `poll` only. It is the subreaper of its workload, so
//! what forks away from its parents becomes the shim's own child and ends with it.

use crate::control::{REQUEST_LIMIT, Reply, Request};
use crate::group::{self, Groups};
use crate::isolation::{Isolation, KillBy};
use crate::layout::Door;
use crate::log::{Lines, Writer};
use crate::presence::Presence;
use crate::record::{self, Ended, Exit, Identity, Orders, State, wall_now};
use crate::{launch, process, reader};
use mainstay_atoms::{Epoch, Generation};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Lines kept in the exit record, and most bytes of each.
const LAST_LINES: (usize, usize) = (30, 1024);
/// After the program ended, its pipes are read until empty, at most this long.
const DRAIN: Duration = Duration::from_millis(500);
/// A killed group is gone within this, or the kernel holds it.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// How often orphans that ended are collected, and the socket is looked for, while nothing else happens.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Connections served at a time.
const CLIENTS: usize = 8;
/// Bytes read from a pipe at a time.
const CHUNK: usize = 16 * 1024;

/// Runs the shim of the instance folder that follows `shim` on the command line. Says `ok` or one
/// line of fault on standard output once that is known.
pub fn shim_main() -> ExitCode {
    let Some(dir) = std::env::args_os().nth(2) else {
        return ExitCode::FAILURE;
    };
    let dir = PathBuf::from(dir);
    // Fails only for a session leader, which is as good.
    rustix::process::setsid().ok();
    match hold(&dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            say(&format!("shim {fault}"));
            ExitCode::FAILURE
        }
    }
}

/// The control plane may be gone; the instance does not depend on it.
fn say(line: &str) {
    let mut out = io::stdout();
    drop(out.write_all(line.as_bytes()).and_then(|()| out.flush()));
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        rustix::stdio::dup2_stdout(&null).ok();
    }
}

fn hold(dir: &Path) -> io::Result<()> {
    let lock = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(dir.join("lock"))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    let us = Identity::of(std::process::id()).ok_or(io::ErrorKind::NotFound)?;
    record::note(&dir.join("shim.json"), &us)?;
    let orders: Orders = record::read(&dir.join("launch.json"))?.ok_or(io::ErrorKind::NotFound)?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let called = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(Signal::HUP.as_raw(), Arc::clone(&called))?;
    let listener = listen(&orders)?;
    let mut log = Writer::open(&orders.logs)?;
    let launch = &orders.launch;
    let name = format!(
        "mainstay-{}-{}-{}",
        orders.group, launch.instance, launch.generation
    );
    let groups = Groups::create(&name, &launch.size);
    let (status, ended, fault) = match start(dir, &orders, &groups) {
        Ok((workload, state)) => {
            say("ok");
            let seen = (orders.epoch, launch.generation);
            let presence = Presence::new(dir, &orders, state, lock);
            let mut shim = Shim::new(workload, &groups, (listener, presence), seen);
            shim.run(&mut log, &called)?;
            (shim.status, shim.ended(), None)
        }
        Err(why) => (None, Ended::NeverStarted, Some(why)),
    };
    log.finish();
    let exit = exit(&orders, &groups, status, ended, fault);
    group::remove(&groups.paths);
    // Its folder may be gone as well.
    record::remove(&orders.run.join(&orders.socket)).ok();
    record::write(&dir.join("exit.json"), &exit)?;
    if let Some(why) = &exit.fault {
        say(&format!("program {why}"));
    }
    Ok(())
}

/// Listens in the run folder, whichever way it came to be missing.
fn listen(orders: &Orders) -> io::Result<UnixListener> {
    crate::runtime::make_private(&orders.run)?;
    let door = Door::open(&orders.run)?;
    record::remove(&door.path(&orders.socket))?;
    let listener = UnixListener::bind(door.path(&orders.socket))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn exit(
    orders: &Orders,
    groups: &Groups,
    status: Option<WaitStatus>,
    ended: Ended,
    fault: Option<String>,
) -> Exit {
    let signal = status.and_then(WaitStatus::terminating_signal);
    let killed = signal == Some(Signal::KILL.as_raw());
    let id = &orders.launch.instance;
    Exit {
        generation: orders.launch.generation,
        code: status.and_then(WaitStatus::exit_status),
        signal,
        oom: killed && ended == Ended::Itself && group::oom_kills(&groups.paths) > 0,
        at: wall_now(),
        ended,
        fault,
        last_lines: reader::last_text(&orders.logs, id, LAST_LINES.0, LAST_LINES.1),
    }
}

/// A program that was executed.
struct Workload {
    pid: Pid,
    pidfd: OwnedFd,
    streams: Vec<Source>,
}

/// One pipe of the workload.
struct Source {
    pipe: File,
    lines: Lines,
    open: bool,
}

/// Starts stage two and waits until it became the program.
fn start(dir: &Path, orders: &Orders, groups: &Groups) -> Result<(Workload, State), String> {
    let said = |fault: io::Error| fault.to_string();
    let us = Identity::of(std::process::id()).ok_or("this process is not in /proc")?;
    let mut state = State {
        generation: orders.launch.generation,
        shim: us,
        workload: us,
        at: wall_now(),
        isolation: Isolation {
            user: orders.user.clone(),
            ..groups.isolation.clone()
        },
        groups: groups.paths.clone(),
    };
    record::note(&dir.join("groups.json"), &state).map_err(said)?;
    let (mut report, reporter) = pipe()?;
    let (out, out_end) = pipe()?;
    let (err, err_end) = pipe()?;
    let child = Command::new("/proc/self/exe")
        .arg("launch")
        .arg(dir)
        .arg(OsStr::new(&us.pid.to_string()))
        .stdin(Stdio::from(reporter))
        .stdout(Stdio::from(out_end))
        .stderr(Stdio::from(err_end))
        .spawn()
        .map_err(said)?;
    let pid = Pid::from_child(&child);
    state.workload = Identity::of(child.id()).ok_or("the process is not in /proc")?;
    record::note(&dir.join("state.json"), &state).map_err(said)?;
    let mut text = String::new();
    report.read_to_string(&mut text).map_err(said)?;
    let (reach, why) = launch::said(&text);
    if let Some(why) = why {
        return Err(why);
    }
    if state.isolation.reach != reach {
        state.isolation.reach = reach;
        record::note(&dir.join("state.json"), &state).map_err(said)?;
    }
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty());
    let pidfd = pidfd.map_err(|fault| fault.to_string())?;
    let streams = vec![source(out, false)?, source(err, true)?];
    let workload = Workload {
        pid,
        pidfd,
        streams,
    };
    Ok((workload, state))
}

fn pipe() -> Result<(File, OwnedFd), String> {
    let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    let (read, write) = pipe.map_err(|fault| fault.to_string())?;
    Ok((File::from(read), write))
}

fn source(pipe: File, error: bool) -> Result<Source, String> {
    rustix::fs::fcntl_setfl(&pipe, OFlags::NONBLOCK).map_err(|fault| fault.to_string())?;
    Ok(Source {
        pipe,
        lines: Lines::new(error),
        open: true,
    })
}

/// An order to stop, taken.
#[derive(Clone, Copy)]
struct Stopping {
    deadline: Instant,
    killed: bool,
}

struct Client {
    stream: UnixStream,
    request: Vec<u8>,
    done: bool,
}

struct Shim<'a> {
    groups: &'a Groups,
    listener: UnixListener,
    presence: Presence,
    /// When the socket was last looked for.
    looked: Instant,
    clients: Vec<Client>,
    streams: Vec<Source>,
    pid: Pid,
    pidfd: OwnedFd,
    status: Option<WaitStatus>,
    /// The highest order that was taken.
    seen: (Epoch, Generation),
    stop: Option<Stopping>,
}

impl<'a> Shim<'a> {
    fn new(
        workload: Workload,
        groups: &'a Groups,
        (listener, presence): (UnixListener, Presence),
        seen: (Epoch, Generation),
    ) -> Self {
        Self {
            groups,
            listener,
            presence,
            looked: Instant::now(),
            clients: Vec::new(),
            streams: workload.streams,
            pid: workload.pid,
            pidfd: workload.pidfd,
            status: None,
            seen,
            stop: None,
        }
    }

    fn ended(&self) -> Ended {
        if self.stop.is_some() {
            Ended::Stopped
        } else {
            Ended::Itself
        }
    }

    /// Until the program ended, its group is gone and its pipes are read.
    fn run(&mut self, log: &mut Writer, called: &AtomicBool) -> io::Result<()> {
        while self.status.is_none() {
            let ready = self.wait(self.patience())?;
            self.read_streams(log);
            if ready {
                self.accept();
            }
            self.serve();
            self.reap();
            self.press();
            // Called by somebody who did not find the socket, it looks at once.
            if called.swap(false, Ordering::Relaxed) || self.looked.elapsed() >= LOOK_EVERY {
                self.looked = Instant::now();
                if let Some(listener) = self.presence.restore() {
                    self.listener = listener;
                }
            }
        }
        self.end_group();
        let deadline = Instant::now() + DRAIN;
        while self.streams.iter().any(|source| source.open) && Instant::now() < deadline {
            self.wait(deadline.saturating_duration_since(Instant::now()))?;
            self.read_streams(log);
        }
        let at = wall_now();
        for source in &mut self.streams {
            source.lines.finish(at, log);
        }
        Ok(())
    }

    /// Until the next thing that only time brings.
    fn patience(&self) -> Duration {
        match self.stop {
            Some(stop) if !stop.killed => stop.deadline.saturating_duration_since(Instant::now()),
            _ => LOOK_EVERY,
        }
    }

    /// Waits for pipes, the end of the program, or a connection; whether somebody connects.
    fn wait(&self, patience: Duration) -> io::Result<bool> {
        let mut fds = Vec::with_capacity(4 + self.clients.len());
        fds.push(PollFd::new(&self.listener, PollFlags::IN));
        if self.status.is_none() {
            fds.push(PollFd::new(&self.pidfd, PollFlags::IN));
        }
        let open = self.streams.iter().filter(|source| source.open);
        fds.extend(open.map(|source| PollFd::new(&source.pipe, PollFlags::IN)));
        let clients = self.clients.iter();
        fds.extend(clients.map(|client| PollFd::new(&client.stream, PollFlags::IN)));
        let timeout = Timespec::try_from(patience).map_err(io::Error::other)?;
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(!fds[0].revents().is_empty()),
            Err(fault) => Err(fault.into()),
        }
    }

    /// One chunk of each pipe, so that a flood on one starves nothing else.
    fn read_streams(&mut self, log: &mut Writer) {
        let mut chunk = [0; CHUNK];
        for source in self.streams.iter_mut().filter(|source| source.open) {
            match source.pipe.read(&mut chunk) {
                Ok(0) => source.open = false,
                Ok(count) => source.lines.take(&chunk[..count], wall_now(), log),
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => source.open = false,
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if stream.set_nonblocking(true).is_ok() {
                if self.clients.len() == CLIENTS {
                    self.clients.remove(0);
                }
                self.clients.push(Client {
                    stream,
                    request: Vec::new(),
                    done: false,
                });
            }
        }
    }

    fn serve(&mut self) {
        let mut clients = std::mem::take(&mut self.clients);
        for client in &mut clients {
            if let Some(line) = client.line() {
                let reply = match serde_json::from_slice(&line) {
                    Ok(request) => self.obey(&request),
                    Err(_) => Reply::Malformed,
                };
                client.answer(&reply);
            }
        }
        clients.retain(|client| !client.done);
        self.clients = clients;
    }

    fn obey(&mut self, request: &Request) -> Reply {
        let Request::Stop {
            epoch,
            generation,
            signal,
            grace_ms,
        } = request;
        if (*epoch, *generation) < self.seen {
            let (epoch, generation) = self.seen;
            return Reply::Stale { epoch, generation };
        }
        self.seen = (*epoch, *generation);
        let deadline = Instant::now() + Duration::from_millis(*grace_ms);
        if let Some(stop) = &mut self.stop {
            // The same order again may shorten the grace, and signals nobody twice.
            stop.deadline = stop.deadline.min(deadline);
        } else {
            let killed = false;
            self.stop = Some(Stopping { deadline, killed });
            self.signal(*signal);
        }
        Reply::Taken
    }

    fn signal(&self, number: i32) {
        let signal = Signal::from_named_raw(number).unwrap_or(Signal::TERM);
        // Gone already is as good.
        rustix::process::kill_process_group(self.pid, signal).ok();
    }

    /// Kills what outlived its grace.
    fn press(&mut self) {
        let Some(stop) = &mut self.stop else { return };
        if !stop.killed && Instant::now() >= stop.deadline {
            stop.killed = true;
            self.end_group();
        }
    }

    /// Collects every child that ended, the program among them.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid == self.pid {
                self.status = Some(status);
            }
        }
    }

    /// Ends the whole group: by its control groups, its process group, and what we inherited from it.
    fn end_group(&mut self) {
        self.signal(Signal::KILL.as_raw());
        if self.groups.isolation.kill != KillBy::ProcessGroup {
            group::kill(&self.groups.paths, KILL_PATIENCE);
        }
        let deadline = Instant::now() + KILL_PATIENCE;
        loop {
            self.reap();
            let children = children();
            if children.is_empty() || Instant::now() >= deadline {
                return;
            }
            children.into_iter().for_each(group::kill_one);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Client {
    /// A whole request line, once it is there.
    fn line(&mut self) -> Option<Vec<u8>> {
        let mut chunk = [0; 512];
        match self.stream.read(&mut chunk) {
            Ok(0) => self.done = true,
            Ok(count) => self.request.extend(&chunk[..count]),
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.done = true,
        }
        self.done |= self.request.len() > REQUEST_LIMIT;
        let end = self.request.iter().position(|&byte| byte == b'\n')?;
        Some(self.request[..end].to_vec())
    }

    /// The answer fits the socket's buffer; a client that does not read loses it.
    fn answer(&mut self, reply: &Reply) {
        let mut line = serde_json::to_vec(reply).unwrap_or_default();
        line.push(b'\n');
        drop(self.stream.write_all(&line));
        self.done = true;
    }
}

/// Our children now: the program, and what it left behind.
fn children() -> Vec<u32> {
    let us = std::process::id();
    match std::fs::read_to_string(format!("/proc/self/task/{us}/children")) {
        Ok(text) => text
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect(),
        // Kernels without that file are asked the long way.
        Err(_) => process::all()
            .into_iter()
            .filter(|stat| stat.parent == us)
            .map(|stat| stat.pid)
            .collect(),
    }
}
