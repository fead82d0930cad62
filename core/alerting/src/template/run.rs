//! Expands a template, within bounds.

use super::tree::{Node, Operand, Pipeline};
use super::value::Value;
use super::{DEPTH_MAX, Lookup, OUTPUT_MAX, QUERIES_MAX, STEPS_MAX, TemplateFault, function};
use std::collections::BTreeMap;

type Ran<T> = Result<T, TemplateFault>;

/// Whether a list of nodes ended, or the loop around it goes on or ends.
enum Flow {
    Done,
    Break,
    Continue,
}

struct Runner<'a> {
    defined: &'a BTreeMap<String, Vec<Node>>,
    start: &'a [(&'a str, Value)],
    lookup: &'a mut dyn Lookup,
    variables: Vec<(String, Value)>,
    out: String,
    steps: usize,
    queries: usize,
    /// Bytes of texts made so far.
    made: usize,
    depth: usize,
    line: usize,
}

/// Expands nodes.
pub(crate) fn run(
    nodes: &[Node],
    defined: &BTreeMap<String, Vec<Node>>,
    data: &Value,
    variables: &[(&str, Value)],
    lookup: &mut dyn Lookup,
) -> Ran<String> {
    let mut runner = Runner {
        defined,
        start: variables,
        lookup,
        variables: Vec::new(),
        out: String::new(),
        steps: 0,
        queries: 0,
        made: 0,
        depth: 0,
        line: 1,
    };
    runner.variables = runner.fresh(data);
    runner.nodes(nodes, data)?;
    Ok(runner.out)
}

impl Runner<'_> {
    fn fault(&self, why: impl Into<String>) -> TemplateFault {
        TemplateFault::new(self.line, why)
    }

    fn fresh(&self, data: &Value) -> Vec<(String, Value)> {
        let start = self.start.iter();
        let start = start.map(|(name, value)| ((*name).to_owned(), value.clone()));
        std::iter::once((String::new(), data.clone()))
            .chain(start)
            .collect()
    }

    fn step(&mut self) -> Ran<()> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(self.fault(format!("the template takes more than {STEPS_MAX} steps")));
        }
        Ok(())
    }

    fn write(&mut self, text: &str) -> Ran<()> {
        if self.out.len() + text.len() > OUTPUT_MAX {
            return Err(self.fault(format!("the result is longer than {OUTPUT_MAX} bytes")));
        }
        self.out.push_str(text);
        Ok(())
    }

    /// Charges for a value that was made.
    fn charge(&mut self, value: Value) -> Ran<Value> {
        self.made += value.weight();
        if self.made > 64 * OUTPUT_MAX {
            return Err(self.fault("what the template computes is longer than is kept"));
        }
        Ok(value)
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Ran<Flow> {
        let mark = self.variables.len();
        for node in nodes {
            self.step()?;
            let flow = self.node(node, dot)?;
            if !matches!(flow, Flow::Done) {
                self.variables.truncate(mark);
                return Ok(flow);
            }
        }
        self.variables.truncate(mark);
        Ok(Flow::Done)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Ran<Flow> {
        match node {
            Node::Text(text) => self.write(text)?,
            Node::Action(line, pipeline) => {
                self.line = *line;
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.write(&value.print())?;
                }
            }
            Node::If(line, pipeline, body, otherwise) => {
                return self.scoped(*line, pipeline, dot, |runner, value| {
                    let body = if value.is_true() { body } else { otherwise };
                    runner.nodes(body, dot)
                });
            }
            Node::With(line, pipeline, body, otherwise) => {
                return self.scoped(*line, pipeline, dot, |runner, value| {
                    if value.is_true() {
                        runner.nodes(body, &value)
                    } else {
                        runner.nodes(otherwise, dot)
                    }
                });
            }
            Node::Range(line, pipeline, body, otherwise) => {
                self.line = *line;
                self.range(pipeline, dot, body, otherwise)?;
            }
            Node::Template(line, name, pipeline) => {
                self.line = *line;
                let data = match pipeline {
                    Some(pipeline) => self.pipeline(pipeline, dot)?,
                    None => Value::Nil,
                };
                self.template(name, &data)?;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Done)
    }

    fn scoped(
        &mut self,
        line: usize,
        pipeline: &Pipeline,
        dot: &Value,
        part: impl FnOnce(&mut Self, Value) -> Ran<Flow>,
    ) -> Ran<Flow> {
        self.line = line;
        let mark = self.variables.len();
        let value = self.pipeline(pipeline, dot)?;
        let flow = part(self, value);
        self.variables.truncate(mark);
        flow
    }

    fn template(&mut self, name: &str, data: &Value) -> Ran<()> {
        if self.depth >= DEPTH_MAX {
            return Err(self.fault(format!("templates are nested deeper than {DEPTH_MAX}")));
        }
        let defined = self.defined;
        let Some(body) = defined.get(name) else {
            return Err(self.fault(format!("template `{name}` is not defined")));
        };
        let fresh = self.fresh(data);
        let kept = std::mem::replace(&mut self.variables, fresh);
        self.depth += 1;
        self.nodes(body, data)?;
        self.depth -= 1;
        self.variables = kept;
        Ok(())
    }

    fn range(
        &mut self,
        pipeline: &Pipeline,
        dot: &Value,
        body: &[Node],
        otherwise: &[Node],
    ) -> Ran<()> {
        let mark = self.variables.len();
        let bare = Pipeline {
            variables: Vec::new(),
            declares: false,
            commands: pipeline.commands.clone(),
        };
        let over = self.pipeline(&bare, dot)?;
        let items = self.items(over)?;
        if items.is_empty() {
            self.nodes(otherwise, dot)?;
        }
        for (key, item) in items {
            match pipeline.variables.as_slice() {
                [value] => self.set(value, item.clone(), pipeline.declares)?,
                [index, value] => {
                    self.set(index, key, pipeline.declares)?;
                    self.set(value, item.clone(), pipeline.declares)?;
                }
                _ => {}
            }
            let flow = self.nodes(body, &item)?;
            if pipeline.declares {
                self.variables.truncate(mark);
            }
            if matches!(flow, Flow::Break) {
                break;
            }
        }
        Ok(())
    }

    fn items(&self, over: Value) -> Ran<Vec<(Value, Value)>> {
        let numbered = |items: Vec<Value>| (0..).map(Value::Integer).zip(items).collect();
        Ok(match over {
            Value::Nil => Vec::new(),
            Value::List(items) => numbered(items),
            Value::Integer(count) => {
                let count = count.clamp(0, 100_000);
                (0..count)
                    .map(|one| (Value::Integer(one), Value::Integer(one)))
                    .collect()
            }
            Value::Texts(texts) => {
                let pairs = texts.into_iter();
                pairs
                    .map(|(name, value)| (Value::Text(name), Value::Text(value)))
                    .collect()
            }
            Value::Object(object) => {
                if let Some(items) = object.items {
                    return Ok(numbered(items));
                }
                let fields = object.fields.into_iter();
                let pairs = fields.map(|(name, value)| (Value::Text(name), value));
                pairs.collect()
            }
            other => return Err(self.fault(format!("`range` cannot walk over {}", other.kind()))),
        })
    }

    fn set(&mut self, name: &str, value: Value, declares: bool) -> Ran<()> {
        if declares {
            self.variables.push((name.to_owned(), value));
            return Ok(());
        }
        match self
            .variables
            .iter_mut()
            .rev()
            .find(|(known, _)| known == name)
        {
            Some((_, known)) => {
                *known = value;
                Ok(())
            }
            None => Err(self.fault(format!("variable `${name}` is not known"))),
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Ran<Value> {
        self.step()?;
        let mut last = None;
        for command in &pipeline.commands {
            let value = self.command(command, last, dot)?;
            last = Some(self.charge(value)?);
        }
        let value = last.unwrap_or(Value::Nil);
        if let [name] = pipeline.variables.as_slice() {
            self.set(name, value.clone(), pipeline.declares)?;
        }
        Ok(value)
    }

    fn command(&mut self, command: &[Operand], last: Option<Value>, dot: &Value) -> Ran<Value> {
        self.step()?;
        let Some((first, rest)) = command.split_first() else {
            return Err(self.fault("a value is missing"));
        };
        let Operand::Function(name) = first else {
            if !rest.is_empty() || last.is_some() {
                return Err(self.fault("only a function takes values"));
            }
            return self.operand(first, dot);
        };
        let mut arguments = Vec::with_capacity(rest.len() + 1);
        for operand in rest {
            arguments.push(self.operand(operand, dot)?);
        }
        arguments.extend(last);
        self.call(name, arguments)
    }

    fn call(&mut self, name: &str, arguments: Vec<Value>) -> Ran<Value> {
        if name == "query" {
            self.queries += 1;
            if self.queries > QUERIES_MAX {
                return Err(self.fault(format!("more than {QUERIES_MAX} queries")));
            }
            let [Value::Text(query)] = arguments.as_slice() else {
                return Err(self.fault("`query` takes one text"));
            };
            let found = self.lookup.query(query);
            return found
                .map(Value::List)
                .map_err(|why| self.fault(format!("query `{query}`: {why}")));
        }
        function::call(name, arguments).map_err(|why| self.fault(why))
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Ran<Value> {
        self.step()?;
        Ok(match operand {
            Operand::Dot => dot.clone(),
            Operand::Field(chain) => self.chain(dot.clone(), chain)?,
            Operand::Variable(name, chain) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                let value = found.map(|(_, value)| value.clone());
                let value =
                    value.ok_or_else(|| self.fault(format!("variable `${name}` is not known")))?;
                self.chain(value, chain)?
            }
            Operand::Function(name) => self.call(name, Vec::new())?,
            Operand::Group(pipeline, chain) => {
                let value = self.pipeline(pipeline, dot)?;
                self.chain(value, chain)?
            }
            Operand::Text(text) => Value::Text(text.clone()),
            Operand::Integer(number) => Value::Integer(*number),
            Operand::Float(number) => Value::Float(*number),
            Operand::Truth(truth) => Value::Truth(*truth),
            Operand::Nil => Value::Nil,
        })
    }

    fn chain(&mut self, value: Value, chain: &[String]) -> Ran<Value> {
        let mut value = value;
        for name in chain {
            let found = value.field(name);
            let kind = value.kind();
            value = found.ok_or_else(|| self.fault(format!("{kind} has no field `{name}`")))?;
        }
        let value = self.charge(value)?;
        Ok(value)
    }
}
