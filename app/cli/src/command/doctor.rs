//! `doctor`: what is missing on this machine, and the command that mends it.

use crate::argument::Arguments;
use crate::diagnosis::{Facts, Finding, ServerFact, State, judge};
use crate::failure::Failure;
use crate::{context, terminal};
use mainstay_atoms::Server;
use mainstay_faults::Exit;
use mainstay_spec::Platform;
use mainstay_world::Machine;

/// Where a platform listens whose file says nothing else.
const PORT: u16 = 8080;

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    // It looks as well where the file is broken or not there.
    let place = context::place(arguments).unwrap_or_else(|_| context::Place {
        root: ".mainstay".into(),
        environment: "default".into(),
    });
    let platform = context::read(arguments)
        .ok()
        .and_then(|file| file.resolve(arguments).ok())
        .map(|resolved| resolved.platform);
    let port = platform
        .as_ref()
        .map_or(PORT, |platform| platform.gateway.http);
    let state = place.state();
    // Asked of the kernel, because one that has no files left answers nobody.
    let control_plane = mainstay_world::ledger_holder(&state.ledger()).map(|(pid, _)| pid);
    let findings = judge(&Facts {
        machine: Machine::look(&state, &[port], control_plane),
        control_plane,
        started: state.ledger().is_dir(),
        servers: platform.iter().flat_map(servers).collect(),
    });
    if arguments.json {
        terminal::json(&findings);
    } else {
        findings.iter().for_each(show);
    }
    if findings.iter().any(|finding| finding.state == State::Bad) {
        Err(Failure::shown(Exit::Yours))
    } else {
        Ok(Exit::Done)
    }
}

/// The server programs that stores of the file need, each once, with the stores that need it.
fn servers(platform: &Platform) -> Vec<ServerFact> {
    let mut all: Vec<(Server, Vec<String>)> = Vec::new();
    for (name, store) in &platform.stores {
        let Some(server) = store.server() else {
            continue;
        };
        match all.iter_mut().find(|(one, _)| *one == server) {
            Some((_, stores)) => stores.push(name.to_string()),
            None => all.push((server, vec![name.to_string()])),
        }
    }
    all.into_iter()
        .map(|(server, stores)| ServerFact {
            subject: match server {
                Server::Postgres(_) => "postgres",
                Server::Redis(_) => "redis",
            },
            stores,
            found: mainstay_world::version(server)
                .map_err(|missing| (missing.to_string(), missing.install())),
        })
        .collect()
}

fn show(finding: &Finding) {
    let sign = finding.state.mark();
    terminal::say_out(&format!("{sign} {:<11} {}", finding.subject, finding.text));
    if let Some(fix) = &finding.fix {
        terminal::say_out(&format!("  {:<11} fix: {fix}", ""));
    }
}
