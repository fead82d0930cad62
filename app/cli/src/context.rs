//! Where things are: the file, the state folder, the environment.

use crate::argument::Arguments;
use crate::failure::Failure;
use mainstay_faults::Source;
use mainstay_spec::{Resolved, Set, Tree, parse_file, resolve, sources};
use mainstay_world::State;
use std::path::{Path, PathBuf};

/// The platform's file, read and split into nodes.
pub(crate) struct PlatformFile {
    /// The folder it lies in.
    pub(crate) folder: PathBuf,
    /// Where its state lies.
    root: PathBuf,
    pub(crate) tree: Tree,
    sets: Vec<Set>,
}

const FILE: &str = "mainstay.yaml";

/// More than the language allows by far; nothing is read beyond it.
const READ_LIMIT: u64 = 5 * 1024 * 1024;

/// Finds the file: the one that is named, else here or in a folder above.
pub(crate) fn find(arguments: &Arguments) -> Result<PathBuf, Failure> {
    if let Some(named) = &arguments.file {
        let path = if named.is_dir() {
            named.join(FILE)
        } else {
            named.clone()
        };
        return if path.is_file() {
            Ok(path)
        } else {
            let message = format!("`{}` is not there", path.display());
            Err(Failure::you("no_file", message)
                .hint("`-f` names a file, or the folder of a `mainstay.yaml`"))
        };
    }
    let here = std::env::current_dir().map_err(|fault| {
        Failure::operator("folder", format!("the present folder is gone: {fault}"))
    })?;
    let found = here
        .ancestors()
        .map(|folder| folder.join(FILE))
        .find(|path| path.is_file());
    found.ok_or_else(|| {
        let message = format!("there is no `{FILE}` here or in a folder above");
        Failure::you("no_file", message)
            .hint("name it with `-f FILE`, or try `mainstay up -f examples/quickstart`")
    })
}

/// Reads and parses the file; all its mistakes, if it has any that stop the parser.
pub(crate) fn read(arguments: &Arguments) -> Result<PlatformFile, Failure> {
    let path = find(arguments)?;
    let shown = shown(&path);
    let bytes = read_bytes(&path)
        .map_err(|fault| Failure::operator("file", format!("`{shown}` cannot be read: {fault}")))?;
    let tree = parse_file(&shown, &bytes)
        .map_err(|faults| Failure::of_file(faults, vec![Source::new(shown.clone(), &bytes)]))?;
    let sets = arguments
        .sets
        .iter()
        .map(|text| Set::parse(text).map_err(|fault| Failure::from(*fault)))
        .collect::<Result<_, _>>()?;
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let folder = std::fs::canonicalize(if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        &folder
    })
    .map_err(|fault| Failure::operator("folder", format!("the file's folder is gone: {fault}")))?;
    let root = match &arguments.state {
        Some(state) => absolute(state)?,
        None => folder.join(".mainstay"),
    };
    let tree = if mainstay_world::is_installed(&root) {
        tree.installed()
    } else {
        tree
    };
    Ok(PlatformFile {
        folder,
        root,
        tree,
        sets,
    })
}

fn read_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(READ_LIMIT)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here)
        .unwrap_or(path)
        .display()
        .to_string()
}

impl PlatformFile {
    /// The environment that is asked for, checked.
    pub(crate) fn resolve(&self, arguments: &Arguments) -> Result<Resolved, Failure> {
        resolve(&self.tree, arguments.environment.as_deref(), &self.sets)
            .map_err(|faults| Failure::of_file(faults, self.sources()))
    }

    pub(crate) fn sources(&self) -> Vec<Source> {
        sources(&self.tree, &self.sets)
    }

    pub(crate) fn sets(&self) -> &[Set] {
        &self.sets
    }
}

/// Where the state of an environment lies, and what the environment is called.
pub(crate) struct Place {
    pub(crate) root: PathBuf,
    pub(crate) environment: String,
}

impl Place {
    pub(crate) fn state(&self) -> State {
        State::new(&self.root, &self.environment)
    }
}

/// The place of a command that needs no sound file: a platform must be steerable while its file is
/// being edited. The environment is the one named; else the file's, if it parses; else the only one
/// that has a state.
pub(crate) fn place(arguments: &Arguments) -> Result<Place, Failure> {
    let root = if let Some(state) = &arguments.state {
        absolute(state)?
    } else {
        let path = absolute(&find(arguments)?)?;
        path.parent()
            .map(Path::to_owned)
            .unwrap_or_default()
            .join(".mainstay")
    };
    let environment = match &arguments.environment {
        Some(name) => name.clone(),
        None => environment_of(arguments, &root)?,
    };
    if mainstay_atoms::EnvironmentName::new(environment.as_str()).is_err() {
        return Err(Failure::you(
            "environment",
            format!("`{environment}` is not an environment's name"),
        ));
    }
    Ok(Place { root, environment })
}

fn environment_of(arguments: &Arguments, root: &Path) -> Result<String, Failure> {
    let declared = read(arguments)
        .ok()
        .map(|file| file.tree.environments())
        .unwrap_or_default();
    let started: Vec<String> = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("ledger").is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    match (declared.as_slice(), started.as_slice()) {
        ([], []) => Ok("default".into()),
        ([], _) if started.iter().any(|name| name == "default") => Ok("default".into()),
        (_, [only]) => Ok(only.clone()),
        _ => {
            let names = if declared.is_empty() {
                started.join("`, `")
            } else {
                declared.join("`, `")
            };
            let message = format!("this platform has several environments: `{names}`");
            Err(Failure::you("environment", message).hint("name one with `-e ENV`"))
        }
    }
}

/// The place of an environment of a sound file.
pub(crate) fn place_of(file: &PlatformFile, resolved: &Resolved) -> Place {
    Place {
        root: file.root.clone(),
        environment: resolved.platform.environment.to_string(),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|fault| Failure::you("path", format!("`{}`: {fault}", path.display())))
}
