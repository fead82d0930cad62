//! The tree of a query: every node knows its place in the text.

use crate::fault::Span;
use crate::function::Function;
use mainstay_metrics::Matcher;

/// What an expression yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// One number a step.
    Scalar,
    /// A text.
    String,
    /// A sample a series and step.
    Vector,
    /// Samples of a range of time, a series and step.
    Matrix,
}

impl Type {
    /// As messages name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        }
    }
}

/// An expression.
#[derive(Debug, Clone)]
pub struct Expr {
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub span: Span,
}

/// Kinds of expressions.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A number.
    Number(f64),
    /// A text; its bytes are not always UTF-8.
    Text(Vec<u8>),
    /// Parentheses; they are kept, because `timestamp` and `absent` look through them.
    Paren(Box<Expr>),
    /// Unary minus.
    Negate(Box<Expr>),
    /// The newest sample of every series that matches.
    Select(Box<Selector>),
    /// Samples of a range of every series that matches.
    Range(Box<RangeSelector>),
    /// An expression evaluated at several times of a range.
    Subquery(Box<Subquery>),
    /// A function.
    Call(Call),
    /// An aggregation.
    Aggregate(Box<Aggregate>),
    /// Two operands.
    Binary(Box<Binary>),
}

impl Expr {
    /// What it yields.
    pub fn yields(&self) -> Type {
        match &self.kind {
            Kind::Number(_) => Type::Scalar,
            Kind::Text(_) => Type::String,
            Kind::Paren(inner) | Kind::Negate(inner) => inner.yields(),
            Kind::Select(_) | Kind::Aggregate(_) => Type::Vector,
            Kind::Range(_) | Kind::Subquery(_) => Type::Matrix,
            Kind::Call(call) => call.function.yields,
            Kind::Binary(binary) => match (binary.left.yields(), binary.right.yields()) {
                (Type::Scalar, Type::Scalar) => Type::Scalar,
                _ => Type::Vector,
            },
        }
    }

    /// The expression inside any parentheses.
    pub fn bare(&self) -> &Self {
        match &self.kind {
            Kind::Paren(inner) => inner.bare(),
            _ => self,
        }
    }
}

/// A time that `@` names.
#[derive(Debug, Clone, PartialEq)]
pub enum At {
    /// Milliseconds since 1970.
    Time(i64),
    /// The first step of the query.
    Start,
    /// The last step of the query.
    End,
}

/// A length of time that may depend on the query's step and range.
#[derive(Debug, Clone, PartialEq)]
pub enum Length {
    /// Seconds.
    Seconds(f64),
    /// The query's step.
    Step,
    /// From the query's first step to its last.
    Range,
    /// The other sign.
    Negate(Box<Length>),
    /// The smaller one.
    Min(Box<Length>, Box<Length>),
    /// The larger one.
    Max(Box<Length>, Box<Length>),
    /// `+ - * / % ^`.
    Arithmetic(Op, Box<Length>, Box<Length>),
}

/// When a selector looks.
#[derive(Debug, Clone, Default)]
pub struct Modifiers {
    /// How much earlier.
    pub offset: Option<(Length, Span)>,
    /// A fixed time.
    pub at: Option<At>,
}

/// A vector selector.
#[derive(Debug, Clone)]
pub struct Selector {
    /// Conditions, the metric's name among them.
    pub matchers: Vec<Matcher>,
    /// When it looks.
    pub modifiers: Modifiers,
    /// Whether a sample between two is estimated from both (`smoothed`).
    pub edge: Edge,
}

/// How the ends of a range are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Edge {
    /// Only samples inside.
    #[default]
    Plain,
    /// The last sample before the range stands at its beginning.
    Anchored,
    /// Values at both ends are interpolated.
    Smoothed,
}

/// A range selector.
#[derive(Debug, Clone)]
pub struct RangeSelector {
    /// Which series, and when.
    pub selector: Selector,
    /// How far back.
    pub range: Length,
    /// Where the range is written.
    pub range_span: Span,
}

/// A subquery.
#[derive(Debug, Clone)]
pub struct Subquery {
    /// What is evaluated.
    pub inner: Expr,
    /// How far back.
    pub range: Length,
    /// Where the range is written.
    pub range_span: Span,
    /// How often; the engine's default when absent.
    pub step: Option<Length>,
    /// When.
    pub modifiers: Modifiers,
}

/// A function call.
#[derive(Debug, Clone)]
pub struct Call {
    /// Which function.
    pub function: &'static Function,
    /// Its arguments.
    pub arguments: Vec<Expr>,
}

/// Aggregations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names are the language's")]
pub enum Aggregation {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
    Limitk,
    LimitRatio,
}

impl Aggregation {
    /// All, with their names.
    pub const ALL: [(&'static str, Self); 14] = [
        ("sum", Self::Sum),
        ("avg", Self::Avg),
        ("count", Self::Count),
        ("min", Self::Min),
        ("max", Self::Max),
        ("group", Self::Group),
        ("stddev", Self::Stddev),
        ("stdvar", Self::Stdvar),
        ("topk", Self::Topk),
        ("bottomk", Self::Bottomk),
        ("count_values", Self::CountValues),
        ("quantile", Self::Quantile),
        ("limitk", Self::Limitk),
        ("limit_ratio", Self::LimitRatio),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, one)| *one == self)
            .map_or("", |(name, _)| name)
    }

    /// What its parameter yields, where it takes one.
    pub fn parameter(self) -> Option<Type> {
        match self {
            Self::Topk | Self::Bottomk | Self::Quantile | Self::Limitk | Self::LimitRatio => {
                Some(Type::Scalar)
            }
            Self::CountValues => Some(Type::String),
            _ => None,
        }
    }

    /// Whether upstream may still change it.
    pub fn is_experimental(self) -> bool {
        matches!(self, Self::Limitk | Self::LimitRatio)
    }
}

/// An aggregation over labels.
#[derive(Debug, Clone)]
pub struct Aggregate {
    /// Which one.
    pub aggregation: Aggregation,
    /// What it is applied to.
    pub inner: Expr,
    /// Its parameter.
    pub parameter: Option<Expr>,
    /// Labels that make the groups, or that do not.
    pub grouping: Vec<String>,
    /// Whether the labels are those that do not (`without`).
    pub without: bool,
}

/// Binary operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names are the language's")]
pub enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Less,
    Greater,
    LessEqual,
    GreaterEqual,
    And,
    Or,
    Unless,
    TrimUpper,
    TrimLower,
}

impl Op {
    /// As it is written.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::Greater => ">",
            Self::LessEqual => "<=",
            Self::GreaterEqual => ">=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
        }
    }

    /// Whether it compares.
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Equal
                | Self::NotEqual
                | Self::Less
                | Self::Greater
                | Self::LessEqual
                | Self::GreaterEqual
        )
    }

    /// Whether it works on whole elements.
    pub fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    /// How tightly it binds.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Add | Self::Sub => 4,
            Self::Mul | Self::Div | Self::Mod | Self::Atan2 => 5,
            Self::Pow => 6,
            _ => 3,
        }
    }
}

/// Which side may have several elements for one of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cardinality {
    /// Each has one.
    OneToOne,
    /// `group_left`.
    ManyToOne,
    /// `group_right`.
    OneToMany,
}

/// How elements of two vectors find one another.
#[derive(Debug, Clone)]
pub struct Matching {
    /// Which side may have several.
    pub cardinality: Cardinality,
    /// Whether the labels are those that must be equal (`on`), or those that need not (`ignoring`).
    pub on: bool,
    /// The labels.
    pub labels: Vec<String>,
    /// Labels taken from the side that has one.
    pub include: Vec<String>,
    /// Stands for an element that the left side lacks.
    pub fill_left: Option<f64>,
    /// Stands for an element that the right side lacks.
    pub fill_right: Option<f64>,
}

/// Two operands.
#[derive(Debug, Clone)]
pub struct Binary {
    /// The operator.
    pub op: Op,
    /// Left operand.
    pub left: Expr,
    /// Right operand.
    pub right: Expr,
    /// How elements match, where both are vectors.
    pub matching: Matching,
    /// Whether a comparison yields 0 or 1 and not a filter.
    pub bool: bool,
}
