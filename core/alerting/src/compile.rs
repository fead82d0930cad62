//! The short form becomes a routing, rotations and presets; every mistake is told with its key.

mod channel;
mod duty;
mod target;

use crate::file::{
    AlertsFile, Figure, HeartbeatFile, InhibitFile, PresetFile, RouteFile, Times, TimesFile,
};
use crate::heartbeat::{Beat, BeatMethod};
use crate::interval;
use crate::matching;
use crate::ready::{self, Preset, Presets};
use crate::receiver::{Channel, Receiver, Secret};
use crate::route::{GroupBy, Inhibition, Route, Routing};
use crate::span;
use mainstay_atoms::Url;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A mistake in the short form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}")]
pub struct AlertsFault {
    /// The key: `routes[0].to`.
    pub path: String,
    /// What is wrong.
    pub why: String,
}

/// What the short form says.
#[derive(Debug, Clone)]
pub struct Alerts {
    /// Who hears of which alert. A receiver is a list of channels, joined with `+`.
    pub routing: Routing,
    /// Everything that can be told something, by name: channels, people, rotations, escalations.
    pub targets: BTreeMap<String, Vec<Channel>>,
    /// What is set for rules that come with Mainstay.
    pub presets: Presets,
    /// Over what it is told how releases end and what they wait for, by name.
    pub releases: BTreeMap<String, Vec<Channel>>,
    /// Where it is told that alerts work, and how often in milliseconds.
    pub heartbeat: Option<Beat>,
    /// Addresses that channels may reach although they are link-local or those of metadata services.
    pub allow: Vec<IpAddr>,
}

impl AlertsFile {
    /// Checks everything and makes what the engine works with.
    pub fn compile(&self) -> Result<Alerts, Vec<AlertsFault>> {
        let mut compiler = Compiler {
            file: self,
            times: Times::new(),
            receivers: BTreeMap::new(),
            made: BTreeMap::new(),
            faults: Vec::new(),
        };
        let alerts = compiler.alerts();
        if compiler.faults.is_empty() {
            Ok(alerts)
        } else {
            Err(compiler.faults)
        }
    }
}

struct Compiler<'f> {
    file: &'f AlertsFile,
    times: Times,
    receivers: BTreeMap<String, Receiver>,
    /// Channels that are no rotations.
    made: BTreeMap<String, Channel>,
    faults: Vec<AlertsFault>,
}

impl Compiler<'_> {
    fn fault(&mut self, path: &str, why: impl Into<String>) {
        self.faults.push(AlertsFault {
            path: path.to_owned(),
            why: why.into(),
        });
    }

    fn alerts(&mut self) -> Alerts {
        let file = self.file;
        for (name, times) in &file.times {
            let path = format!("times.{name}");
            let intervals = times
                .iter()
                .map(|times| self.interval(&path, times))
                .collect();
            self.times.insert(name.clone(), intervals);
        }
        self.make_channels();
        self.one_meaning();
        self.people();
        let mut root = Route::root("");
        root.receiver = self.receiver("to", &file.to);
        root.group_by = self.group_by(
            "group_by",
            file.group_by.as_ref(),
            &GroupBy::Labels(vec!["alertname".into(), "service".into()]),
        );
        root.routes = (0..)
            .zip(&file.routes)
            .map(|(place, route): (usize, _)| self.route(&format!("routes[{place}]"), route, &root))
            .collect();
        root.identify();
        let fallback =
            (!file.fallback.is_empty()).then(|| self.receiver("fallback", &file.fallback));
        let inhibitions = (0..)
            .zip(&file.inhibit)
            .map(|(place, one): (usize, _)| self.inhibition(place, one))
            .collect();
        let presets = file
            .preset
            .iter()
            .map(|(id, preset)| (id.clone(), self.preset(id, preset)))
            .collect();
        let rotations = file
            .on_call
            .iter()
            .filter_map(|(name, rotation)| Some((name.clone(), self.rotation(name, rotation)?)))
            .collect();
        let escalations = file
            .escalation
            .iter()
            .map(|(name, one)| (name.clone(), self.escalation(name, one)))
            .collect();
        let releases = file
            .releases
            .iter()
            .map(|name| (name.clone(), self.always("releases", name)))
            .collect();
        let heartbeat = file.heartbeat.as_ref().and_then(|one| self.heartbeat(one));
        let names = file.channels.keys().chain(file.people.keys());
        let names = names.chain(file.on_call.keys());
        let targets = names
            .chain(file.escalation.keys())
            .map(|name| (name.clone(), self.target("to", name)))
            .collect();
        Alerts {
            routing: Routing {
                route: root,
                receivers: std::mem::take(&mut self.receivers),
                inhibitions,
                intervals: std::mem::take(&mut self.times),
                fallback,
                rotations,
                escalations,
            },
            targets,
            presets,
            releases,
            heartbeat,
            allow: file.allow.clone(),
        }
    }

    fn heartbeat(&mut self, file: &HeartbeatFile) -> Option<Beat> {
        let every = self.duration("heartbeat.every", &file.every);
        if every < 1000 {
            self.fault("heartbeat.every", "it is at least a second");
        }
        let method = match file.method.as_deref() {
            None | Some("post") => BeatMethod::Post,
            Some("get") => BeatMethod::Get,
            Some(other) => {
                let why = format!("`{other}` is neither `post` nor `get`");
                self.fault("heartbeat.method", why);
                return None;
            }
        };
        let beat = |url| Beat {
            url,
            method,
            every_ms: every,
        };
        match (&file.url, &file.secret_url) {
            (Some(url), None) => match Url::parse(url) {
                Ok(_) => Some(beat(Secret::Inline(url.clone()))),
                Err(fault) => {
                    let why = format!("{fault}; the name of a secret stands under `secret_url`");
                    self.fault("heartbeat.url", why);
                    None
                }
            },
            (None, Some(name)) => Some(beat(Secret::Named(name.clone()))),
            _ => {
                self.fault("heartbeat", "either `url` or `secret_url` must be given");
                None
            }
        }
    }

    fn duration(&mut self, path: &str, text: &str) -> i64 {
        span::parse(text).unwrap_or_else(|fault| {
            self.fault(path, fault.to_string());
            0
        })
    }

    fn optional(&mut self, path: &str, text: Option<&String>, otherwise: i64) -> i64 {
        text.map_or(otherwise, |text| self.duration(path, text))
    }

    /// The receiver of a list of channels, made when it is first named.
    fn receiver(&mut self, path: &str, names: &[String]) -> String {
        if names.is_empty() {
            self.fault(path, "no channel is named");
        }
        let mut channels = Vec::new();
        for name in names {
            channels.extend(self.target(path, name));
        }
        let name = names.join("+");
        self.receivers.entry(name.clone()).or_insert(Receiver {
            name: name.clone(),
            channels,
        });
        name
    }

    fn group_by(
        &mut self,
        path: &str,
        names: Option<&Vec<String>>,
        otherwise: &GroupBy,
    ) -> GroupBy {
        match names {
            None => otherwise.clone(),
            Some(names) if names.iter().any(|name| name == "...") => {
                if names.len() > 1 {
                    self.fault(path, "`...` stands for all labels and must be alone");
                }
                GroupBy::All
            }
            Some(names) => GroupBy::Labels(names.clone()),
        }
    }

    fn route(&mut self, path: &str, file: &RouteFile, parent: &Route) -> Route {
        let receiver = if file.to.is_empty() {
            parent.receiver.clone()
        } else {
            self.receiver(&format!("{path}.to"), &file.to)
        };
        for name in file.mute.iter().chain(&file.only) {
            if !self.times.contains_key(name) {
                self.fault(path, format!("time `{name}` is not known"));
            }
        }
        let mut route = Route {
            id: parent.id.clone(),
            receiver,
            matchers: self.matchers(&format!("{path}.when"), &file.when),
            goes_on: file.goes_on,
            group_by: self.group_by(
                &format!("{path}.group_by"),
                file.group_by.as_ref(),
                &parent.group_by,
            ),
            group_wait_ms: self.optional(
                &format!("{path}.wait"),
                file.wait.as_ref(),
                parent.group_wait_ms,
            ),
            group_interval_ms: self.optional(
                &format!("{path}.interval"),
                file.interval.as_ref(),
                parent.group_interval_ms,
            ),
            repeat_interval_ms: self.optional(
                &format!("{path}.repeat"),
                file.repeat.as_ref(),
                parent.repeat_interval_ms,
            ),
            mute: file.mute.clone(),
            active: file.only.clone(),
            routes: Vec::new(),
        };
        if route.group_interval_ms == 0 || route.repeat_interval_ms == 0 {
            self.fault(path, "`interval` and `repeat` cannot be zero");
        }
        route.routes = (0..)
            .zip(&file.routes)
            .map(|(place, child): (usize, _)| {
                self.route(&format!("{path}.routes[{place}]"), child, &route)
            })
            .collect();
        route
    }

    fn matchers(&mut self, path: &str, text: &str) -> Vec<mainstay_metrics::Matcher> {
        matching::matchers(text).unwrap_or_else(|fault| {
            self.fault(path, fault.to_string());
            Vec::new()
        })
    }

    fn inhibition(&mut self, place: usize, file: &InhibitFile) -> Inhibition {
        Inhibition {
            source: self.matchers(&format!("inhibit[{place}].when"), &file.when),
            target: self.matchers(&format!("inhibit[{place}].silence"), &file.silence),
            equal: file.same.clone(),
        }
    }

    fn interval(&mut self, path: &str, file: &TimesFile) -> interval::TimeInterval {
        let mut faults = Vec::new();
        let made = interval::of_texts(file, &mut faults);
        for why in faults {
            self.fault(path, why);
        }
        made
    }

    fn preset(&mut self, id: &str, file: &PresetFile) -> Preset {
        let path = format!("preset.{id}");
        if !ready::all().any(|rule| rule.id == id) {
            self.fault(
                &path,
                "no rule is called so; `mainstay alerts rules` lists all",
            );
        }
        if file.above.is_some() && file.below.is_some() {
            self.fault(&path, "either `above` or `below` is given, not both");
        }
        let limit = file.above.as_ref().or(file.below.as_ref());
        let limit = limit.map(|limit| figure(limit).unwrap_or_else(|| {
            self.fault(&path, "the threshold is not a number, a share such as `1%`, or a duration such as `2s`");
            0.0
        }));
        Preset {
            off: file.off,
            limit,
            for_ms: file
                .wait
                .as_ref()
                .map(|wait| self.duration(&format!("{path}.for"), wait)),
            severity: file.severity.clone(),
            channel: file.channel.clone(),
            metrics: file.metrics.clone(),
        }
    }
}

/// `0.01`, `1%`, or a duration in seconds.
fn figure(figure: &Figure) -> Option<f64> {
    match figure {
        Figure::Number(number) => Some(*number).filter(|number| number.is_finite()),
        Figure::Text(text) => {
            let share = text
                .strip_suffix('%')
                .and_then(|share| share.trim().parse::<f64>().ok());
            let share = share.map(|share| share / 100.0);
            let plain = || text.parse::<f64>().ok();
            let seconds = || {
                span::parse(text)
                    .ok()
                    .map(|duration| duration as f64 / 1000.0)
            };
            share
                .or_else(plain)
                .or_else(seconds)
                .filter(|number| number.is_finite())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_metrics::Labels;

    const FILE: &str = r##"{
        "rules": ["alerts/*.yml"],
        "preset": {"error-rate": {"above": "1%", "for": "5m", "severity": "critical", "channel": "on-call"}, "latency": {"above": "1500ms"}},
        "channels": {
            "mail": {"email": {"to": ["ops@example.org"], "from": "m@example.org", "server": "mail.example.org:587", "user": "m", "password": "smtp"}},
            "chat": {"slack": {"webhook": "slack-hook", "channel": "#ops"}},
            "page": {"pagerduty": {"key": "pd"}},
            "duty": {"on_call": {"rotation": "primary"}},
            "bob": {"pagerduty": {"key": "bob"}}
        },
        "to": ["mail"],
        "routes": [
            {"when": "severity=critical", "to": ["page", "chat"], "wait": "10s", "continue": true},
            {"when": "team=night", "mute": ["night"], "repeat": "1d"}
        ],
        "inhibit": [{"when": "severity=critical", "silence": "severity=warning", "same": ["service"]}],
        "times": {"night": [{"hours": ["00:00-06:00"], "weekdays": ["monday:friday"], "zone": "Europe/Berlin"}]},
        "fallback": ["chat"],
        "releases": ["chat", "ada"],
        "people": {"ada": ["mail", "chat"]},
        "on_call": {"primary": {"people": ["ada", "bob"], "from": "2026-03-02 09:00", "zone": "Europe/Berlin"}},
        "escalation": {"default": {"levels": [{"to": ["primary"], "wait": "5m"}, {"to": ["page"], "wait": "10m"}], "repeats": 1}},
        "heartbeat": {"secret_url": "beat", "every": "1m"},
        "allow": ["169.254.1.2"]
    }"##;

    #[test]
    fn the_short_form_becomes_a_routing() {
        let file: AlertsFile = serde_json::from_str(FILE).unwrap();
        let written = serde_json::to_string(&file).unwrap();
        assert_eq!(serde_json::from_str::<AlertsFile>(&written).unwrap(), file);
        let alerts = file.compile().unwrap();
        let critical = Labels::new([("severity", "critical"), ("team", "night")]);
        let routes = alerts.routing.route.matching(&critical);
        let told: Vec<_> = routes.iter().map(|route| route.receiver.as_str()).collect();
        assert_eq!(told, ["page+chat", "mail"]);
        assert_eq!(routes[0].group_wait_ms, 10_000);
        assert_eq!(routes[1].repeat_interval_ms, 86_400_000);
        assert_eq!(alerts.routing.receivers["page+chat"].channels.len(), 2);
        assert_eq!(alerts.routing.instead_of("mail", 0).unwrap().name, "chat");
        assert_eq!(alerts.presets["error-rate"].limit, Some(0.01));
        assert_eq!(alerts.presets["latency"].limit, Some(1.5));
        let monday = "2026-03-02T08:00:00Z"
            .parse::<jiff::Timestamp>()
            .unwrap()
            .as_millisecond();
        assert_eq!(
            alerts.routing.rotations["primary"].on_duty(monday),
            Some("ada")
        );
        assert!(
            alerts
                .routing
                .is_mute(routes[1], monday - 6 * 3_600_000)
                .is_some(),
            "three in the morning"
        );
        assert_eq!(
            alerts.heartbeat,
            Some(Beat {
                url: Secret::Named("beat".into()),
                method: BeatMethod::Post,
                every_ms: 60_000
            })
        );
        assert_eq!(alerts.routing.escalations["default"].levels.len(), 2);
        let duty = |name: &str| {
            let channels = alerts.targets[name].iter();
            let of = |channel: &Channel| {
                let person = channel.turn.duty.as_ref().map(|(_, person)| person.clone());
                let level = channel.turn.level.as_ref().map(|(_, level)| *level);
                format!("{} {person:?} {level:?}", channel.kind.name())
            };
            channels.map(of).collect::<Vec<_>>()
        };
        let people = [
            "email Some(\"ada\") None",
            "slack Some(\"ada\") None",
            "pagerduty Some(\"bob\") None",
        ];
        assert_eq!(duty("duty"), people);
        assert_eq!(duty("primary"), people);
        assert_eq!(duty("ada"), ["email None None", "slack None None"]);
        assert_eq!(duty("default")[0], "email Some(\"ada\") Some(0)");
        assert_eq!(duty("default")[3], "pagerduty None Some(1)");
    }

    /// What is changed into what, and which key then says why it is wrong.
    const MISTAKES: &[(&str, &str, &str, &str)] = &[
        (
            "\"to\": [\"mail\"],",
            "\"to\": [\"fax\"],",
            "to",
            "`fax` is neither a channel, a person, a rotation nor an escalation",
        ),
        ("\"to\": [\"mail\"],", "", "to", "no channel is named"),
        (
            "\"wait\": \"10s\"",
            "\"wait\": \"soon\"",
            "routes[0].wait",
            "not a duration",
        ),
        (
            "severity=critical\", \"to\"",
            "severity\", \"to\"",
            "routes[0].when",
            "not a matcher",
        ),
        (
            "\"mute\": [\"night\"]",
            "\"mute\": [\"noon\"]",
            "routes[1]",
            "time `noon` is not known",
        ),
        ("00:00-06:00", "6-7", "times.night", "`6-7`"),
        (
            "monday:friday",
            "friday:monday",
            "times.night",
            "friday:monday",
        ),
        ("\"1%\"", "\"much\"", "preset.error-rate", "threshold"),
        (
            "\"error-rate\"",
            "\"errors\"",
            "preset.errors",
            "no rule is called so",
        ),
        (
            "2026-03-02 09:00",
            "monday",
            "on_call.primary.from",
            "not a day",
        ),
        (
            "\"rotation\": \"primary\"",
            "\"rotation\": \"x\"",
            "channels.duty.on_call.rotation",
            "rotation `x`",
        ),
        (
            "\"to\": [\"primary\"]",
            "\"to\": [\"nobody\"]",
            "escalation.default.levels[0]",
            "neither a channel, a person nor a rotation",
        ),
        (
            "\"people\": [\"ada\", \"bob\"]",
            "\"people\": [\"ada\", \"bab\"]",
            "on_call.primary.people",
            "did you mean `bob`?",
        ),
        (
            "\"people\": {\"ada\"",
            "\"people\": {\"chat\": [\"mail\"], \"ada\"",
            "people.chat",
            "under `channels` too",
        ),
        (
            "\"ada\": [\"mail\", \"chat\"]",
            "\"ada\": [\"duty\"]",
            "people.ada",
            "is a rotation",
        ),
        (
            "\"wait\": \"5m\"}",
            "\"wait\": \"0s\"}",
            "escalation.default.levels[0]",
            "no time to answer",
        ),
        (
            "\"secret_url\": \"beat\"",
            "\"url\": \"beat\"",
            "heartbeat.url",
            "`secret_url`",
        ),
        (
            "\"releases\": [\"chat\"",
            "\"releases\": [\"chot\"",
            "releases",
            "did you mean `chat`?",
        ),
        (
            "\"releases\": [\"chat\"",
            "\"releases\": [\"primary\"",
            "releases",
            "is a rotation",
        ),
        (
            "\"every\": \"1m\"",
            "\"every\": \"1ms\"",
            "heartbeat.every",
            "at least a second",
        ),
        (
            "\"webhook\": \"slack-hook\", ",
            "",
            "channels.chat.slack",
            "either `webhook` or `token`",
        ),
    ];

    #[test]
    fn every_mistake_is_told_with_its_key() {
        for (from, to, path, why) in MISTAKES {
            let text = FILE.replacen(*from, to, 1);
            assert_ne!(text, FILE, "{from}");
            let faults = serde_json::from_str::<AlertsFile>(&text)
                .unwrap()
                .compile()
                .unwrap_err();
            let told = faults
                .iter()
                .find(|fault| fault.path == *path && fault.why.contains(why));
            assert!(told.is_some(), "{path} {why}: {faults:?}");
        }
        assert!(serde_json::from_str::<AlertsFile>("{\"chanels\": {}}").is_err());
    }
}
