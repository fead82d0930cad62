//! Alerting: rules, alert states, routing, silences, on-call; bytes and query results in, notices out.
//!
//! - [`read_rules`] reads rule files of the field; [`Group`] runs them over a [`Store`], rule by rule.
//! - [`Table`] is every alert written down, so that pending and firing ones survive a restart exactly.
//!
//! Invariants: an alert ends only because a query that worked no longer finds it; nothing waits by the civil
//! clock ([`At`]); no text of a file makes it panic or use unbounded memory.
//!
//! Units: times are milliseconds. What this crate never does: read a clock, a file or the network.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "numbers of metrics are floats, compared exactly where the format says so"
)]

pub mod action;
mod alert;
mod at;
pub mod budget;
pub mod business;
mod check;
mod compile;
mod document;
pub mod duty;
mod element;
mod fault;
pub mod file;
mod firing;
mod group;
mod heartbeat;
mod import;
mod interval;
pub mod matching;
mod message;
mod near;
mod notification;
mod reader;
pub mod ready;
mod receiver;
mod route;
mod router;
mod rule;
mod rule_file;
mod rule_test;
mod rule_test_file;
mod silence;
pub mod slo;
pub mod span;
pub mod template;
pub mod then;
mod wire;

pub use alert::{Alert, Notice, RESOLVED_KEPT_MS, State};
pub use at::{At, Clocks, Timeline};
pub use check::{CheckFile, Probe, ProbeKind, StatusProbe, Step, StepFile, filled, read_checks};
pub use compile::{Alerts, AlertsFault};
pub use document::Place;
pub use element::{Element, Outside, Store, ask};
pub use fault::FileFault;
pub use firing::firing;
pub use group::{
    ALERT_NAME, ALERT_STATE, ALERTS, ALERTS_FOR_STATE, Evaluated, Group, Health, RuleState,
};
pub use heartbeat::{Beat, BeatMethod, HEARTBEAT_FAILING, Heartbeat};
pub use import::{Imported, Remark, read_alertmanager};
pub use interval::TimeInterval;
pub use mainstay_metrics::Labels;
pub use message::{ALERTS_SHOWN, Line, Message, Release, Surroundings};
pub use near::hint as hint_of;
pub use notification::{Notification, Reason, Told};
pub use receiver::{Channel, ChannelKind, Email, Receiver, Secret, Turn, Webhook};
pub use route::{
    GROUP_INTERVAL_MS, GROUP_WAIT_MS, GroupBy, Inhibition, REPEAT_INTERVAL_MS, Route, Routing,
};
pub use router::{
    ALERTS_MAX, Acknowledged, CHANNEL_FAILING, Failing, Mute, Outcome, Router, RouterFault,
    SwapFault,
};
pub use rule::{Alerting, INTERVAL_MS, Query, Rule, RuleGroup, RuleKind};
pub use rule_file::read_rules;
pub use rule_test::{TestFailure, TestReport, run_rule_tests};
pub use rule_test_file::{AlertTest, QueryTest, RuleTest, RuleTests, read_rule_tests};
pub use silence::{Silence, SilenceFault, Silences, Standing};
pub use template::{Template, TemplateFault};
pub use wire::{Table, TableFault};
