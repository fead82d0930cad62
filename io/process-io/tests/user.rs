//! Whose rights a program has: users of their own as root, the caller's otherwise, never silently root.

#[expect(dead_code, reason = "the stage serves other tests too")]
mod common;

use common::{EPOCH, Stage, id, until};
use mainstay_atoms::ServiceName;
use mainstay_process_io::{InstanceFact, InstanceState, LogSource, Reach, RunsAs, cannot_change};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// Nothing is shown where users cannot be given.
fn skipped() -> bool {
    let why = (!rustix::process::geteuid().is_root()).then(|| "not root".to_owned());
    let why = why.or_else(cannot_change);
    if let Some(why) = &why {
        common::say(&format!("skipped: {why}"));
    }
    why.is_some()
}

/// Starts a script as a service of this name and waits for a line that begins so.
fn say(stage: &Stage, service: &str, script: &str, begin: &str) -> String {
    let mut launch = stage.script(&format!("{script}\nsleep 1000"));
    launch.instance.service = ServiceName::new(service).unwrap();
    stage.runtime.start(&launch, EPOCH).unwrap();
    let source = LogSource::Instance(launch.instance.clone());
    until(&format!("a line of {service}"), || {
        let (lines, _) = stage.runtime.logs(&source, 100).unwrap();
        let texts = lines
            .iter()
            .map(|line| String::from_utf8_lossy(&line.line).into_owned());
        texts
            .into_iter()
            .find_map(|line| line.strip_prefix(begin).map(str::to_owned))
    })
}

fn fact(stage: &Stage, service: &str) -> InstanceFact {
    let facts = stage.runtime.observe().unwrap();
    let found = facts
        .iter()
        .find(|fact| fact.id.service.as_str() == service);
    InstanceFact::clone(found.unwrap())
}

#[test]
fn each_service_has_a_user_of_its_own_and_nothing_else() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let shown = "echo is $(id -u) $(id -g) $(id -G) $(grep -c '^Cap[IPEA].*:.0*$' /proc/self/status) \
         $(grep NoNewPrivs /proc/self/status | cut -f2) $(ulimit -c)";
    let mut users = Vec::new();
    for service in ["web", "api"] {
        let line = say(&stage, service, shown, "is ");
        let words: Vec<&str> = line.split(' ').collect();
        let uid: u32 = words[0].parse().unwrap();
        assert!((70_000..80_000).contains(&uid), "{line}");
        assert_eq!(words[1..3], [words[0], words[0]], "its own group alone");
        assert_eq!(
            words[3..],
            ["4", "1", "0"],
            "no capability, no way to any, no core"
        );
        let isolation = fact(&stage, service).isolation.unwrap();
        assert_eq!(isolation.user, RunsAs::Own { uid });
        users.push(uid);
    }
    assert_ne!(users[0], users[1]);
}

#[test]
fn a_program_reads_neither_the_platforms_files_nor_another_services() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let state = stage.state.canonicalize().unwrap();
    for folder in ["keys", "ledger", "secrets"] {
        fs::create_dir(state.join(folder)).unwrap();
        fs::write(state.join(folder).join("file"), "secret\n").unwrap();
    }
    let home = say(
        &stage,
        "api",
        "echo mine > $HOME/file; echo home $HOME",
        "home ",
    );
    assert_eq!(
        fs::read_to_string(Path::new(&home).join("file")).unwrap(),
        "mine\n"
    );
    let artifact = fact(&stage, "api").launch.artifact;
    let paths = [
        "keys/file",
        "ledger/file",
        "secrets/file",
        "logs",
        "instances",
    ]
    .map(|name| state.join(name).display().to_string());
    let script = format!(
        "for path in {} {home}/file {}/artifacts/{artifact}/run.sh; do cat $path && echo read $path; \
         ls $path && echo listed $path; done; echo done $?",
        paths.join(" "),
        state.display()
    );
    say(&stage, "web", &script, "done ");
    let source = LogSource::Service(ServiceName::new("web").unwrap());
    let (lines, _) = stage.runtime.logs(&source, 100).unwrap();
    let said = lines
        .iter()
        .map(|line| String::from_utf8_lossy(&line.line).into_owned());
    let found: Vec<String> = said
        .filter(|line| line.starts_with("read ") || line.starts_with("listed "))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_state_folder_below_closed_folders_works_by_absolute_and_relative_paths() {
    if skipped() {
        return;
    }
    let stage = Stage::below("closed/deeper/state");
    let closed = stage.state.ancestors().nth(2).unwrap();
    fs::set_permissions(closed, fs::Permissions::from_mode(0o700)).unwrap();
    let script = "cat ./run.sh > /dev/null && cat $PWD/run.sh > /dev/null && ls $PWD > /dev/null \
         && echo x > $TMPDIR/x && echo to /dev/stdout > /dev/stdout && echo all $PWD";
    let cwd = say(&stage, "web", script, "all ");
    let launch = fact(&stage, "web").launch;
    let artifact = stage.state.join("artifacts").join(launch.artifact.to_hex());
    assert_eq!(Path::new(&cwd), artifact.canonicalize().unwrap());
    let reach = fact(&stage, "web").isolation.unwrap().reach;
    assert!(
        matches!(&reach, Reach::View { hidden } if artifact.starts_with(hidden)),
        "{reach:?}"
    );
}

#[test]
fn an_open_state_folder_still_hides_the_homes_of_others() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    fs::set_permissions(&stage.state, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(stage.state.join("artifacts")).unwrap();
    fs::set_permissions(
        stage.state.join("artifacts"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    say(&stage, "api", "echo x > $HOME/x; echo up", "up");
    let script = "cat run.sh > /dev/null; echo x > $HOME/x; \
         cat ../../instances/api.v1.1/home/x && echo read; echo saw $(ls $HOME)";
    assert_eq!(say(&stage, "web", script, "saw "), "x");
    let source = LogSource::Service(ServiceName::new("web").unwrap());
    let (lines, _) = stage.runtime.logs(&source, 100).unwrap();
    assert!(lines.iter().all(|line| line.line != b"read"), "{lines:?}");
}

#[test]
fn a_program_where_its_user_may_not_go_is_refused_by_name() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let program = elsewhere.path().join("tool");
    fs::copy("/bin/true", &program).unwrap();
    fs::set_permissions(elsewhere.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let mut launch = stage.script("true");
    launch.run = vec![program.display().to_string()];
    let fault = stage.runtime.start(&launch, EPOCH).unwrap_err().to_string();
    assert!(
        fault.contains(&*program.to_string_lossy()) && fault.contains("may not pass"),
        "{fault}"
    );
}

#[test]
fn a_home_is_fresh_for_each_run_and_gone_with_the_instance() {
    let stage = Stage::new();
    let script = "mkdir -p $HOME/a/b && chmod 0 $HOME/a/b && ls -A $HOME; test -e $HOME/old; \
         code=$?; touch $HOME/old; exit $code";
    let mut launch = stage.script(script);
    for generation in 1..=2 {
        launch.generation = mainstay_atoms::Generation(generation);
        stage.runtime.start(&launch, EPOCH).unwrap();
        let exit = until("its end", || match stage.fact().state {
            InstanceState::Exited(exit) if exit.generation.0 == generation => Some(exit),
            _ => None,
        });
        assert_eq!(exit.code, Some(1), "{exit:?}");
    }
    let home = stage.state.join("instances/web.v1.1/home");
    assert!(home.join("old").exists());
    if let RunsAs::Own { uid } = stage.fact().isolation.unwrap().user {
        let meta = fs::metadata(&home).unwrap();
        assert_eq!(
            (meta.uid(), meta.gid(), meta.mode() & 0o777),
            (uid, uid, 0o700)
        );
    }
    stage.runtime.forget(&id()).unwrap();
    assert!(!home.exists());
}

#[test]
fn whoever_is_not_root_is_told_that_all_services_share_the_user() {
    let user = RunsAs::Caller { uid: 1000 };
    assert_eq!(
        user.to_string(),
        "as user 1000 like every service, because mainstay does not run as root"
    );
    let why = "CAP_SETUID is missing".to_owned();
    assert_eq!(
        RunsAs::Root { why }.to_string(),
        "as root: CAP_SETUID is missing"
    );
}
