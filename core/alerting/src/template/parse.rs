//! Words become a tree; names are checked while it is read.

use super::lexer::{Piece, Word, split};
use super::tree::{Node, Operand, Pipeline};
use super::{DEPTH_MAX, TemplateFault, function};
use std::collections::BTreeMap;

type Parsed<T> = Result<T, TemplateFault>;
type Defined = BTreeMap<String, Vec<Node>>;

/// What ends a list of nodes.
enum End {
    /// The template's own end.
    Text,
    Closed,
    /// `else`, with the words that follow it.
    Else(usize, Vec<Word>),
}

struct Parser<'a> {
    pieces: std::vec::IntoIter<Piece>,
    /// Names of variables in sight, the newest last.
    scope: Vec<String>,
    start: &'a [&'a str],
    defined: Defined,
    called: Vec<(usize, String)>,
    depth: usize,
    loops: usize,
    line: usize,
}

/// Reads a template and those that it defines.
pub(crate) fn parse(text: &str, variables: &[&str]) -> Parsed<(Vec<Node>, Defined)> {
    let mut parser = Parser {
        pieces: split(text)?.into_iter(),
        scope: Vec::new(),
        start: variables,
        defined: Defined::new(),
        called: Vec::new(),
        depth: 0,
        loops: 0,
        line: 1,
    };
    parser.scope = parser.fresh();
    let (nodes, end) = parser.nodes()?;
    match end {
        End::Text => {}
        End::Closed => return Err(parser.fault("`end` closes nothing")),
        End::Else(..) => return Err(parser.fault("`else` belongs to nothing")),
    }
    for (line, name) in &parser.called {
        if !parser.defined.contains_key(name) {
            return Err(TemplateFault::new(
                *line,
                format!("template `{name}` is not defined"),
            ));
        }
    }
    Ok((nodes, parser.defined))
}

impl Parser<'_> {
    fn fault(&self, why: impl Into<String>) -> TemplateFault {
        TemplateFault::new(self.line, why)
    }

    /// The variables that a template starts with; `$` is the data.
    fn fresh(&self) -> Vec<String> {
        let names = self.start.iter().map(|name| (*name).to_owned());
        std::iter::once(String::new()).chain(names).collect()
    }

    fn nodes(&mut self) -> Parsed<(Vec<Node>, End)> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (line, words) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(line, words) => (line, words),
            };
            self.line = line;
            let keyword = match words.first() {
                Some(Word::Name(name)) => name.as_str(),
                None => return Err(self.fault("nothing stands between `{{` and `}}`")),
                _ => "",
            };
            match keyword {
                "end" if words.len() == 1 => return Ok((nodes, End::Closed)),
                "else" => return Ok((nodes, End::Else(line, words[1..].to_vec()))),
                _ => nodes.extend(self.action(line, keyword, &words)?),
            }
        }
        Ok((nodes, End::Text))
    }

    fn action(&mut self, line: usize, keyword: &str, words: &[Word]) -> Parsed<Option<Node>> {
        Ok(Some(match keyword {
            "if" | "with" | "range" => self.block(line, keyword, &words[1..])?,
            "define" | "block" => return self.define(line, keyword, &words[1..]),
            "template" => {
                let name = self.template_name(words.get(1))?;
                self.called.push((line, name.clone()));
                Node::Template(line, name, self.optional(&words[2..])?)
            }
            "break" | "continue" => {
                if self.loops == 0 {
                    return Err(self.fault(format!("`{keyword}` stands outside of `range`")));
                }
                if keyword == "break" {
                    Node::Break
                } else {
                    Node::Continue
                }
            }
            _ => Node::Action(line, self.pipeline(words)?),
        }))
    }

    fn optional(&mut self, words: &[Word]) -> Parsed<Option<Pipeline>> {
        if words.is_empty() {
            return Ok(None);
        }
        self.pipeline(words).map(Some)
    }

    fn template_name(&self, word: Option<&Word>) -> Parsed<String> {
        match word {
            Some(Word::Text(name)) => Ok(name.clone()),
            _ => Err(self.fault("a template's name is a text in quotes")),
        }
    }

    fn deeper<T>(&mut self, part: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEPTH_MAX {
            return Err(self.fault(format!("nested deeper than {DEPTH_MAX}")));
        }
        self.depth += 1;
        let result = part(self);
        self.depth -= 1;
        result
    }

    fn block(&mut self, line: usize, keyword: &str, words: &[Word]) -> Parsed<Node> {
        let mark = self.scope.len();
        let pipeline = self.pipeline(words)?;
        let is_loop = keyword == "range";
        self.loops += usize::from(is_loop);
        let (body, end) = self.deeper(Self::nodes)?;
        self.loops -= usize::from(is_loop);
        let otherwise = match end {
            End::Closed => Vec::new(),
            End::Text => {
                return Err(TemplateFault::new(
                    line,
                    format!("`end` is missing for `{keyword}`"),
                ));
            }
            End::Else(line, words) => self.otherwise(line, keyword, &words)?,
        };
        self.scope.truncate(mark);
        Ok(match keyword {
            "if" => Node::If(line, pipeline, body, otherwise),
            "with" => Node::With(line, pipeline, body, otherwise),
            _ => Node::Range(line, pipeline, body, otherwise),
        })
    }

    /// What follows `else`: the block's other part, or another condition.
    fn otherwise(&mut self, line: usize, keyword: &str, words: &[Word]) -> Parsed<Vec<Node>> {
        self.line = line;
        match words.first() {
            None => {
                let (nodes, end) = self.deeper(Self::nodes)?;
                match end {
                    End::Closed => Ok(nodes),
                    End::Text => Err(TemplateFault::new(line, "`end` is missing after `else`")),
                    End::Else(line, _) => Err(TemplateFault::new(line, "a second `else`")),
                }
            }
            Some(Word::Name(name)) if name == keyword && keyword != "range" => {
                self.deeper(|parser| Ok(vec![parser.block(line, keyword, &words[1..])?]))
            }
            Some(_) => Err(self.fault("`else` is followed by nothing, or by its own keyword")),
        }
    }

    fn define(&mut self, line: usize, keyword: &str, words: &[Word]) -> Parsed<Option<Node>> {
        let name = self.template_name(words.first())?;
        let pipeline = self.optional(&words[1..])?;
        let fresh = self.fresh();
        let scope = std::mem::replace(&mut self.scope, fresh);
        let (body, end) = self.deeper(Self::nodes)?;
        self.scope = scope;
        if !matches!(end, End::Closed) {
            return Err(TemplateFault::new(
                line,
                format!("`end` is missing for `{keyword}`"),
            ));
        }
        self.defined.insert(name.clone(), body);
        Ok((keyword == "block").then_some(Node::Template(line, name, pipeline)))
    }

    fn pipeline(&mut self, words: &[Word]) -> Parsed<Pipeline> {
        let (variables, declares, words) = self.targets(words)?;
        let mut commands = Vec::new();
        for part in apart(words, "|") {
            commands.push(self.command(part)?);
        }
        if declares {
            self.scope.extend(variables.iter().cloned());
        }
        Ok(Pipeline {
            variables,
            declares,
            commands,
        })
    }

    /// Reads `$x :=`, `$i, $x :=` and `$x =`.
    fn targets<'w>(&self, words: &'w [Word]) -> Parsed<(Vec<String>, bool, &'w [Word])> {
        let (names, sign, rest) = match words {
            [
                Word::Variable(one),
                Word::Sign(sign @ (":=" | "=")),
                rest @ ..,
            ] => (vec![one.clone()], sign, rest),
            [
                Word::Variable(one),
                Word::Sign(","),
                Word::Variable(two),
                Word::Sign(sign @ (":=" | "=")),
                rest @ ..,
            ] => (vec![one.clone(), two.clone()], sign, rest),
            rest => return Ok((Vec::new(), false, rest)),
        };
        let declares = *sign == ":=";
        if !declares {
            names.iter().try_for_each(|name| self.known(name))?;
        }
        Ok((names, declares, rest))
    }

    fn known(&self, name: &str) -> Parsed<()> {
        if self.scope.iter().any(|one| one == name) {
            return Ok(());
        }
        Err(self.fault(format!("variable `${name}` is not known")))
    }

    fn command(&mut self, words: &[Word]) -> Parsed<Vec<Operand>> {
        let mut operands = Vec::new();
        let mut at = 0;
        while at < words.len() {
            let (operand, taken) = self.operand(&words[at..])?;
            operands.push(operand);
            at += taken;
        }
        match operands.first() {
            None => return Err(self.fault("a value is missing")),
            Some(
                Operand::Function(_)
                | Operand::Field(_)
                | Operand::Variable(..)
                | Operand::Group(..),
            ) => {}
            Some(_) if operands.len() > 1 => return Err(self.fault("only a function takes values")),
            Some(_) => {}
        }
        Ok(operands)
    }

    fn operand(&mut self, words: &[Word]) -> Parsed<(Operand, usize)> {
        let fields = |from: usize| -> Vec<String> {
            let chain = words[from..].iter().map_while(|word| match word {
                Word::Field(name, true) if !name.is_empty() => Some(name.clone()),
                _ => None,
            });
            chain.collect()
        };
        Ok(match &words[0] {
            Word::Text(text) => (Operand::Text(text.clone()), 1),
            Word::Integer(number) => (Operand::Integer(*number), 1),
            Word::Float(number) => (Operand::Float(*number), 1),
            Word::Variable(name) => {
                self.known(name)?;
                let chain = fields(1);
                let taken = 1 + chain.len();
                (Operand::Variable(name.clone(), chain), taken)
            }
            Word::Field(name, _) if name.is_empty() => (Operand::Dot, 1),
            Word::Field(name, _) => {
                let mut chain = vec![name.clone()];
                chain.extend(fields(1));
                let taken = chain.len();
                (Operand::Field(chain), taken)
            }
            Word::Name(name) => (self.named(name)?, 1),
            Word::Sign("(") => {
                let end =
                    closing(words).ok_or_else(|| self.fault("a parenthesis is never closed"))?;
                let inner = self.deeper(|parser| parser.pipeline(&words[1..end]))?;
                let chain = fields(end + 1);
                let taken = end + 1 + chain.len();
                (Operand::Group(Box::new(inner), chain), taken)
            }
            Word::Sign(sign) => return Err(self.fault(format!("unexpected `{sign}`"))),
        })
    }

    fn named(&self, name: &str) -> Parsed<Operand> {
        match name {
            "true" => Ok(Operand::Truth(true)),
            "false" => Ok(Operand::Truth(false)),
            "nil" => Ok(Operand::Nil),
            _ if function::is_known(name) => Ok(Operand::Function(name.to_owned())),
            _ => Err(self.fault(format!("function `{name}` is not known"))),
        }
    }
}

/// Where the parenthesis that begins is closed.
fn closing(words: &[Word]) -> Option<usize> {
    let mut open = 0_usize;
    words.iter().position(|word| {
        match word {
            Word::Sign("(") => open += 1,
            Word::Sign(")") => open -= 1,
            _ => {}
        }
        open == 0
    })
}

/// Splits at a sign outside of parentheses.
fn apart<'w>(words: &'w [Word], sign: &str) -> Vec<&'w [Word]> {
    let (mut parts, mut from, mut open) = (Vec::new(), 0, 0_i32);
    for (place, word) in words.iter().enumerate() {
        match word {
            Word::Sign("(") => open += 1,
            Word::Sign(")") => open -= 1,
            Word::Sign(found) if *found == sign && open == 0 => {
                parts.push(&words[from..place]);
                from = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&words[from..]);
    parts
}
