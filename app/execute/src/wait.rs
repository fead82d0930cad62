//! Since when something is waited for.

use mainstay_atoms::Moment;
use mainstay_plan::Wait;

/// Waits with the time since when: one that goes on keeps it.
pub(crate) fn carried(
    before: &[(Wait, Moment)],
    waits: &[Wait],
    now: Moment,
) -> Vec<(Wait, Moment)> {
    let goes_on = |old: &Wait, new: &Wait| match (old, new) {
        (Wait::Needs { service: old, .. }, Wait::Needs { service: new, .. }) => old == new,
        (Wait::Effect { step: old, .. }, Wait::Effect { step: new, .. }) => old == new,
        _ => {
            std::mem::discriminant(old) == std::mem::discriminant(new)
                && old.instance() == new.instance()
        }
    };
    let since = |wait: &Wait| {
        let old = before.iter().find(|(old, _)| goes_on(old, wait));
        old.map_or(now, |(_, since)| *since)
    };
    waits
        .iter()
        .map(|wait| (wait.clone(), since(wait)))
        .collect()
}
