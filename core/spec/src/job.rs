//! Commands that run to their end: what a checked file says of one job.

use crate::platform::Injection;
use mainstay_atoms::{Schedule, ServiceName, Size, Stop};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Command that is run first, in the file's folder; not part of what is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Vec<String>>,
    /// Program and arguments.
    pub run: Vec<String>,
    /// What is copied into the store of artifacts, relative to the file's folder.
    pub artifact: Vec<String>,
    /// Services it calls and stores it uses.
    pub needs: Vec<ServiceName>,
    /// What it is told of stores, under names of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inject: BTreeMap<String, Injection>,
    /// Plain environment.
    pub env: BTreeMap<String, String>,
    /// Ceilings of one run.
    pub size: Size,
    /// How a run is stopped at its deadline.
    pub stop: Stop,
    /// When it runs by itself; without one it runs when it is asked to.
    pub schedule: Option<Schedule>,
    /// Longest run.
    pub timeout: Duration,
    /// Further tries after a failure, with a doubling wait between them.
    pub retries: u32,
    /// What happens when it is due while it runs.
    pub overlap: Overlap,
    /// What happens to times that passed while the platform was away.
    pub missed: Missed,
    /// A run that a crash cut off is run again; else it is not, because it may have done its work.
    pub at_least_once: bool,
    /// What it does cannot be undone: a release that fails after it stays where it is.
    pub one_way: bool,
}

/// What happens when a job is due while it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It is skipped this time.
    #[default]
    Forbid,
    /// It runs right after; more than one that waits become one.
    Queue,
    /// The older run is stopped.
    Replace,
}

/// What happens to times that passed while the platform was away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// One run makes up for all of them.
    #[default]
    Run,
    /// They are gone.
    Skip,
}
