//! From a checked file to contents that can be shipped: `build` is run, artifacts are stored.

use crate::argument::Arguments;
use crate::attach::attach;
use crate::context::{self, Place, PlatformFile};
use crate::failure::Failure;
use crate::terminal;
use mainstay_atoms::{Digest, ServiceName};
use mainstay_faults::{Fault, Move, chain};
use mainstay_plan::Contents;
use mainstay_spec::Resolved;
use mainstay_world::Artifacts;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

/// A lease lasts six of them.
const SIGN_OF_LIFE: std::time::Duration = std::time::Duration::from_secs(5);

/// How often a build is asked whether it ended.
const POLL: std::time::Duration = std::time::Duration::from_millis(20);

/// Everything a deploy needs to know.
pub(crate) struct Prepared {
    pub(crate) resolved: Resolved,
    pub(crate) place: Place,
    pub(crate) contents: Contents,
}

/// Reads and checks the file, and finds its place.
pub(crate) fn checked(arguments: &Arguments) -> Result<(PlatformFile, Resolved, Place), Failure> {
    let file = context::read(arguments)?;
    let resolved = file.resolve(arguments)?;
    let place = context::place_of(&file, &resolved);
    Ok((file, resolved, place))
}

/// Checks, builds and stores. When anything fails, nothing was changed but the store.
pub(crate) fn prepare(arguments: &Arguments) -> Result<Prepared, Failure> {
    prepare_with(arguments, &mut || {})
}

/// The same, calling `alive` every few seconds while a build runs.
pub(crate) fn prepare_with(
    arguments: &Arguments,
    alive: &mut dyn FnMut(),
) -> Result<Prepared, Failure> {
    let (file, resolved, place) = checked(arguments)?;
    let state = place.state();
    state.create().map_err(|fault| {
        Failure::operator("state", format!("the state folder cannot be made: {fault}"))
            .hint("name another one with `--state DIR`")
    })?;
    lacking(&file, &resolved)?;
    build_all(&file, &resolved, alive)?;
    let store = Artifacts::new(state.dir());
    let mut artifacts = BTreeMap::new();
    for program in programs(&resolved) {
        let digest = store_one(&store, &file, &resolved, &program)?;
        artifacts.insert(program.name.clone(), digest);
    }
    let mut platform = resolved.platform.clone();
    attach(&file, &resolved, &mut platform)?;
    for service in platform.services.values_mut() {
        service.build = None;
    }
    for job in platform.jobs.values_mut() {
        job.build = None;
    }
    Ok(Prepared {
        resolved,
        place,
        contents: Contents {
            platform,
            artifacts,
        },
    })
}

/// What is built and stored of one service or job.
struct Program<'r> {
    /// The map of the file that holds it: `services`, `jobs`.
    map: &'static str,
    name: &'r ServiceName,
    build: Option<&'r Vec<String>>,
    run: &'r [String],
    artifact: &'r [String],
}

fn programs(resolved: &Resolved) -> Vec<Program<'_>> {
    let platform = &resolved.platform;
    let services = platform.services.iter().map(|(name, service)| Program {
        map: "services",
        name,
        build: service.build.as_ref(),
        run: &service.run,
        artifact: &service.artifact,
    });
    let jobs = platform.jobs.iter().map(|(name, job)| Program {
        map: "jobs",
        name,
        build: job.build.as_ref(),
        run: &job.run,
        artifact: &job.artifact,
    });
    services.chain(jobs).collect()
}

/// Refuses stores whose servers are not on this machine, before anything is built or started.
fn lacking(file: &PlatformFile, resolved: &Resolved) -> Result<(), Failure> {
    let stores = resolved.platform.stores.iter();
    let faults: Vec<Fault> = stores
        .filter_map(|(name, store)| {
            let missing = mainstay_world::missing(store.server()?)?;
            let path = format!("stores.{name}");
            let mut fault = Fault::new(Move::You, "lacking", missing.to_string())
                .under(path.clone())
                .hint(format!("install it: `{}`", missing.install()));
            fault.place = mainstay_spec::place_of(resolved, &path);
            Some(fault)
        })
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Failure::of_file(faults, file.sources()))
    }
}

/// Runs each build command once, in the file's folder, its output passed on.
fn build_all(
    file: &PlatformFile,
    resolved: &Resolved,
    alive: &mut dyn FnMut(),
) -> Result<(), Failure> {
    let mut built: Vec<&Vec<String>> = Vec::new();
    for program in programs(resolved) {
        let Some(command) = program.build else {
            continue;
        };
        if built.contains(&command) {
            continue;
        }
        built.push(command);
        build(file, resolved, &program, command, alive)?;
    }
    Ok(())
}

fn build(
    file: &PlatformFile,
    resolved: &Resolved,
    built: &Program<'_>,
    command: &[String],
    alive: &mut dyn FnMut(),
) -> Result<(), Failure> {
    let name = built.name;
    let Some((program, rest)) = command.split_first() else {
        return Ok(());
    };
    let began = std::time::Instant::now();
    terminal::say(&format!(
        "  build    {} {}",
        terminal::mark("▸"),
        command.join(" ")
    ));
    // The build talks on stderr, so that stdout stays data.
    let output = std::io::stderr();
    let status = Command::new(program)
        .args(rest)
        .current_dir(&file.folder)
        .stdin(Stdio::null())
        .stdout(output)
        .spawn()
        .and_then(|child| wait(child, alive));
    let path = format!("{}.{name}.build", built.map);
    let fail = |message: String| -> Failure {
        let mut fault = Fault::new(Move::You, "build_failed", message).under(path.clone());
        fault.place = mainstay_spec::place_of(resolved, &path);
        fault.hint = Some(format!(
            "nothing was changed; run it by hand: `{}`",
            command.join(" ")
        ));
        Failure::of_file(vec![fault], file.sources())
    };
    match status {
        Ok(status) if status.success() => {
            let took = began.elapsed();
            terminal::say(&format!(
                "  build    {} {:.1} s",
                terminal::mark("✓"),
                took.as_secs_f64()
            ));
            Ok(())
        }
        Ok(status) => Err(fail(format!("the build of {name} failed: {status}"))),
        Err(fault) => Err(fail(format!(
            "the build of {name} cannot be run: `{program}`: {fault}"
        ))),
    }
}

/// Waits for a build, with a sign of life every few seconds.
fn wait(
    mut child: std::process::Child,
    alive: &mut dyn FnMut(),
) -> std::io::Result<std::process::ExitStatus> {
    let mut last = std::time::Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if last.elapsed() >= SIGN_OF_LIFE {
            alive();
            last = std::time::Instant::now();
        }
        std::thread::sleep(POLL);
    }
}

fn store_one(
    store: &Artifacts,
    file: &PlatformFile,
    resolved: &Resolved,
    wanted: &Program<'_>,
) -> Result<Digest, Failure> {
    let (map, name) = (wanted.map, wanted.name);
    let fail = |key: &str, code: &str, message: String, hint: &str| -> Failure {
        let path = format!("{map}.{name}.{key}");
        let mut fault = Fault::new(Move::You, code, message)
            .under(path.clone())
            .hint(hint);
        // An artifact that is not given is the program that `run` names.
        let given = mainstay_spec::explain(resolved, &path).is_ok_and(|value| !value.is_default);
        let run = format!("{map}.{name}.run");
        fault.place = mainstay_spec::place_of(resolved, if given { &path } else { &run });
        Failure::of_file(vec![fault], file.sources())
    };
    let (root, names) = root_of(&file.folder, wanted.artifact).ok_or_else(|| {
        let message = format!("the artifact of {name} lies in several folders outside the file's");
        fail(
            "artifact",
            "artifact",
            message,
            "name one file or folder, or files below the file's folder",
        )
    })?;
    let hint = "is it built? `build:` names the command that makes it";
    let digest = store.store(&root, &names).map_err(|fault| {
        fail(
            "artifact",
            "artifact",
            format!("the artifact of {name}: {}", chain(&fault)),
            hint,
        )
    })?;
    let program = wanted.run.first().map(String::as_str).unwrap_or_default();
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".into());
    store.program(digest, program, &path).map_err(|fault| {
        fail(
            "run",
            "program",
            format!("the program of {name}: {}", chain(&fault)),
            hint,
        )
    })?;
    Ok(digest)
}

/// The folder that holds everything named, and the names below it: the file's folder, or for a single
/// name outside of it that name's own folder.
fn root_of(folder: &Path, artifact: &[String]) -> Option<(PathBuf, Vec<PathBuf>)> {
    let outside = |name: &&String| {
        let path = Path::new(name.as_str());
        path.is_absolute() || path.components().any(|part| part == Component::ParentDir)
    };
    if !artifact.iter().any(|name| outside(&name)) {
        return Some((
            folder.to_owned(),
            artifact.iter().map(PathBuf::from).collect(),
        ));
    }
    let [only] = artifact else { return None };
    let path = folder.join(only);
    let name = path.file_name()?.to_owned();
    if path.is_dir() {
        return Some((path, vec![PathBuf::from(".")]));
    }
    Some((path.parent()?.to_owned(), vec![PathBuf::from(name)]))
}
