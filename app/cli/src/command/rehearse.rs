//! `rehearse`: the next deploy in the simulator, with one failure at a time. Nothing is changed.

use crate::argument::Arguments;
use crate::client::Client;
use crate::failure::Failure;
use crate::prepare::prepare;
use crate::terminal;
use mainstay_faults::{Exit, escaped};
use mainstay_plan::Contents;
use mainstay_sim::{Ending, Rehearsal, rehearse};

pub(crate) fn run(arguments: &Arguments, full: bool) -> Result<Exit, Failure> {
    let prepared = prepare(arguments)?;
    let client = Client::connect(&prepared.place)?;
    let serving: Option<Contents> = match &client {
        Some(client) => client.get("/v1/contents")?,
        None => None,
    };
    if serving.as_ref() == Some(&prepared.contents) {
        return Ok(nothing(arguments));
    }
    let rehearsals = rehearse(serving.as_ref(), &prepared.contents);
    let sound = rehearsals.iter().all(|one| one.ending.is_sound());
    if arguments.json {
        terminal::json(&rehearsals);
    } else {
        for one in &rehearsals {
            terminal::say_out(&line(one));
            for step in one.steps.iter().filter(|_| full) {
                terminal::say_out(&format!("      {}", escaped(step)));
            }
        }
        terminal::say_out(&summary(&rehearsals, serving.is_none()));
    }
    Ok(if sound { Exit::Done } else { Exit::Yours })
}

fn nothing(arguments: &Arguments) -> Exit {
    if arguments.json {
        terminal::json(&Vec::<Rehearsal>::new());
    } else {
        let mark = terminal::mark("✓");
        terminal::say_out(&format!(
            "{mark} nothing to rehearse: the file is what serves"
        ));
    }
    Exit::Done
}

fn line(one: &Rehearsal) -> String {
    let mark = terminal::mark(if one.ending.is_sound() { "✓" } else { "✗" });
    let serving = match (one.serving, &one.ending) {
        (Some(release), Ending::Serves) => format!("{release} serves"),
        (Some(release), _) => format!("{release} serves as before"),
        (None, _) => "nothing serves, as before".into(),
    };
    let end = match &one.ending {
        Ending::Serves => serving,
        Ending::Back { why } => format!("{serving}: {why}"),
        Ending::Frozen { why } => {
            format!("it stops half-way, after what cannot be undone: {why}")
        }
        Ending::Stuck { why } => format!("it does not come to rest: {why}"),
    };
    let injury = one.injury.to_string();
    format!("  {mark} {injury:34} {}", escaped(&end))
}

fn summary(rehearsals: &[Rehearsal], first: bool) -> String {
    let open = rehearsals.iter().filter(|one| !one.ending.is_sound());
    let open: Vec<String> = open.map(|one| one.injury.to_string()).collect();
    let of = if first {
        "a first release"
    } else {
        "the next release"
    };
    if open.is_empty() {
        let count = rehearsals.len();
        return format!("{count} rehearsals of {of}: each serves or leaves what served");
    }
    format!(
        "{of} neither serves nor goes back when {}",
        open.join(", when ")
    )
}
