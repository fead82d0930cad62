//! What `then:` may say, and every mistake with its key.

use super::*;

fn subjects() -> Subjects {
    let alerts = ["HomeFails", "BudgetBurns"].map(str::to_owned);
    Subjects {
        services: BTreeMap::from([("web".to_owned(), Some((1, 6))), ("api".to_owned(), None)]),
        jobs: BTreeSet::from(["heal".to_owned()]),
        routes: BTreeSet::from(["shop.example/".to_owned(), "shop.example/api".to_owned()]),
        alerts: Some(BTreeSet::from(alerts)),
    }
}

fn read_text(text: &str) -> Result<Vec<Action>, Vec<AlertsFault>> {
    let file: AlertsFile = serde_json::from_str(text).unwrap();
    let written = serde_json::to_string(&file).unwrap();
    assert_eq!(serde_json::from_str::<AlertsFile>(&written).unwrap(), file);
    read(&file, &subjects())
}

#[test]
fn deeds_stand_under_rules_of_mainstay_and_under_names_of_alerts() {
    let actions = read_text(
        r#"{"preset": {"check-failing": {"then": {"run": "heal"}}},
            "then": {"HomeFails": [
                {"scale": {"service": "web", "by": 2, "max": 5, "for": "30m"}, "cool_down": "5m", "at_most": "3/day"},
                {"run": "heal", "dry_run": true},
                {"pause": "shop.example/api", "for": "10m"}]}}"#,
    )
    .unwrap();
    let run = Deed::Run { job: "heal".into() };
    let scale = Deed::Scale {
        service: "web".into(),
        by: 2,
        least: 1,
        most: 5,
        lasts_ms: 1_800_000,
    };
    let pause = Deed::Pause {
        route: "shop.example/api".into(),
        lasts_ms: 600_000,
    };
    let told: Vec<_> = actions
        .iter()
        .map(|one| {
            (
                one.alert.as_str(),
                &one.deed,
                one.cool_down_ms,
                one.daily_max,
                one.dry_run,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("CheckFailing", &run, 600_000, 24, false),
            ("HomeFails", &scale, 300_000, 3, false),
            ("HomeFails", &run, 600_000, 24, true),
            ("HomeFails", &pause, 600_000, 24, false),
        ]
    );
}

/// What stands under `then: { HomeFails: … }`, the key below that, and a part of what is said.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("5", "", "one deed such as"),
    ("{}", "", "no deed is named; deeds are `scale`, `run`"),
    (r#"{"cool_down": "5m"}"#, "", "no deed is named"),
    (
        r#"{"restart": "web"}"#,
        ".restart",
        "neither a deed nor a setting",
    ),
    (r#"{"rum": "heal"}"#, ".rum", "did you mean `run`?"),
    (r#"{"run": "heal", "scale": {}}"#, "", "write a list"),
    (
        r#"{"run": "heel"}"#,
        ".run",
        "job `heel` is not known; did you mean `heal`?",
    ),
    (r#"{"run": 5}"#, ".run", "the name of a job"),
    (
        r#"{"pause": "shop.example/apo", "for": "5m"}"#,
        ".pause",
        "route `shop.example/apo` is not known; did you mean `shop.example/api`?",
    ),
    (
        r#"{"pause": ["shop.example/"], "for": "5m"}"#,
        ".pause",
        "the name of a route, such as",
    ),
    (
        r#"{"pause": "shop.example/"}"#,
        ".pause",
        "`for` is missing",
    ),
    (
        r#"{"pause": "shop.example/", "for": "0s"}"#,
        ".for",
        "not from 1s to 1d",
    ),
    (
        r#"{"pause": "shop.example/", "for": "25h"}"#,
        ".for",
        "not from 1s to 1d",
    ),
    (
        r#"{"pause": "shop.example/", "for": 10}"#,
        ".for",
        "`10` has no unit",
    ),
    (
        r#"{"pause": "shop.example/", "for": "5m", "scale": {"service": "web", "by": 1}}"#,
        "",
        "`scale`, `pause` stand in one entry; write a list",
    ),
    (
        r#"{"run": "heal", "for": "5m"}"#,
        ".for",
        "how long a route is paused",
    ),
    (
        r#"[{"pause": "shop.example/", "for": "5m"}, {"pause": "shop.example/", "for": "9m"}]"#,
        "[1]",
        "`pause shop.example/` is said twice for `HomeFails`",
    ),
    (
        r#"{"raise_pool": {"store": "db"}}"#,
        ".raise_pool",
        "cannot be raised by an alert yet",
    ),
    (
        r#"{"halt_ledger": "impact"}"#,
        ".halt_ledger",
        "no ledger for applications yet",
    ),
    (r#"{"scale": "web"}"#, ".scale", "a map such as"),
    (r#"{"scale": {"by": 1}}"#, ".scale.service", "is missing"),
    (
        r#"{"scale": {"service": "wep", "by": 1}}"#,
        ".scale.service",
        "did you mean `web`?",
    ),
    (
        r#"{"scale": {"service": "api", "by": 1}}"#,
        ".scale.service",
        "has a fixed count",
    ),
    (
        r#"{"scale": {"service": "web"}}"#,
        ".scale.by",
        "a whole number",
    ),
    (
        r#"{"scale": {"service": "web", "by": 0}}"#,
        ".scale.by",
        "changes nothing",
    ),
    (
        r#"{"scale": {"service": "web", "by": 1.5}}"#,
        ".scale.by",
        "a whole number",
    ),
    (
        r#"{"scale": {"service": "web", "by": 1, "max": 9}}"#,
        ".scale.max",
        "above the 6 of `services.web.scale.max`",
    ),
    (
        r#"{"scale": {"service": "web", "by": 1, "min": 0}}"#,
        ".scale.min",
        "below the 1 of `services.web.scale.min`",
    ),
    (
        r#"{"scale": {"service": "web", "by": 1, "min": 4, "max": 3}}"#,
        ".scale",
        "above `max`",
    ),
    (
        r#"{"scale": {"service": "web", "by": 1, "max": "many"}}"#,
        ".scale.max",
        "not a whole number",
    ),
    (
        r#"{"scale": {"service": "web", "by": 1, "most": 3}}"#,
        ".scale.most",
        "is not known",
    ),
    (
        r#"{"scale": {"service": "web", "by": 1, "for": "90d"}}"#,
        ".scale.for",
        "not from 1s to 30d",
    ),
    (
        r#"{"run": "heal", "cool_down": 600}"#,
        ".cool_down",
        "`600` has no unit; write for example `600s`",
    ),
    (
        r#"{"run": "heal", "cool_down": "soon"}"#,
        ".cool_down",
        "is not a duration",
    ),
    (
        r#"{"run": "heal", "cool_down": "0"}"#,
        ".cool_down",
        "not from 1s",
    ),
    (
        r#"{"run": "heal", "at_most": 3}"#,
        ".at_most",
        "how often within a day",
    ),
    (
        r#"{"run": "heal", "at_most": "0/day"}"#,
        ".at_most",
        "`1/day` to `288/day`",
    ),
    (
        r#"{"run": "heal", "dry_run": "perhaps"}"#,
        ".dry_run",
        "neither `true` nor `false`",
    ),
];

#[test]
fn every_mistake_is_told_with_its_key() {
    for (then, path, why) in MISTAKES {
        let faults = read_text(&format!(r#"{{"then": {{"HomeFails": {then}}}}}"#)).unwrap_err();
        let path = format!("then.HomeFails{path}");
        let told = faults
            .iter()
            .find(|fault| fault.path == path && fault.why.contains(why));
        assert!(told.is_some(), "{then}: {path} {why}: {faults:?}");
        assert_eq!(faults.len(), 1, "{then} is one mistake: {faults:?}");
    }
}

#[test]
fn a_platform_without_routes_has_none_to_pause() {
    let file = r#"{"then": {"HomeFails": {"pause": "shop.example/", "for": "5m"}}}"#;
    let nothing = Subjects {
        routes: BTreeSet::new(),
        ..subjects()
    };
    let faults = read(&serde_json::from_str(file).unwrap(), &nothing).unwrap_err();
    let why = &faults[0].why;
    assert!(why.contains("is not known; there is none"), "{why}");
}

#[test]
fn alerts_that_never_fire_do_nothing_and_that_is_a_mistake() {
    for (text, path, why) in [
        (
            r#"{"then": {"HomeFeils": {"run": "heal"}}}"#,
            "then.HomeFeils",
            "did you mean `HomeFails`?",
        ),
        (
            r#"{"preset": {"check-failing": {"off": true, "then": {"run": "heal"}}}}"#,
            "preset.check-failing.then",
            "is off",
        ),
    ] {
        let faults = read_text(text).unwrap_err();
        assert_eq!(faults[0].path, path);
        assert!(faults[0].why.contains(why), "{faults:?}");
    }
}
