//! Whatever is seen, the plan is sound, and after it nothing is left to do.

mod perfect;
mod scene;

use proptest::prelude::*;
use scene::Scene;
use std::fmt::Write as _;

/// An instance of the scene: service, release, ordinal, state, in the table.
fn instance() -> impl Strategy<Value = (String, String)> {
    let service =
        prop_oneof![4 => Just("web"), 3 => Just("api"), 2 => Just("worker"), 1 => Just("ghost")];
    let state = prop_oneof![
        6 => Just("ready"),
        2 => Just("unready"),
        1 => Just("ready dead"),
        1 => Just("ended 1"),
        1 => Just("ended 2"),
        1 => Just("ended 6"),
    ];
    (service, 1..4u32, 1..5u32, state, any::<bool>()).prop_map(
        |(service, release, ordinal, state, inside)| {
            let id = format!("{service}.v{release}.{ordinal}");
            // Only who was ready once is in the table; a service without a port never is.
            let inside = if inside && service != "worker" {
                " in"
            } else {
                ""
            };
            let line = format!("seen {id} {state}{inside}");
            (id, line)
        },
    )
}

fn rules() -> impl Strategy<Value = String> {
    (1..5u32, 0..3u32, 0..3u32, 1..4u32).prop_map(|(replicas, surge, unavailable, version)| {
        format!("x{replicas} surge={surge} unavailable={unavailable} version={version}")
    })
}

fn scene() -> impl Strategy<Value = String> {
    let head = prop_oneof![
        4 => Just("deploy v3 over v1"),
        2 => Just("rollback v3 over v2"),
        3 => Just("heal v1"),
        1 => Just("return v1"),
    ];
    let gateway =
        prop_oneof![6 => Just(""), 1 => Just("gateway behind"), 1 => Just("gateway away")];
    let services = (rules(), rules(), rules(), rules(), any::<bool>());
    (
        head,
        services,
        prop::collection::vec(instance(), 0..9),
        gateway,
    )
        .prop_map(
            |(head, (web, old, api, worker, gone), instances, gateway)| {
                let mut text = format!("{head}\nwants web {web} needs=api\nwants api {api}\n");
                if head.contains("over") {
                    writeln!(text, "serves web {old} needs=api\nserves api {api}").unwrap();
                    writeln!(text, "serves worker {old} quiet").unwrap();
                }
                if !gone {
                    writeln!(text, "wants worker {worker} quiet").unwrap();
                }
                // One run of an instance is seen at a time.
                let mut seen = std::collections::BTreeSet::new();
                for (id, line) in instances {
                    if seen.insert(id) {
                        writeln!(text, "{line}").unwrap();
                    }
                }
                writeln!(text, "{gateway}").unwrap();
                text
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn every_plan_is_sound_and_deciding_again_decides_nothing(text in scene()) {
        let mut scene = Scene::read(&text);
        let plan = scene.plan(scene.decide());
        let notes: Vec<String> = scene.notes(&plan).iter().map(ToString::to_string).collect();
        prop_assert!(notes.is_empty(), "{}\n{}\n{:#?}", text, notes.join("\n"),
            plan.steps.iter().map(ToString::to_string).collect::<Vec<_>>());
        // In a world where everything works a few rounds lead to rest: who is needed first, then who needs
        // it, each stopped, started and published.
        let mut rounds = 0;
        let mut steps = plan.steps;
        loop {
            perfect::apply(&mut scene, &steps);
            let again = scene.decide();
            steps = again.steps;
            let waits = again.report.waits.is_empty();
            if steps.is_empty() && waits {
                break;
            }
            let plan = scene.plan(scene.decide());
            let notes = scene.notes(&plan);
            prop_assert!(notes.is_empty(), "{}\nround {}: {:?}", text, rounds, notes);
            rounds += 1;
            prop_assert!(rounds < 8, "{}\nno rest: {:?} {:?}", text,
                steps.iter().map(ToString::to_string).collect::<Vec<_>>(), again.report.waits);
        }
    }
}
