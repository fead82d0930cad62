//! The way back: an earlier release takes over at once.

use crate::decide::{Decider, Target};
use crate::draft::Started;
use crate::place::{Place, count, missing};
use crate::serving::Routes;
use mainstay_rollout::all_at_once;
use std::collections::BTreeMap;

impl Decider<'_> {
    /// The way back: everything starts, everything becomes ready, one table, then all old ones leave.
    pub(crate) fn replace_at_once(
        &mut self,
        places: &[Place<'_>],
        target: Target<'_>,
        routes: &Routes,
    ) {
        let mut rounds = Vec::new();
        let (alone, together): (Vec<_>, Vec<_>) =
            places.iter().partition(|place| place.service.recreate);
        for place in alone {
            self.converge(place, places, target);
        }
        for place in together.iter().copied() {
            self.wait_for(&place.census);
            self.draft.retire(&place.census.dead, false);
            let counts = self.counts(place);
            let turns = all_at_once(place.wanted.replicas, counts);
            let started: Vec<Started> = missing(place)
                .iter()
                .filter_map(|id| self.start(target, id))
                .collect();
            self.line(
                place,
                count(&started),
                turns.iter().map(|turn| turn.leave).sum(),
                counts.old_ready,
            );
            rounds.push((place, started));
        }
        for (place, started) in &rounds {
            self.await_kept(place);
            for one in started {
                self.draft
                    .await_ready(place.service, &one.id, one.generation);
            }
        }
        let pools: BTreeMap<_, _> = rounds
            .iter()
            .filter(|(place, _)| place.service.port.is_some())
            .map(|(place, started)| {
                (
                    place.name.clone(),
                    Some(self.shifted(place, started, &place.census.old)),
                )
            })
            .collect();
        let wide = self.draft.serving.routes.widened(routes);
        self.draft.publish(
            pools,
            Some(Routes {
                domains: routes.domains.clone(),
                ..wide
            }),
        );
        for place in together {
            self.draft.retire(&place.census.old, true);
            self.draft.clear(&place.census.old);
            self.draft.clear(&place.census.leftover);
        }
        self.settle(places, target, routes.clone());
    }
}
