//! `deploy`: ships the file as a new release, watched until it serves or failed.

use crate::argument::Arguments;
use crate::client::Client;
use crate::failure::Failure;
use crate::prepare::prepare;
use crate::show;
use mainstay_faults::Exit;
use mainstay_plan::Contents;
use mainstay_server::api::{LeaseAsked, LeaseGiven, Moving, Proposal};

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let (_, _, place) = crate::prepare::checked(arguments)?;
    let client = Client::must(&place)?;
    // From here on a newer deploy overtakes this one, however long it builds.
    let lease: LeaseGiven = client.post("/v1/leases", &LeaseAsked::default())?;
    let prepared = crate::prepare::prepare_with(arguments, &mut || {
        let asked = LeaseAsked {
            token: Some(lease.token),
        };
        // A lost lease is told when it is used.
        drop(client.post::<_, LeaseGiven>("/v1/leases", &asked));
    })?;
    ship(arguments, &client, prepared.contents, Some(lease.token))
}

/// Ships contents and watches.
pub(crate) fn ship(
    arguments: &Arguments,
    client: &Client,
    contents: Contents,
    lease: Option<u64>,
) -> Result<Exit, Failure> {
    let platform = contents.platform.clone();
    let proposal = Proposal {
        contents,
        confirmed: arguments.yes,
        lease,
    };
    let moving: Moving = client.post("/v1/deploy", &proposal)?;
    show::progress::watch(client, &moving, &platform, arguments.json)
}

/// Checks, builds, stores: for those who ship without a lease.
pub(crate) fn contents(arguments: &Arguments) -> Result<Contents, Failure> {
    Ok(prepare(arguments)?.contents)
}
