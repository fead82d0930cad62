//! The control plane: one engine on its own thread, one HTTP API on a unix socket.
//!
//! [`serve`] opens the state, replays the ledger, starts the engine over the real world and answers
//! the API until it is told to stop or everything was brought down. Requests become closures that run
//! on the engine's thread between two ticks ([`Desk`]), so nothing is ever decided in two places.
//!
//! Invariants: one control plane per state, by a kernel lock that death frees; a state that
//! contradicts its signed checkpoint is served read-only while traffic goes on; who acts is the login
//! name of the socket's peer.
//!
//! What this crate never does: name an acting crate (only `world` does), or talk to the terminal.

mod accept;
mod action;
mod action_api;
mod actor;
pub mod api;
mod brought;
mod desk;
mod gate;
mod gate_api;
mod job;
mod ledger;
mod limit;
mod metrics;
mod objective;
mod objective_api;
#[cfg(test)]
mod openapi;
mod page;
mod pause;
mod pause_api;
mod refused;
mod route;
mod scale;
mod scale_api;
mod serve;
mod shape;
mod trial_api;
mod upgrade;
mod view;

pub use desk::Desk;
pub use serve::{Options, ServeFault, serve};
pub use upgrade::Leaving;

use mainstay_plan::{Change, Mark};
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

/// A socket's path through the descriptor of its folder: as short as it gets.
pub fn short_path(folder: &File, path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name)
}

/// Changes in a few words, as `history` shows them: `web: artifact, env.GREETING; search added`.
pub(crate) fn view_reason(changes: &[Change]) -> String {
    let maps = ["services.", "jobs.", "stores."];
    let short = |name: &str| {
        let bare = maps.iter().find_map(|map| name.strip_prefix(map));
        bare.unwrap_or(name).to_owned()
    };
    let parts: Vec<String> = changes
        .iter()
        .map(|change| match change.mark {
            Mark::Added => format!("{} added", short(&change.resource)),
            Mark::Removed => format!("{} removed", short(&change.resource)),
            Mark::Changed => {
                let fields: Vec<&str> = change
                    .fields
                    .iter()
                    .take(3)
                    .map(|field| field.path.as_str())
                    .collect();
                let more = if change.fields.len() > 3 { ", …" } else { "" };
                format!("{}: {}{more}", short(&change.resource), fields.join(", "))
            }
        })
        .collect();
    let more = if parts.len() > 4 { "; …" } else { "" };
    format!(
        "{}{more}",
        parts.iter().take(4).cloned().collect::<Vec<_>>().join("; ")
    )
}

/// A point in civil time for people, in UTC.
pub(crate) fn clock(milliseconds: u64) -> String {
    let seconds = i64::try_from(milliseconds / 1000).unwrap_or(0);
    jiff::Timestamp::from_second(seconds)
        .map(|time| time.to_string())
        .unwrap_or_default()
}
