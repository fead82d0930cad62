//! Gates: what lets the release that moves begin and go on, and what people say to it.

use crate::engine::{Engine, Moving};
use crate::request::Refusal;
use crate::world::{RecordFault, World};
use mainstay_atoms::{Actor, Digest, ReleaseNumber, Wall};
use mainstay_plan::{Event, Pace, Plan, Purpose, Wait};
use mainstay_rollout::gate::{
    Approval, Gate, Item, Missing, Opening, Tick, approvals, calendar, checklist,
};
use mainstay_spec::Gates;
use std::collections::{BTreeMap, BTreeSet};

/// How a release stands at its gates.
#[derive(Debug, Clone)]
pub struct AtGate {
    /// Which.
    pub release: ReleaseNumber,
    /// Digest of its stored record, which an approval names.
    pub record: Digest,
    /// Who made it.
    pub author: Actor,
    /// What changed, in a few words.
    pub reason: String,
    /// Who agreed so far.
    pub approved: Vec<Actor>,
    /// What is missing, in words; nothing: it may begin.
    pub missing: Vec<String>,
    /// Its checklist.
    pub items: Vec<ItemRow>,
}

/// One item of a checklist.
#[derive(Debug, Clone)]
pub struct ItemRow {
    /// Its name.
    pub item: String,
    /// The command that answers it; none: a person does.
    pub run: Option<Vec<String>>,
    /// Longest run of the command, in milliseconds.
    pub timeout_ms: u64,
    /// Who answered it last, and when.
    pub answered: Option<(Actor, Wall)>,
    /// Why that answer is none, in words.
    pub fault: Option<String>,
}

impl Engine {
    /// What the release that moves lacks to begin, or to go on. A way back passes: its contents passed once.
    pub(crate) fn gate(&self, moving: &Moving, now: Wall) -> Gate {
        if moving.pace != Pace::Rolling {
            return Gate::Open;
        }
        let record = self.record_of(moving.release);
        let (given, ticks) = (&self.history.approvals, &self.history.ticks);
        Gate::all(self.in_force(moving).into_iter().map(|gates| {
            if self.history.begun {
                calendar(&gates.calendar, Opening::GoOn, now)
            } else {
                all_of(gates, (given, ticks), (&moving.by, record), now)
            }
        }))
    }

    /// The gates of what serves and those of the release itself: one that takes gates away passes them first.
    fn in_force<'a>(&'a self, moving: &'a Moving) -> Vec<&'a Gates> {
        let serving = self
            .serving
            .as_ref()
            .map(|record| &record.contents.platform.gates);
        let own = &moving.record.contents.platform.gates;
        let mut gates: Vec<&Gates> = serving.into_iter().chain([own]).collect();
        gates.dedup();
        gates
    }

    /// What a release lacks that nobody has seen yet.
    pub(crate) fn gate_fresh(&self, moving: &Moving, now: Wall) -> Gate {
        let record = Digest([0; 32]);
        let gates = self.in_force(moving).into_iter();
        Gate::all(gates.map(|gates| all_of(gates, (&[], &[]), (&moving.by, record), now)))
    }

    fn record_of(&self, release: ReleaseNumber) -> Digest {
        let made = self.history.releases.get(&release);
        made.map_or(Digest([0; 32]), |made| made.record)
    }

    /// What serves is kept running while the release that moves waits at its gates.
    pub(crate) fn at_gate(
        &mut self,
        moving: &Moving,
        missing: &[Missing],
        world: &mut impl World,
    ) -> Plan {
        let (_, now) = world.now();
        let mut plan = self.plan_back(Purpose::Heal, world);
        if self.serving.is_none() {
            plan.steps.clear();
        }
        plan.report
            .waits
            .extend(waits(moving.release, missing, now));
        plan
    }

    /// How the release that moves stands at its gates.
    pub fn gate_of_moving(&self, now: Wall) -> Option<AtGate> {
        let moving = self.moving.as_ref()?;
        let checklists = self.in_force(moving).into_iter();
        let checklist: BTreeMap<_, _> = checklists.flat_map(|gates| &gates.checklist).collect();
        let missing = match self.gate(moving, now) {
            Gate::Open => vec![],
            Gate::Shut(missing) => missing,
        };
        let made = self.history.releases.get(&moving.release)?;
        let row = |(name, item): (&String, &mainstay_spec::ChecklistItem)| {
            let mut ticks = self.history.ticks.iter().rev();
            let tick = ticks.find(|tick| tick.item == *name && tick.plan == made.record);
            ItemRow {
                item: name.clone(),
                run: item.run.clone(),
                timeout_ms: u64::try_from(item.timeout.as_millis()).unwrap_or(u64::MAX),
                answered: tick.map(|tick| (tick.by.clone(), tick.at)),
                fault: tick.and_then(|tick| tick.fault.clone()),
            }
        };
        Some(AtGate {
            release: moving.release,
            record: made.record,
            author: made.by.clone(),
            reason: made.reason.clone(),
            approved: self
                .history
                .approvals
                .iter()
                .map(|one| one.by.clone())
                .collect(),
            missing: missing.iter().map(|one| one.tell(now)).collect(),
            items: checklist.into_iter().map(row).collect(),
        })
    }

    /// The release that waits at its gates, if it is this one with this record.
    fn waiting(&self, release: ReleaseNumber, record: Digest) -> Result<&Moving, Refusal> {
        let moving = self.moving.as_ref().ok_or(Refusal::Idle)?;
        if moving.release != release || self.record_of(release) != record {
            return Err(Refusal::OtherRecord {
                asked: release,
                moving: moving.release,
            });
        }
        if self.history.begun {
            return Err(Refusal::Begun { release });
        }
        Ok(moving)
    }

    /// Records that somebody agrees to what a release contains.
    pub fn approve(
        &mut self,
        release: ReleaseNumber,
        record: Digest,
        by: &Actor,
        world: &mut impl World,
    ) -> Result<AtGate, Refusal> {
        let (_, now) = world.now();
        let moving = self.waiting(release, record)?;
        let mut wanted = self.in_force(moving).into_iter();
        let wanted = wanted.find_map(|gates| gates.approvals.clone());
        let wanted = wanted.ok_or(Refusal::NoApprovals { release })?;
        let mut given = self.history.approvals.clone();
        given.push(Approval {
            by: by.clone(),
            plan: record,
            at: now,
        });
        // Asked as if one more were needed, so that it always says who does not count.
        let mut more = wanted;
        more.need = u32::MAX;
        if let Gate::Shut(missing) = approvals(&more, &given, &moving.by, record, now)
            && let Some(Missing::Approvals { rejected, .. }) = missing.first()
            && let Some((_, why)) = rejected
                .iter()
                .rev()
                .find(|(who, _)| who.eq_ignore_ascii_case(&by.0))
        {
            let (by, why) = (by.clone(), *why);
            return Err(Refusal::NotCounted { by, why });
        }
        self.record(world, by, vec![Event::Approved { release, record }])
            .map_err(Refusal::Record)?;
        self.gate_of_moving(now).ok_or(Refusal::Idle)
    }

    /// Records the answer to an item of the checklist.
    pub fn tick_item(
        &mut self,
        (release, record): (ReleaseNumber, Digest),
        (item, fault): (&str, Option<String>),
        by: &Actor,
        world: &mut impl World,
    ) -> Result<AtGate, Refusal> {
        let moving = self.waiting(release, record)?;
        let known = self.in_force(moving).into_iter();
        let known: BTreeSet<&String> = known.flat_map(|gates| gates.checklist.keys()).collect();
        if !known.iter().any(|known| *known == item) {
            return Err(Refusal::UnknownItem {
                item: item.to_owned(),
                known: known.into_iter().cloned().collect(),
            });
        }
        let ticked = Event::Ticked {
            release,
            record,
            item: item.to_owned(),
            fault,
        };
        self.record(world, by, vec![ticked])
            .map_err(Refusal::Record)?;
        let (_, now) = world.now();
        self.gate_of_moving(now).ok_or(Refusal::Idle)
    }

    /// Lets somebody act under a name who shows a token of this digest.
    pub fn make_token(
        &mut self,
        (name, hash): (&str, Digest),
        by: &Actor,
        world: &mut impl World,
    ) -> Result<(), RecordFault> {
        let name = name.to_owned();
        self.record(world, by, vec![Event::TokenMade { name, hash }])
    }

    /// Nobody acts under this name any longer.
    pub fn revoke_token(
        &mut self,
        name: &str,
        by: &Actor,
        world: &mut impl World,
    ) -> Result<(), Refusal> {
        if !self.history.tokens.contains_key(name) {
            let name = name.to_owned();
            return Err(Refusal::NoToken { name });
        }
        let name = name.to_owned();
        self.record(world, by, vec![Event::TokenRevoked { name }])
            .map_err(Refusal::Record)
    }
}

/// Every gate of a release that has not begun.
fn all_of(
    gates: &Gates,
    (given, ticks): (&[Approval], &[Tick]),
    (author, record): (&Actor, Digest),
    now: Wall,
) -> Gate {
    let wanted = gates.approvals.as_ref();
    let agreed = wanted.map(|wanted| approvals(wanted, given, author, record, now));
    let items: Vec<Item> = items(gates).collect();
    let open = calendar(&gates.calendar, Opening::Begin, now);
    let ticked = checklist(&items, ticks, record);
    Gate::all(agreed.into_iter().chain([open, ticked]))
}

fn items(gates: &Gates) -> impl Iterator<Item = Item> {
    gates.checklist.iter().map(|(name, item)| {
        let name = name.clone();
        if item.run.is_some() {
            Item::Command { name }
        } else {
            Item::Manual { name }
        }
    })
}

/// What a release waits for at its gates.
pub(crate) fn waits(release: ReleaseNumber, missing: &[Missing], now: Wall) -> Vec<Wait> {
    let wait = |one: &Missing| Wait::Gate {
        release,
        missing: one.tell(now),
    };
    missing.iter().map(wait).collect()
}
