//! Start and stop of the control plane.

use crate::accept::{accept, all_done, room};
use crate::desk::{Clerk, Desk, Office, Standing};
use crate::ledger;
use crate::limit::Buckets;
use crate::route::router;
use crate::upgrade::Leaving;
use mainstay_execute::{Engine, Leases, StartFault};
use mainstay_plan::{History, Limits};
use mainstay_world::{OpenFault, RealWorld, State, WorldFault};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::UnixListener;

/// What a control plane is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The state folder of all environments.
    pub state: PathBuf,
    /// Which environment.
    pub environment: String,
    /// The program that shims and gateways are started from.
    pub binary: PathBuf,
}

/// Why a control plane cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeFault {
    /// Another one holds the state.
    #[error("another control plane holds this state: pid {pid}, since {}", crate::clock(*since_ms))]
    Held {
        /// Its process.
        pid: u32,
        /// Since when, in milliseconds since 1970.
        since_ms: u64,
    },
    /// The state cannot be opened.
    #[error("the state `{}` cannot be opened", path.display())]
    State {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<WorldFault>,
    },
    /// The engine cannot start.
    #[error("the control plane cannot start")]
    Start(#[source] StartFault),
    /// The socket cannot be listened on.
    #[error("the socket `{}` cannot be listened on", path.display())]
    Socket {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The engine's thread panicked: a mistake of ours.
    #[error("the control plane ended by a mistake of its own")]
    Panicked,
    /// Threads or the runtime cannot be started.
    #[error("the control plane cannot start its threads")]
    Threads(#[source] std::io::Error),
}

/// Runs the control plane until a signal ends it, everything was brought down, or another program is to
/// take over: then the caller becomes that.
pub fn serve(options: &Options) -> Result<Option<Leaving>, ServeFault> {
    let state = State::new(&options.state, &options.environment);
    let office = open(options, &state)?;
    let (desk, errands) = Desk::open();
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(ServeFault::Threads)?;
    }
    let path = state.control_socket();
    let listener = listen(&path)?;
    let clerk = Clerk {
        office,
        errands,
        stop,
    };
    let engine = std::thread::Builder::new()
        .name("engine".into())
        .spawn(move || clerk.run())
        .map_err(ServeFault::Threads)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ServeFault::Threads)?;
    let ended = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&ended);
    let api = std::thread::Builder::new()
        .name("api".into())
        .spawn(move || {
            runtime.block_on(answer(listener, &path, &desk, &until));
        })
        .map_err(ServeFault::Threads)?;
    // What cannot be written now is written at the next start.
    drop(mainstay_world::settle_upgrade(&state));
    let finished = engine.join();
    ended.store(true, Ordering::Relaxed);
    drop(api.join());
    // Gone already when somebody removed it; then there is nothing to remove.
    drop(std::fs::remove_file(state.control_socket()));
    // What it said stands in the log.
    let (mut office, down) = finished.map_err(|_| ServeFault::Panicked)?;
    let leaving = office.leaving.take();
    leave(office, down);
    Ok(leaving)
}

fn open(options: &Options, state: &State) -> Result<Office, ServeFault> {
    let opened = mainstay_world::open(state, &options.binary).map_err(|fault| match fault {
        WorldFault::Ledger(OpenFault::Held { pid, since }) => ServeFault::Held {
            pid,
            since_ms: since.0,
        },
        fault => ServeFault::State {
            path: state.dir().to_owned(),
            source: Box::new(fault),
        },
    })?;
    let standing = match opened.world {
        Ok(world) => working(opened.history, world).map_err(ServeFault::Start)?,
        Err(halted) => Standing::Halted {
            why: ledger::halted_why(&halted),
            history: Box::new(opened.history),
            halted: Box::new(halted),
        },
    };
    Ok(Office::new(standing, Leases::default(), options.clone()))
}

/// Starts the engine over a world and its history.
pub(crate) fn working(history: History, mut world: Box<RealWorld>) -> Result<Standing, StartFault> {
    let who = (std::process::id(), env!("CARGO_PKG_VERSION"));
    let engine = Engine::start(history, Limits::default(), who, &mut *world)?;
    // What cannot be swept now is swept at the next start; it costs disk, nothing else.
    drop(world.sweep(engine.history()));
    Ok(Standing::Working {
        engine: Box::new(engine),
        world,
    })
}

/// Listens on the socket, 0660; a stale one of a killed control plane is replaced, which the lock on
/// the ledger allows only its holder. A deep folder is reached through its descriptor, because a
/// socket's path has at most 108 bytes.
fn listen(path: &Path) -> Result<std::os::unix::net::UnixListener, ServeFault> {
    let fault = |source| ServeFault::Socket {
        path: path.to_owned(),
        source,
    };
    match std::fs::remove_file(path) {
        Err(found) if found.kind() != std::io::ErrorKind::NotFound => return Err(fault(found)),
        _ => {}
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    std::os::unix::fs::DirBuilderExt::mode(std::fs::DirBuilder::new().recursive(true), 0o700)
        .create(folder)
        .map_err(fault)?;
    let folder = std::fs::File::open(folder).map_err(fault)?;
    let short = crate::short_path(&folder, path);
    let listener = std::os::unix::net::UnixListener::bind(short).map_err(fault)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(fault)?;
    open_to_group(path);
    listener.set_nonblocking(true).map_err(fault)?;
    Ok(listener)
}

/// The group whose people may speak to control planes that root runs.
const GROUP: &str = "mainstay";

/// Lets the group reach the socket, and nothing else below the state folder. Where that fails, it is
/// root's alone.
fn open_to_group(socket: &Path) {
    let group = uzers::get_group_by_name(GROUP).map(|group| group.gid());
    let Some(group) = group.filter(|_| uzers::get_effective_uid() == 0) else {
        return;
    };
    // `run/` and the environment's own folder, of which only the way through is given.
    for (folder, mode) in socket.ancestors().skip(1).zip([0o750, 0o710]) {
        let given = std::os::unix::fs::chown(folder, None, Some(group));
        let mode = std::fs::Permissions::from_mode(mode);
        drop(given.and_then(|()| std::fs::set_permissions(folder, mode)));
    }
    drop(std::os::unix::fs::chown(socket, None, Some(group)));
}

/// Answers until the end; a socket that was deleted is made anew.
async fn answer(
    mut listener: std::os::unix::net::UnixListener,
    path: &Path,
    desk: &Desk,
    ended: &Arc<AtomicBool>,
) {
    let limits = Buckets::default();
    let room = room();
    loop {
        let Ok(listening) = UnixListener::from_std(listener) else {
            return;
        };
        let router = router(desk.clone(), limits.clone());
        // Answers under way are given; connections that linger are cut: whoever watches connects again
        // and finds nobody.
        tokio::select! {
            () = accept(listening, router, &room) => return,
            () = until(|| ended.load(Ordering::Relaxed)) => {
                drop(tokio::time::timeout(LAST_ANSWERS, all_done(&room)).await);
                return;
            }
            () = until(|| !path.exists()) => {}
        }
        listener = loop {
            if ended.load(Ordering::Relaxed) {
                return;
            }
            match listen(path) {
                Ok(listener) => break listener,
                // Its folder is gone, or descriptors are used up: tried again.
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        };
    }
}

/// How long the last answers may take to be read.
const LAST_ANSWERS: std::time::Duration = std::time::Duration::from_millis(500);

/// How often the API's thread looks whether it should end, and whether its socket is still there.
const LOOK: std::time::Duration = std::time::Duration::from_millis(50);

async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(LOOK).await;
    }
}

fn leave(office: Office, down: bool) {
    match office.standing {
        Standing::Working { mut world, .. } => {
            if down {
                world.signals.end();
                world.gateway.end();
            } else {
                world.signals.let_go();
                world.gateway.let_go();
            }
            world.close();
        }
        Standing::Halted { mut halted, .. } => halted.gateway.let_go(),
    }
}
