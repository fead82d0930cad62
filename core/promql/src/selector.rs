//! The grammar of selectors: matchers, `offset`, `@`, and lengths of time with arithmetic.

use crate::ast::{At, Edge, Expr, Kind, Length, Modifiers, Op, Selector};
use crate::fault::Span;
use crate::lexer::Word;
use crate::parse::{Parsed, Parser};
use mainstay_metrics::label::NAME;
use mainstay_metrics::{MatchOp, Matcher};

impl Parser<'_> {
    /// A metric with or without matchers, or matchers alone.
    pub(crate) fn selector(&mut self, name: Option<&str>) -> Parsed<Expr> {
        let start = self.span().start;
        let mut matchers = Vec::new();
        if let Some(name) = name {
            self.next();
            matchers.push(Matcher::equal(NAME, name));
        }
        if self.is("{") {
            self.matchers(&mut matchers, name)?;
        }
        Ok(Expr {
            kind: Kind::Select(Box::new(Selector {
                matchers,
                modifiers: Modifiers::default(),
                edge: Edge::Plain,
            })),
            span: Span::new(start, self.end()),
        })
    }

    fn matchers(&mut self, matchers: &mut Vec<Matcher>, name: Option<&str>) -> Parsed<()> {
        self.expect("{", "label matching")?;
        let mut metric = name.map(str::to_owned);
        while !self.take("}") {
            let at = self.span();
            let (label, quoted) = self.label()?;
            if quoted && (self.is(",") || self.is("}")) {
                if let Some(first) = &metric {
                    let why = format!("metric name must not be set twice: {first:?} or {label:?}");
                    return Err(self.fault_at(at, why));
                }
                matchers.push(Matcher::equal(NAME, &label));
                metric = Some(label);
            } else {
                let matcher = self.matcher(&label, at)?;
                if matcher.is_name() && name.is_some() && matcher.op == MatchOp::Equal {
                    let why = format!(
                        "metric name must not be set twice: {:?} or {:?}",
                        name.unwrap_or_default(),
                        matcher.value
                    );
                    return Err(self.fault_at(at, why));
                }
                matchers.push(matcher);
            }
            if !self.take(",") && !self.is("}") {
                return Err(self.unexpected("label matching", "\",\" or \"}\""));
            }
        }
        Ok(())
    }

    fn label(&mut self) -> Parsed<(String, bool)> {
        let place = "label matching";
        match self.peek().clone() {
            Word::Name(label) if !label.contains(':') => {
                self.next();
                Ok((label, false))
            }
            // These two are numbers elsewhere.
            Word::Number(value) if value.is_nan() || value.is_infinite() => {
                let span = self.next().span;
                Ok((self.query[span.start..span.end].to_owned(), false))
            }
            Word::Text(text) => {
                let label = String::from_utf8(text)
                    .ok()
                    .filter(|label| !label.is_empty());
                let label = label.ok_or_else(|| self.unexpected(place, "label name in UTF-8"))?;
                self.next();
                Ok((label, true))
            }
            _ => Err(self.unexpected(place, "identifier or \"}\"")),
        }
    }

    fn matcher(&mut self, label: &str, at: Span) -> Parsed<Matcher> {
        let op = match self.peek() {
            Word::Sign("=") => MatchOp::Equal,
            Word::Sign("!=") => MatchOp::NotEqual,
            Word::Sign("=~") => MatchOp::Regex,
            Word::Sign("!~") => MatchOp::NotRegex,
            _ => return Err(self.unexpected("label matching", "label matching operator")),
        };
        self.next();
        let Word::Text(value) = self.peek().clone() else {
            return Err(self.unexpected("label matching", "string"));
        };
        self.next();
        let value = String::from_utf8_lossy(&value);
        Matcher::new(label, op, &value).map_err(|fault| self.fault_at(at, fault.to_string()))
    }

    /// What may follow an operand: a range, a subquery, `offset`, `@`, `anchored`, `smoothed`.
    pub(crate) fn modifiers(&mut self, operand: Expr) -> Parsed<Expr> {
        let mut operand = operand;
        loop {
            let at = self.span();
            if self.is("[") {
                operand = self.deeper(|parser| parser.bracket(operand))?;
            } else if self.take("@") {
                let time = self.time(at)?;
                let modifiers =
                    modifiers_of(&mut operand, "@").map_err(|why| self.fault_at(at, why))?;
                if modifiers.at.replace(time).is_some() {
                    return Err(self.fault_at(at, "@ <timestamp> may not be set multiple times"));
                }
            } else if self.take_keyword("offset") {
                let start = self.span().start;
                let offset = self.offset()?;
                let span = Span::new(start, self.end());
                let modifiers =
                    modifiers_of(&mut operand, "offset").map_err(|why| self.fault_at(at, why))?;
                if modifiers.offset.replace((offset, span)).is_some() {
                    return Err(self.fault_at(at, "offset may not be set multiple times"));
                }
            } else if let Some(edge) = self.edge() {
                self.experimental(
                    if edge == Edge::Anchored {
                        "anchored"
                    } else {
                        "smoothed"
                    },
                    at,
                )?;
                self.next();
                let selector = match &mut operand.kind {
                    Kind::Select(selector) if edge == Edge::Smoothed => &mut **selector,
                    Kind::Range(range) => &mut range.selector,
                    _ => {
                        return Err(self.fault_at(
                            at,
                            "anchored and smoothed modifiers can only be used on selectors",
                        ));
                    }
                };
                if selector.edge != Edge::Plain {
                    return Err(
                        self.fault_at(at, "anchored and smoothed modifiers may be set once")
                    );
                }
                selector.edge = edge;
            } else {
                return Ok(operand);
            }
            operand.span.end = self.end();
        }
    }

    fn edge(&self) -> Option<Edge> {
        match self.keyword()?.as_str() {
            "anchored" => Some(Edge::Anchored),
            "smoothed" => Some(Edge::Smoothed),
            _ => None,
        }
    }

    fn time(&mut self, at: Span) -> Parsed<At> {
        let negative = self.take("-");
        if !negative {
            self.take("+");
        }
        let end = self.keyword().as_deref() == Some("end");
        if end || self.keyword().as_deref() == Some("start") {
            self.next();
            self.expect("(", "@")?;
            self.expect(")", "@")?;
            return Ok(if end { At::End } else { At::Start });
        }
        let (Word::Number(seconds) | Word::Duration(seconds)) = *self.peek() else {
            return Err(self.unexpected("@", "timestamp"));
        };
        self.next();
        let seconds = if negative { -seconds } else { seconds };
        milliseconds(seconds).map(At::Time).ok_or_else(|| {
            self.fault_at(
                at,
                format!("timestamp out of bounds for @ modifier: {seconds}"),
            )
        })
    }

    /// An offset: one length with a sign, or arithmetic in parentheses.
    fn offset(&mut self) -> Parsed<Length> {
        let negative = self.take("-");
        if !negative {
            self.take("+");
        }
        let length = self.length_primary("offset")?;
        if let Length::Seconds(seconds) = length {
            milliseconds(seconds).ok_or_else(|| self.fault("duration out of range"))?;
        }
        Ok(if negative {
            Length::Negate(Box::new(length))
        } else {
            length
        })
    }

    /// A length of time with arithmetic.
    pub(crate) fn length(&mut self) -> Parsed<Length> {
        self.length_operators(0)
    }

    fn length_operators(&mut self, least: u8) -> Parsed<Length> {
        self.deeper(|parser| {
            let mut left = parser.length_unary()?;
            loop {
                let op = match parser.peek() {
                    Word::Sign("+") => Op::Add,
                    Word::Sign("-") => Op::Sub,
                    Word::Sign("*") => Op::Mul,
                    Word::Sign("/") => Op::Div,
                    Word::Sign("%") => Op::Mod,
                    Word::Sign("^") => Op::Pow,
                    _ => return Ok(left),
                };
                if op.precedence() < least {
                    return Ok(left);
                }
                parser.next();
                let right = parser.length_operators(op.precedence() + u8::from(op != Op::Pow))?;
                left = Length::Arithmetic(op, Box::new(left), Box::new(right));
            }
        })
    }

    fn length_unary(&mut self) -> Parsed<Length> {
        let negative = self.is("-");
        if negative || self.is("+") {
            self.next();
            let inner = self.length_operators(Op::Mul.precedence() + 1)?;
            return Ok(if negative {
                Length::Negate(Box::new(inner))
            } else {
                inner
            });
        }
        self.length_primary("duration")
    }

    fn length_primary(&mut self, place: &str) -> Parsed<Length> {
        match self.peek().clone() {
            Word::Number(seconds) | Word::Duration(seconds) => {
                self.next();
                Ok(Length::Seconds(seconds))
            }
            Word::Sign("(") => {
                self.next();
                let inner = self.length()?;
                self.expect(")", "duration expression")?;
                Ok(inner)
            }
            Word::Name(name) => {
                let name = name.to_ascii_lowercase();
                match name.as_str() {
                    "step" | "range" => {
                        self.next();
                        self.expect("(", "duration expression")?;
                        self.expect(")", "duration expression")?;
                        Ok(if name == "step" {
                            Length::Step
                        } else {
                            Length::Range
                        })
                    }
                    "min" | "max" | "min_of" | "max_of" => {
                        self.next();
                        self.expect("(", "duration expression")?;
                        let one = Box::new(self.length()?);
                        self.expect(",", "duration expression")?;
                        let two = Box::new(self.length()?);
                        self.expect(")", "duration expression")?;
                        Ok(if name.starts_with("min") {
                            Length::Min(one, two)
                        } else {
                            Length::Max(one, two)
                        })
                    }
                    _ => Err(self.unexpected(place, "duration")),
                }
            }
            _ => Err(self.unexpected(place, "duration")),
        }
    }

    /// Refuses a length that is known not to be above zero; others are looked at when they are known.
    pub(crate) fn positive(&self, length: &Length, span: Span) -> Parsed<()> {
        if uses_query(length) {
            return Ok(());
        }
        match length.resolve(0, 0) {
            Ok(milliseconds) if milliseconds > 0 => Ok(()),
            Ok(_) => Err(self.fault_at(span, "duration must be greater than 0")),
            Err(why) => Err(self.fault_at(span, why)),
        }
    }
}

fn uses_query(length: &Length) -> bool {
    match length {
        Length::Seconds(_) => false,
        Length::Step | Length::Range => true,
        Length::Negate(inner) => uses_query(inner),
        Length::Min(one, two) | Length::Max(one, two) | Length::Arithmetic(_, one, two) => {
            uses_query(one) || uses_query(two)
        }
    }
}

fn modifiers_of<'a>(operand: &'a mut Expr, modifier: &str) -> Result<&'a mut Modifiers, String> {
    match &mut operand.kind {
        Kind::Select(selector) => Ok(&mut selector.modifiers),
        Kind::Range(range) => Ok(&mut range.selector.modifiers),
        Kind::Subquery(subquery) => Ok(&mut subquery.modifiers),
        _ => Err(format!(
            "{modifier} modifier must be preceded by an instant vector selector or range vector selector or a subquery"
        )),
    }
}

/// Seconds as whole milliseconds, when they fit.
fn milliseconds(seconds: f64) -> Option<i64> {
    let milliseconds = (seconds * 1000.0).round();
    // Far within `i64`, so that sums of a few cannot overflow.
    (milliseconds.abs() < 4e18).then_some(milliseconds as i64)
}

impl Length {
    /// The length in milliseconds, in a query of this step and range.
    pub fn resolve(&self, step_ms: i64, range_ms: i64) -> Result<i64, String> {
        let seconds = self.seconds(step_ms, range_ms)?;
        // Ten thousand years bound every sum of times.
        milliseconds(seconds)
            .filter(|length| length.abs() < 315_576_000_000_000)
            .ok_or_else(|| "duration out of range".to_owned())
    }

    fn seconds(&self, step_ms: i64, range_ms: i64) -> Result<f64, String> {
        let of = |length: &Self| length.seconds(step_ms, range_ms);
        Ok(match self {
            Self::Seconds(seconds) => *seconds,
            Self::Step => step_ms as f64 / 1000.0,
            Self::Range => range_ms as f64 / 1000.0,
            Self::Negate(inner) => -of(inner)?,
            Self::Min(one, two) => of(one)?.min(of(two)?),
            Self::Max(one, two) => of(one)?.max(of(two)?),
            Self::Arithmetic(op, one, two) => {
                let (one, two) = (of(one)?, of(two)?);
                match op {
                    Op::Add => one + two,
                    Op::Sub => one - two,
                    Op::Mul => one * two,
                    Op::Div if two == 0.0 => return Err("division by zero".into()),
                    Op::Div => one / two,
                    Op::Mod if two == 0.0 => return Err("modulo by zero".into()),
                    Op::Mod => one % two,
                    _ => one.powf(two),
                }
            }
        })
    }
}
