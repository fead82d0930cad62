//! Style as a test: what the compiler and clippy do not see.

use crate::say;
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Words that name no purpose.
const BANNED_NAMES: [&str; 5] = ["util", "utils", "common", "helper", "misc"];

/// Past this a file holds a second noun.
const LONG: usize = 600;

/// What the core must not name, beyond what clippy's list holds.
const CORE_BANNED: [&str; 7] = [
    "async fn",
    "tokio::",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "Instant::now",
    "SystemTime::now",
];

/// Rings from the inside outwards; a crate uses only its own ring and those before it.
const RINGS: [&str; 4] = ["core", "io", "app", "lab"];

/// The one way out of a ring: `mainstay rehearse` plays the user's own deploy in the simulator, which is
/// the proof itself and not a copy of it. It has no dependency that only tests need.
const REHEARSES: (&str, &str) = ("app/cli/Cargo.toml", "mainstay-sim");

/// Checks every file that is under version control.
pub(crate) fn run(root: &Path) -> Result<()> {
    let files = tracked(root)?;
    let mut faults = Vec::new();
    let modules = Modules::of(root, &files)?;
    for file in files.iter().filter(|file| is_rust(file)) {
        let text = fs::read_to_string(root.join(file))?;
        source(file, &text, modules.is_test(file), &mut faults);
        if !modules.reach(file) {
            faults.push(format!("{}: no `mod` reaches it", file.display()));
        }
    }
    rings(root, &files, &mut faults)?;
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|kind| kind == "md"))
    {
        links(root, file, &mut faults)?;
    }
    if faults.is_empty() {
        say(&format!("tidy: {} files", files.len()));
        return Ok(());
    }
    bail!("tidy found:\n  {}", faults.join("\n  "));
}

fn tracked(root: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git cannot be run")?;
    let names = String::from_utf8(output.stdout)?;
    Ok(names
        .lines()
        .map(PathBuf::from)
        .filter(|file| root.join(file).is_file())
        .collect())
}

fn is_rust(file: &Path) -> bool {
    file.extension().is_some_and(|kind| kind == "rs")
}

fn source(file: &Path, text: &str, is_test: bool, faults: &mut Vec<String>) {
    let shown = file.display();
    let name = file
        .file_stem()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    if BANNED_NAMES.contains(&name) {
        faults.push(format!("{shown}: `{name}` names no purpose"));
    }
    if !text.trim_start().starts_with("//!") {
        faults.push(format!(
            "{shown}: it does not begin with a sentence about its purpose (`//!`)"
        ));
    }
    let lines = text.lines().count();
    if lines > LONG {
        faults.push(format!(
            "{shown}: {lines} lines, past {LONG} it holds a second noun"
        ));
    }
    let core = !is_test
        && file.starts_with("core")
        && file.components().any(|part| part.as_os_str() == "src");
    for (number, line) in text.lines().enumerate() {
        let written = line.split("//").next().unwrap_or_default();
        for banned in CORE_BANNED
            .iter()
            .filter(|banned| core && written.contains(**banned))
        {
            faults.push(format!("{shown}:{}: the core names `{banned}`", number + 1));
        }
        let sleeps = written.contains("thread::sleep(") || written.contains("time::sleep(");
        if sleeps
            && file.components().any(|part| part.as_os_str() == "tests")
            && !waits(text, number)
        {
            faults.push(format!(
                "{shown}:{}: a test sleeps; wait for a condition with a deadline",
                number + 1
            ));
        }
    }
}

/// A sleep inside a loop with a deadline is how a condition is waited for.
fn waits(text: &str, number: usize) -> bool {
    let around: Vec<&str> = text
        .lines()
        .skip(number.saturating_sub(15))
        .take(30)
        .collect();
    around
        .iter()
        .any(|line| line.contains("deadline") || line.contains("slow on purpose"))
}

/// No crate uses one of a ring outside its own, and deciders never use one another.
fn rings(root: &Path, files: &[PathBuf], faults: &mut Vec<String>) -> Result<()> {
    let ring_of = |name: &str| {
        let folder = name.strip_prefix("mainstay-")?;
        RINGS
            .iter()
            .position(|ring| root.join(ring).join(folder).is_dir())
    };
    for file in files
        .iter()
        .filter(|file| file.file_name().is_some_and(|name| name == "Cargo.toml"))
    {
        let Some(own) = RINGS.iter().position(|ring| file.starts_with(ring)) else {
            continue;
        };
        let text = fs::read_to_string(root.join(file))?;
        let normal = text.split("[dev-dependencies]").next().unwrap_or_default();
        for line in normal.lines() {
            let Some((name, _)) = line.split_once(['.', ' ', '=']) else {
                continue;
            };
            let rehearses = file == Path::new(REHEARSES.0) && name == REHEARSES.1;
            if !rehearses && ring_of(name).is_some_and(|ring| ring > own) {
                faults.push(format!(
                    "{}: it uses `{name}` of an outer ring",
                    file.display()
                ));
            }
        }
    }
    Ok(())
}

/// Which files the modules of the crates reach.
#[derive(Default)]
struct Modules {
    reached: BTreeSet<PathBuf>,
    tests: BTreeSet<PathBuf>,
}

impl Modules {
    fn of(root: &Path, files: &[PathBuf]) -> Result<Self> {
        let mut modules = Self::default();
        for file in files.iter().filter(|file| is_rust(file)) {
            let parsed = syn::parse_file(&fs::read_to_string(root.join(file))?)
                .with_context(|| format!("{} is no Rust", file.display()))?;
            for item in &parsed.items {
                if let syn::Item::Mod(module) = item {
                    modules.take(file, module);
                }
            }
        }
        Ok(modules)
    }

    fn take(&mut self, file: &Path, module: &syn::ItemMod) {
        let stem = file
            .file_stem()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let folder = file.parent().unwrap_or(Path::new(""));
        let own = ["mod", "lib", "main"].contains(&stem) || is_target(file);
        let below = if own {
            folder.to_owned()
        } else {
            folder.join(stem)
        };
        let name = module.ident.to_string();
        let mut places = vec![
            below.join(format!("{name}.rs")),
            below.join(&name).join("mod.rs"),
        ];
        let written = module
            .attrs
            .iter()
            .find(|attribute| attribute.path().is_ident("path"));
        if let Some(syn::Meta::NameValue(value)) = written.map(|attribute| &attribute.meta)
            && let syn::Expr::Lit(literal) = &value.value
            && let syn::Lit::Str(path) = &literal.lit
        {
            places.push(folder.join(path.value()));
        }
        let test = module.attrs.iter().any(|attribute| {
            matches!(&attribute.meta, syn::Meta::List(list)
                if list.path.is_ident("cfg") && list.tokens.to_string() == "test")
        });
        if test {
            self.tests.extend(places.iter().cloned());
        }
        self.reached.extend(places);
    }

    fn is_test(&self, file: &Path) -> bool {
        self.tests.contains(file)
    }

    /// Every source file is reached by a `mod` of its crate, or is a target by its place.
    fn reach(&self, file: &Path) -> bool {
        let stem = file
            .file_stem()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        is_target(file) || ["lib", "main", "build"].contains(&stem) || self.reached.contains(file)
    }
}

/// A file that cargo builds by its place: in `tests/`, `examples/`, `benches/`, `bin/`, `fuzz_targets/`.
fn is_target(file: &Path) -> bool {
    let folder = file
        .parent()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    ["tests", "examples", "benches", "bin", "fuzz_targets"].contains(&folder)
}

/// Links of a document lead to files that are there.
fn links(root: &Path, file: &Path, faults: &mut Vec<String>) -> Result<()> {
    let text = fs::read_to_string(root.join(file))?;
    let folder = file.parent().unwrap_or(Path::new(""));
    for part in text.split("](").skip(1) {
        let target = part.split(')').next().unwrap_or_default();
        let path = target.split('#').next().unwrap_or_default();
        if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
            continue;
        }
        if !root.join(folder).join(path).exists() {
            faults.push(format!(
                "{}: the link `{target}` leads nowhere",
                file.display()
            ));
        }
    }
    Ok(())
}
