//! Orders to instances and questions about them; every call blocks and is safe from any thread.

use crate::artifact;
use crate::control::{self, Reply, Request};
use crate::fault::{ForgetFault, LogFault, ObserveFault, StartFault, StopFault, UserFault};
use crate::layout::Layout;
use crate::listener::{self, Listener};
use crate::observe::{self, InstanceFact, Looks};
use crate::reader::{self, Cursor, LogLine, LogSource};
use crate::record::{self, Orders, State};
use crate::used::{self, Used};
use crate::user::{self, RunsAs};
use mainstay_atoms::{Epoch, Generation, InstanceId, Launch, ServiceName, Stop};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A shim that no longer answers writes its end within this time.
const ENDING: Duration = Duration::from_secs(1);

/// What a start needs beside its launch: what only this machine knows.
#[derive(Debug, Clone, Default)]
pub struct Here {
    /// Program and arguments, where the launch names none.
    pub run: Vec<String>,
    /// The working folder, instead of the artifact.
    pub inside: Option<PathBuf>,
    /// Further folders that it uses.
    pub folders: Vec<PathBuf>,
    /// Further groups that it is in, when it has a user of its own.
    pub groups: Vec<u32>,
    /// Variables that are handed down from process to process and never written to a file.
    pub secrets: BTreeMap<String, String>,
}

/// The instances of one state folder.
#[derive(Debug)]
pub struct Runtime {
    layout: Layout,
    binary: PathBuf,
    /// Shims that are our children, so that none stays a zombie.
    children: Mutex<Vec<Child>>,
    /// One order at a time.
    orders: Mutex<()>,
    /// Whose rights each service has.
    users: Mutex<BTreeMap<ServiceName, RunsAs>>,
    /// What was last seen of each instance.
    looks: Mutex<Looks>,
}

impl Runtime {
    /// Works in the state folder of an environment; `binary` is called as `binary shim FOLDER` and must
    /// enter [`crate::shim_main`] and [`crate::launch_main`] for `shim` and `launch`.
    pub fn new(state: &Path, binary: &Path) -> Self {
        Self {
            layout: Layout {
                state: state.to_owned(),
            },
            binary: binary.to_owned(),
            children: Mutex::default(),
            orders: Mutex::default(),
            users: Mutex::default(),
            looks: Mutex::default(),
        }
    }

    /// [`Runtime::start_here`] for a program that needs nothing beside its launch.
    pub fn start(&self, launch: &Launch, epoch: Epoch) -> Result<(), StartFault> {
        self.start_here(launch, epoch, &Here::default())
    }

    /// Starts an instance and returns once its program was executed. The same generation again is a
    /// success, whether it still runs or has ended; an earlier one that runs must be stopped first.
    pub fn start_here(&self, launch: &Launch, epoch: Epoch, here: &Here) -> Result<(), StartFault> {
        let _one = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let id = &launch.instance;
        let dir = self.layout.instance(id);
        if let Some(known) = read::<Orders>(&dir.join("launch.json"))? {
            if known.launch.generation == launch.generation && has_begun(&dir, launch)? {
                return Ok(());
            }
            refuse_stale(launch, epoch, &known)?;
            if !observe::is_over(&dir) {
                return Err(StartFault::Running {
                    instance: id.clone(),
                    running: known.launch.generation,
                });
            }
        }
        clear(&dir)?;
        let user = self.user(launch)?;
        let orders = self.orders_for(launch, epoch, user, here);
        for folder in [&dir, &orders.run, &orders.logs, &orders.home] {
            make_private(folder).map_err(fault(folder, "created"))?;
        }
        if let Some(uid) = orders.user.uid() {
            let given = std::os::unix::fs::chown(&orders.home, Some(uid), Some(uid));
            given.map_err(fault(&orders.home, "given to its user"))?;
        }
        let path = dir.join("launch.json");
        record::write(&path, &orders).map_err(fault(&path, "written"))?;
        self.spawn(&dir, id, here)
    }

    /// Whose rights a service, job or store has.
    pub fn user_of(&self, name: &ServiceName) -> Result<RunsAs, UserFault> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = users.get(name) {
            return Ok(known.clone());
        }
        let found = user::of(&self.layout.state, name)?;
        users.insert(name.clone(), found.clone());
        Ok(found)
    }

    /// Users that these had before the state was moved here, and whose they were.
    pub fn formerly(&self, names: &[ServiceName]) -> BTreeMap<u32, ServiceName> {
        user::formerly(&self.layout.state, names)
    }

    /// Whose rights a service has; asked of the registry once, because the answer never changes.
    fn user(&self, launch: &Launch) -> Result<RunsAs, StartFault> {
        let found = self.user_of(&launch.instance.service);
        found.map_err(|source| StartFault::User {
            instance: launch.instance.clone(),
            source,
        })
    }

    fn orders_for(&self, launch: &Launch, epoch: Epoch, user: RunsAs, here: &Here) -> Orders {
        let mut launch = launch.clone();
        if !here.run.is_empty() {
            launch.run.clone_from(&here.run);
        }
        let artifact = self.layout.artifacts().join(launch.artifact.to_hex());
        Orders {
            epoch,
            artifact: here.inside.clone().unwrap_or(artifact),
            folders: here.folders.clone(),
            groups: here.groups.clone(),
            logs: self.layout.instance_logs(&launch.instance),
            run: self.layout.run(),
            socket: Layout::socket(&launch.instance),
            group: self.layout.group(),
            user,
            home: self.layout.home(&launch.instance),
            launch,
        }
    }

    /// Starts the shim and waits for its first line.
    fn spawn(&self, dir: &Path, id: &InstanceId, here: &Here) -> Result<(), StartFault> {
        let shim = |why: String| StartFault::Shim {
            instance: id.clone(),
            why,
        };
        let mut child = Command::new(&self.binary)
            .arg("shim")
            .arg(dir)
            .env_clear()
            .envs(&here.secrets)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(fault(&self.binary, "executed"))?;
        let mut line = String::new();
        let read = match child.stdout.take() {
            Some(out) => BufReader::new(out).read_line(&mut line),
            None => Ok(0),
        };
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        children.push(child);
        drop(children);
        read.map_err(|fault| shim(fault.to_string()))?;
        match line.split_once(' ') {
            _ if line == "ok" => Ok(()),
            Some(("program", why)) => Err(StartFault::Program {
                instance: id.clone(),
                why: why.to_owned(),
            }),
            Some((_, why)) => Err(shim(why.to_owned())),
            None => Err(shim("it ended without a word".into())),
        }
    }

    /// Orders an instance to stop: its signal now, KILL to the whole group after the grace. Returns once
    /// the shim has the order; the end shows in [`Runtime::observe`]. `generation` is the order's own.
    /// An instance that has ended is a success.
    pub fn stop(
        &self,
        id: &InstanceId,
        generation: Generation,
        stop: &Stop,
        epoch: Epoch,
    ) -> Result<(), StopFault> {
        let signal = control::signal_number(&stop.signal).ok_or_else(|| StopFault::Signal {
            name: stop.signal.clone(),
        })?;
        let dir = self.layout.instance(id);
        if !dir.join("launch.json").exists() {
            return Err(StopFault::Unknown {
                instance: id.clone(),
            });
        }
        if !observe::shim_lives(&dir) {
            observe::kill_leftover(&dir);
            return Ok(());
        }
        let request = Request::Stop {
            epoch,
            generation,
            signal,
            grace_ms: u64::try_from(stop.grace.as_millis()).unwrap_or(u64::MAX),
        };
        match self.ask(&dir, id, &request) {
            Ok(Reply::Taken) => Ok(()),
            Ok(Reply::Stale { epoch, generation }) => Err(StopFault::Stale {
                instance: id.clone(),
                epoch,
                generation,
            }),
            Ok(Reply::Malformed) => Err(silent(id, io::ErrorKind::InvalidData.into())),
            // It ended between the question and the answer.
            Err(_) if is_ending(&dir) => Ok(()),
            Err(source) => Err(silent(id, source)),
        }
    }

    /// Asks a shim; one whose socket was deleted is called first, and makes it anew.
    fn ask(&self, dir: &Path, id: &InstanceId, request: &Request) -> io::Result<Reply> {
        let (run, socket) = (self.layout.run(), Layout::socket(id));
        match control::ask(&run, &socket, request) {
            Err(fault) if is_absent(&fault) && observe::call(dir) => {
                let deadline = Instant::now() + ENDING;
                let awaited = || !run.join(&socket).exists() && !dir.join("exit.json").exists();
                while awaited() && observe::shim_lives(dir) && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(1));
                }
                control::ask(&run, &socket, request)
            }
            answer => answer,
        }
    }

    /// Everything known about every instance. Shims of an earlier control plane are found again; the
    /// leftover group of a shim that was killed is ended.
    pub fn observe(&self) -> Result<Vec<Arc<InstanceFact>>, ObserveFault> {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let before = looks.ends;
        let facts = looks.all(&self.layout);
        if looks.ends != before {
            let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
            children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        }
        facts
    }

    /// Removes the run files of an instance that has ended; its logs stay.
    pub fn forget(&self, id: &InstanceId) -> Result<(), ForgetFault> {
        let _one = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = self.layout.instance(id);
        if !observe::is_over(&dir) {
            return Err(ForgetFault::Running {
                instance: id.clone(),
            });
        }
        observe::kill_leftover(&dir);
        let socket = self.layout.run().join(Layout::socket(id));
        let cleared = record::remove(&socket).and_then(|()| clear_home(&dir));
        let removed = cleared.and_then(|()| match fs::remove_dir_all(&dir) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
            _ => Ok(()),
        });
        removed.map_err(|source| ForgetFault::File { path: dir, source })
    }

    /// The last `count` lines, oldest first, and a cursor behind them for [`Runtime::logs_since`].
    pub fn logs(
        &self,
        source: &LogSource,
        count: usize,
    ) -> Result<(Vec<LogLine>, Cursor), LogFault> {
        reader::last(&self.layout, source, count)
    }

    /// The lines since the cursor, which moves on; empty when there are none yet.
    pub fn logs_since(
        &self,
        source: &LogSource,
        cursor: &mut Cursor,
    ) -> Result<Vec<LogLine>, LogFault> {
        reader::since(&self.layout, source, cursor)
    }

    /// What these instances use now; those that do not run are left out.
    pub fn used(&self, ids: &[InstanceId]) -> BTreeMap<InstanceId, Used> {
        used::used(&self.layout, ids)
    }

    /// Who listens on an address: this instance's group, a stranger, or nobody.
    pub fn listener(&self, address: SocketAddr, id: &InstanceId) -> Listener {
        let members = observe::members(&self.layout.instance(id));
        listener::find(address, &members)
    }
}

/// Nobody listens there.
fn is_absent(fault: &io::Error) -> bool {
    matches!(
        fault.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

/// Whether a shim that broke off is about to be gone: it wrote its end, or does so in a moment.
fn is_ending(dir: &Path) -> bool {
    let deadline = Instant::now() + ENDING;
    loop {
        if !observe::shim_lives(dir) || dir.join("exit.json").exists() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether this very run was executed before.
fn has_begun(dir: &Path, launch: &Launch) -> Result<bool, StartFault> {
    let state = read::<State>(&dir.join("state.json"))?;
    let begun = state.is_some_and(|state| state.generation == launch.generation);
    let ended = dir.join("exit.json").exists();
    Ok(begun && (ended || observe::shim_lives(dir)))
}

/// Removes what an ended run left behind.
fn clear(dir: &Path) -> Result<(), StartFault> {
    observe::kill_leftover(dir);
    for name in ["shim.json", "state.json", "groups.json", "exit.json"] {
        let path = dir.join(name);
        record::remove(&path).map_err(fault(&path, "removed"))?;
    }
    let home = dir.join("home");
    clear_home(dir).map_err(fault(&home, "removed"))
}

/// Removes the home of an ended run. A program may have left there what cannot be removed at once (too
/// deep, or made immutable); that is set aside and never in the way of the next run.
fn clear_home(dir: &Path) -> io::Result<()> {
    let home = dir.join("home");
    let removed = match fs::remove_dir_all(&home) {
        // Folders of its own that it closed; root is not kept out by them.
        Err(fault) if fault.kind() == io::ErrorKind::PermissionDenied => {
            artifact::remove_tree(&home)
        }
        other => other,
    };
    match removed {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => {
            let aside = dir.with_file_name(format!(
                ".left-{}-{}",
                dir.file_name().unwrap_or_default().display(),
                record::wall_now().0
            ));
            fs::rename(&home, aside)
        }
        _ => Ok(()),
    }
}

fn refuse_stale(launch: &Launch, epoch: Epoch, known: &Orders) -> Result<(), StartFault> {
    if (epoch, launch.generation) >= (known.epoch, known.launch.generation) {
        return Ok(());
    }
    Err(StartFault::Stale {
        instance: launch.instance.clone(),
        epoch: known.epoch,
        generation: known.launch.generation,
    })
}

fn silent(id: &InstanceId, source: io::Error) -> StopFault {
    StopFault::Silent {
        instance: id.clone(),
        source,
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, StartFault> {
    record::read(path).map_err(fault(path, "read"))
}

fn fault(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> StartFault + use<> {
    let path = path.to_owned();
    move |source| StartFault::File {
        path,
        action,
        source,
    }
}

pub(crate) fn make_private(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    File::open(dir).map(drop)
}
