//! A template as a tree.

/// A part of a template.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// Text as it stands.
    Text(String),
    /// `{{ pipeline }}`.
    Action(usize, Pipeline),
    /// `{{ if }} … {{ else }} … {{ end }}`.
    If(usize, Pipeline, Vec<Node>, Vec<Node>),
    /// `{{ with }} … {{ else }} … {{ end }}`.
    With(usize, Pipeline, Vec<Node>, Vec<Node>),
    /// `{{ range }} … {{ else }} … {{ end }}`.
    Range(usize, Pipeline, Vec<Node>, Vec<Node>),
    /// `{{ template "name" value }}`.
    Template(usize, String, Option<Pipeline>),
    /// `{{ break }}`.
    Break,
    /// `{{ continue }}`.
    Continue,
}

/// Commands, each given the result of the one before it as its last argument.
#[derive(Debug, Clone)]
pub(crate) struct Pipeline {
    /// Variables that take the result.
    pub(crate) variables: Vec<String>,
    /// Whether they are new ones.
    pub(crate) declares: bool,
    pub(crate) commands: Vec<Vec<Operand>>,
}

/// What a command consists of.
#[derive(Debug, Clone)]
pub(crate) enum Operand {
    /// `.`
    Dot,
    /// `.A.B`
    Field(Vec<String>),
    /// `$x.A.B`; the name is without its sign and empty for `$`.
    Variable(String, Vec<String>),
    /// A function.
    Function(String),
    /// `(pipeline).A.B`
    Group(Box<Pipeline>, Vec<String>),
    Text(String),
    Integer(i64),
    Float(f64),
    Truth(bool),
    Nil,
}
