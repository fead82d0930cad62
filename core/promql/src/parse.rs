//! The grammar: words become a tree. Precedence climbing over operators, within limits of depth and length.

use crate::ast::{
    Aggregate, Aggregation, Binary, Call, Cardinality, Expr, Kind, Matching, Op, RangeSelector,
    Selector, Subquery,
};
use crate::fault::{ParseFault, Span};
use crate::lexer::{self, Token, Word};
use crate::{check, function};

/// Deepest nesting of a query: people write ten, generators thirty.
pub const DEPTH_MAX: usize = 100;

/// Most binary operators in a query, because a chain of them is a deep tree too.
pub const OPERATORS_MAX: usize = 500;

/// What of the language is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Functions, aggregations and modifiers that upstream may still change.
    pub experimental: bool,
}

/// Reads a query and checks its types.
pub fn parse(query: &str, options: Options) -> Result<Expr, ParseFault> {
    let tokens = lexer::split(query)?;
    let mut parser = Parser {
        query,
        tokens,
        at: 0,
        depth: 0,
        operators: 0,
        options,
    };
    if parser.peek() == &Word::End {
        return Err(parser.fault("no expression found in input"));
    }
    let expr = parser.expression(0)?;
    if parser.peek() != &Word::End {
        return Err(parser.unexpected("", ""));
    }
    check::check(query, &expr)?;
    Ok(expr)
}

pub(crate) struct Parser<'a> {
    pub(crate) query: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    operators: usize,
    pub(crate) options: Options,
}

pub(crate) type Parsed<T> = Result<T, ParseFault>;

impl Parser<'_> {
    pub(crate) fn peek(&self) -> &Word {
        &self.tokens[self.at].word
    }

    pub(crate) fn second(&self) -> &Word {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.at + 1).min(last)].word
    }

    pub(crate) fn span(&self) -> Span {
        self.tokens[self.at].span
    }

    /// Where the word before ends.
    pub(crate) fn end(&self) -> usize {
        self.at
            .checked_sub(1)
            .map_or(0, |before| self.tokens[before].span.end)
    }

    pub(crate) fn next(&mut self) -> Token {
        let token = self.tokens[self.at].clone();
        if token.word != Word::End {
            self.at += 1;
        }
        token
    }

    pub(crate) fn fault(&self, why: impl Into<String>) -> ParseFault {
        self.fault_at(self.span(), why)
    }

    pub(crate) fn fault_at(&self, span: Span, why: impl Into<String>) -> ParseFault {
        ParseFault {
            position: span.position(self.query),
            why: why.into(),
        }
    }

    pub(crate) fn unexpected(&self, place: &str, expected: &str) -> ParseFault {
        let found = match self.peek() {
            Word::End => "end of input".to_owned(),
            Word::Sign(sign) => format!("{sign:?}"),
            Word::Name(name) => format!("identifier {name:?}"),
            Word::Number(_) | Word::Duration(_) => {
                let span = self.span();
                format!("number {:?}", &self.query[span.start..span.end])
            }
            Word::Text(text) => format!("string {}", mainstay_metrics::label::quoted(text)),
        };
        let place = if place.is_empty() {
            String::new()
        } else {
            format!(" in {place}")
        };
        let expected = if expected.is_empty() {
            String::new()
        } else {
            format!(", expected {expected}")
        };
        self.fault(format!("unexpected {found}{place}{expected}"))
    }

    pub(crate) fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Word::Sign(found) if *found == sign)
    }

    pub(crate) fn take(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        if found {
            self.at += 1;
        }
        found
    }

    pub(crate) fn expect(&mut self, sign: &str, place: &str) -> Parsed<()> {
        if self.take(sign) {
            return Ok(());
        }
        Err(self.unexpected(place, &format!("{sign:?}")))
    }

    /// The next word in lower case, when it is a name.
    pub(crate) fn keyword(&self) -> Option<String> {
        match self.peek() {
            Word::Name(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        }
    }

    pub(crate) fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = matches!(self.peek(), Word::Name(name) if name.eq_ignore_ascii_case(keyword));
        if found {
            self.at += 1;
        }
        found
    }

    /// Runs a part one level deeper.
    pub(crate) fn deeper<T>(&mut self, part: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEPTH_MAX {
            return Err(self.fault(format!(
                "the query is nested deeper than {DEPTH_MAX} levels"
            )));
        }
        self.depth += 1;
        let result = part(self);
        self.depth -= 1;
        result
    }

    /// An expression whose operators bind at least as tightly as `least`.
    pub(crate) fn expression(&mut self, least: u8) -> Parsed<Expr> {
        self.deeper(|parser| parser.operators(least))
    }

    fn operators(&mut self, least: u8) -> Parsed<Expr> {
        let mut left = self.unary()?;
        while let Some(op) = self.operator().filter(|op| op.precedence() >= least) {
            self.next();
            self.operators += 1;
            if self.operators > OPERATORS_MAX {
                return Err(
                    self.fault(format!("the query has more than {OPERATORS_MAX} operators"))
                );
            }
            let (matching, bool) = self.matching(op)?;
            // A power binds to the right, everything else to the left.
            let right = self.expression(op.precedence() + u8::from(op != Op::Pow))?;
            let span = Span::new(left.span.start, right.span.end);
            left = Expr {
                kind: Kind::Binary(Box::new(Binary {
                    op,
                    left,
                    right,
                    matching,
                    bool,
                })),
                span,
            };
        }
        Ok(left)
    }

    fn operator(&self) -> Option<Op> {
        Some(match self.peek() {
            Word::Sign(sign) => match *sign {
                "+" => Op::Add,
                "-" => Op::Sub,
                "*" => Op::Mul,
                "/" => Op::Div,
                "%" => Op::Mod,
                "^" => Op::Pow,
                "==" => Op::Equal,
                "!=" => Op::NotEqual,
                "<" => Op::Less,
                ">" => Op::Greater,
                "<=" => Op::LessEqual,
                ">=" => Op::GreaterEqual,
                "</" => Op::TrimUpper,
                ">/" => Op::TrimLower,
                _ => return None,
            },
            Word::Name(_) => match self.keyword()?.as_str() {
                "and" => Op::And,
                "or" => Op::Or,
                "unless" => Op::Unless,
                "atan2" => Op::Atan2,
                _ => return None,
            },
            _ => return None,
        })
    }

    /// What may follow an operator: `bool`, `on`, `ignoring`, `group_left`, `group_right`, `fill`.
    fn matching(&mut self, op: Op) -> Parsed<(Matching, bool)> {
        let mut matching = Matching {
            cardinality: Cardinality::OneToOne,
            on: false,
            labels: Vec::new(),
            include: Vec::new(),
            fill_left: None,
            fill_right: None,
        };
        let at = self.span();
        let bool = self.take_keyword("bool");
        if bool && !op.is_comparison() {
            return Err(self.fault_at(at, "bool modifier can only be used on comparison operators"));
        }
        let on = self.take_keyword("on");
        if on || self.take_keyword("ignoring") {
            matching.on = on;
            matching.labels = self.labels("grouping opts")?;
            let left = self.take_keyword("group_left");
            if left || self.take_keyword("group_right") {
                matching.cardinality = if left {
                    Cardinality::ManyToOne
                } else {
                    Cardinality::OneToMany
                };
                if op.is_set() {
                    let why = format!("no grouping allowed for {:?} operation", op.sign());
                    return Err(self.fault_at(at, why));
                }
                if self.is("(") {
                    matching.include = self.labels("grouping opts")?;
                }
                let twice = matching
                    .include
                    .iter()
                    .find(|name| matching.on && matching.labels.contains(name));
                if let Some(name) = twice {
                    let why =
                        format!("label {name:?} must not occur in ON and GROUP clause at once");
                    return Err(self.fault_at(at, why));
                }
            }
        }
        self.fills(op, &mut matching)?;
        Ok((matching, bool))
    }

    fn fills(&mut self, op: Op, matching: &mut Matching) -> Parsed<()> {
        loop {
            let at = self.span();
            let Some(keyword) = self.keyword().filter(|_| self.second() == &Word::Sign("(")) else {
                return Ok(());
            };
            if !["fill", "fill_left", "fill_right"].contains(&keyword.as_str()) {
                return Ok(());
            }
            self.experimental(&keyword, at)?;
            if op.is_set() {
                return Err(self.fault_at(
                    at,
                    "filling in missing series not allowed for set operators",
                ));
            }
            self.next();
            self.expect("(", "fill modifier")?;
            let negative = self.take("-");
            if !negative {
                self.take("+");
            }
            let Word::Number(value) = *self.peek() else {
                return Err(self.unexpected("fill modifier", "number"));
            };
            self.next();
            self.expect(")", "fill modifier")?;
            let value = if negative { -value } else { value };
            if keyword != "fill_right" {
                matching.fill_left = Some(value);
            }
            if keyword != "fill_left" {
                matching.fill_right = Some(value);
            }
        }
    }

    pub(crate) fn experimental(&self, name: &str, at: Span) -> Parsed<()> {
        if self.options.experimental {
            return Ok(());
        }
        Err(self.fault_at(at, format!("`{name}` is experimental and not switched on")))
    }

    /// A list of label names in parentheses.
    pub(crate) fn labels(&mut self, place: &str) -> Parsed<Vec<String>> {
        self.expect("(", place)?;
        let mut labels = Vec::new();
        while !self.take(")") {
            match self.peek().clone() {
                Word::Name(name) if !name.contains(':') => labels.push(name),
                Word::Text(text) => labels.push(
                    String::from_utf8(text)
                        .ok()
                        .filter(|name| !name.is_empty())
                        .ok_or_else(|| self.unexpected(place, "label"))?,
                ),
                _ => return Err(self.unexpected(place, "label")),
            }
            self.next();
            if !self.take(",") && !self.is(")") {
                return Err(self.unexpected(place, "\",\" or \")\""));
            }
        }
        Ok(labels)
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let start = self.span().start;
        let negative = self.is("-");
        if negative || self.is("+") {
            self.next();
            // As tight as a multiplication, so that `-a^b` is `-(a^b)` and `-a*b` is `(-a)*b`.
            let inner = self.expression(Op::Mul.precedence() + 1)?;
            let span = Span::new(start, inner.span.end);
            if !matches!(
                inner.yields(),
                crate::ast::Type::Scalar | crate::ast::Type::Vector
            ) {
                let found = inner.yields().name();
                let why = format!(
                    "unary expression only allowed on expressions of type scalar or instant vector, got {found:?}"
                );
                return Err(self.fault_at(span, why));
            }
            if !negative {
                return Ok(Expr { span, ..inner });
            }
            let kind = match inner.kind {
                Kind::Number(value) => Kind::Number(-value),
                _ => Kind::Negate(Box::new(inner)),
            };
            return Ok(Expr { kind, span });
        }
        let primary = self.primary()?;
        self.modifiers(primary)
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let span = self.span();
        match self.peek().clone() {
            Word::Number(value) | Word::Duration(value) => {
                self.next();
                Ok(Expr {
                    kind: Kind::Number(value),
                    span,
                })
            }
            Word::Text(text) => {
                self.next();
                Ok(Expr {
                    kind: Kind::Text(text),
                    span,
                })
            }
            Word::Sign("(") => {
                self.next();
                let inner = self.expression(0)?;
                self.expect(")", "parenthesized expression")?;
                Ok(Expr {
                    kind: Kind::Paren(Box::new(inner)),
                    span: Span::new(span.start, self.end()),
                })
            }
            Word::Sign("{") => self.selector(None),
            Word::Name(name) => self.named(&name),
            _ => Err(self.unexpected("", "")),
        }
    }

    /// An aggregation, a function or a metric.
    fn named(&mut self, name: &str) -> Parsed<Expr> {
        let lower = name.to_ascii_lowercase();
        let opens = self.second() == &Word::Sign("(");
        let groups = matches!(self.second(), Word::Name(next) if next.eq_ignore_ascii_case("by") || next.eq_ignore_ascii_case("without"));
        let aggregation = Aggregation::ALL.iter().find(|(known, _)| *known == lower);
        if let Some((_, aggregation)) = aggregation.filter(|_| opens || groups) {
            return self.aggregate(*aggregation);
        }
        if opens {
            return self.call(name);
        }
        if ["bool", "on", "ignoring", "group_left", "group_right"].contains(&lower.as_str()) {
            return Err(self.unexpected("", ""));
        }
        self.selector(Some(name))
    }

    fn call(&mut self, name: &str) -> Parsed<Expr> {
        let span = self.span();
        let Some(function) = function::find(name) else {
            return Err(self.fault(format!("unknown function with name {name:?}")));
        };
        if function.experimental {
            self.experimental(name, span)?;
        }
        self.next();
        let arguments = self.arguments("function call")?;
        Ok(Expr {
            kind: Kind::Call(Call {
                function,
                arguments,
            }),
            span: Span::new(span.start, self.end()),
        })
    }

    fn arguments(&mut self, place: &str) -> Parsed<Vec<Expr>> {
        self.expect("(", place)?;
        let mut arguments = Vec::new();
        if self.take(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression(0)?);
            if self.take(")") {
                return Ok(arguments);
            }
            self.expect(",", place)?;
            if self.is(")") {
                return Err(self.fault("trailing commas not allowed in function call args"));
            }
        }
    }

    fn aggregate(&mut self, aggregation: Aggregation) -> Parsed<Expr> {
        let span = self.span();
        if aggregation.is_experimental() {
            self.experimental(aggregation.name(), span)?;
        }
        self.next();
        let mut grouping = self.grouping()?;
        let mut arguments = self.arguments("aggregation")?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        let whole = Span::new(span.start, self.end());
        let wanted = 1 + usize::from(aggregation.parameter().is_some());
        if arguments.is_empty() {
            return Err(self.fault_at(whole, "no arguments for aggregate expression provided"));
        }
        if arguments.len() != wanted {
            let why = format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {}",
                arguments.len()
            );
            return Err(self.fault_at(whole, why));
        }
        let Some(inner) = arguments.pop() else {
            return Err(self.fault_at(whole, "no arguments for aggregate expression provided"));
        };
        let (grouping, without) = grouping.unwrap_or_default();
        Ok(Expr {
            kind: Kind::Aggregate(Box::new(Aggregate {
                aggregation,
                inner,
                parameter: arguments.pop(),
                grouping,
                without,
            })),
            span: whole,
        })
    }

    fn grouping(&mut self) -> Parsed<Option<(Vec<String>, bool)>> {
        let without = self.take_keyword("without");
        if without || self.take_keyword("by") {
            return Ok(Some((self.labels("grouping opts")?, without)));
        }
        Ok(None)
    }

    /// Makes a range selector or a subquery of what stands before a bracket.
    pub(crate) fn bracket(&mut self, before: Expr) -> Parsed<Expr> {
        let start = before.span.start;
        let open = self.span();
        self.expect("[", "range")?;
        let from = self.span().start;
        let range = self.length()?;
        let range_span = Span::new(from, self.end());
        self.positive(&range, range_span)?;
        if self.take(":") {
            let step = if self.is("]") {
                None
            } else {
                let from = self.span().start;
                let step = self.length()?;
                self.positive(&step, Span::new(from, self.end()))?;
                Some(step)
            };
            self.expect("]", "subquery selector")?;
            return Ok(Expr {
                span: Span::new(start, self.end()),
                kind: Kind::Subquery(Box::new(Subquery {
                    inner: before,
                    range,
                    range_span,
                    step,
                    modifiers: crate::ast::Modifiers::default(),
                })),
            });
        }
        self.expect("]", "range selector")?;
        let Kind::Select(selector) = before.kind else {
            return Err(self.fault_at(open, "ranges only allowed for vector selectors"));
        };
        let selector: Selector = *selector;
        if selector.modifiers.offset.is_some() {
            return Err(self.fault_at(open, "no offset modifiers allowed before range"));
        }
        if selector.modifiers.at.is_some() {
            return Err(self.fault_at(open, "no @ modifiers allowed before range"));
        }
        Ok(Expr {
            span: Span::new(start, self.end()),
            kind: Kind::Range(Box::new(RangeSelector {
                selector,
                range,
                range_span,
            })),
        })
    }
}
