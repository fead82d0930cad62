//! Instances on real processes: how they run, end, and are found again.

#[expect(dead_code, reason = "the stage serves other tests too")]
mod common;

use common::{EPOCH, Stage, id, is_alive, launch, runtime, until};
use mainstay_atoms::{Bytes, Epoch, Generation, Range, Stop};
use mainstay_process_io::{
    Artifacts, Ended, Holder, InstanceState, KillBy, Listener, LogSource, StartFault, StopFault,
    Stream,
};
use std::time::Duration;

fn stop_in(ms: u64) -> Stop {
    Stop {
        grace: Duration::from_millis(ms),
        ..Stop::default()
    }
}

#[test]
fn a_program_that_exits_at_once_leaves_code_and_lines() {
    let stage = Stage::new();
    let mut launch = stage.script("echo to out; echo to err >&2; echo $GREETING; pwd; exit 7");
    launch.env.insert("GREETING".into(), "hello".into());
    stage.runtime.start(&launch, EPOCH).unwrap();
    let exit = stage.exit();
    assert_eq!((exit.code, exit.signal, exit.oom), (Some(7), None, false));
    assert_eq!(exit.ended, Ended::Itself);
    let cwd = Artifacts::new(&stage.state).path(launch.artifact);
    for line in ["to out", "to err", "hello", cwd.to_str().unwrap()] {
        assert!(
            exit.last_lines.iter().any(|known| known == line),
            "{line}: {exit:?}"
        );
    }
    let (lines, mut cursor) = stage
        .runtime
        .logs(&LogSource::Service(id().service), 2)
        .unwrap();
    assert_eq!(lines.len(), 2);
    assert!(
        stage
            .runtime
            .logs_since(&LogSource::Instance(id()), &mut cursor)
            .unwrap()
            .is_empty()
    );
    let (lines, _) = stage.runtime.logs(&LogSource::Instance(id()), 100).unwrap();
    let errors: Vec<_> = lines
        .iter()
        .filter(|line| line.stream == Stream::Err)
        .collect();
    assert_eq!((errors.len(), &errors[0].line[..]), (1, &b"to err"[..]));
    stage.runtime.start(&launch, EPOCH).unwrap();
    assert_eq!(stage.exit(), exit, "the same order again starts nothing");
    launch.generation = Generation(2);
    stage.runtime.start(&launch, EPOCH).unwrap();
    assert_eq!(
        until("the second run ended", || Some(stage.exit())
            .filter(|e| e.generation.0 == 2))
        .code,
        Some(7)
    );
    stage.runtime.forget(&id()).unwrap();
    assert!(stage.runtime.observe().unwrap().is_empty());
}

#[test]
fn a_missing_or_non_executable_program_is_a_fault_that_names_it() {
    let stage = Stage::new();
    for (run, why) in [
        ("./nothing", "nothing"),
        ("/etc/passwd", "/etc/passwd"),
        ("no-such-tool", "no-such-tool"),
    ] {
        let mut launch = stage.script("true");
        launch.run = vec![run.into()];
        let fault = stage.runtime.start(&launch, EPOCH).unwrap_err();
        assert!(
            matches!(&fault, StartFault::Program { why: said, .. } if said.contains(why)),
            "{fault}"
        );
        assert_eq!(stage.exit().ended, Ended::NeverStarted);
        stage.runtime.forget(&id()).unwrap();
    }
}

#[test]
fn stop_asks_first_and_is_idempotent() {
    let stage = Stage::new();
    let launch =
        stage.script("trap 'echo asked; exit 3' TERM; echo up; while :; do sleep 0.05; done");
    stage.runtime.start(&launch, EPOCH).unwrap();
    stage.line("up");
    stage
        .runtime
        .stop(&id(), Generation(2), &stop_in(20_000), EPOCH)
        .unwrap();
    stage
        .runtime
        .stop(&id(), Generation(2), &stop_in(20_000), EPOCH)
        .unwrap();
    let exit = stage.exit();
    assert_eq!((exit.code, exit.ended), (Some(3), Ended::Stopped));
    // The whole group is asked, so the shell also reports that its `sleep` was ended.
    assert_eq!(exit.last_lines.first().map(String::as_str), Some("up"));
    assert!(
        exit.last_lines.iter().any(|line| line == "asked"),
        "{:?}",
        exit.last_lines
    );
    stage
        .runtime
        .stop(&id(), Generation(3), &stop_in(0), EPOCH)
        .unwrap();
    assert_eq!(stage.exit(), exit);
}

#[test]
fn a_program_that_ignores_term_is_killed_after_its_grace() {
    let stage = Stage::new();
    let launch = stage.script("trap '' TERM; echo up; while :; do sleep 100; done");
    stage.runtime.start(&launch, EPOCH).unwrap();
    stage.line("up");
    stage
        .runtime
        .stop(&id(), Generation(2), &stop_in(100), EPOCH)
        .unwrap();
    let exit = stage.exit();
    assert_eq!(
        (exit.signal, exit.ended, exit.oom),
        (Some(9), Ended::Stopped, false)
    );
}

#[test]
fn an_order_of_an_earlier_control_plane_is_refused() {
    let stage = Stage::new();
    let mut launch = stage.script("echo up; sleep 100");
    launch.generation = Generation(5);
    stage.runtime.start(&launch, Epoch(3)).unwrap();
    for (generation, epoch) in [(9, 2), (4, 3)] {
        let fault = stage
            .runtime
            .stop(&id(), Generation(generation), &stop_in(0), Epoch(epoch))
            .unwrap_err();
        assert!(
            matches!(
                fault,
                StopFault::Stale {
                    epoch: Epoch(3),
                    generation: Generation(5),
                    ..
                }
            ),
            "{fault}"
        );
    }
    launch.generation = Generation(4);
    assert!(matches!(
        stage.runtime.start(&launch, Epoch(3)),
        Err(StartFault::Stale { .. })
    ));
    launch.generation = Generation(6);
    assert!(matches!(
        stage.runtime.start(&launch, Epoch(3)),
        Err(StartFault::Running {
            running: Generation(5),
            ..
        })
    ));
    assert_eq!(stage.fact().state, InstanceState::Running);
}

#[test]
fn forked_children_end_with_the_program() {
    let stage = Stage::new();
    let text = "setsid sh -c 'echo child $$; exec sleep 1000' & (sh -c 'echo child $$; exec sleep 1000' &) ; \
         echo main; sleep 1; exit 0";
    stage.runtime.start(&stage.script(text), EPOCH).unwrap();
    let exit = stage.exit();
    assert_eq!(exit.code, Some(0));
    let children: Vec<u32> = exit
        .last_lines
        .iter()
        .filter_map(|line| line.strip_prefix("child ")?.parse().ok())
        .collect();
    assert_eq!(children.len(), 2, "{exit:?}");
    assert!(!children.into_iter().any(is_alive));
}

#[test]
fn a_killed_shim_takes_its_workload_with_it() {
    let stage = Stage::new();
    let text = "setsid sh -c 'echo child $$; exec sleep 1000' & echo main $$; sleep 1000";
    stage.runtime.start(&stage.script(text), EPOCH).unwrap();
    let child: u32 = stage.line("child ")["child ".len()..].parse().unwrap();
    let fact = stage.fact();
    kill(fact.shim_pid.unwrap());
    until("the program died with its shim", || {
        (!is_alive(fact.pid.unwrap())).then_some(())
    });
    until("the loss is seen", || {
        matches!(stage.fact().state, InstanceState::Lost { .. }).then_some(())
    });
    if fact.isolation.unwrap().kill == KillBy::ProcessGroup {
        return skipped("no control group holds grandchildren here");
    }
    until("the grandchild is gone", || {
        (!is_alive(child)).then_some(())
    });
}

#[test]
fn a_later_control_plane_finds_the_instance_again() {
    let stage = Stage::new();
    let launch = stage.script("echo up; sleep 1000");
    stage.runtime.start(&launch, EPOCH).unwrap();
    let before = stage.fact();
    let later = runtime(&stage.state);
    let after = later.observe().unwrap().remove(0);
    assert_eq!(*after, before);
    assert_eq!(after.state, InstanceState::Running);
    later.start(&launch, Epoch(2)).unwrap();
    assert_eq!(
        *later.observe().unwrap().remove(0),
        before,
        "the same order again starts nothing"
    );
    later
        .stop(&id(), Generation(2), &stop_in(0), Epoch(2))
        .unwrap();
    assert_eq!(stage.exit().ended, Ended::Stopped);
}

#[test]
fn a_flood_is_bounded_and_the_shim_still_answers() {
    let stage = Stage::new();
    stage
        .runtime
        .start(
            &stage.script("yes 0123456789012345678901234567890123456789"),
            EPOCH,
        )
        .unwrap();
    let logs = stage.state.join("logs/web/web.v1.1");
    until("the oldest file was rotated away", || {
        (!logs.join("0000000001.log").exists()).then_some(())
    });
    stage
        .runtime
        .stop(&id(), Generation(2), &stop_in(5000), EPOCH)
        .unwrap();
    assert_eq!(stage.exit().ended, Ended::Stopped);
    let size: u64 = std::fs::read_dir(&logs)
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert!(size < 20 * 1024 * 1024, "{size}");
}

#[test]
fn invalid_utf8_is_kept_as_it_was() {
    let stage = Stage::new();
    stage
        .runtime
        .start(&stage.script(r"printf 'caf\351\n\377\376end'"), EPOCH)
        .unwrap();
    let exit = stage.exit();
    let (lines, _) = stage.runtime.logs(&LogSource::Instance(id()), 10).unwrap();
    let bytes: Vec<&[u8]> = lines.iter().map(|line| &line.line[..]).collect();
    assert_eq!(bytes, [b"caf\xe9" as &[u8], b"\xff\xfeend"]);
    assert_eq!(exit.last_lines, ["caf\u{fffd}", "\u{fffd}\u{fffd}end"]);
}

#[test]
fn a_program_over_its_memory_is_named_so() {
    let stage = Stage::new();
    let mut launch = stage.script("exec tail /dev/zero");
    launch.size.memory = Some(Range::exactly(Bytes(32 * 1024 * 1024)));
    stage.runtime.start(&launch, EPOCH).unwrap();
    let exit = stage.exit();
    let holder = stage.fact().isolation.unwrap().memory;
    if !matches!(holder, Holder::CgroupV1 | Holder::CgroupV2) {
        return skipped("no control group holds memory here");
    }
    assert_eq!(
        (exit.signal, exit.oom, exit.ended),
        (Some(9), true, Ended::Itself),
        "{holder:?}"
    );
}

#[test]
fn a_state_folder_deeper_than_a_socket_address_works() {
    let stage = Stage::below(&"deep/".repeat(40));
    stage
        .runtime
        .start(&stage.script("echo up; sleep 1000"), EPOCH)
        .unwrap();
    stage
        .runtime
        .stop(&id(), Generation(2), &stop_in(5000), EPOCH)
        .unwrap();
    assert_eq!(stage.exit().signal, Some(15));
}

#[test]
fn a_stopped_instance_leaves_no_group_no_socket_and_no_process() {
    let stage = Stage::new();
    stage
        .runtime
        .start(&stage.script("sleep 1000"), EPOCH)
        .unwrap();
    let fact = stage.fact();
    let groups =
        std::fs::read_to_string(stage.state.join("instances/web.v1.1/groups.json")).unwrap();
    stage
        .runtime
        .stop(&id(), Generation(2), &stop_in(0), EPOCH)
        .unwrap();
    stage.exit();
    until("the shim ended", || {
        stage.runtime.observe().unwrap();
        (!is_alive(fact.shim_pid.unwrap())).then_some(())
    });
    assert!(!is_alive(fact.pid.unwrap()));
    assert_eq!(
        std::fs::read_dir(stage.state.join("run")).unwrap().count(),
        0
    );
    let left: Vec<&str> = groups
        .split('"')
        .filter(|text| text.starts_with("/sys/fs/cgroup") && std::path::Path::new(text).exists())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn an_unknown_instance_or_signal_is_a_fault() {
    let stage = Stage::new();
    let fault = stage
        .runtime
        .stop(&id(), Generation(1), &stop_in(0), EPOCH)
        .unwrap_err();
    assert!(matches!(fault, StopFault::Unknown { .. }));
    let stop = Stop {
        signal: "NOPE".into(),
        ..Stop::default()
    };
    stage
        .runtime
        .start(&launch(stage.script("sleep 1000").artifact), EPOCH)
        .unwrap();
    let fault = stage
        .runtime
        .stop(&id(), Generation(1), &stop, EPOCH)
        .unwrap_err();
    assert_eq!(
        fault.to_string(),
        "`NOPE` is not a signal that can stop a process"
    );
}

#[test]
fn a_port_taken_by_a_stranger_is_told_from_the_instances_own() {
    let stage = Stage::new();
    stage
        .runtime
        .start(&stage.script("echo up; sleep 1000"), EPOCH)
        .unwrap();
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = stranger.local_addr().unwrap();
    let found = stage.runtime.listener(address, &id());
    assert!(
        matches!(found, Listener::Stranger { pid: Some(pid), .. } if pid == std::process::id()),
        "{found:?}"
    );
    drop(stranger);
    assert_eq!(stage.runtime.listener(address, &id()), Listener::Nobody);
}

#[test]
fn a_listening_grandchild_is_the_instances_own() {
    if !std::path::Path::new("/usr/bin/python3").exists() {
        return skipped("no python3 to listen with");
    }
    let stage = Stage::new();
    let text = "sh -c 'exec python3 -u -c \"import socket; s=socket.create_server((\\\"127.0.0.1\\\",0)); print(s.getsockname()[1]); s.accept()\"' & wait";
    let mut launch = stage.script(text);
    launch.size.processes = Some(50);
    stage.runtime.start(&launch, EPOCH).unwrap();
    let port: u16 = until("a port", || {
        stage.lines().iter().find_map(|line| line.parse().ok())
    });
    let found = stage.runtime.listener(([127, 0, 0, 1], port).into(), &id());
    assert!(
        matches!(found, Listener::Instance { pid } if Some(pid) != stage.fact().pid),
        "{found:?}"
    );
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}
