//! The acceptance language of `PromQL`, read: `clear`, `load`, `eval` and their blocks.

use anyhow::{Context as _, Result, bail};
use mainstay_metrics::{Labels, Value};
use mainstay_promql::When;
use mainstay_promql::notation::{labels, points};
use regex::Regex;

/// One command of a script.
#[derive(Debug)]
pub(crate) enum Command {
    Clear,
    Load(Load),
    Eval(Box<Eval>),
}

/// Series to be stored.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) interval_ms: i64,
    pub(crate) series: Vec<(Labels, Vec<Option<Value>>)>,
    /// Whether classic histograms become native ones with custom bounds too.
    pub(crate) converts: bool,
}

/// A query and what is expected of it.
#[derive(Debug)]
pub(crate) struct Eval {
    pub(crate) line: usize,
    pub(crate) when: When,
    pub(crate) query: String,
    pub(crate) expect: Expect,
}

/// Which texts fulfil an expectation.
#[derive(Debug)]
pub(crate) enum Wanted {
    Any,
    Text(String),
    Match(Regex),
}

impl Wanted {
    pub(crate) fn accepts(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Text(wanted) => wanted == text,
            Self::Match(regex) => regex.is_match(text),
        }
    }
}

/// A series and its points, each with whether a histogram's hint counts.
pub(crate) type Expected = (Labels, Vec<Option<(Value, bool)>>);

/// What is expected.
#[derive(Debug, Default)]
pub(crate) struct Expect {
    pub(crate) fail: Option<Wanted>,
    pub(crate) warns: Vec<Wanted>,
    pub(crate) infos: Vec<Wanted>,
    pub(crate) no_warn: bool,
    pub(crate) no_info: bool,
    pub(crate) ordered: bool,
    pub(crate) string: Option<String>,
    pub(crate) range: Option<(i64, i64, i64)>,
    pub(crate) scalar: Option<f64>,
    /// Series with whether each histogram's hint counts.
    pub(crate) series: Vec<Expected>,
}

/// Reads a whole script.
pub(crate) fn read(text: &str) -> Result<Vec<Command>> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let empty = |line: &str| line.is_empty() || line.starts_with('#');
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        if empty(lines[at]) {
            at += 1;
            continue;
        }
        let begin = at;
        while at < lines.len() && !empty(lines[at]) {
            at += 1;
        }
        // A command may stand right under another one's block.
        let mut first = begin;
        for next in begin + 1..=at {
            if next == at || is_command(lines[next]) {
                let command = command(lines[first], first + 1, &lines[first + 1..next]);
                commands.push(
                    command.with_context(|| format!("line {}: {}", first + 1, lines[first]))?,
                );
                first = next;
            }
        }
    }
    Ok(commands)
}

fn is_command(line: &str) -> bool {
    let word = line
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    word == "clear"
        || word == "load"
        || word == "load_with_nhcb"
        || (word.starts_with("eval") && line.contains(" at ") | line.contains(" from "))
}

fn command(line: &str, number: usize, block: &[&str]) -> Result<Command> {
    let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let word = word.to_ascii_lowercase();
    Ok(match word.as_str() {
        "clear" => Command::Clear,
        "load" | "load_with_nhcb" => Command::Load(Load {
            interval_ms: duration(rest.trim())?,
            series: load(block)?,
            converts: word != "load",
        }),
        _ if word.starts_with("eval") => {
            Command::Eval(Box::new(eval(&word, rest.trim(), number, block)?))
        }
        _ => bail!("`{word}` is no command"),
    })
}

fn load(block: &[&str]) -> Result<Vec<(Labels, Vec<Option<Value>>)>> {
    let mut all = Vec::new();
    for line in block {
        let (labels, rest) = labels(line)?;
        // Start timestamps are of use to no function that is tested.
        if rest.starts_with("@st") {
            continue;
        }
        all.push((labels, points(rest)?));
    }
    Ok(all)
}

fn eval(word: &str, rest: &str, line: usize, block: &[&str]) -> Result<Eval> {
    let (when, query) = if let Some(rest) = rest.strip_prefix("instant at ") {
        let (at, query) = split(rest);
        (When::Instant(duration(at)?), query)
    } else if let Some(rest) = rest.strip_prefix("range from ") {
        let ((start, end, step), query) = range(rest)?;
        (
            When::Range {
                start_ms: start,
                end_ms: end,
                step_ms: step,
            },
            query,
        )
    } else {
        bail!("an eval is `instant at` or `range from`");
    };
    let mut expect = Expect::default();
    match word {
        "eval" => {}
        "eval_fail" => expect.fail = Some(Wanted::Any),
        "eval_warn" => expect.warns.push(Wanted::Any),
        "eval_info" => expect.infos.push(Wanted::Any),
        "eval_ordered" => expect.ordered = true,
        _ => bail!("`{word}` is no command"),
    }
    for line in block {
        expected(line, &mut expect).with_context(|| format!("`{line}`"))?;
    }
    Ok(Eval {
        line,
        when,
        query: query.to_owned(),
        expect,
    })
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (word, rest.trim())
}

fn range(text: &str) -> Result<((i64, i64, i64), &str)> {
    let (start, rest) = split(text);
    let (end, rest) = split(rest.strip_prefix("to ").context("`to` is missing")?);
    let (step, rest) = split(rest.strip_prefix("step ").context("`step` is missing")?);
    Ok(((duration(start)?, duration(end)?, duration(step)?), rest))
}

fn expected(line: &str, expect: &mut Expect) -> Result<()> {
    if let Some(text) = line.strip_prefix("expected_fail_message ") {
        expect.fail = Some(Wanted::Text(text.trim().to_owned()));
        return Ok(());
    }
    if let Some(pattern) = line.strip_prefix("expected_fail_regexp ") {
        expect.fail = Some(Wanted::Match(Regex::new(pattern.trim())?));
        return Ok(());
    }
    let (word, rest) = split(line);
    if word == "expect" && !rest.is_empty() {
        let (kind, rest) = split(rest);
        match kind {
            "fail" => expect.fail = Some(wanted(rest)?),
            "warn" => expect.warns.push(wanted(rest)?),
            "info" => expect.infos.push(wanted(rest)?),
            "no_warn" => expect.no_warn = true,
            "no_info" => expect.no_info = true,
            "ordered" => expect.ordered = true,
            "string" => expect.string = Some(string(rest)?),
            "range" => {
                let rest = rest
                    .strip_prefix("vector from ")
                    .context("`vector from` is missing")?;
                expect.range = Some(range(rest)?.0);
            }
            _ => bail!("nothing is expected by `{kind}`"),
        }
        return Ok(());
    }
    if let Some(value) = number(line) {
        expect.scalar = Some(value);
        return Ok(());
    }
    let (labels, rest) = labels(line)?;
    // A hint counts where it is written; a repeated histogram is written once.
    let hinted = rest.contains("counter_reset_hint");
    let points = points(rest)?
        .into_iter()
        .map(|point| point.map(|value| (value, hinted)));
    expect.series.push((labels, points.collect()));
    Ok(())
}

fn wanted(text: &str) -> Result<Wanted> {
    let text = text.trim();
    if let Some(message) = text.strip_prefix("msg:") {
        return Ok(Wanted::Text(message.trim().to_owned()));
    }
    if let Some(pattern) = text.strip_prefix("regex:") {
        return Ok(Wanted::Match(Regex::new(pattern.trim())?));
    }
    if text.is_empty() {
        return Ok(Wanted::Any);
    }
    bail!("`{text}` is neither `msg:` nor `regex:`")
}

fn string(text: &str) -> Result<String> {
    // The query language reads it, so that escapes are the same.
    let parsed = mainstay_promql::parse(text, mainstay_promql::Options::default())?;
    match parsed.kind {
        mainstay_promql::Kind::Text(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        _ => bail!("`{text}` is no string"),
    }
}

fn number(text: &str) -> Option<f64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16)
            .ok()
            .map(|value| value as f64);
    }
    text.parse().ok()
}

/// A duration in milliseconds; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<i64> {
    let (negative, text) = text
        .strip_prefix('-')
        .map_or((false, text), |text| (true, text));
    let parsed = mainstay_promql::parse(text, mainstay_promql::Options::default())?;
    match parsed.kind {
        mainstay_promql::Kind::Number(seconds) => {
            let milliseconds = (seconds * 1000.0).round() as i64;
            Ok(if negative {
                -milliseconds
            } else {
                milliseconds
            })
        }
        _ => bail!("`{text}` is no duration"),
    }
}
