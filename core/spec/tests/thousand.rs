//! A stored generator for a large platform, and that it is understood.

mod large;

use large::many_services;
use mainstay_spec::{check, parse_file};

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
