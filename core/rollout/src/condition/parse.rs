//! Reads a condition, with a fault on the very token that does not fit.

use super::metric::{Argument, Level, Metric, NAMES, Unit};
use super::token::{Kind, LONGEST, Token, tokens};
use super::{Comparison, Condition, Limit, Ratio};
use mainstay_atoms::{Bytes, ServiceName, Share, Url, span};
use mainstay_faults::{Fault, Move, Place, escaped, nearest};
use std::ops::Range;
use std::time::Duration;

const EXAMPLE: &str = "write it as `error_rate > 1%`, `p95 > 400ms` or `error_rate > 2 × baseline`";

/// Largest ratio to a baseline: past it the limit is one that nothing reaches.
const LARGEST_RATIO: f64 = 1000.0;

pub(super) fn condition(text: &str, at: &Place) -> Result<Condition, Box<Fault>> {
    if text.len() > LONGEST {
        let message = format!(
            "the condition has {} bytes; {LONGEST} are allowed",
            text.len()
        );
        return Err(Box::new(
            Fault::new(Move::You, "condition_too_long", message).at(at.clone()),
        ));
    }
    let mut reader = Reader {
        text,
        at,
        tokens: tokens(text),
        next: 0,
    };
    let (metric, of) = reader.metric()?;
    let comparison = reader.comparison()?;
    let limit = reader.limit(&metric, comparison)?;
    let lasting = reader.lasting()?;
    if let Some(token) = reader.take() {
        let message = format!("the condition ends before `{}`", reader.shown(&token));
        return Err(Box::new(
            reader
                .fault("condition_goes_on", &token.at, message)
                .hint("give each condition an entry of its own"),
        ));
    }
    Ok(Condition {
        metric,
        of,
        comparison,
        limit,
        lasting,
    })
}

struct Reader<'t> {
    text: &'t str,
    at: &'t Place,
    tokens: Vec<Token>,
    next: usize,
}

impl Reader<'_> {
    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.next).cloned();
        self.next += usize::from(token.is_some());
        token
    }

    fn take_if(&mut self, kind: Kind) -> Option<Token> {
        let token = self.tokens.get(self.next)?.clone();
        (token.kind == kind).then(|| {
            self.next += 1;
            token
        })
    }

    fn written(&self, token: &Token) -> &str {
        &self.text[token.at.clone()]
    }

    /// A token, fit for a message.
    fn shown(&self, token: &Token) -> String {
        let written: String = self.written(token).chars().take(60).collect();
        escaped(&written).into()
    }

    /// The place of the end of the text, where something is missing.
    fn end(&self) -> Range<usize> {
        self.text.len()..self.text.len()
    }

    fn fault(&self, code: &str, at: &Range<usize>, message: String) -> Fault {
        let before = self.text[..at.start].chars().count();
        let width = self.text[at.clone()].chars().count().max(1);
        Fault::new(Move::You, code, message).at(Place {
            file: self.at.file.clone(),
            line: self.at.line,
            column: self.at.column + before,
            width,
        })
    }

    /// What comes next is not what is wanted.
    fn expected(&mut self, wanted: &str) -> Fault {
        match self.take() {
            Some(token) if token.kind == Kind::Unended => {
                self.fault("text_unended", &token.at, "the text has no end".into())
            }
            Some(token) => {
                let message = format!("`{}` stands where {wanted} belongs", self.shown(&token));
                self.fault("condition_malformed", &token.at, message)
            }
            None => {
                let message = format!("the condition ends where {wanted} belongs");
                self.fault("condition_malformed", &self.end(), message)
            }
        }
        .hint(EXAMPLE)
    }

    fn metric(&mut self) -> Result<(Metric, Option<ServiceName>), Box<Fault>> {
        let Some(token) = self.take_if(Kind::Word) else {
            return Err(Box::new(self.expected("a metric")));
        };
        let Some(metric) = Metric::named(self.written(&token)) else {
            return Err(Box::new(self.unknown(&token)));
        };
        match metric.argument() {
            Argument::Service => Ok((metric, self.service()?)),
            _ => Ok((self.arguments(&metric)?, None)),
        }
    }

    fn unknown(&self, token: &Token) -> Fault {
        let name = self.written(token);
        let message = format!("there is no metric `{}`", self.shown(token));
        let fault = self.fault("unknown_metric", &token.at, message);
        match nearest(&name.replace('-', "_"), NAMES.into_iter()) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None => fault.hint(format!("metrics are `{}`", NAMES.join("`, `"))),
        }
    }

    fn service(&mut self) -> Result<Option<ServiceName>, Box<Fault>> {
        if self.take_if(Kind::Open).is_none() {
            return Ok(None);
        }
        let Some(token) = self.take_if(Kind::Word) else {
            return Err(Box::new(self.expected("the name of a service")));
        };
        let name = self.written(&token).parse().map_err(|_| {
            let message = format!("`{}` is not the name of a service", self.shown(&token));
            self.fault("bad_name", &token.at, message)
        })?;
        self.close()?;
        Ok(Some(name))
    }

    fn close(&mut self) -> Result<(), Box<Fault>> {
        match self.take_if(Kind::Close) {
            Some(_) => Ok(()),
            None => Err(Box::new(self.expected("`)`"))),
        }
    }

    fn arguments(&mut self, metric: &Metric) -> Result<Metric, Box<Fault>> {
        if self.take_if(Kind::Open).is_none() {
            return Err(Box::new(self.expected("`(`")));
        }
        let found = match metric {
            Metric::Job(_) => Metric::Job(self.job()?),
            Metric::Http { .. } => self.http()?,
            _ => Metric::Promql(self.quoted()?),
        };
        self.close()?;
        Ok(found)
    }

    fn job(&mut self) -> Result<String, Box<Fault>> {
        let Some(token) = self.take_if(Kind::Word) else {
            return Err(Box::new(self.expected("the name of a job")));
        };
        let name: Result<ServiceName, _> = self.written(&token).parse();
        name.map(|name| name.to_string()).map_err(|_| {
            let message = format!("`{}` is not the name of a job", self.shown(&token));
            Box::new(self.fault("bad_name", &token.at, message))
        })
    }

    fn http(&mut self) -> Result<Metric, Box<Fault>> {
        let at = self.tokens.get(self.next).map(|token| token.at.clone());
        let url = self.quoted()?;
        let fault = (!url.starts_with('/')).then(|| Url::parse(&url).err());
        if let Some(why) = fault.flatten() {
            let fault = self.fault(
                "bad_address",
                &at.unwrap_or_default(),
                format!("this is no address: {why}"),
            );
            return Err(Box::new(
                fault.hint("a path of the service itself begins with `/`"),
            ));
        }
        if self.take_if(Kind::Comma).is_none() {
            let path = "$".into();
            return Ok(Metric::Http { url, path });
        }
        let at = self.tokens.get(self.next).map(|token| token.at.clone());
        let path = self.quoted()?;
        if crate::answer::steps(&path).is_none() {
            let message = "the path into the JSON does not read".into();
            return Err(Box::new(
                self.fault("bad_json_path", &at.unwrap_or_default(), message)
                    .hint("write it as `$.data.value` or `$.items[0].value`"),
            ));
        }
        Ok(Metric::Http { url, path })
    }

    fn quoted(&mut self) -> Result<String, Box<Fault>> {
        let Some(token) = self.take_if(Kind::Text) else {
            return Err(Box::new(self.expected("a text in quotes")));
        };
        let written = self.written(&token);
        let inner = &written[1..written.len() - 1];
        let mut text = String::with_capacity(inner.len());
        let mut rest = inner.chars();
        while let Some(found) = rest.next() {
            text.extend(if found == '\\' {
                rest.next()
            } else {
                Some(found)
            });
        }
        if text.trim().is_empty() {
            return Err(Box::new(self.fault(
                "text_empty",
                &token.at,
                "the text is empty".into(),
            )));
        }
        Ok(text)
    }

    fn comparison(&mut self) -> Result<Comparison, Box<Fault>> {
        let Some(token) = self.take_if(Kind::Compare) else {
            return Err(Box::new(self.expected("`>`, `>=`, `<` or `<=`")));
        };
        match self.written(&token) {
            ">" => Ok(Comparison::Above),
            ">=" | "≥" => Ok(Comparison::AtLeast),
            "<" => Ok(Comparison::Below),
            "<=" | "≤" => Ok(Comparison::AtMost),
            other => {
                let message = format!("`{other}` compares nothing that is measured");
                Err(Box::new(
                    self.fault("condition_malformed", &token.at, message)
                        .hint("use `>`, `>=`, `<` or `<=`"),
                ))
            }
        }
    }

    fn limit(&mut self, metric: &Metric, comparison: Comparison) -> Result<Limit, Box<Fault>> {
        let Some(token) = self.take_if(Kind::Number) else {
            return self.bare_baseline(metric, comparison);
        };
        let written = self.written(&token).to_owned();
        if let Some(number) = self.times(&written) {
            return self.ratio(metric, comparison, &number, &token);
        }
        let level = level(metric.unit(), &written).ok_or_else(|| {
            let message = format!(
                "`{}` does not fit: this metric takes {}",
                self.shown(&token),
                metric.unit().phrase()
            );
            self.fault("unit_mismatch", &token.at, message)
        })?;
        self.reachable(metric, comparison, &level, &token)?;
        Ok(Limit::Level(level))
    }

    /// `> baseline` is `> 1 × baseline`.
    fn bare_baseline(&mut self, metric: &Metric, way: Comparison) -> Result<Limit, Box<Fault>> {
        let word = self.tokens.get(self.next).cloned();
        match word.filter(|token| self.written(token) == "baseline") {
            Some(token) => {
                self.next += 1;
                self.ratio_of(metric, way, 1.0, &token)
            }
            None => Err(Box::new(self.expected("a limit"))),
        }
    }

    /// The number before `×`, `x` or `*`, when one of them follows; the sign is then taken.
    fn times(&mut self, written: &str) -> Option<String> {
        if let Some(number) = written.strip_suffix('x') {
            return Some(number.to_owned());
        }
        let token = self.tokens.get(self.next)?;
        let times = token.kind == Kind::Times || self.written(token) == "x";
        times.then(|| {
            self.next += 1;
            written.to_owned()
        })
    }

    fn ratio(
        &mut self,
        metric: &Metric,
        way: Comparison,
        number: &str,
        token: &Token,
    ) -> Result<Limit, Box<Fault>> {
        let word = self.tokens.get(self.next).cloned();
        if word.is_none_or(|word| self.written(&word) != "baseline") {
            return Err(Box::new(self.expected("`baseline`")));
        }
        self.next += 1;
        let Some(ratio) = number.parse().ok().filter(|_| plain(number)) else {
            let message = format!("`{}` is not a plain number", self.shown(token));
            return Err(Box::new(self.fault("bad_ratio", &token.at, message)));
        };
        self.ratio_of(metric, way, ratio, token)
    }

    fn ratio_of(
        &self,
        metric: &Metric,
        way: Comparison,
        ratio: f64,
        token: &Token,
    ) -> Result<Limit, Box<Fault>> {
        let wrong = if !metric.has_baseline() {
            Some("a provider outside has no baseline; give a fixed limit")
        } else if !way.rising() {
            Some("a baseline is compared by `>` or `>=`")
        } else if !(1.0..=LARGEST_RATIO).contains(&ratio) {
            Some("a ratio to the baseline is from 1 to 1000")
        } else {
            None
        };
        if let Some(message) = wrong {
            return Err(Box::new(self.fault("bad_ratio", &token.at, message.into())));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1000 and 1 000 000"
        )]
        let thousandths = (ratio * 1000.0).round() as u32;
        Ok(Limit::Baseline(Ratio(thousandths)))
    }

    /// A limit that always or never holds judges nothing.
    fn reachable(
        &self,
        metric: &Metric,
        comparison: Comparison,
        level: &Level,
        token: &Token,
    ) -> Result<(), Box<Fault>> {
        let value = level.value();
        let negative = matches!(metric.unit(), Unit::Number);
        let share = metric.counted();
        let verdict = match comparison {
            Comparison::Above if share && value >= 1.0 => Some("never"),
            Comparison::AtMost if share && value >= 1.0 => Some("always"),
            Comparison::AtLeast if value <= 0.0 && !negative => Some("always"),
            Comparison::Below if value <= 0.0 && !negative => Some("never"),
            _ => None,
        };
        match verdict {
            Some(when) => Err(Box::new(
                self.fault(
                    "bad_threshold",
                    &token.at,
                    format!("the condition {when} holds"),
                )
                .hint(EXAMPLE),
            )),
            None => Ok(()),
        }
    }

    fn lasting(&mut self) -> Result<Duration, Box<Fault>> {
        let word = self.tokens.get(self.next).cloned();
        if word.is_none_or(|token| self.written(&token) != "for") {
            return Ok(Duration::ZERO);
        }
        self.next += 1;
        let Some(token) = self.take_if(Kind::Number) else {
            return Err(Box::new(self.expected("a duration such as `1m`")));
        };
        span::parse(self.written(&token)).map_err(|fault| {
            let fault = fault.to_string();
            Box::new(self.fault("bad_duration", &token.at, fault))
        })
    }
}

/// Digits with at most one point, at most nine before and six after it.
fn plain(number: &str) -> bool {
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(part) && whole.len() <= 9 && part.len() <= 6
}

fn level(unit: Unit, written: &str) -> Option<Level> {
    match unit {
        Unit::Share => written.parse::<Share>().ok().map(Level::Share),
        Unit::Time => span::parse(written).ok().map(Level::Time),
        Unit::Rate => rate(written).map(Level::Rate),
        Unit::Count => written
            .parse()
            .ok()
            .filter(|_| plain(written))
            .map(Level::Count),
        Unit::Bytes => written.parse::<Bytes>().ok().map(Level::Bytes),
        Unit::Number => millionths(written).map(Level::Number),
    }
}

/// `50/s`, `90/m` in thousandths a second.
fn rate(written: &str) -> Option<u64> {
    let (number, seconds) = match written.split_once('/')? {
        (number, "s") => (number, 1),
        (number, "m" | "min") => (number, 60),
        _ => return None,
    };
    let millionths = u64::try_from(millionths(number)?).ok()?;
    Some(millionths / 1000 / seconds)
}

/// A plain number in millionths, read without a float so that it prints back.
fn millionths(written: &str) -> Option<i64> {
    if !plain(written) {
        return None;
    }
    let (whole, part) = written.split_once('.').unwrap_or((written, ""));
    let whole: i64 = whole.parse().ok()?;
    let part: i64 = format!("{part:0<6}").parse().ok()?;
    Some(whole * 1_000_000 + part)
}
