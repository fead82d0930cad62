//! One gateway takes over from another; and what those that retired still carry.

use crate::gateway::{START, spawn, terminate};
use crate::state::State;
use mainstay_gateway_io::{Client, ClientFault, Listeners, Status, others};
use mainstay_routing::Table;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

/// A gateway beside another one that is not told to take over within this was forgotten, and retires.
pub(crate) const FORGOTTEN: Duration = Duration::from_secs(20);

/// Whether a process runs the very program that we run; `None` where that cannot be seen.
pub(crate) fn is_ours(pid: u32) -> Option<bool> {
    is_own_program(Path::new(&format!("/proc/{pid}/exe")))
}

/// Whether this is still the file of the program that we run, and not another one in its place.
pub(crate) fn is_own_program(path: &Path) -> Option<bool> {
    let identity = |path: &Path| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.dev(), found.ino()))
    };
    let (own, other) = (identity(Path::new("/proc/self/exe"))?, identity(path)?);
    Some(own == other)
}

/// A gateway of `binary` that takes over from the one in place.
pub(crate) struct Succession<'a> {
    pub(crate) binary: &'a Path,
    pub(crate) state: &'a State,
}

impl Succession<'_> {
    /// Until the successor is in place; the one before finds that out and retires. A failure leaves the
    /// one that was there; the successor, if it began, finishes what it took and ends.
    pub(crate) fn run(&self) -> Result<(Child, Listeners), (String, Option<Child>)> {
        let before = self.before().map_err(|fault| (fault.to_string(), None))?;
        let child = spawn(self.binary, self.state, &["--beside"]);
        let child = child.ok_or_else(|| ("it cannot be started".to_owned(), None))?;
        match self.take_over(child.id(), &before) {
            Ok(listeners) => Ok((child, listeners)),
            Err(reason) => {
                terminate(child.id());
                Err((reason, Some(child)))
            }
        }
    }

    fn before(&self) -> Result<(Status, Listeners), ClientFault> {
        let mut client = Client::connect(&self.state.gateway_socket())?;
        Ok((client.status()?, client.listeners()?))
    }

    fn take_over(&self, pid: u32, before: &(Status, Listeners)) -> Result<Listeners, String> {
        let text = |fault: ClientFault| fault.to_string();
        let socket = self.state.gateway_socket_of(pid);
        let mut client = within("it does not answer", || Client::connect(&socket).ok())?;
        client.adopt(&before.1).map_err(text)?;
        within("it does not serve the same table", || {
            let status = client.status().ok()?;
            (status.serving == before.0.serving).then_some(())
        })?;
        client.promote().map_err(text)?;
        client.listeners().map_err(text)
    }
}

fn within<T>(otherwise: &str, mut seen: impl FnMut() -> Option<T>) -> Result<T, String> {
    let deadline = Instant::now() + START;
    loop {
        if let Some(found) = seen() {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(otherwise.into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The gateways of an environment that are not in place.
pub(crate) struct Others {
    socket: PathBuf,
    clients: BTreeMap<u32, Client>,
    /// What was published last, for those that missed it.
    table: Option<Table>,
}

impl Others {
    pub(crate) fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
            clients: BTreeMap::new(),
            table: None,
        }
    }

    /// Tells all of them; who does not hear it is told again when it is looked at.
    pub(crate) fn publish(&mut self, table: &Table) {
        self.table = Some(table.clone());
        for (pid, path) in others(&self.socket) {
            // Looked at below: its account says which table it picks by.
            drop(self.ask(pid, &path, |client| client.publish(table)));
        }
    }

    /// How they stand. One that runs and does not answer is a reason to stop nobody.
    pub(crate) fn look(&mut self) -> Result<Vec<Status>, String> {
        let found = others(&self.socket);
        self.clients
            .retain(|pid, _| found.iter().any(|(other, _)| other == pid));
        let mut seen = Vec::new();
        for (pid, path) in found {
            match self.ask(pid, &path, Client::status) {
                Ok(status) => {
                    self.remind(&status, &path);
                    seen.push(status);
                }
                // Killed: its socket is all that is left.
                Err(ClientFault::Absent { .. }) => drop(std::fs::remove_file(&path)),
                Err(ClientFault::Lost { .. }) if is_ours(pid).is_none() => {}
                Err(fault) => return Err(format!("a gateway that retired, pid {pid}: {fault}")),
            }
        }
        Ok(seen)
    }

    fn remind(&mut self, status: &Status, path: &Path) {
        let Some(table) = self.table.clone() else {
            return;
        };
        let held = status.serving.map(|held| (held.epoch, held.generation));
        if held.is_some_and(|held| held < (table.epoch, table.generation)) {
            drop(self.ask(status.pid, path, |client| client.publish(&table)));
        }
    }

    /// Asks over one connection; a broken one is dropped.
    fn ask<T>(
        &mut self,
        pid: u32,
        path: &Path,
        question: impl FnOnce(&mut Client) -> Result<T, ClientFault>,
    ) -> Result<T, ClientFault> {
        let mut client = match self.clients.remove(&pid) {
            Some(client) => client,
            None => Client::connect(path)?,
        };
        let answer = question(&mut client);
        if matches!(answer, Ok(_) | Err(ClientFault::Refused(_))) {
            self.clients.insert(pid, client);
        }
        answer
    }
}
