//! The disk of a running store is full: what was acknowledged stays, the reason is told, space brings it back.

use mainstay_e2e::traffic::post_with;
use mainstay_e2e::{Mount, Platform, get, until};

fn order(platform: &Platform, item: &str) -> Option<u64> {
    let answer = post_with(platform.port, "/orders", &format!("item={item}")).ok()?;
    let kept = (answer.status == 200).then(|| answer.body.trim().parse().ok());
    kept.flatten()
}

#[test]
fn a_full_disk_under_a_database_loses_nothing_and_space_brings_it_back() {
    let platform = Platform::shop("disk");
    let db = platform.state().join("stores/db");
    let Some(mount) = Mount::at(&db, "160m") else {
        return;
    };
    platform.edit("memory: 256Mi", "memory: 128Mi");
    platform.up();
    let mut kept: Vec<u64> = (0..3)
        .map(|turn| order(&platform, &format!("early{turn}")).expect("an order"))
        .collect();
    mount.fill();
    // Rows go into what PostgreSQL has already taken from the disk, until that is full too.
    let much: String = std::iter::repeat_with(fastrand::alphanumeric)
        .take(400_000)
        .collect();
    until("a write that finds no space", || {
        match order(&platform, &much) {
            Some(number) => {
                kept.push(number);
                None
            }
            None => Some(()),
        }
    });
    let told = until("the reason", || {
        let told = platform.run(&["why", "db"]).out;
        told.contains("its disk is full").then_some(told)
    });
    let status = platform.status().expect("a control plane answers");
    assert!(
        status.to_string().contains("its disk is full"),
        "{status}\n{told}"
    );
    // Whatever needs no database goes on.
    assert_eq!(
        get(platform.port, "/healthz").expect("an answer").status,
        200
    );
    mount.free();
    let late = until("an order once there is space", || order(&platform, "late"));
    kept.push(late);
    platform.steady();
    let list = get(platform.port, "/orders").expect("an answer").body;
    let listed: Vec<u64> = list
        .lines()
        .filter_map(|line| line.split(' ').next()?.parse().ok())
        .collect();
    assert!(kept.len() <= 20, "the list shows twenty: {}", kept.len());
    for number in &kept {
        assert!(
            listed.contains(number),
            "{number} was acknowledged: {listed:?}"
        );
    }
    assert_eq!(platform.history().len(), 1, "healing is no release");
    platform.run(&["down"]).exits(0);
}
