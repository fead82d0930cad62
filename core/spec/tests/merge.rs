//! Laws of overlays, and that no bytes make the crate panic.

mod body;

use mainstay_spec::{Platform, Set, explain, parse_file, place_of, resolve};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Changes to one service, as the YAML of its keys.
type Changes = BTreeMap<&'static str, String>;

fn changes() -> impl Strategy<Value = Changes> {
    let value = prop_oneof![
        (0..20u32).prop_map(|count| ("replicas", count.to_string())),
        (1..9000u32).prop_map(|port| ("port", port.to_string())),
        (0..60u32).prop_map(|grace| ("stop", format!("{{ grace: {grace}s }}"))),
        (1..60u32).prop_map(|drain| ("stop", format!("{{ drain: {drain}s }}"))),
        (1..8u32).prop_map(|cores| ("size", format!("{{ cpu: {cores} }}"))),
        "[a-z]{1,5}".prop_map(|value| ("env", format!("{{ A: {value}x }}"))),
        "[a-z]{1,5}".prop_map(|value| ("env", format!("{{ B: {value}x, C: y }}"))),
        Just(("deploy", "rolling".to_owned())),
        Just(("build", "[make, web]".to_owned())),
    ];
    proptest::collection::vec(value, 0..6).prop_map(|values| values.into_iter().collect())
}

fn keys(changes: &Changes) -> String {
    let keys: Vec<_> = changes
        .iter()
        .map(|(key, value)| format!("{key}: {value}"))
        .collect();
    keys.join(", ")
}

fn resolved(text: &str, environment: Option<&str>, sets: &[Set]) -> Platform {
    let tree = parse_file("mainstay.yaml", text.as_bytes()).expect("YAML");
    resolve(&tree, environment, sets)
        .unwrap_or_else(|faults| panic!("{text}\n{faults:#?}"))
        .platform
}

fn file(base: &Changes, rest: &str) -> String {
    format!(
        "mainstay: 1\nname: shop\nservices:\n  web: {{ run: ./web, {} }}\n{rest}",
        keys(base)
    )
}

fn without_environment(mut platform: Platform) -> Platform {
    platform.environment = mainstay_atoms::EnvironmentName::default_environment();
    platform
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// An overlay that says nothing changes nothing.
    #[test]
    fn nothing_over_a_base_is_the_base(base in changes()) {
        let alone = resolved(&file(&base, ""), None, &[]);
        let over = resolved(&file(&base, "environments: { e: {} }\n"), Some("e"), &[]);
        prop_assert_eq!(alone, without_environment(over));
    }

    /// An overlay that says what the base says changes nothing.
    #[test]
    fn a_base_over_itself_is_the_base(base in changes()) {
        let alone = resolved(&file(&base, ""), None, &[]);
        let overlay = format!("environments: {{ e: {{ services: {{ web: {{ {} }} }} }} }}\n", keys(&base));
        prop_assert_eq!(alone, without_environment(resolved(&file(&base, &overlay), Some("e"), &[])));
    }

    /// The same changes do the same from an overlay, from the command line, and by `extends`.
    #[test]
    fn layers_agree(base in changes(), over in changes()) {
        let overlay = format!("environments: {{ e: {{ services: {{ web: {{ {} }} }} }} }}\n", keys(&over));
        let overlaid = without_environment(resolved(&file(&base, &overlay), Some("e"), &[]));
        let sets: Vec<Set> = over
            .iter()
            .map(|(key, value)| Set::parse(&format!("services.web.{key}={value}")).expect("a set"))
            .collect();
        let set = resolved(&file(&base, ""), None, &sets);
        prop_assert_eq!(&overlaid, &set);
        let child = format!("  child: {{ extends: web, {} }}\n", keys(&over));
        let extended = resolved(&file(&base, &child), None, &[]);
        prop_assert_eq!(&overlaid.services["web"], &extended.services["child"]);
    }

    /// The last one wins, key by key.
    #[test]
    fn the_command_line_is_over_the_overlay(base in changes(), over in changes(), count in 0..9u32) {
        let overlay = format!("environments: {{ e: {{ services: {{ web: {{ {} }} }} }} }}\n", keys(&over));
        let set = Set::parse(&format!("services.web.replicas={count}")).expect("a set");
        let platform = resolved(&file(&base, &overlay), Some("e"), &[set]);
        prop_assert_eq!(platform.services["web"].replicas, count);
    }

    /// `null` is as if the key had never been there.
    #[test]
    fn null_deletes(base in changes()) {
        let gone: Vec<_> = base.keys().map(|key| format!("{key}: null")).collect();
        let overlay = format!("environments: {{ e: {{ services: {{ web: {{ {} }} }} }} }}\n", gone.join(", "));
        let bare = resolved(&file(&Changes::new(), ""), None, &[]);
        prop_assert_eq!(bare, without_environment(resolved(&file(&base, &overlay), Some("e"), &[])));
    }

    /// Any bytes are answered.
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        body::answer(&bytes);
    }

    /// Any text that looks like YAML is answered.
    #[test]
    fn any_yaml_is_answered(text in "([a-z]{1,3}|[:\\-\\[\\]{},&*!|>'\"#%@?<~\n \t./0-9é]){0,120}") {
        body::answer(text.as_bytes());
    }

    /// Any path is answered, and any set.
    #[test]
    fn any_path_is_answered(path in "[a-z.\"=/ é]{0,30}") {
        let tree = parse_file("f", file(&Changes::new(), "").as_bytes()).expect("YAML");
        let base = resolve(&tree, None, &[]).expect("valid");
        for path in [path.clone(), format!("services.{path}"), format!("services.web.{path}")] {
            let explained = explain(&base, &path).is_ok();
            prop_assert!(!explained || place_of(&base, &path).is_some());
            if let Ok(set) = Set::parse(&format!("{path}=1")) {
                let refused = resolve(&tree, None, &[set]).err();
                prop_assert!(refused.is_none_or(|faults| !faults.is_empty()));
            }
        }
    }
}
