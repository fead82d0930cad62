//! Stage two: the process that becomes the program.

use crate::group;
use crate::record::{self, Orders, State};
use mainstay_atoms::Size;
use rustix::process::{Gid, Resource, Rlimit, Signal, Uid, setrlimit};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Where commands are looked for when the file declares no `PATH`.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Becomes the program of `launch.json` in the folder that follows `launch` on the command line.
/// Returns only when that fails; the reason goes to the shim through the pipe on standard input.
pub fn launch_main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(2);
    let (Some(dir), Some(shim)) = (arguments.next(), arguments.next()) else {
        return ExitCode::FAILURE;
    };
    let Ok(report) = take_report() else {
        return ExitCode::FAILURE;
    };
    let why = match become_program(Path::new(&dir), &shim) {
        Ok(never) => match never {},
        Err(why) => why,
    };
    // Nobody reads when the shim is gone, and then this process is about to be killed as well.
    drop(File::from(report).write_all(why.as_bytes()));
    ExitCode::from(127)
}

/// The pipe to the shim, closed by a successful exec; standard input becomes empty.
fn take_report() -> io::Result<OwnedFd> {
    let stdin = io::stdin();
    let report = rustix::io::fcntl_dupfd_cloexec(stdin.as_fd(), 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(report)
}

enum Never {}

fn become_program(dir: &Path, shim: &OsString) -> Result<Never, String> {
    let said = |what: &'static str| move |fault: io::Error| format!("{what}: {fault}");
    let orders: Orders = record::read(&dir.join("launch.json"))
        .map_err(said("launch.json"))?
        .ok_or("launch.json is missing")?;
    let groups: Option<State> =
        record::read(&dir.join("groups.json")).map_err(said("groups.json"))?;
    if let Some(state) = &groups {
        group::join(&state.groups).map_err(said("joining the control groups"))?;
    }
    let program = program(&orders.artifact, &orders.launch.run, path_of(&orders))?;
    std::env::set_current_dir(&orders.artifact)
        .map_err(|fault| format!("`{}`: {fault}", orders.artifact.display()))?;
    let rlimit_memory =
        groups.is_some_and(|state| state.isolation.memory == crate::isolation::Holder::Rlimit);
    confine(&orders.launch.size, rlimit_memory, orders.uid, shim)
        .map_err(said("confining the process"))?;
    let fault = Command::new(&program)
        .arg0(&orders.launch.run[0])
        .args(&orders.launch.run[1..])
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .env("HOME", &orders.artifact)
        .envs(&orders.launch.env)
        .exec();
    Err(format!("`{}`: {fault}", program.display()))
}

fn path_of(orders: &Orders) -> &str {
    orders.launch.env.get("PATH").map_or(PATH, String::as_str)
}

/// Own session, resource limits, user, no new privileges, and death with the shim — in this order,
/// because changing the user forgets the last.
fn confine(size: &Size, rlimit_memory: bool, uid: Option<u32>, shim: &OsString) -> io::Result<()> {
    rustix::process::setsid()?;
    limit(Resource::Core, 0)?;
    if let Some(files) = size.files {
        limit(Resource::Nofile, u64::from(files))?;
    }
    if let (Some(memory), true) = (size.memory, rlimit_memory) {
        limit(Resource::Data, memory.limit.0)?;
    }
    if let Some(uid) = uid {
        let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
        rustix::thread::set_thread_groups(&[])?;
        rustix::thread::set_thread_res_gid(group, group, group)?;
        rustix::thread::set_thread_res_uid(user, user, user)?;
    }
    rustix::thread::set_no_new_privs(true)?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_pid().to_string());
    if parent.as_deref().map(std::ffi::OsStr::new) != Some(shim) {
        return Err(io::Error::other("the shim is gone"));
    }
    Ok(())
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let most = rustix::process::getrlimit(resource)
        .maximum
        .map_or(most, |hard| hard.min(most));
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    Ok(setrlimit(resource, limit)?)
}

/// The program's file: as written when absolute, else in the artifact, else a bare name on `PATH`.
pub(crate) fn program(artifact: &Path, run: &[String], path: &str) -> Result<PathBuf, String> {
    let Some(name) = run.first() else {
        return Err("the command is empty".into());
    };
    let inside = artifact.join(name);
    if is_file(&inside) || name.contains('/') {
        return executable(inside);
    }
    let found = path
        .split(':')
        .map(|dir| Path::new(dir).join(name))
        .find(|file| is_file(file));
    match found {
        Some(file) => executable(file),
        None => Err(format!(
            "`{}`: no such program there nor on PATH",
            inside.display()
        )),
    }
}

fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file())
}

fn executable(path: PathBuf) -> Result<PathBuf, String> {
    let meta = fs::metadata(&path).map_err(|fault| format!("`{}`: {fault}", path.display()))?;
    if meta.is_file() && meta.permissions().mode() & 0o111 != 0 {
        Ok(path)
    } else {
        Err(format!("`{}`: not an executable file", path.display()))
    }
}
