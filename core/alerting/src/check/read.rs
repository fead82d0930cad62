//! Checks of the file, read with every mistake told at its place.

use super::{CheckFile, Probe, ProbeKind, StatusProbe, Step, StepFile, is_word, words};
use crate::compile::AlertsFault;
use crate::near;
use crate::span;
use mainstay_atoms::{Authority, Url};
use mainstay_status::{PublicKey, key_of};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

/// How often, where nothing is said.
const EVERY_MS: i64 = 30_000;
/// How long it may take, where nothing is said.
const TIMEOUT_MS: i64 = 10_000;
/// How old a status page may be, where nothing is said: it is made every few seconds.
const AGE_MS: u64 = 120_000;
/// Most checks of a file.
const CHECKS_MAX: usize = 200;
/// Most steps of a flow.
const STEPS_MAX: usize = 20;
/// Longest text of a check, in bytes: an address, a body, what an answer holds.
const TEXT_MAX: usize = 4096;

/// Reads all checks, or tells every mistake.
pub fn read_checks(checks: &BTreeMap<String, CheckFile>) -> Result<Vec<Probe>, Vec<AlertsFault>> {
    let mut reader = Reader { faults: Vec::new() };
    if checks.len() > CHECKS_MAX {
        reader.fault("checks", format!("at most {CHECKS_MAX} are made"));
    }
    let mut probes = Vec::new();
    for (name, file) in checks {
        probes.extend(reader.probe(name, file));
    }
    if reader.faults.is_empty() {
        Ok(probes)
    } else {
        Err(reader.faults)
    }
}

struct Reader {
    faults: Vec<AlertsFault>,
}

impl Reader {
    fn fault(&mut self, path: &str, why: impl Into<String>) {
        self.faults.push(AlertsFault {
            path: path.to_owned(),
            why: why.into(),
        });
    }

    fn duration(&mut self, path: &str, text: Option<&String>) -> Option<u64> {
        let read = span::parse(text?);
        match read {
            Ok(0) => self.fault(path, "it must be above zero"),
            Ok(ms) => return u64::try_from(ms).ok(),
            Err(fault) => self.fault(path, fault.to_string()),
        }
        None
    }

    fn probe(&mut self, name: &str, file: &CheckFile) -> Option<Probe> {
        let path = format!("checks.{name}");
        let good = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-';
        if name.is_empty() || name.len() > 63 || !name.chars().all(good) {
            self.fault(
                &path,
                "a name has lower-case letters, digits and hyphens, at most 63",
            );
        }
        let every_ms = self.duration(&format!("{path}.every"), file.every.as_ref());
        let every_ms = every_ms.unwrap_or(EVERY_MS.unsigned_abs());
        if !(1000..=86_400_000).contains(&every_ms) {
            self.fault(&format!("{path}.every"), "it lies between 1s and 1d");
        }
        let timeout_ms = self.duration(&format!("{path}.timeout"), file.timeout.as_ref());
        if timeout_ms.is_some_and(|timeout| timeout > every_ms) {
            self.fault(
                &format!("{path}.timeout"),
                "it must not be longer than `every`",
            );
        }
        let timeout_ms = timeout_ms.unwrap_or(TIMEOUT_MS.unsigned_abs().min(every_ms));
        let latency_ms = self.duration(&format!("{path}.latency"), file.latency.as_ref());
        if latency_ms.is_some_and(|latency| latency > timeout_ms) {
            self.fault(
                &format!("{path}.latency"),
                "it is longer than `timeout`, which ends the check before",
            );
        }
        let mut secrets = BTreeSet::new();
        let (kind, instance) = self.kind(&path, file, &mut secrets)?;
        Some(Probe {
            name: name.to_owned(),
            instance,
            every_ms,
            timeout_ms,
            latency_ms,
            secrets,
            kind,
        })
    }

    /// What is asked; keys that belong to another kind are refused.
    fn kind(
        &mut self,
        path: &str,
        file: &CheckFile,
        secrets: &mut BTreeSet<String>,
    ) -> Option<(ProbeKind, String)> {
        let kinds = [
            ("url", file.url.is_some()),
            ("tcp", file.tcp.is_some()),
            ("dns", file.dns.is_some()),
            ("certificate", file.certificate.is_some()),
            ("status", file.status.is_some()),
            ("flow", !file.flow.is_empty()),
        ];
        let mut given = kinds.iter().filter(|(_, is)| *is).map(|(name, _)| *name);
        let (first, second) = (given.next(), given.next());
        let Some(kind) = first.filter(|_| second.is_none()) else {
            let why = "exactly one of `url`, `tcp`, `dns`, `certificate`, `status` and `flow` says what is asked";
            self.fault(path, why);
            return None;
        };
        for (key, is_given, homes) in [
            ("expect", file.expect.is_some(), &["url"][..]),
            ("contains", file.contains.is_some(), &["url", "dns"]),
            ("headers", !file.headers.is_empty(), &["url", "status"]),
            ("key", file.key.is_some(), &["status"]),
            ("age", file.age.is_some(), &["status"]),
            ("left", file.left.is_some(), &["certificate"]),
        ] {
            if is_given && !homes.contains(&kind) {
                let homes = homes.join("` and `");
                self.fault(
                    &format!("{path}.{key}"),
                    format!("`{key}` belongs to `{homes}`, and this is `{kind}`"),
                );
            }
        }
        if let Some(url) = &file.url {
            let step = StepFile {
                get: Some(url.clone()),
                headers: file.headers.clone(),
                expect: file.expect,
                contains: file.contains.clone(),
                ..StepFile::default()
            };
            let step = self.step(path, "url", &step, &BTreeSet::new(), secrets)?;
            let instance = shown(&step);
            return Some((ProbeKind::Http(vec![step]), instance));
        }
        if let Some(address) = &file.tcp {
            let address = self.address(&format!("{path}.tcp"), address, None)?;
            return Some((ProbeKind::Tcp(address.clone()), address));
        }
        if let Some(name) = &file.dns {
            let good = |one: char| one.is_ascii_alphanumeric() || matches!(one, '-' | '.' | '_');
            if name.is_empty() || name.len() > 253 || !name.chars().all(good) {
                let why = format!("`{}` is no name of a host", cut(name));
                self.fault(&format!("{path}.dns"), why);
            }
            if let Some(text) = &file.contains
                && text.parse::<std::net::IpAddr>().is_err()
            {
                let why = format!("`{}` is no address", cut(text));
                self.fault(&format!("{path}.contains"), why);
            }
            let kind = ProbeKind::Dns(name.clone(), file.contains.clone());
            return Some((kind, name.clone()));
        }
        if let Some(address) = &file.certificate {
            let address = self.address(&format!("{path}.certificate"), address, Some(443))?;
            let left = self.duration(&format!("{path}.left"), file.left.as_ref());
            let kind = ProbeKind::Certificate(address.clone(), left.unwrap_or(0));
            return Some((kind, address));
        }
        if let Some(url) = &file.status {
            let probe = self.status(path, file, url, secrets)?;
            let instance = shown(&probe.step);
            return Some((ProbeKind::Status(probe), instance));
        }
        let steps = self.flow(path, &file.flow, secrets)?;
        let instance = steps.first().map(shown)?;
        Some((ProbeKind::Http(steps), instance))
    }

    /// A status page: where, who signs it, and how old it may be.
    fn status(
        &mut self,
        path: &str,
        file: &CheckFile,
        url: &str,
        secrets: &mut BTreeSet<String>,
    ) -> Option<StatusProbe> {
        let step = StepFile {
            get: Some(url.to_owned()),
            headers: file.headers.clone(),
            ..StepFile::default()
        };
        let step = self.step(path, "status", &step, &BTreeSet::new(), secrets);
        let age = format!("{path}.age");
        let age_ms = self.duration(&age, file.age.as_ref()).unwrap_or(AGE_MS);
        if !(10_000..=86_400_000).contains(&age_ms) {
            let why = "it lies between 10s and 1d: a page is made every few seconds";
            self.fault(&age, why);
        }
        let at = format!("{path}.key");
        let Some(text) = &file.key else {
            let why = "it needs the `key` that signs the page; `mainstay status` shows it there";
            self.fault(path, why);
            return None;
        };
        let Ok(key) = text.parse::<PublicKey>() else {
            let why = "this is no key; `mainstay status` shows it there, as `mainstay.status/…`";
            self.fault(&at, why);
            return None;
        };
        if key_of(&key).is_none() {
            let why = format!("`{}` is a key for something else", cut(key.name()));
            self.fault(&at, why);
            return None;
        }
        Some(StatusProbe {
            step: step?,
            key: text.clone(),
            age_ms,
        })
    }

    fn flow(
        &mut self,
        path: &str,
        files: &[StepFile],
        secrets: &mut BTreeSet<String>,
    ) -> Option<Vec<Step>> {
        if files.len() > STEPS_MAX {
            self.fault(path, format!("a flow has at most {STEPS_MAX} steps"));
        }
        let mut known = BTreeSet::new();
        let mut steps = Some(Vec::new());
        for (place, file) in files.iter().enumerate() {
            let path = format!("{path}.flow[{place}]");
            let step = self.step(&path, "get", file, &known, secrets);
            known.extend(file.extract.keys().cloned());
            match (step, &mut steps) {
                (Some(step), Some(steps)) => steps.push(step),
                _ => steps = None,
            }
        }
        steps
    }

    fn step(
        &mut self,
        path: &str,
        key: &str,
        file: &StepFile,
        known: &BTreeSet<String>,
        secrets: &mut BTreeSet<String>,
    ) -> Option<Step> {
        let (url, body) = match (&file.get, &file.post) {
            (Some(url), None) if file.body.is_none() => (url, None),
            (None, Some(url)) => (url, Some(file.body.clone().unwrap_or_default())),
            (Some(_), None) => {
                self.fault(path, "`body` is sent with `post`");
                return None;
            }
            _ => {
                self.fault(path, "either `get` or `post` names the address");
                return None;
            }
        };
        let headers = file.headers.iter();
        let texts = headers.map(|(name, text)| (format!("headers.{name}"), text));
        let texts = texts.chain(body.iter().map(|body| ("body".to_owned(), body)));
        let texts = texts.chain(
            file.contains
                .iter()
                .map(|text| ("contains".to_owned(), text)),
        );
        for (key, text) in texts {
            self.text(&format!("{path}.{key}"), text, secrets);
        }
        for name in file.headers.keys() {
            let token =
                |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            let own = [
                "host",
                "content-length",
                "connection",
                "transfer-encoding",
                "cookie",
            ];
            if name.is_empty() || !name.bytes().all(token) {
                self.fault(
                    &format!("{path}.headers"),
                    format!("`{}` is no name of a field", cut(name)),
                );
            } else if own.contains(&name.to_ascii_lowercase().as_str()) {
                self.fault(
                    &format!("{path}.headers"),
                    format!("`{name}` is set by the check itself"),
                );
            }
        }
        for value in file.headers.values() {
            if value.bytes().any(|byte| !(0x20..0x7f).contains(&byte)) {
                self.fault(
                    &format!("{path}.headers"),
                    "a value holds letters that it cannot",
                );
            }
        }
        if file
            .expect
            .is_some_and(|status| !(200..600).contains(&status))
        {
            self.fault(
                &format!("{path}.expect"),
                "a status lies between 200 and 599",
            );
        }
        for (name, pattern) in &file.extract {
            self.extract(&format!("{path}.extract.{name}"), name, pattern);
        }
        let at = format!("{path}.{key}");
        self.text(&at, url, secrets);
        let url = self.url(&at, url, known)?;
        Some(Step {
            secure: url.is_secure,
            address: url.authority.to_string(),
            host: url.host_field(),
            path: url.path,
            body,
            headers: file.headers.clone(),
            expect: file.expect,
            contains: file.contains.clone(),
            extract: file.extract.clone(),
        })
    }

    fn text(&mut self, path: &str, text: &str, secrets: &mut BTreeSet<String>) {
        if text.len() > TEXT_MAX {
            self.fault(path, format!("it has more than {TEXT_MAX} bytes"));
        }
        secrets
            .extend(words(text).filter_map(|word| word.strip_prefix("secret.").map(str::to_owned)));
    }

    fn extract(&mut self, path: &str, name: &str, pattern: &str) {
        if !is_word(name) || name.contains('.') {
            self.fault(path, "a name has letters, digits and `_`");
        }
        match regex::RegexBuilder::new(pattern)
            .size_limit(1 << 20)
            .build()
        {
            Err(fault) => self.fault(path, format!("it is no regular expression: {fault}")),
            Ok(read) if groups(&read) == 0 => {
                self.fault(
                    path,
                    "it needs a group in parentheses: that is what is taken",
                );
            }
            Ok(_) => {}
        }
    }

    /// An address, whose path may hold what steps before extract.
    fn url(&mut self, path: &str, text: &str, known: &BTreeSet<String>) -> Option<Url> {
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(fault) => {
                self.fault(path, format!("this is no address: {fault}"));
                return None;
            }
        };
        for word in words(&url.path) {
            if !word.starts_with("secret.") && !known.contains(word) {
                let hint = near::hint(word, known.iter());
                self.fault(
                    path,
                    format!("no step before extracts `{}`{hint}", cut(word)),
                );
            }
        }
        Some(url)
    }

    /// `host:port`.
    fn address(&mut self, path: &str, text: &str, usual: Option<u16>) -> Option<String> {
        let address = Authority::parse(text, usual);
        if address.is_none() {
            let why = format!(
                "`{}` is no `host:port` such as `mail.example.org:25`",
                cut(text)
            );
            self.fault(path, why);
        }
        address.map(|address| address.to_string())
    }
}

fn groups(pattern: &Regex) -> usize {
    pattern.captures_len().saturating_sub(1)
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

/// An address for people: what may hold a key is left out.
fn shown(step: &Step) -> String {
    let scheme = if step.secure { "https" } else { "http" };
    let path = step.path.split('?').next().unwrap_or_default();
    format!("{scheme}://{}{path}", step.host)
}

#[cfg(test)]
#[path = "read_test.rs"]
mod tests;
