//! Another routing in the place of the one before.

use super::Router;
use super::log::Key;
use crate::alert::Notice;
use crate::at::At;
use crate::route::Routing;

impl Router {
    /// Routes by something else from now on. Alerts keep what was told of them where their groups stay.
    pub fn reroute(&mut self, routing: Routing, at: At) {
        self.routing = routing;
        self.lay_swaps();
        let before = std::mem::take(&mut self.clusters);
        let alerts: Vec<Notice> = self.alerts.values().cloned().collect();
        for notice in alerts {
            self.assign(&notice, at);
        }
        for (key, cluster) in &mut self.clusters {
            if let Some(old) = before.get(key) {
                (cluster.next_ms, cluster.has_flushed) = (old.next_ms, old.has_flushed);
            }
        }
        let receivers = &self.routing.receivers;
        let exists = |key: &Key| {
            receivers
                .get(&key.receiver)
                .is_some_and(|one| one.channels.len() > key.place)
        };
        self.deliveries
            .retain(|key, _| exists(key) && self.clusters.contains_key(&key.group));
        self.ids.retain(|_, key| self.deliveries.contains_key(key));
        let gone = |(receiver, place): &(String, usize)| {
            let channels = receivers.get(receiver).map(|one| one.channels.len());
            channels.is_none_or(|channels| channels <= *place)
        };
        let gone: Vec<(String, usize)> = self
            .failing
            .keys()
            .filter(|key| gone(key))
            .cloned()
            .collect();
        // Of a channel that is no more nobody needs to hear that it fails.
        let ended = gone.iter().filter_map(|key| self.failing.remove(key));
        let ended: Vec<Notice> = ended
            .filter(|failing| failing.is_told)
            .map(|failing| failing.notice(Some(at)))
            .collect();
        self.ingest(ended, at);
    }
}
