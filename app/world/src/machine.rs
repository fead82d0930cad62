//! What there is on this machine, for those who judge whether a platform can live here.

use crate::state::{State, anchors};
use mainstay_atoms::Wall;
use mainstay_gateway_io::Client;
use mainstay_process_io::{
    Isolation, Kernel, Listener, RunsAs, cannot_change, holder, kernel, most_files, open_files,
    try_limits,
};
use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Facts, none of them judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Where the state lies or would lie.
    pub disk: Result<Disk, String>,
    /// What held in a trial of every limit.
    pub limits: Isolation,
    /// Each service can have a user of its own, or as whom all run.
    pub user: Result<(), RunsAs>,
    /// The gateway's ports.
    pub ports: Vec<(u16, Port)>,
    /// Ports below this one take a privilege.
    pub free_ports_from: u16,
    /// The gateway's process, if it answers.
    pub gateway: Option<u32>,
    /// Files that the gateway may hold open, or one that is started from here.
    pub files: Option<u64>,
    /// Files that each of our processes holds open, and may.
    pub held: Vec<(&'static str, u64, u64)>,
    /// What the kernel offers.
    pub kernel: Kernel,
    /// The civil clock.
    pub now: Wall,
    /// When the ledger was last signed.
    pub signed: Option<Wall>,
    /// Where copies of the signed checkpoint lie outside the state folder, and whether one is there.
    pub anchor: Option<(PathBuf, bool)>,
}

/// The file system of the state folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The folder that exists already.
    pub folder: PathBuf,
    /// Its kind: `ext4`.
    pub kind: String,
    /// Free and all bytes.
    pub bytes: (u64, u64),
    /// Free and all inodes; zero of zero where there is no such limit.
    pub inodes: (u64, u64),
    /// Why it cannot be written, if so.
    pub refused: Option<String>,
}

/// Who has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    /// Nobody.
    Free,
    /// Our gateway.
    Ours,
    /// Somebody else.
    Taken {
        /// Its process, where it may be seen.
        pid: Option<u32>,
        /// Its program.
        program: String,
    },
    /// It may not be listened on.
    Refused {
        /// Why.
        why: String,
    },
}

impl Machine {
    /// Looks. Nothing is left behind.
    pub fn look(state: &State, ports: &[u16], control_plane: Option<u32>) -> Self {
        let gateway = Client::connect(&state.gateway_socket())
            .and_then(|mut client| client.status())
            .ok()
            .map(|status| status.pid);
        // The control plane holds duplicates of the gateway's sockets.
        let ours = gateway.into_iter().chain(control_plane).collect();
        Self {
            disk: disk(state.dir()),
            limits: try_limits(),
            user: match cannot_change() {
                _ if !rustix::process::geteuid().is_root() => Err(RunsAs::default()),
                Some(why) => Err(RunsAs::Root { why }),
                None => Ok(()),
            },
            ports: ports
                .iter()
                .map(|port| (*port, look_at(*port, &ours)))
                .collect(),
            free_ports_from: number("/proc/sys/net/ipv4/ip_unprivileged_port_start")
                .unwrap_or(1024),
            gateway,
            files: most_files(gateway),
            held: [("control plane", control_plane), ("gateway", gateway)]
                .into_iter()
                .filter_map(|(name, pid)| Some((name, open_files(pid?)?, most_files(pid)?)))
                .collect(),
            kernel: kernel(),
            now: crate::clock::wall(),
            signed: written(&state.ledger().join("checkpoint")),
            anchor: anchors(state).into_iter().next().map(|folder| {
                let there = fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some());
                (folder, there)
            }),
        }
    }
}

fn number(path: &str) -> Option<u16> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn written(path: &Path) -> Option<Wall> {
    let time = fs::metadata(path).ok()?.modified().ok()?;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok().map(Wall)
}

fn disk(state: &Path) -> Result<Disk, String> {
    let folder = state
        .ancestors()
        .find(|folder| folder.is_dir())
        .unwrap_or(Path::new("/"));
    let stat = rustix::fs::statvfs(folder).map_err(|fault| fault.to_string())?;
    let access = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK);
    Ok(Disk {
        folder: folder.to_owned(),
        kind: kind(folder),
        bytes: (stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize),
        inodes: (stat.f_favail, stat.f_files),
        refused: access.err().map(|fault| fault.to_string()),
    })
}

/// The kind of the mount that a folder lies on: the last of the longest that hold it.
fn kind(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounts = procfs::process::Process::myself().and_then(|process| process.mountinfo());
    let mounts = mounts.into_iter().flatten();
    let holding = mounts.filter(|mount| folder.starts_with(&mount.mount_point));
    holding
        .max_by_key(|mount| mount.mount_point.components().count())
        .map_or("unknown".into(), |mount| mount.fs_type)
}

fn look_at(port: u16, ours: &BTreeSet<u32>) -> Port {
    match holder(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), ours) {
        Listener::Nobody => {}
        Listener::Instance { .. } => return Port::Ours,
        Listener::Stranger { pid, program } => return Port::Taken { pid, program },
    }
    match std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)) {
        Ok(_) => Port::Free,
        Err(fault) => Port::Refused {
            why: fault.to_string(),
        },
    }
}
