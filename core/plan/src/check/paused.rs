//! What holds of routes that are paused.

use super::Model;
use mainstay_atoms::ReleaseNumber;

impl Model<'_> {
    /// With the routes that a release serves without their pauses are forgotten, so it serves with all that it has.
    pub(super) fn keeps_pauses(&mut self, release: ReleaseNumber) {
        let Some(record) = self.record else { return };
        for (host, routes) in &record.contents.platform.domains {
            for prefix in routes.keys() {
                let name = format!("{host}{prefix}");
                let mut published = self.routes.domains.get(host).into_iter().flatten();
                let kept = published.any(|route| route.prefix == *prefix);
                if !kept && self.paused.contains_key(name.as_str()) {
                    let message = format!("{release} serves without {name}, which is paused");
                    self.note("paused", message);
                }
            }
        }
    }
}
