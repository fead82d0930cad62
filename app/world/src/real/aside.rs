//! What is asked of the world beside the engine: what follows from what serves, housekeeping, what is shown.

use super::{KEPT_RELEASES, RealWorld};
use crate::collect;
use crate::status_page::Announcement;
use mainstay_atoms::{Digest, InstanceId};
use mainstay_execute::RecordFault;
use mainstay_faults::chain;
use mainstay_plan::{History, ReleaseRecord};
use mainstay_process_io::{InstanceFact, Isolation, RunsAs};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl RealWorld {
    /// Lets signals collect what runs now, and those hear of releases who are to, by what serves.
    pub fn follow(&mut self, record: Option<&ReleaseRecord>, history: &History) {
        let Some(record) = record else { return };
        let config = collect::config(record, &self.facts, &self.state);
        let known = collect::known(record, history);
        let hear = || collect::hearers(record, &known.place);
        self.herald
            .follow(history.serving, self.ledger.size(), hear);
        self.signals.follow(config, known, collect::acts(record));
    }

    /// Publishes a status page, or takes the one there is away.
    pub fn announce(&self, wanted: Option<Announcement>) {
        self.page.announce(wanted);
    }

    /// The key that verifies the status page, once one was signed.
    pub fn page_key(&self) -> Option<String> {
        self.page.key()
    }

    /// Why the status page is not published, in words.
    pub fn page_fault(&self) -> Option<String> {
        self.page.fault()
    }

    /// What could not be told of releases, in words.
    pub fn untold(&self) -> Vec<String> {
        self.herald.faults()
    }

    /// The ledger, to be closed at the end.
    pub fn close(&self) {
        self.ledger.close();
    }

    /// Removes artifacts, plans and records that no kept release, running instance or recent plan needs,
    /// in two phases: what is marked now goes at the next sweep, unless it is needed again meanwhile. A
    /// record that cannot be read keeps everything.
    pub fn sweep(&mut self, history: &History) -> Result<(), RecordFault> {
        let running = self
            .runtime
            .observe()
            .map_err(|fault| RecordFault(chain(&fault)))?;
        let mut artifacts: BTreeSet<Digest> =
            running.iter().map(|fact| fact.launch.artifact).collect();
        let mut blobs: BTreeSet<Digest> = history.recent_plans.iter().map(|plan| plan.0).collect();
        blobs.extend(history.open.iter().map(|open| open.plan.0));
        for made in history.kept_releases(KEPT_RELEASES) {
            let bytes = self.blobs.fetch(made.record)?;
            let record: ReleaseRecord =
                serde_json::from_slice(&bytes).map_err(|fault| RecordFault(fault.to_string()))?;
            artifacts.extend(record.contents.artifacts.values());
            blobs.insert(made.record);
        }
        self.blobs.sweep(&blobs)?;
        self.artifacts
            .sweep(&artifacts)
            .map(drop)
            .map_err(|fault| RecordFault(chain(&fault)))
    }

    /// What keeps the ledger from being trusted fully, in words.
    pub fn ledger_faults(&self) -> Vec<String> {
        self.ledger
            .halted()
            .into_iter()
            .chain(self.ledger.checkpoint_fault())
            .collect()
    }

    /// Why instances cannot be looked at now, in words.
    pub fn blind(&self) -> Option<&str> {
        self.blind.as_deref()
    }

    /// What bounds an instance and whose rights it has, where it is known.
    pub fn isolation(&self, id: &InstanceId) -> Option<&Isolation> {
        self.facts
            .iter()
            .find(|fact| fact.id == *id)?
            .isolation
            .as_ref()
    }

    /// Services whose programs run as root, and why.
    pub fn run_as_root(&self) -> Option<(String, String)> {
        let root = |fact: &Arc<InstanceFact>| match &fact.isolation.as_ref()?.user {
            RunsAs::Root { why } => Some((fact.id.service.to_string(), why.clone())),
            RunsAs::Own { .. } | RunsAs::Caller { .. } => None,
        };
        let found: BTreeMap<String, String> = self.facts.iter().filter_map(root).collect();
        let why = found.values().next()?.clone();
        let services: Vec<String> = found.into_keys().collect();
        Some((services.join(", "), why))
    }
}
