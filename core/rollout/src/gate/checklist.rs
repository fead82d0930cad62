//! Checklists: items that a command answers or a person ticks.

use super::{Gate, Missing};
use mainstay_atoms::{Actor, Digest, Wall};
use serde::{Deserialize, Serialize};

/// One item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// A person ticks it.
    Manual {
        /// What is to be ticked.
        name: String,
    },
    /// A command answers it.
    Command {
        /// What it checks.
        name: String,
    },
}

/// How an item was answered, as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// The item's name.
    pub item: String,
    /// The plan that it was answered for; another plan wants another answer.
    pub plan: Digest,
    /// Who ticked, or ran the command.
    pub by: Actor,
    /// When.
    pub at: Wall,
    /// Nothing for a tick or an exit code 0; else what the command said.
    pub fault: Option<String>,
}

/// Whether every item was answered well for this plan; the last answer counts.
pub fn checklist(items: &[Item], ticks: &[Tick], plan: Digest) -> Gate {
    let missing = items.iter().filter_map(|item| {
        let (Item::Manual { name } | Item::Command { name }) = item;
        let mut answers = ticks.iter().rev();
        let last = answers.find(|tick| tick.item == *name && tick.plan == plan);
        match last.map(|tick| &tick.fault) {
            Some(None) => None,
            Some(Some(said)) => Some(Missing::Failed {
                item: name.clone(),
                said: said.clone(),
            }),
            None => Some(Missing::Tick { item: name.clone() }),
        }
    });
    Gate::of(missing.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(item: &str, plan: &[u8], fault: Option<&str>) -> Tick {
        Tick {
            item: item.into(),
            plan: Digest::of(plan),
            by: Actor("ann".into()),
            at: Wall(5),
            fault: fault.map(String::from),
        }
    }

    #[test]
    fn the_last_answer_for_this_plan_counts() {
        let items = [
            Item::Manual {
                name: "backup looked at".into(),
            },
            Item::Command {
                name: "disk".into(),
            },
        ];
        let ask = |ticks: &[Tick]| checklist(&items, ticks, Digest::of(b"plan"));
        let ticked = tick("backup looked at", b"plan", None);
        assert!(matches!(ask(&[]), Gate::Shut(missing) if missing.len() == 2));
        let full = tick("disk", b"plan", Some("95 % full"));
        assert!(matches!(
            ask(&[ticked.clone(), full.clone()]),
            Gate::Shut(missing) if matches!(&missing[..], [Missing::Failed { .. }])
        ));
        let free = tick("disk", b"plan", None);
        assert_eq!(ask(&[full, ticked.clone(), free]), Gate::Open);
        let other = tick("disk", b"another", None);
        assert_ne!(ask(&[ticked, other]), Gate::Open);
    }
}
