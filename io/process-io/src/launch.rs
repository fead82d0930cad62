//! Stage two: the process that becomes the program.

use crate::group;
use crate::record::{self, Orders, State};
use crate::view::{self, Reach};
use rustix::process::{Gid, Resource, Rlimit, Signal, Uid, setrlimit};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Where commands are looked for when the file declares no `PATH`.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Becomes the program of `launch.json` in the folder that follows `launch` on the command line, or the
/// command that follows the parent's number: a question asked as the program itself would. Returns only
/// when that fails; the reason goes to the shim through the pipe on standard input, and that of a
/// question to standard error.
pub fn launch_main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(2);
    let (Some(dir), Some(parent)) = (arguments.next(), arguments.next()) else {
        return ExitCode::FAILURE;
    };
    let question: Vec<String> = arguments
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let report = if question.is_empty() {
        take_report()
    } else {
        rustix::io::fcntl_dupfd_cloexec(io::stderr().as_fd(), 3).map_err(Into::into)
    };
    let Ok(report) = report else {
        return ExitCode::FAILURE;
    };
    let mut report = File::from(report);
    let why = match become_program(Path::new(&dir), &parent, &question, &mut report) {
        Ok(never) => match never {},
        Err(why) => why,
    };
    // Nobody reads when the shim is gone, and then this process is about to be killed as well.
    drop(report.write_all(why.as_bytes()));
    ExitCode::from(127)
}

/// The pipe to the shim, closed by a successful exec; standard input becomes empty.
fn take_report() -> io::Result<OwnedFd> {
    let stdin = io::stdin();
    let report = rustix::io::fcntl_dupfd_cloexec(stdin.as_fd(), 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(report)
}

/// What stage two told the shim: how the program reaches its folders, and why it was not executed, if so.
pub(crate) fn said(text: &str) -> (Reach, Option<String>) {
    let (first, rest) = text.split_once('\n').unwrap_or(("", text));
    let reach = serde_json::from_str(first).unwrap_or_default();
    (reach, (!rest.is_empty()).then(|| rest.to_owned()))
}

enum Never {}

fn become_program(
    dir: &Path,
    parent: &OsString,
    question: &[String],
    report: &mut File,
) -> Result<Never, String> {
    let said = |what: &'static str| move |fault: io::Error| format!("{what}: {fault}");
    let orders: Orders = record::read(&dir.join("launch.json"))
        .map_err(said("launch.json"))?
        .ok_or("launch.json is missing")?;
    let groups: Option<State> =
        record::read(&dir.join("groups.json")).map_err(said("groups.json"))?;
    if let Some(state) = &groups {
        group::join(&state.groups).map_err(said("joining the control groups"))?;
    }
    let uid = orders.user.uid();
    let artifact = real(&orders.artifact)?;
    let home = real(&orders.home)?;
    let is_question = !question.is_empty();
    let run = if is_question {
        question
    } else {
        &orders.launch.run
    };
    let program = program(&artifact, run, path_of(&orders))?;
    enter(&artifact)?;
    let mut command = Command::new(&program);
    let told = told(is_question.then_some(groups.as_ref()).flatten());
    if let Some(uid) = uid {
        let reach = if is_question {
            same_view(dir)?
        } else {
            let reach = view::open(&own_folders(&orders, &artifact, &home)?);
            tell(report, &reach).map_err(said("the shim"))?;
            own_output(uid).map_err(said("the output"))?;
            reach
        };
        match reach {
            Reach::Held { .. } => {
                if let Ok(inside) = program.strip_prefix(&artifact) {
                    command = Command::new(Path::new(".").join(inside));
                }
            }
            Reach::Open | Reach::View { .. } => enter(&artifact)?,
        }
        reachable(&program, &artifact, uid)?;
    }
    let rlimit_memory =
        groups.is_some_and(|state| state.isolation.memory == crate::isolation::Holder::Rlimit);
    confine(&orders, rlimit_memory, uid, parent).map_err(said("confining the process"))?;
    let fault = command
        .arg0(&run[0])
        .args(&run[1..])
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .env("HOME", &home)
        .env("TMPDIR", &home)
        .envs(&orders.launch.env)
        .envs(told)
        .exec();
    Err(format!("`{}`: {fault}", program.display()))
}

/// What was handed down: to a program by its shim, which holds nothing else; to a question by the shim
/// of the program that it is asked of.
fn told(asked_of: Option<&State>) -> Vec<(OsString, OsString)> {
    let Some(state) = asked_of else {
        return std::env::vars_os().collect();
    };
    let path = format!("/proc/{}/environ", state.shim.pid);
    let bytes = fs::read(path).unwrap_or_default();
    let pair = |entry: &[u8]| {
        let equals = entry.iter().position(|byte| *byte == b'=')?;
        let text = |part: &[u8]| OsString::from_vec(part.to_vec());
        Some((text(&entry[..equals]), text(&entry[equals + 1..])))
    };
    bytes.split(|byte| *byte == 0).filter_map(pair).collect()
}

/// The folders that a program may reach.
fn own_folders(orders: &Orders, artifact: &Path, home: &Path) -> Result<Vec<PathBuf>, String> {
    let further = orders.folders.iter().map(|folder| real(folder));
    let own = [Ok(artifact.to_owned()), Ok(home.to_owned())];
    own.into_iter().chain(further).collect()
}

/// A question sees what the program sees.
fn same_view(dir: &Path) -> Result<Reach, String> {
    let said = |fault: io::Error| format!("the program's view: {fault}");
    let state: Option<State> = record::read(&dir.join("state.json")).map_err(said)?;
    let state = state.filter(|state| state.workload.is_alive());
    let state = state.ok_or("the program does not run")?;
    if matches!(state.isolation.reach, Reach::View { .. }) {
        view::join(state.workload.pid).map_err(said)?;
    }
    Ok(state.isolation.reach)
}

fn real(folder: &Path) -> Result<PathBuf, String> {
    folder
        .canonicalize()
        .map_err(|fault| format!("`{}`: {fault}", folder.display()))
}

fn enter(folder: &Path) -> Result<(), String> {
    std::env::set_current_dir(folder).map_err(|fault| format!("`{}`: {fault}", folder.display()))
}

fn tell(report: &mut File, reach: &Reach) -> io::Result<()> {
    let mut line = serde_json::to_vec(reach)?;
    line.push(b'\n');
    report.write_all(&line)
}

/// A program may open `/dev/stdout` anew, which takes its own right to the pipe.
fn own_output(uid: u32) -> io::Result<()> {
    for output in [io::stdout().as_fd(), io::stderr().as_fd()] {
        rustix::fs::fchown(output, Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)))?;
    }
    Ok(())
}

/// A program outside the artifact must lie where its user may go.
fn reachable(program: &Path, artifact: &Path, uid: u32) -> Result<(), String> {
    if program.starts_with(artifact) {
        return Ok(());
    }
    let shown = program.display();
    match program.canonicalize() {
        Ok(real) => view::closed(&real).map_or(Ok(()), |folder| {
            Err(format!(
                "`{shown}`: user {uid} may not pass `{}`; put it in the artifact",
                folder.display()
            ))
        }),
        // Below a folder that the view covers.
        Err(_) => Err(format!(
            "`{shown}`: user {uid} may not go there; put it in the artifact"
        )),
    }
}

fn path_of(orders: &Orders) -> &str {
    orders.launch.env.get("PATH").map_or(PATH, String::as_str)
}

/// Own session, resource limits, user (and with it every capability), no new privileges, and death with
/// the parent — in this order, because changing the user forgets the last.
fn confine(
    orders: &Orders,
    rlimit_memory: bool,
    uid: Option<u32>,
    parent: &OsString,
) -> io::Result<()> {
    let size = &orders.launch.size;
    rustix::process::setsid()?;
    // What it makes is not closed to its own tools by the mask of whoever started the control plane.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    limit(Resource::Core, 0)?;
    if let Some(files) = size.files {
        limit(Resource::Nofile, u64::from(files))?;
    }
    if let (Some(memory), true) = (size.memory, rlimit_memory) {
        limit(Resource::Data, memory.limit.0)?;
    }
    if let Some(uid) = uid {
        let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
        let groups: Vec<Gid> = orders
            .groups
            .iter()
            .map(|one| Gid::from_raw(*one))
            .collect();
        rustix::thread::set_thread_groups(&groups)?;
        rustix::thread::set_thread_res_gid(group, group, group)?;
        rustix::thread::set_thread_res_uid(user, user, user)?;
    }
    rustix::thread::set_no_new_privs(true)?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let now = rustix::process::getppid().map(|pid| pid.as_raw_pid().to_string());
    if now.as_deref().map(std::ffi::OsStr::new) != Some(parent) {
        return Err(io::Error::other("whoever asked for it is gone"));
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
