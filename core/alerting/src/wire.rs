//! What is written down: the alert table exactly, deeds of alerts, pages under way.

use crate::action::Deeds;
use crate::alert::{Alert, State};
use crate::at::At;
use crate::duty::Page;
use crate::group::Group;
use mainstay_metrics::Labels;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the form; another one is refused.
const VERSION: u32 = 1;

/// Civil and steady milliseconds.
pub(crate) type Point = [i64; 2];

/// A point as it is written down.
pub(crate) fn point(at: At) -> Point {
    [at.wall_ms, at.steady_ms]
}

/// A point that was written down.
pub(crate) fn at(point: Point) -> At {
    At {
        wall_ms: point[0],
        steady_ms: point[1],
    }
}

/// Labels as they are written down.
pub(crate) fn pairs(labels: &Labels) -> BTreeMap<String, String> {
    let pairs = labels.iter();
    pairs
        .map(|label| (label.name.to_string(), label.value.to_string()))
        .collect()
}

/// Why a table is not read.
#[derive(Debug, thiserror::Error)]
pub enum TableFault {
    /// The text is not a table.
    #[error("the alert table cannot be read: {0}")]
    Broken(serde_json::Error),
    /// It was written by another version.
    #[error("the alert table has version {found}, this program reads {VERSION}")]
    Version {
        /// The version that was found.
        found: u32,
    },
}

/// The alerts of all groups at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    version: u32,
    /// When it was written.
    at: Point,
    groups: Vec<GroupRow>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct GroupRow {
    file: String,
    name: String,
    rules: Vec<RuleRow>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct RuleRow {
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evaluated: Option<Point>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    alerts: Vec<AlertRow>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct AlertRow {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    /// The bits of the value: NaN and infinities have no number in JSON.
    value: u64,
    state: StateRow,
    active: Point,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fired: Option<Point>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resolved: Option<Point>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kept: Option<Point>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<Point>,
    told_firing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StateRow {
    Pending,
    Firing,
    Resolved,
}

impl Table {
    /// What is known of these groups.
    pub fn of<'g>(groups: impl IntoIterator<Item = &'g Group>, now: At) -> Self {
        Self {
            version: VERSION,
            at: point(now),
            groups: groups.into_iter().map(group_row).collect(),
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`Table::to_json`] wrote.
    pub fn from_json(text: &str) -> Result<Self, TableFault> {
        let table: Self = serde_json::from_str(text).map_err(TableFault::Broken)?;
        if table.version != VERSION {
            return Err(TableFault::Version {
                found: table.version,
            });
        }
        Ok(table)
    }

    /// When it was written.
    pub fn at(&self) -> At {
        at(self.at)
    }

    /// Gives the alerts back to the rules they belong to: same file, group, kind, name and labels. Returns how
    /// many alerts found no rule.
    pub fn restore(&self, groups: &mut [Group]) -> usize {
        let mut lost = 0;
        for row in &self.groups {
            let group = groups
                .iter_mut()
                .find(|group| group.file == row.file && group.name == row.name);
            let Some(group) = group else {
                lost += row
                    .rules
                    .iter()
                    .map(|rule| rule.alerts.len())
                    .sum::<usize>();
                continue;
            };
            for rule in &row.rules {
                match group
                    .rules
                    .iter_mut()
                    .find(|state| state.rule.key() == rule.key)
                {
                    Some(state) => {
                        state.evaluated_at = rule.evaluated.map(at);
                        state.restore(rule.alerts.iter().map(alert).collect());
                    }
                    None => lost += rule.alerts.len(),
                }
            }
        }
        lost
    }
}

impl Deeds {
    /// When deeds were done, as JSON.
    pub fn to_json(&self) -> String {
        let rows = self.done.iter().map(|(deed, times)| {
            let times: Vec<Point> = times.iter().copied().map(point).collect();
            (deed, times)
        });
        let rows: BTreeMap<_, _> = rows.collect();
        serde_json::to_string(&rows).unwrap_or_default()
    }

    /// Reads what [`Deeds::to_json`] wrote.
    pub fn from_json(text: &str) -> Result<Self, TableFault> {
        let rows: BTreeMap<String, Vec<Point>> =
            serde_json::from_str(text).map_err(TableFault::Broken)?;
        let done = rows
            .into_iter()
            .map(|(deed, times)| (deed, times.into_iter().map(at).collect()));
        Ok(Self {
            done: done.collect(),
        })
    }
}

impl Page {
    /// A page under way, as JSON.
    pub fn to_json(&self) -> String {
        let row = (point(self.began), self.called, self.taken.map(point));
        serde_json::to_string(&row).unwrap_or_default()
    }

    /// Reads what [`Page::to_json`] wrote.
    pub fn from_json(text: &str) -> Result<Self, TableFault> {
        let row: (Point, u32, Option<Point>) =
            serde_json::from_str(text).map_err(TableFault::Broken)?;
        Ok(Self {
            began: at(row.0),
            called: row.1,
            taken: row.2.map(at),
        })
    }
}

fn group_row(group: &Group) -> GroupRow {
    let rules = group.rules.iter().map(|state| RuleRow {
        key: state.rule.key(),
        evaluated: state.evaluated_at.map(point),
        alerts: state.alerts.values().map(alert_row).collect(),
    });
    GroupRow {
        file: group.file.clone(),
        name: group.name.clone(),
        rules: rules.collect(),
    }
}

fn alert_row(alert: &Alert) -> AlertRow {
    AlertRow {
        labels: pairs(&alert.labels),
        annotations: alert.annotations.clone(),
        value: alert.value.to_bits(),
        state: match alert.state {
            State::Pending => StateRow::Pending,
            State::Firing => StateRow::Firing,
            State::Resolved => StateRow::Resolved,
        },
        active: point(alert.active_at),
        fired: alert.fired_at.map(point),
        resolved: alert.resolved_at.map(point),
        kept: alert.kept_since.map(point),
        sent: alert.sent_at.map(point),
        told_firing: alert.told_firing,
    }
}

fn alert(row: &AlertRow) -> Alert {
    Alert {
        labels: Labels::new(&row.labels),
        annotations: row.annotations.clone(),
        value: f64::from_bits(row.value),
        state: match row.state {
            StateRow::Pending => State::Pending,
            StateRow::Firing => State::Firing,
            StateRow::Resolved => State::Resolved,
        },
        active_at: at(row.active),
        fired_at: row.fired.map(at),
        resolved_at: row.resolved.map(at),
        kept_since: row.kept.map(at),
        sent_at: row.sent.map(at),
        told_firing: row.told_firing,
    }
}
