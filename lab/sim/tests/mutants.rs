//! Every mutant is caught, and the run says by what.
#![expect(clippy::print_stdout, reason = "the run lists the mutants")]

use mainstay_sim::mutant::{control, mutants};

#[test]
fn every_mutant_is_caught() {
    let sound = control();
    assert!(!sound.at_all(), "nothing is mutated, yet: {sound:?}");
    assert!(mutants().count() >= 30);
    let mut survivors = Vec::new();
    println!("{:46} caught by", "mutant");
    for mutant in mutants() {
        let caught = mutant.run();
        let mut by: Vec<String> = caught
            .check
            .iter()
            .map(|rule| format!("check `{rule}`"))
            .collect();
        by.extend(
            caught
                .world
                .as_ref()
                .map(|promise| format!("world: {promise}")),
        );
        println!("{:46} {}", mutant.name, by.join(", "));
        if !caught.at_all() {
            survivors.push(mutant.name);
        }
    }
    assert!(survivors.is_empty(), "not caught: {}", survivors.join(", "));
}
