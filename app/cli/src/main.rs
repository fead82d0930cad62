//! `mainstay`: the one binary.
//!
//! `main` sends the processes that Mainstay consists of (`shim`, `launch`) to their entry points before
//! anything else is set up, reads the command line, and turns what a command came to into text, JSON
//! and an exit code. Data goes to stdout, talk to stderr. A file of `command/` is one command.

mod argument;
mod attach;
mod client;
mod command;
mod context;
mod diagnosis;
mod failure;
mod install;
mod prepare;
mod show;
mod terminal;

use argument::{Arguments, Command, TestAction};
use clap::Parser as _;
use failure::Failure;
use mainstay_faults::Exit;
use mainstay_server::api::PromoteAsked;
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args_os()
        .nth(1)
        .as_deref()
        .and_then(std::ffi::OsStr::to_str)
    {
        Some("shim") => return mainstay_world::shim(),
        Some("launch") => return mainstay_world::launch(),
        _ => {}
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(fault) => return misuse(&fault),
    };
    let json = arguments.json;
    match run(&arguments) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(failure) => {
            let exit = failure.exit();
            failure.show(json);
            ExitCode::from(exit)
        }
    }
}

/// Help and version are answers; misuse is the user's to mend.
fn misuse(fault: &clap::Error) -> ExitCode {
    // A closed pipe takes no help text; there is nobody to tell.
    drop(fault.print());
    ExitCode::from(if fault.use_stderr() {
        Exit::Yours.code()
    } else {
        0
    })
}

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let Some(command) = arguments.command.clone() else {
        terminal::say_out(command::overview::TEXT);
        return Ok(Exit::Done);
    };
    match command {
        Command::Check { action: None } => command::check::run(arguments),
        Command::Check {
            action: Some(action),
        } => command::page::run(arguments, &action),
        Command::Plan { out, full } => command::plan::run(arguments, out.as_deref(), full),
        Command::Rehearse { full } => command::rehearse::run(arguments, full),
        Command::Apply { plan } => command::apply::run(arguments, &plan),
        Command::Up => command::up::run(arguments),
        Command::Deploy => command::deploy::run(arguments),
        Command::Rollback { release } => command::rollback::run(arguments, release),
        Command::Abort => command::steer::abort(arguments),
        Command::Promote { full } => {
            command::steer::order(arguments, "promote", &PromoteAsked { fully: full })
        }
        Command::Pause => command::steer::order(arguments, "pause", &()),
        Command::Resume => command::steer::order(arguments, "resume", &()),
        Command::Approve { release } => command::approve::run(arguments, release),
        Command::Checklist { action } => command::checklist::run(arguments, action.as_ref()),
        Command::Token { action } => command::token::run(arguments, &action),
        Command::Retry => command::steer::retry(arguments),
        Command::Hold { action } => command::hold::run(arguments, &action),
        Command::Routes { action } => command::routes::run(arguments, action.as_ref()),
        Command::Scale(wish) => command::scale::run(arguments, &wish),
        Command::Status { watch: true } => command::status::watch(arguments),
        Command::Status { watch: false } => command::status::run(arguments),
        Command::Why { subject } => command::why::run(arguments, subject.as_deref()),
        Command::History => command::history::run(arguments),
        Command::Logs {
            subject,
            lines,
            follow,
        } => command::logs::run(arguments, &subject, lines, follow),
        Command::Explain { path } => command::explain::run(arguments, &path),
        Command::Schema => Ok(command::schema::run()),
        Command::Ledger { action } => command::ledger::run(arguments, &action),
        Command::Doctor => command::doctor::run(arguments),
        Command::Jobs { action } => command::jobs::run(arguments, action.as_ref()),
        Command::Query { query, range } => command::query::run(arguments, &query, range.as_deref()),
        Command::Alerts { action } => command::alerts::run(arguments, action.as_ref()),
        Command::Signals { action } => command::signals::run(arguments, &action),
        Command::Test {
            action: TestAction::Rules { files },
        } => command::test::rules(arguments, &files),
        Command::Secret { action } => command::secret::run(arguments, &action),
        Command::Down { delete_data } => command::down::run(arguments, delete_data.as_deref()),
        Command::Install { dry_run, root } => {
            let (dry, root) = (dry_run, root.as_deref());
            command::install::run(arguments, &command::install::Way { dry, root })
        }
        Command::Upgrade { program } => command::upgrade::run(arguments, &program),
        Command::Serve { check: true, .. } => command::serve::check(arguments),
        Command::Serve { replaces, .. } => command::serve::run(arguments, replaces.as_deref()),
        Command::Gateway { beside } => command::gateway::run(arguments, beside),
        Command::Version => Ok(command::version::run(arguments)),
        Command::Completions { shell } => Ok(command::completions::run(shell)),
    }
}
