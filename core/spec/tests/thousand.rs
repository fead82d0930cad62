//! A stored generator for a large platform, and that it is understood.

use mainstay_spec::{check, parse_file};
use std::fmt::Write as _;

/// A file of so many services, each needing the one before; a thousand stay below 300 KB.
fn many_services(count: usize) -> String {
    let mut text = "mainstay: 1\nname: large\n\nservices:\n".to_owned();
    for at in 0..count {
        write!(
            text,
            "  service-{at}:
    run: ./bin/service-{at} --verbose
    port: {port}
    needs: [{needs}]
    replicas: 2
    ready: {{ path: /ready, every: 2s }}
    size: {{ cpu: 100m..500m, memory: 128Mi }}
    env: {{ LEVEL: info, SHARD: {at} }}
    deploy: {{ rolling: {{ surge: 1 }} }}
",
            port = 10_000 + at,
            needs = if at == 0 {
                String::new()
            } else {
                format!("service-{}", at - 1)
            },
        )
        .expect("a String takes everything");
    }
    text.push_str("\ndomains:\n  large.example:\n    routes:\n");
    for at in 0..count {
        writeln!(text, "      /service-{at}: service-{at}").expect("a String takes everything");
    }
    text
}

#[test]
fn a_thousand_services_are_understood() {
    let text = many_services(1000);
    assert!(text.len() <= 300_000, "{} bytes", text.len());
    let tree = parse_file("mainstay.yaml", text.as_bytes()).expect("YAML");
    let resolved = check(&tree, None, &[]).expect("valid");
    assert_eq!(resolved[0].platform.services.len(), 1000);
}

#[test]
fn a_cycle_through_a_thousand_services_is_found() {
    let text = many_services(1000).replace("needs: []", "needs: [service-999]");
    let tree = parse_file("mainstay.yaml", text.as_bytes()).expect("YAML");
    let faults = check(&tree, None, &[]).expect_err("a cycle");
    assert_eq!(faults.len(), 1, "{faults:#?}");
    assert_eq!(faults[0].code, "cycle");
}
