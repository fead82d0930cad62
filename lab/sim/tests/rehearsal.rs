//! A deploy is rehearsed: what would happen with one injury at a time, told as it would be.

use mainstay_plan::Contents;
use mainstay_sim::{Ending, Injury, Rehearsal, contents, rehearse, service, with_stores};

fn version(number: u32, one_way: bool) -> Contents {
    let services = vec![("web", service(2, &["api"])), ("api", service(1, &[]))];
    let mut contents = with_stores(contents(services, number), 256);
    for job in contents.platform.jobs.values_mut() {
        job.retries = 0;
        job.one_way = one_way && job.schedule.is_none();
    }
    contents
}

fn find<'r>(all: &'r [Rehearsal], injury: &str) -> &'r Rehearsal {
    let found = all.iter().find(|one| one.injury.to_string() == injury);
    found.unwrap_or_else(|| panic!("`{injury}` is rehearsed: {all:?}"))
}

#[test]
fn every_injury_ends_with_a_release_that_serves() {
    let all = rehearse(Some(&version(1, false)), &version(2, false));
    let stuck: Vec<_> = all.iter().filter(|one| !one.ending.is_sound()).collect();
    assert!(stuck.is_empty(), "{stuck:?}");
    for serves in ["nothing fails", "the control plane is killed", "db crashes"] {
        assert_eq!(find(&all, serves).ending, Ending::Serves, "{serves}");
    }
    for back in ["web never gets ready", "migrate fails"] {
        let one = find(&all, back);
        assert!(matches!(one.ending, Ending::Back { .. }), "{one:?}");
        assert_eq!(one.serving.map(|one| one.0), Some(1));
    }
    assert!(!find(&all, "nothing fails").steps.is_empty());
}

#[test]
fn a_first_release_that_fails_leaves_nothing() {
    let all = rehearse(None, &version(1, false));
    assert!(all.iter().all(|one| one.ending.is_sound()), "{all:?}");
    assert_eq!(find(&all, "api never gets ready").serving, None);
}

#[test]
fn what_cannot_be_undone_is_said() {
    let all = rehearse(Some(&version(1, false)), &version(2, true));
    let one = find(&all, "web never gets ready");
    assert!(matches!(one.ending, Ending::Frozen { .. }), "{one:?}");
    assert!(all.iter().any(|one| one.injury == Injury::Machine));
}
