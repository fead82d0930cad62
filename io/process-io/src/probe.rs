//! .
use mainstay_atoms::{Generation, InstanceId, Probe, Wall};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
/// .
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Which place.
    pub id: InstanceId,
    /// Which run.
    pub generation: Generation,
    /// Where it listens.
    pub address: Option<SocketAddr>,
    /// When it takes traffic; without one it is ready while it is watched.
    pub ready: Option<Probe>,
    /// When it is restarted.
    pub health: Option<Probe>,
    /// Environment of exec probes.
    pub env: BTreeMap<String, String>,
    /// Working folder of exec probes.
    pub cwd: PathBuf,
}
/// .
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// x
    None,
}
/// .
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeFact {
    /// x
    pub at: Wall,
    /// x
    pub took: Duration,
}
/// .
#[derive(Debug)]
pub struct Prober;
