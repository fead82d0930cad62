//! One file a command.

pub(crate) mod apply;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod deploy;
pub(crate) mod doctor;
pub(crate) mod down;
pub(crate) mod explain;
pub(crate) mod gateway;
pub(crate) mod history;
pub(crate) mod hold;
pub(crate) mod install;
pub(crate) mod jobs;
pub(crate) mod ledger;
pub(crate) mod logs;
pub(crate) mod overview;
pub(crate) mod plan;
pub(crate) mod rollback;
pub(crate) mod schema;
pub(crate) mod secret;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod steer;
pub(crate) mod up;
pub(crate) mod upgrade;
pub(crate) mod version;
pub(crate) mod why;
