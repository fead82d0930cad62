//! Everything stops: traffic first, then those who use stores, the stores last.

use crate::decide::Decider;
use crate::serving::Routes;
use mainstay_atoms::Role;
use mainstay_workload::Instance;

impl Decider<'_> {
    pub(crate) fn stop_everything(&mut self) {
        let gone = self
            .draft
            .serving
            .pools
            .keys()
            .map(|name| (name.clone(), None))
            .collect();
        // A table that was published and is not served yet protects nobody from a stop.
        if self.gateway_follows() {
            self.draft.publish(gone, Some(Routes::default()));
        } else {
            self.draft.announce(gone, Some(Routes::default()));
        }
        let (running, ended): (Vec<_>, Vec<_>) = self
            .observed
            .instances
            .iter()
            .cloned()
            .partition(Instance::runs);
        self.retire_in_order(&running);
        self.draft.clear(&ended);
    }

    /// Those who use stores leave first, the stores last.
    pub(crate) fn retire_in_order(&mut self, running: &[Instance]) {
        let (stores, users): (Vec<Instance>, Vec<Instance>) = running
            .iter()
            .cloned()
            .partition(|one| one.role == Role::Store);
        self.draft.retire(&users, true);
        self.draft.retire(&stores, true);
        self.draft.clear(running);
    }
}
