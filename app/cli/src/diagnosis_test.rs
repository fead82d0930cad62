//! Every judgement of `doctor`, on machines that lack one thing.

use super::*;
use mainstay_atoms::Wall;
use mainstay_world::{Isolation, Kernel, RunsAs};

/// A machine on which everything is well and runs.
fn well() -> Facts {
    let limits = Isolation {
        memory: Holder::CgroupV2,
        cpu: Holder::CgroupV2,
        processes: Holder::CgroupV2,
        files: Holder::Rlimit,
        kill: KillBy::CgroupKill,
        user: RunsAs::default(),
        reach: mainstay_world::Reach::Open,
    };
    let disk = Disk {
        folder: "/srv/shop/.mainstay".into(),
        kind: "ext4".into(),
        bytes: (61 * GIB, 250 * GIB),
        inodes: (1_000_000, 2_000_000),
        refused: None,
    };
    Facts {
        machine: Machine {
            disk: Ok(disk),
            limits,
            user: Ok(()),
            ports: vec![(8080, Port::Ours)],
            free_ports_from: 1024,
            gateway: Some(12),
            files: Some(65_536),
            held: vec![("control plane", 30, 1024), ("gateway", 60, 65_536)],
            kernel: Kernel {
                release: "6.1.0".into(),
                pidfd: true,
                reuseport: true,
                views: true,
            },
            now: Wall(1_764_000_000_000),
            signed: Some(Wall(1_763_999_999_000)),
            anchor: Some(("/root/.local/state".into(), true)),
        },
        control_plane: Some(11),
        started: true,
        servers: vec![ServerFact {
            subject: "redis",
            stores: vec!["cache".into()],
            found: Ok("Redis server v=7.0.15 (/usr/bin/redis-server)".into()),
        }],
    }
}

#[test]
fn a_missing_server_names_who_needs_it_and_what_installs_it() {
    let mut facts = well();
    let shown = |facts: &Facts| judge(facts).pop().expect("a row of the server");
    let fine = shown(&facts);
    assert_eq!((fine.subject, fine.state), ("redis", State::Good));
    assert!(fine.text.contains("v=7.0.15") && fine.text.contains("cache"));
    facts.servers[0].found = Err((
        "it is not here".into(),
        "apt-get install redis-server".into(),
    ));
    let lacking = shown(&facts);
    assert_eq!(lacking.state, State::Bad);
    assert!(lacking.text.contains("cache"), "{}", lacking.text);
    assert_eq!(lacking.fix.as_deref(), Some("apt-get install redis-server"));
}

/// The finding about a subject once one fact was changed; every other one is still good.
#[track_caller]
fn after(subject: &str, change: impl FnOnce(&mut Facts)) -> (State, String) {
    let mut facts = well();
    change(&mut facts);
    let findings = judge(&facts);
    let others = findings.iter().filter(|found| found.subject != subject);
    for other in others {
        assert_eq!(other.state, State::Good, "{other:?}");
    }
    let found = findings.iter().find(|found| found.subject == subject);
    let found = found.expect("a finding");
    assert_eq!(found.fix.is_some(), found.state != State::Good, "{found:?}");
    (found.state, found.text.clone())
}

fn disk_of(facts: &mut Facts) -> &mut Disk {
    facts.machine.disk.as_mut().expect("a disk")
}

#[test]
fn a_machine_that_lacks_nothing_is_all_good() {
    for found in judge(&well()) {
        assert_eq!((found.state, &found.fix), (State::Good, &None), "{found:?}");
    }
}

#[test]
fn a_full_disk_is_bad_and_a_nearly_full_one_a_warning() {
    for (free, state) in [(100, State::Bad), (256, State::Warn), (1024, State::Good)] {
        let (found, text) = after("disk", |facts| disk_of(facts).bytes.0 = free * MIB);
        assert_eq!(
            (found, text),
            (state, format!("{free} MiB free of 250 GiB"))
        );
    }
    for (free, state) in [
        (10, State::Bad),
        (1_000, State::Warn),
        (20_000, State::Good),
    ] {
        let (found, _) = after("inodes", |facts| disk_of(facts).inodes.0 = free);
        assert_eq!(found, state, "{free}");
    }
    let (found, text) = after("inodes", |facts| disk_of(facts).inodes = (0, 0));
    assert_eq!(
        (found, &*text),
        (State::Good, "not counted by this file system")
    );
}

#[test]
fn a_state_folder_is_judged_by_what_it_lies_on() {
    let on = |kind: &str| after("state", |facts| disk_of(facts).kind = kind.into());
    assert!(on("btrfs").1.contains("share blocks"));
    assert!(on("ext4").1.contains("copied"));
    assert_eq!(on("tmpfs").0, State::Warn);
    assert_eq!(on("nfs4").0, State::Warn);
    let (found, text) = after("state", |facts| {
        disk_of(facts).refused = Some("Read-only file system".into());
    });
    assert_eq!(found, State::Bad);
    assert!(text.contains("Read-only"), "{text}");
}

#[test]
fn limits_that_do_not_hold_are_named() {
    let (found, text) = after("cgroups", |facts| {
        facts.machine.limits.cpu = Holder::Nobody { why: String::new() };
    });
    assert_eq!(
        (found, &*text),
        (State::Warn, "v2; memory, processes holds, cpu does not")
    );
    let (found, text) = after("cgroups", |facts| {
        facts.machine.limits.memory = Holder::CgroupV1;
    });
    assert_eq!((found, &*text), (State::Good, "v1 and v2; limits hold"));
    let (found, text) = after("cgroups", |facts| {
        facts.machine.limits.memory = Holder::Rlimit;
        facts.machine.limits.cpu = Holder::Nobody { why: String::new() };
        facts.machine.limits.processes = Holder::Nobody { why: String::new() };
    });
    assert_eq!(found, State::Warn);
    assert!(text.contains("rlimit"), "{text}");
    let (found, _) = after("kill", |facts| {
        facts.machine.limits.kill = KillBy::ProcessGroup;
    });
    assert_eq!(found, State::Warn);
}

#[test]
fn shared_users_and_root_are_warned_of() {
    for other in [
        RunsAs::Caller { uid: 1000 },
        RunsAs::Root {
            why: "CAP_SETUID is missing".into(),
        },
    ] {
        let (found, text) = after("users", |facts| facts.machine.user = Err(other.clone()));
        assert_eq!(
            (found, text),
            (State::Warn, format!("services run {other}"))
        );
    }
}

#[test]
fn a_port_is_ours_free_taken_or_refused() {
    let with =
        |port: u16, found: Port| after("ports", |facts| facts.machine.ports = vec![(port, found)]);
    assert_eq!(with(8080, Port::Free), (State::Good, "8080 is free".into()));
    let nginx = Port::Taken {
        pid: Some(7),
        program: "/usr/sbin/nginx".into(),
    };
    let (found, text) = with(8080, nginx);
    assert_eq!(
        (found, &*text),
        (State::Bad, "8080 is taken by `/usr/sbin/nginx` (pid 7)")
    );
    let refused = Port::Refused {
        why: "Permission denied".into(),
    };
    let (found, text) = with(80, refused.clone());
    assert_eq!(found, State::Bad);
    assert!(text.contains("CAP_NET_BIND_SERVICE"), "{text}");
    let (_, text) = with(8080, refused);
    assert!(!text.contains("CAP_NET_BIND_SERVICE"), "{text}");
}

#[test]
fn few_open_files_bound_the_connections() {
    for (most, state) in [(64, State::Bad), (1024, State::Warn), (8192, State::Good)] {
        let (found, text) = after("files", |facts| facts.machine.files = Some(most));
        assert_eq!(found, state, "{text}");
    }
    for (held, state) in [(959, State::Good), (960, State::Bad), (2000, State::Bad)] {
        let (found, text) = after("files", |facts| facts.machine.held[0].1 = held);
        assert_eq!(found, state, "{text}");
    }
}

#[test]
fn a_kernel_without_what_is_needed_is_too_old() {
    let (found, text) = after("kernel", |facts| facts.machine.kernel.pidfd = false);
    assert_eq!((found, &*text), (State::Bad, "6.1.0 lacks pidfd (5.3)"));
}

#[test]
fn a_clock_before_the_ledger_or_before_everything_is_told() {
    let (found, text) = after("clock", |facts| {
        facts.machine.signed = Some(Wall(facts.machine.now.0 + 3_600_000));
    });
    assert_eq!(found, State::Warn);
    assert!(text.contains("1h before the newest entry"), "{text}");
    let (found, _) = after("clock", |facts| facts.machine.now = Wall(1_000));
    assert_eq!(found, State::Bad);
}

#[test]
fn a_missing_anchor_matters_once_something_was_signed() {
    let without = |facts: &mut Facts| {
        facts.machine.anchor = Some(("/root/.local/state".into(), false));
    };
    assert_eq!(after("anchor", without).0, State::Warn);
    assert_eq!(
        after("anchor", |facts| facts.machine.anchor = None).0,
        State::Warn
    );
    let (found, _) = after("anchor", |facts| {
        without(facts);
        facts.machine.signed = None;
    });
    assert_eq!(found, State::Good);
}

#[test]
fn what_should_run_and_does_not_is_told() {
    let (found, _) = after("processes", |facts| facts.machine.gateway = None);
    assert_eq!(found, State::Bad);
    let (found, _) = after("processes", |facts| facts.control_plane = None);
    assert_eq!(found, State::Warn);
    let (found, _) = after("processes", |facts| {
        facts.machine.gateway = None;
        facts.control_plane = None;
        facts.started = false;
    });
    assert_eq!(found, State::Good);
}
