//! Files of the field: what must load loads, and what must be refused is refused at its place.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use mainstay_alerting::{Template, read_alertmanager, read_rule_tests, read_rules, run_rule_tests};
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of that name, where it is.
fn folder(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("MAINSTAY_CONFORMANCE")
        .map(PathBuf::from)
        .or_else(|| {
            let here = Path::new(env!("CARGO_MANIFEST_DIR"));
            let mut above = here
                .ancestors()
                .map(|folder| folder.join("../shared/conformance"));
            above.find(|folder| folder.is_dir()).or_else(|| {
                let mut above = here
                    .ancestors()
                    .map(|folder| folder.join("shared/conformance"));
                above.find(|folder| folder.is_dir())
            })
        });
    let found = root
        .map(|root| root.join(name))
        .filter(|folder| folder.is_dir());
    if found.is_none() {
        eprintln!("skipped: ../shared/conformance/{name} is absent");
    }
    found
}

fn files(folder: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|ending| ending == "yml"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn rule_files_load_and_their_templates_too() {
    let Some(folder) = folder("rules") else {
        return;
    };
    let mut rules = 0;
    for name in ["rules.yml", "alerts.yml", "at-modifier.yml"] {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let groups = read_rules(name, &text).unwrap_or_else(|faults| panic!("{}", faults[0]));
        rules += groups.iter().map(|group| group.rules.len()).sum::<usize>();
    }
    assert_eq!(rules, 8);
    assert!(Template::of_rule("{{ $labels.job }}").is_ok());
}

#[test]
fn alertmanager_configurations_load_or_are_refused() {
    let Some(folder) = folder("alertmanager") else {
        return;
    };
    let valid = files(&folder.join("valid"));
    for (name, text) in &valid {
        if let Err(faults) = read_alertmanager(name, text) {
            panic!("{}", faults[0]);
        }
    }
    let expected = [
        ("conf.nil-match_re-route.yml", 5, "invalid_label"),
        (
            "conf.nil-source_match_re-inhibition.yml",
            7,
            "invalid_source_label",
        ),
        (
            "conf.opsgenie-default-apikey-old-team.yml",
            16,
            "unknown key `teams`",
        ),
        (
            "conf.slack-both-file-and-url.yml",
            3,
            "`slack_api_url` and `slack_api_url_file`",
        ),
        (
            "conf.slack-no-api-url-or-token.yml",
            7,
            "no Slack address and no application token",
        ),
        (
            "conf.smtp-both-password-and-file.yml",
            6,
            "`smtp_auth_password` and `smtp_auth_password_file`",
        ),
        (
            "conf.sns-invalid.yml",
            7,
            "`target_arn`, `topic_arn` and `phone_number`",
        ),
        (
            "conf.telegram-no-bot-token.yml",
            7,
            "`bot_token` and `bot_token_file`",
        ),
    ];
    let invalid = files(&folder.join("invalid"));
    assert_eq!((valid.len(), invalid.len()), (8, expected.len()));
    for ((name, text), (known, line, why)) in invalid.iter().zip(expected) {
        assert_eq!(name, known);
        let faults = read_alertmanager(name, text).expect_err(name);
        let told = faults.iter().find(|fault| fault.to_string().contains(why));
        let told = told.unwrap_or_else(|| panic!("{name}: {faults:?}"));
        assert_eq!(told.place.line, line, "{told}");
    }
}

/// Plays a test file with the rule files that it names; failing expectations of each group.
fn play(folder: &Path, name: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(folder.join(name)).unwrap();
    let tests = read_rule_tests(name, &text).unwrap_or_else(|faults| panic!("{}", faults[0]));
    let rules = tests.rule_files.iter().flat_map(|file| {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        read_rules(file, &text).unwrap()
    });
    let rules: Vec<_> = rules.collect();
    let reports = run_rule_tests(&tests, &rules, &|| false);
    let failures = reports.into_iter().map(|report| report.failures);
    failures
        .map(|all| all.into_iter().map(|one| one.text).collect())
        .collect()
}

#[test]
fn rule_tests_pass_and_the_failing_ones_fail() {
    let Some(folder) = folder("rules") else {
        return;
    };
    let passing = [
        ("unittest.yml", 5),
        ("long-period.yml", 1),
        ("at-modifier-test.yml", 1),
        ("no-test-group-interval.yml", 1),
        ("docs-example-test.yml", 1),
    ];
    for (name, groups) in passing {
        assert_eq!(
            play(&folder, name),
            vec![Vec::<String>::new(); groups],
            "{name}"
        );
    }
    let failing = play(&folder, "failing.yml");
    let counts: Vec<usize> = failing.iter().map(Vec::len).collect();
    assert_eq!(counts, [2, 2], "{failing:?}");
}
