//! The log of what each channel was told of each group, and whether it is to be told again.

use crate::at::At;
use crate::notification::Reason;
use mainstay_metrics::Labels;
use std::collections::BTreeSet;

/// Which channel was told of which group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) group: String,
    pub(crate) receiver: String,
    pub(crate) place: usize,
}

/// What a channel was told last.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Entry {
    pub(crate) firing: BTreeSet<Labels>,
    pub(crate) resolved: BTreeSet<Labels>,
    /// Alerts of attempts that may have been accepted although they failed.
    pub(crate) maybe: BTreeSet<Labels>,
    /// Alerts that such attempts said had ended: where they fire again, that must be told.
    pub(crate) maybe_ended: BTreeSet<Labels>,
    /// When the content of the last message was put together; `None` while only `maybe` is known.
    pub(crate) at: Option<At>,
}

impl Entry {
    /// An attempt may have been accepted.
    pub(crate) fn doubt(&mut self, firing: &BTreeSet<Labels>, resolved: &BTreeSet<Labels>) {
        self.maybe.extend(firing.iter().cloned());
        self.maybe_ended.extend(resolved.iter().cloned());
    }

    /// Whether the channel may believe that an alert fires.
    pub(crate) fn believes(&self, labels: &Labels) -> bool {
        self.firing.contains(labels) || self.maybe.contains(labels)
    }
}

/// Why a channel is to be told now, or `None` where it knows all. The order of the questions is the field's.
pub(crate) fn reason(
    entry: Option<&Entry>,
    firing: &BTreeSet<Labels>,
    resolved: &BTreeSet<Labels>,
    send_resolved: bool,
    repeat_ms: i64,
    at: At,
) -> Option<Reason> {
    let Some(entry) = entry else {
        // What began and ended before anybody was told is not told.
        return (!firing.is_empty()).then_some(Reason::First);
    };
    if !firing.is_subset(&entry.firing) || !firing.is_disjoint(&entry.maybe_ended) {
        return Some(if entry.at.is_some() {
            Reason::NewAlert
        } else {
            Reason::First
        });
    }
    if firing.is_empty() {
        // Also without `send_resolved`, because the log must forget what fired.
        let believed = !entry.firing.is_empty() || !entry.maybe.is_empty();
        return believed.then_some(Reason::AllResolved);
    }
    let maybe_ended = entry.maybe.iter().any(|labels| resolved.contains(labels));
    if send_resolved
        && (maybe_ended
            || resolved
                .iter()
                .any(|one| !entry.resolved.contains(one) && entry.believes(one)))
    {
        return Some(Reason::SomeResolved);
    }
    let is_old = entry.at.is_none_or(|told| at.since(told) >= repeat_ms);
    is_old.then_some(Reason::Repeated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reason::{AllResolved, First, NewAlert, Repeated, SomeResolved};

    fn set(names: &str) -> BTreeSet<Labels> {
        names
            .split_whitespace()
            .map(|name| Labels::new([("alertname", name)]))
            .collect()
    }

    #[test]
    fn a_channel_is_told_what_it_does_not_know() {
        let entry = |firing: &str, resolved: &str| {
            Some(Entry {
                firing: set(firing),
                resolved: set(resolved),
                maybe: BTreeSet::new(),
                maybe_ended: BTreeSet::new(),
                at: Some(At::both(0)),
            })
        };
        for (known, firing, resolved, at, sends, expected) in [
            (None, "a", "", 0, true, Some(First)),
            (None, "", "a", 0, true, None),
            (entry("a", ""), "a", "", 99, true, None),
            (entry("a", ""), "a b", "", 1, true, Some(NewAlert)),
            (entry("a b", ""), "a", "b", 1, true, Some(SomeResolved)),
            (entry("a b", ""), "a", "b", 1, false, None),
            (entry("a", "b"), "a", "b", 1, true, None),
            (entry("a", ""), "", "a", 1, true, Some(AllResolved)),
            (entry("a", ""), "", "a", 1, false, Some(AllResolved)),
            (entry("", "a"), "", "a b", 1, true, None),
            (entry("a", ""), "a", "", 100, true, Some(Repeated)),
            (entry("", "a"), "a", "", 1, true, Some(NewAlert)),
            // It fired and ended between two notices: nobody knows of it.
            (entry("a", ""), "a", "c", 1, true, None),
        ] {
            let found = reason(
                known.as_ref(),
                &set(firing),
                &set(resolved),
                sends,
                100,
                At::both(at),
            );
            assert_eq!(found, expected, "{firing} / {resolved} at {at}");
        }
    }

    #[test]
    fn what_may_have_been_heard_is_taken_back() {
        let entry = Entry {
            maybe: set("a"),
            ..Entry::default()
        };
        let find = |firing, resolved| {
            reason(
                Some(&entry),
                &set(firing),
                &set(resolved),
                true,
                100,
                At::both(0),
            )
        };
        assert_eq!(find("", "a"), Some(Reason::AllResolved));
        assert_eq!(find("a", ""), Some(Reason::First));
        // It may have been heard that it ended, and now it fires again.
        let entry = Entry {
            firing: set("a"),
            maybe_ended: set("a"),
            at: Some(At::both(0)),
            ..Entry::default()
        };
        let found = reason(Some(&entry), &set("a"), &set(""), true, 100, At::both(1));
        assert_eq!(found, Some(Reason::NewAlert));
    }
}
