//! Overrides that people set by hand: who is on duty for a while instead of whoever the rotation says.

use super::Router;
use crate::duty::{Override, Rotation};
use crate::near;
use std::collections::BTreeMap;

/// Most overrides of one rotation that are held.
const SWAPS_MAX: usize = 100;

/// Why nobody stands in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SwapFault {
    /// The file has no rotation.
    #[error("there is no rotation; one stands under `alerts.on_call`")]
    NoRotation,
    /// There are more, and none was named.
    #[error("there are several rotations; name one of {0}")]
    Several(String),
    /// None of that name.
    #[error("rotation `{name}` is not known{hint}")]
    Unknown {
        /// What was named.
        name: String,
        /// What may have been meant.
        hint: String,
    },
    /// Somebody whom nothing reaches.
    #[error("`{name}` takes no turns in `{rotation}` and is no one under `people`{hint}")]
    Nobody {
        /// Who was named.
        name: String,
        /// Where.
        rotation: String,
        /// Who may have been meant.
        hint: String,
    },
    /// It ends before it begins.
    #[error("it ends before it begins")]
    Ended,
    /// More than are held.
    #[error("rotation `{0}` has {SWAPS_MAX} overrides; wait until one has ended")]
    Full(String),
}

impl Router {
    /// Somebody stands in from one point in civil time to another; returns the rotation. Of two overrides that
    /// overlap the later set one wins.
    pub fn stand_in(
        &mut self,
        rotation: Option<&str>,
        swap: Override,
    ) -> Result<String, SwapFault> {
        let name = self.rotation_named(rotation)?;
        if swap.from_ms >= swap.until_ms {
            return Err(SwapFault::Ended);
        }
        let Some(rotation) = self.routing.rotations.get(&name) else {
            return Err(SwapFault::NoRotation);
        };
        if !rotation.has(&swap.person) {
            return Err(SwapFault::Nobody {
                hint: near::hint(&swap.person, rotation.everybody()),
                name: swap.person,
                rotation: name,
            });
        }
        let swaps = self.swaps.entry(name.clone()).or_default();
        if swaps.len() >= SWAPS_MAX {
            return Err(SwapFault::Full(name));
        }
        swaps.push(swap);
        self.lay_swaps();
        Ok(name)
    }

    fn rotation_named(&self, named: Option<&str>) -> Result<String, SwapFault> {
        let known = &self.routing.rotations;
        match named {
            Some(name) if known.contains_key(name) => Ok(name.to_owned()),
            _ if known.is_empty() => Err(SwapFault::NoRotation),
            Some(name) => Err(SwapFault::Unknown {
                name: name.chars().take(100).collect(),
                hint: near::hint(name, known.keys()),
            }),
            None => {
                let names: Vec<String> = known.keys().map(|name| format!("`{name}`")).collect();
                match known.keys().next().filter(|_| names.len() == 1) {
                    Some(only) => Ok(only.clone()),
                    None => Err(SwapFault::Several(names.join(", "))),
                }
            }
        }
    }

    /// Overrides that were set by hand, by rotation.
    pub fn swaps(&self) -> &BTreeMap<String, Vec<Override>> {
        &self.swaps
    }

    /// Lays what was set by hand over what the file says; the last one in a rotation's list wins.
    pub(super) fn lay_swaps(&mut self) {
        for (name, swaps) in &self.swaps {
            let Some(rotation) = self.routing.rotations.get_mut(name) else {
                continue;
            };
            rotation.overrides.retain(|one| !swaps.contains(one));
            let known = swaps.iter().filter(|one| rotation.has(&one.person));
            let known: Vec<Override> = known.cloned().collect();
            rotation.overrides.extend(known);
        }
    }

    /// Lets overrides go that have ended.
    pub(super) fn forget_swaps(&mut self, now_ms: i64) {
        self.swaps.retain(|_, swaps| {
            swaps.retain(|one| one.until_ms > now_ms);
            !swaps.is_empty()
        });
    }
}

impl Rotation {
    /// Everybody who can be on duty.
    pub(super) fn everybody(&self) -> impl Iterator<Item = &String> {
        let swapped = self.overrides.iter().map(|one| &one.person);
        self.people.iter().chain(&self.others).chain(swapped)
    }

    fn has(&self, person: &str) -> bool {
        self.everybody().any(|one| one == person)
    }
}
