//! Names that can be told something: channels, people, rotations and escalations, as the channels behind them.

use super::Compiler;
use crate::file::ChannelFile;
use crate::near;
use crate::receiver::{Channel, Receiver, Turn};
use std::collections::BTreeSet;

impl Compiler<'_> {
    /// Every channel, made once, so that each mistake is told once and also of channels that nobody names.
    pub(super) fn make_channels(&mut self) {
        for (name, channel) in &self.file.channels {
            if let ChannelFile::OnCall { rotation, .. } = channel {
                if !self.file.on_call.contains_key(rotation) {
                    let known = self.file.on_call.keys();
                    let why = format!(
                        "rotation `{rotation}` is not known{}",
                        near::hint(rotation, known)
                    );
                    self.fault(&format!("channels.{name}.on_call.rotation"), why);
                }
            } else if let Some(made) = self.channel(&format!("channels.{name}"), channel) {
                // Each is a receiver too, so that one of two can tell that the other fails.
                let receiver = Receiver {
                    name: name.clone(),
                    channels: vec![made.clone()],
                };
                self.receivers.insert(name.clone(), receiver);
                self.made.insert(name.clone(), made);
            }
        }
    }

    /// One name means one thing.
    pub(super) fn one_meaning(&mut self) {
        let file = self.file;
        let kinds: [(&str, Vec<&String>); 4] = [
            ("channels", file.channels.keys().collect()),
            ("people", file.people.keys().collect()),
            ("on_call", file.on_call.keys().collect()),
            ("escalation", file.escalation.keys().collect()),
        ];
        for (place, (key, names)) in kinds.iter().enumerate() {
            for name in names {
                let mut before = kinds[..place].iter();
                if let Some((other, _)) = before.find(|(_, names)| names.contains(name)) {
                    self.fault(
                        &format!("{key}.{name}"),
                        format!("`{name}` stands under `{other}` too; give it another name"),
                    );
                }
            }
        }
    }

    /// People with their channels, which are plain ones.
    pub(super) fn people(&mut self) {
        for (person, channels) in &self.file.people {
            let path = format!("people.{person}");
            if channels.is_empty() {
                self.fault(&path, "no channel is named");
            }
            for name in channels {
                self.plain(&path, name);
            }
        }
    }

    /// A channel that is no rotation, by name.
    fn plain(&mut self, path: &str, name: &str) -> Vec<Channel> {
        match self.file.channels.get(name) {
            Some(ChannelFile::OnCall { .. }) => {
                self.fault(path, format!("`{name}` is a rotation; name a channel"));
                Vec::new()
            }
            // One that could not be made was told already.
            Some(_) => self.made.get(name).cloned().into_iter().collect(),
            None => {
                let known = self.file.channels.keys();
                let why = format!("channel `{name}` is not known{}", near::hint(name, known));
                self.fault(path, why);
                Vec::new()
            }
        }
    }

    /// The channels of a person, or of a channel that stands for one.
    pub(super) fn person(&mut self, path: &str, name: &str) -> Vec<Channel> {
        match self.file.people.get(name) {
            // Those were judged where they stand.
            Some(channels) => {
                let made = channels.iter().filter_map(|name| self.made.get(name));
                made.cloned().collect()
            }
            None if self.file.channels.contains_key(name) => self.plain(path, name),
            None => {
                let known = self.file.channels.keys().chain(self.file.people.keys());
                let why = format!(
                    "`{name}` is neither a person under `people` nor a channel{}",
                    near::hint(name, known)
                );
                self.fault(path, why);
                Vec::new()
            }
        }
    }

    /// The channels of everybody who takes turns in a rotation or may stand in; nothing is said of mistakes, which
    /// the rotation has.
    fn rotating(&self, rotation: &str, resolved: Option<bool>) -> Vec<Channel> {
        let Some(file) = self.file.on_call.get(rotation) else {
            return Vec::new();
        };
        let swapped = file.swaps.iter().map(|swap| &swap.person);
        let people: BTreeSet<&String> = file.people.iter().chain(swapped).collect();
        let others = self.file.people.keys();
        let people: BTreeSet<&String> = people.into_iter().chain(others).collect();
        let mut channels = Vec::new();
        for person in people {
            let own = self.file.people.get(person);
            let own = own.map_or_else(|| vec![person.clone()], Clone::clone);
            for made in own.iter().filter_map(|name| self.made.get(name)) {
                channels.push(Channel {
                    send_resolved: resolved.unwrap_or(made.send_resolved),
                    turn: Turn {
                        duty: Some((rotation.to_owned(), person.clone())),
                        level: None,
                    },
                    ..made.clone()
                });
            }
        }
        channels
    }

    /// The channels of a name that is told at any time, whoever is on duty.
    pub(super) fn always(&mut self, path: &str, name: &str) -> Vec<Channel> {
        let channels = self.target(path, name);
        if channels
            .iter()
            .all(|channel| channel.turn == Turn::default())
        {
            return channels;
        }
        let what = if self.file.escalation.contains_key(name) {
            "an escalation, which is for alerts"
        } else {
            "a rotation, which is for alerts"
        };
        self.fault(
            path,
            format!("`{name}` is {what}; name a channel or a person"),
        );
        Vec::new()
    }

    /// The channels behind a name.
    pub(super) fn target(&mut self, path: &str, name: &str) -> Vec<Channel> {
        let file = self.file;
        if let Some(ChannelFile::OnCall { rotation, resolved }) = file.channels.get(name) {
            return self.rotating(rotation, *resolved);
        }
        if file.on_call.contains_key(name) {
            return self.rotating(name, None);
        }
        let Some(escalation) = file.escalation.get(name) else {
            if file.people.contains_key(name) || file.channels.contains_key(name) {
                return self.person(path, name);
            }
            let known = file.channels.keys().chain(file.people.keys());
            let known = known
                .chain(file.on_call.keys())
                .chain(file.escalation.keys());
            let why = format!(
                "`{name}` is neither a channel, a person, a rotation nor an escalation{}",
                near::hint(name, known)
            );
            self.fault(path, why);
            return Vec::new();
        };
        let mut channels = Vec::new();
        for (place, level) in escalation.levels.iter().enumerate() {
            // A level of escalations would never end; it is refused where it stands.
            let targets = level.to.iter();
            for target in targets.filter(|name| !file.escalation.contains_key(*name)) {
                let known = file.channels.contains_key(target)
                    || file.people.contains_key(target)
                    || file.on_call.contains_key(target);
                if known {
                    for mut channel in self.target(path, target) {
                        channel.turn.level = Some((name.to_owned(), place));
                        channels.push(channel);
                    }
                }
            }
        }
        channels
    }
}
