//! The real world: the only crate that names the acting crates.
//!
//! [`RealWorld`] gives the engine its clock, its observation, its effects and its ledger. The entry
//! points of the processes that Mainstay consists of ([`shim`], [`launch`], [`gateway`]) pass through
//! here, so the command line names no acting crate either.
//!
//! Invariants: the gateway is kept alive whatever the ledger says, because traffic does not depend on
//! decisions; nothing else is done without an order.

mod answer;
mod beside;
mod blob;
mod clock;
mod collect;
mod durable;
mod failpoint;
mod gateway;
mod herald;
mod inherited;
mod logs;
mod machine;
mod notify;
mod objective;
mod open;
mod port;
mod program;
mod provider;
mod real;
mod schema;
mod signals;
mod state;
mod status_page;
mod store;
mod succession;

pub use gateway::Keeper;
pub use inherited::reap as reap_inherited;
pub use logs::{LogRow, Tail};
pub use machine::{Disk, Machine, Port};
pub use mainstay_alerting::budget::Standing as AimStanding;
pub use mainstay_ledger::{Halt, Loss};
pub use mainstay_ledger_io::{
    OpenFault, Report as LedgerReport, ResumeFault, VerifyFault, holder as ledger_holder,
    verify as verify_ledger,
};
pub use mainstay_process_io::{
    Artifacts, Holder, Isolation, Kernel, KillBy, Reach, RunsAs, StoreFault,
};
pub use mainstay_signals_io::{
    Client as SignalsClient, Export as SignalsExport, ExportFault as SignalsExportFault,
    ExportedBlock, export as export_signals,
};
pub use mainstay_status::{Page, State as PageState};
pub use mainstay_store_io::{FileSecrets, Missing, Secret, SecretFault, Secrets, missing, version};
pub use objective::{Aim, aims, standings};
pub use open::{Halted, OpenedWorld, WorldFault, check, open, resume};
pub use program::{
    Admitted, UpgradeFault, admit, begin as begin_upgrade, own_digest, replaced_by,
    settle as settle_upgrade,
};
pub use real::RealWorld;
pub use schema::{SCHEMA, SchemaFault, check as check_schema};
pub use signals::{SignalsKeeper, signals};
pub use state::{ANCHORS, INSTALLED, State, is_installed};
pub use status_page::Announcement;
pub use store::Obstacle;

use std::process::ExitCode;

/// The shim's `main`: `mainstay shim FOLDER`.
pub fn shim() -> ExitCode {
    mainstay_process_io::shim_main()
}

/// The second stage of a start: `mainstay launch FOLDER`.
pub fn launch() -> ExitCode {
    mainstay_process_io::launch_main()
}

/// The gateway's `main`, until it is told to stop.
///
/// `beside`: it takes the place of a gateway that runs, once it is told to.
pub fn gateway(state: &State, beside: bool) -> Result<(), mainstay_gateway_io::GatewayFault> {
    let mut config =
        mainstay_gateway_io::Config::new(state.gateway_socket(), state.gateway_table());
    config.adoption = gateway::ADOPTION;
    config.beside = beside.then_some(succession::FORGOTTEN);
    mainstay_gateway_io::run(config)
}
