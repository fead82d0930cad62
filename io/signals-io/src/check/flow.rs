//! Requests in order: each answered as it says, and what one extracts is part of those after it. Redirects are
//! answers like any other; cookies go back to the host that set them.

use super::{gauge, truth};
use crate::collect::Page;
use crate::config::Place;
use crate::fetch::{Answer, Connection, Request};
use crate::tls::Seen;
use mainstay_alerting::{Step, filled};
use regex::RegexBuilder;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::PathBuf;

/// Longest answer that is looked at: a page that is longer fails.
const ANSWER_MAX: usize = 4 << 20;

/// Longest secret, in bytes.
const SECRET_MAX: u64 = 16 << 10;

/// Longest text that is taken out of an answer, in bytes.
const EXTRACT_MAX: usize = 4096;

/// Most cookies of one host.
const COOKIES_MAX: usize = 32;

/// What a flow knows so far.
struct Flow<'s> {
    /// Words and what they stand for.
    words: BTreeMap<String, String>,
    /// Cookies by host and name.
    cookies: BTreeMap<&'s str, BTreeMap<String, String>>,
    seen: &'s Seen,
}

/// Runs the steps; the first that is not answered as it says ends them, and its figures are told.
pub(super) async fn run(
    steps: &[Step],
    secrets: &BTreeMap<String, PathBuf>,
    seen: &Seen,
    page: &mut Page,
) -> Result<(), String> {
    let mut flow = Flow {
        words: read(secrets)?,
        cookies: BTreeMap::new(),
        seen,
    };
    gauge(page, "probe_http_redirects", 0.0);
    let last = steps.len().saturating_sub(1);
    for (place, step) in steps.iter().enumerate() {
        let done = flow.step(step, place, last, page).await;
        done.map_err(|why| match last {
            0 => why,
            _ => format!("step {}: {why}", place + 1),
        })?;
    }
    Ok(())
}

/// What one address answers, whatever that is, within a size.
pub(super) async fn ask(
    step: &Step,
    secrets: &BTreeMap<String, PathBuf>,
    seen: &Seen,
    bytes_max: usize,
) -> Result<Answer, String> {
    let flow = Flow {
        words: read(secrets)?,
        cookies: BTreeMap::new(),
        seen,
    };
    flow.ask(step, bytes_max).await
}

/// Secrets from their files, as words.
fn read(secrets: &BTreeMap<String, PathBuf>) -> Result<BTreeMap<String, String>, String> {
    let mut words = BTreeMap::new();
    for (name, path) in secrets {
        let mut text = String::new();
        let file = std::fs::File::open(path);
        let read = file.and_then(|file| file.take(SECRET_MAX).read_to_string(&mut text));
        read.map_err(|fault| {
            format!(
                "secret `{name}` cannot be read ({fault}); set it with `mainstay secret set {name}`"
            )
        })?;
        let text = text.trim_end_matches(['\r', '\n']).to_owned();
        words.insert(format!("secret.{name}"), text);
    }
    Ok(words)
}

impl<'s> Flow<'s> {
    async fn step(
        &mut self,
        step: &'s Step,
        place: usize,
        last: usize,
        page: &mut Page,
    ) -> Result<(), String> {
        let answer = self.ask(step, ANSWER_MAX).await?;
        for cookie in answer.cookies.iter().take(COOKIES_MAX) {
            if let Some((name, value)) = cookie.split_once('=') {
                let of_host = self.cookies.entry(&step.address).or_default();
                if of_host.len() < COOKIES_MAX {
                    of_host.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        let judged = self.judge(step, &answer);
        if judged.is_err() || place == last {
            gauge(page, "probe_http_status_code", f64::from(answer.status));
            let length = answer.body.len() as f64;
            gauge(page, "probe_http_uncompressed_body_length", length);
            gauge(page, "probe_http_ssl", truth(step.secure));
            let is_body = judged.as_ref().is_err_and(|(_, of_body)| *of_body);
            gauge(page, "probe_failed_due_to_regex", truth(is_body));
        }
        judged.map_err(|(why, _)| why)
    }

    async fn ask(&self, step: &Step, bytes_max: usize) -> Result<Answer, String> {
        let place = Place::at(step.address.clone(), step.secure);
        let path = filled(&step.path, &self.words);
        if path.bytes().any(|byte| !(0x21..0x7f).contains(&byte)) {
            return Err("what was extracted cannot be part of an address".into());
        }
        let body = step.body.as_ref().map(|body| filled(body, &self.words));
        let body = body.unwrap_or_default();
        let fields = self.fields(step)?;
        let request = Request {
            method: if step.body.is_some() { "POST" } else { "GET" },
            host: &step.host,
            path: &path,
            fields: &fields,
            body: body.as_bytes(),
            bytes_max,
        };
        let connection = Connection::open_seen(&place, self.seen).await;
        let mut connection = connection.map_err(|fault| fault.to_string())?;
        let answer = connection.exchange(&request, &mut Vec::new()).await;
        answer.map_err(|fault| fault.to_string())
    }

    fn fields(&self, step: &Step) -> Result<String, String> {
        let mut fields = String::from("Connection: close\r\n");
        let given = |name: &str| {
            step.headers
                .keys()
                .any(|one| one.eq_ignore_ascii_case(name))
        };
        if !given("user-agent") {
            fields.push_str("User-Agent: mainstay-signals\r\n");
        }
        if step.body.is_some() && !given("content-type") {
            let is_json = step
                .body
                .as_ref()
                .is_some_and(|body| body.trim_start().starts_with('{'));
            fields.push_str(if is_json {
                "Content-Type: application/json\r\n"
            } else {
                "Content-Type: application/x-www-form-urlencoded\r\n"
            });
        }
        for (name, value) in &step.headers {
            let value = filled(value, &self.words);
            if value.bytes().any(|byte| !(0x20..0x7f).contains(&byte)) {
                return Err(format!("field `{name}` would hold letters that it cannot"));
            }
            // Writing to a text cannot fail.
            write!(fields, "{name}: {value}\r\n").ok();
        }
        if let Some(cookies) = self.cookies.get(step.address.as_str()) {
            let pairs: Vec<String> = cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            write!(fields, "Cookie: {}\r\n", pairs.join("; ")).ok();
        }
        Ok(fields)
    }

    /// Whether the answer is right; why not, and whether that is because of its body.
    fn judge(&mut self, step: &Step, answer: &Answer) -> Result<(), (String, bool)> {
        let is_right = match step.expect {
            Some(status) => answer.status == status,
            None => (200..300).contains(&answer.status),
        };
        if !is_right {
            let wanted = step.expect.map_or("2xx".to_owned(), |one| one.to_string());
            let why = format!("it answered {}, and {wanted} is right", answer.status);
            return Err((why, false));
        }
        let body = String::from_utf8_lossy(&answer.body);
        if let Some(text) = &step.contains
            && !body.contains(filled(text, &self.words).as_str())
        {
            return Err((format!("its answer does not hold `{text}`"), true));
        }
        for (name, pattern) in &step.extract {
            let read = RegexBuilder::new(pattern).size_limit(1 << 20).build();
            let read = read.map_err(|fault| (format!("`{name}`: {fault}"), true))?;
            let found = read.captures(&body).and_then(|found| found.get(1));
            let found = found.filter(|found| found.len() <= EXTRACT_MAX);
            let Some(found) = found else {
                return Err((format!("its answer holds no `{name}`"), true));
            };
            self.words.insert(name.clone(), found.as_str().to_owned());
        }
        Ok(())
    }
}
