//! Appends until it is killed, and says each index once its row is durable: what the kill tests run.
//!
//! `writer STATE_FOLDER [--no-sync]`; without sync it is the control of the power-cut test (debug builds).
#![expect(clippy::print_stdout, reason = "a tool whose output is its result")]

use mainstay_atoms::{Actor, Epoch, Wall};
use mainstay_ledger::Kind;
use mainstay_ledger_io::{Draft, Ledger, Opened};

fn main() {
    let state = std::env::args().nth(1).expect("a state folder");
    let dir = std::path::Path::new(&state).join("ledger");
    let anchor = std::path::Path::new(&state).join("anchor");
    let Ok(Opened::Ready(mut ledger)) = Ledger::open(&dir, &[anchor], Wall(1)) else {
        panic!("the ledger did not open");
    };
    #[cfg(debug_assertions)]
    if std::env::args().nth(2).as_deref() == Some("--no-sync") {
        ledger.close();
        let reopened = Ledger::open_without_sync(&dir, &[], Wall(1));
        ledger = reopened.expect("it opened a moment ago");
    }
    let writers: Vec<_> = (0..8_u64).map(|writer| (writer, ledger.clone())).collect();
    std::thread::scope(|scope| {
        for (writer, ledger) in writers {
            scope.spawn(move || append(writer, &ledger));
        }
    });
}

fn append(writer: u64, ledger: &Ledger) {
    for n in ledger.size().. {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&writer.to_be_bytes());
        key[8..].copy_from_slice(&n.to_be_bytes());
        let receipt = ledger.append(Draft {
            kind: Kind::new(1, "test").expect("a good name"),
            actor: Actor::itself(),
            epoch: Epoch(1),
            generation: None,
            key,
            payload: format!("{writer}.{n}").into_bytes(),
            at: Wall(n),
        });
        let index = receipt.expect("the disk takes it").index;
        println!("{index} {writer}.{n}");
    }
}
