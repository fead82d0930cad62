//! `install`: a control plane that the system starts, on Debian and its like.

use crate::argument::Arguments;
use crate::failure::Failure;
use crate::install::{Installation, Item, difference};
use crate::prepare::checked;
use crate::terminal;
use mainstay_faults::Exit;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// How far it goes.
pub(crate) struct Way<'a> {
    /// Only say what would be done.
    pub(crate) dry: bool,
    /// Everything below this folder; commands are said and not run.
    pub(crate) root: Option<&'a Path>,
}

/// What is to be done about an item.
enum Need {
    Nothing,
    Make,
    /// Something else is there; the difference, where it is text.
    Replace(String),
}

pub(crate) fn run(arguments: &Arguments, way: &Way<'_>) -> Result<Exit, Failure> {
    let (file, resolved, _) = checked(arguments)?;
    let program = std::env::current_exe().map_err(|fault| {
        Failure::operator("program", format!("this program cannot be found: {fault}"))
    })?;
    let (name, environment) = (&resolved.platform.name, &resolved.platform.environment);
    let installation = Installation {
        name: name.as_str(),
        environment: environment.as_str(),
        folder: &file.folder,
        program: &program,
    };
    let items = installation.items();
    if way.dry {
        return Ok(dry(arguments, &items, way));
    }
    if way.root.is_none() && !rustix::process::geteuid().is_root() {
        return Err(Failure::you("not_root", "an installation is made by root")
            .hint("`sudo mainstay install`; `mainstay install --dry-run` shows what it would do"));
    }
    let needs = needs(arguments, &items, way)?;
    let mut changed = Vec::new();
    for (item, need) in items.iter().zip(needs) {
        if !matches!(need, Need::Nothing) {
            make(item, way)?;
            changed.push(word(item));
        }
    }
    if arguments.json {
        terminal::json(&serde_json::json!({ "unit": installation.unit(), "changed": changed }));
    } else {
        terminal::say_out(&changed.join("\n"));
        let mark = terminal::mark("✓");
        terminal::say_out(&format!("{mark} {} is installed", installation.unit()));
    }
    Ok(Exit::Done)
}

fn dry(arguments: &Arguments, items: &[Item], way: &Way<'_>) -> Exit {
    if arguments.json {
        let rows: Vec<_> = items.iter().map(|item| row(item, way)).collect();
        terminal::json(&rows);
        return Exit::Done;
    }
    for item in items {
        terminal::say_out(&word(item));
        if let Item::File { text, .. } = item {
            let shown: Vec<String> = text.lines().map(|line| format!("    {line}")).collect();
            terminal::say_out(&shown.join("\n"));
        }
    }
    Exit::Done
}

fn row(item: &Item, way: &Way<'_>) -> serde_json::Value {
    match item {
        Item::Folder { path, mode } => {
            serde_json::json!({ "folder": below(way, path), "mode": format!("{mode:04o}") })
        }
        Item::Program { from, path } => {
            serde_json::json!({ "program": below(way, path), "from": from })
        }
        Item::File { path, text } => serde_json::json!({ "file": below(way, path), "text": text }),
        Item::Link { path, to } => serde_json::json!({ "link": below(way, path), "to": to }),
        Item::Command(words) => serde_json::json!({ "command": words }),
    }
}

fn word(item: &Item) -> String {
    match item {
        Item::Folder { path, mode } => format!("folder   {} ({mode:04o})", path.display()),
        Item::Program { from, path } => {
            format!("program  {} from {}", path.display(), from.display())
        }
        Item::File { path, .. } => format!("file     {}", path.display()),
        Item::Link { path, to } => format!("link     {} to {}", path.display(), to.display()),
        Item::Command(words) => format!("command  {}", words.join(" ")),
    }
}

/// The real path: below the root that was given.
fn below(way: &Way<'_>, path: &Path) -> PathBuf {
    match way.root {
        Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
        None => path.to_owned(),
    }
}

/// Looks at everything before anything is done; what would be replaced takes a `--yes`.
fn needs(arguments: &Arguments, items: &[Item], way: &Way<'_>) -> Result<Vec<Need>, Failure> {
    let needs = items.iter().map(|item| need(item, way));
    let needs: Vec<Need> = needs.collect::<Result<_, _>>()?;
    let touched = |(item, need): (&Item, &Need)| match need {
        Need::Replace(difference) => Some(format!("{}\n{difference}", word(item))),
        _ => None,
    };
    let replaced: Vec<String> = items.iter().zip(&needs).filter_map(touched).collect();
    if replaced.is_empty() || arguments.yes {
        return Ok(needs);
    }
    let message = format!("something else is installed:\n{}", replaced.join("\n"));
    Err(Failure::you("installed", message.trim_end())
        .hint("`mainstay install --yes` replaces it; nothing was changed"))
}

fn need(item: &Item, way: &Way<'_>) -> Result<Need, Failure> {
    let found = |present: Result<bool, String>| match present {
        Ok(true) => Need::Nothing,
        Ok(false) => Need::Make,
        Err(difference) => Need::Replace(difference),
    };
    let absent = |path: &Path| !path.exists();
    Ok(match item {
        Item::Folder { path, .. } => found(Ok(below(way, path).is_dir())),
        Item::Program { from, path } => {
            let path = below(way, path);
            let same = || fs::read(&path).ok() == fs::read(from).ok();
            match absent(&path) {
                true => Need::Make,
                false if same() => Need::Nothing,
                false => Need::Replace(String::new()),
            }
        }
        Item::File { path, text } => match fs::read_to_string(below(way, path)) {
            Ok(held) if held == *text => Need::Nothing,
            Ok(held) => Need::Replace(difference(&held, text)),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Need::Make,
            Err(fault) => return Err(broken(path, &fault)),
        },
        Item::Link { path, to } => link(&below(way, path), to)?,
        Item::Command(_) => Need::Make,
    })
}

/// A state that lies beside the file already is somebody's data: it is not covered.
fn link(path: &Path, to: &Path) -> Result<Need, Failure> {
    match fs::read_link(path) {
        Ok(held) if held == to => Ok(Need::Nothing),
        Ok(held) => Ok(Need::Replace(format!(
            "- {}\n+ {}\n",
            held.display(),
            to.display()
        ))),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(Need::Make),
        Err(_) => {
            let message = format!("`{}` holds a state already", path.display());
            let hint = format!(
                "`mainstay down`, then move it: `mkdir -p {0} && mv {1}/* {0}/ && rmdir {1}`",
                to.display(),
                path.display()
            );
            Err(Failure::you("state_there", message).hint(hint))
        }
    }
}

fn make(item: &Item, way: &Way<'_>) -> Result<(), Failure> {
    let made = match item {
        Item::Folder { path, mode } => {
            let path = below(way, path);
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(*mode).create(&path)
        }
        Item::Program { from, path } => copy(from, &below(way, path)),
        Item::File { path, text } => write(&below(way, path), text.as_bytes(), 0o644),
        Item::Link { path, to } => replace_link(&below(way, path), to),
        Item::Command(words) if way.root.is_none() => return run_command(words),
        Item::Command(_) => Ok(()),
    };
    made.map_err(|fault| match item {
        Item::Folder { path, .. }
        | Item::Program { path, .. }
        | Item::File { path, .. }
        | Item::Link { path, .. } => broken(path, &fault),
        Item::Command(words) => broken(Path::new(&words.join(" ")), &fault),
    })
}

fn copy(from: &Path, path: &Path) -> io::Result<()> {
    write(path, &fs::read(from)?, 0o755)
}

/// Written beside and renamed: a program that runs is not written to.
fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    let fresh = path.with_extension("new");
    fs::write(&fresh, bytes)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(mode))?;
    fs::File::open(&fresh)?.sync_all()?;
    fs::rename(&fresh, path)
}

fn replace_link(path: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    let fresh = path.with_extension("new");
    // Left by one that was killed.
    drop(fs::remove_file(&fresh));
    symlink(to, &fresh)?;
    fs::rename(&fresh, path)
}

fn run_command(words: &[String]) -> Result<(), Failure> {
    let line = words.join(" ");
    let Some((program, rest)) = words.split_first() else {
        return Ok(());
    };
    let status = Command::new(program).args(rest).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            let message = format!("`{line}` failed: {status}");
            Err(Failure::operator("command", message)
                .hint("see above; `mainstay install` again goes on"))
        }
        Err(fault) => Err(
            Failure::operator("command", format!("`{line}` cannot be run: {fault}")).hint(
                "`mainstay install` needs Debian with systemd; `--dry-run` shows what it would do",
            ),
        ),
    }
}

fn broken(path: &Path, fault: &io::Error) -> Failure {
    Failure::operator("install", format!("`{}`: {fault}", path.display()))
}
