//! Templates of labels, annotations and messages: the part of Go's template language that the field's rules use.
//!
//! A template reads what it is given and asks queries through a [`Lookup`]; it has no function that reads a file
//! or the network. Steps, output, queries and nesting are bounded.

mod function;
mod lexer;
mod number;
mod parse;
mod printf;
mod run;
mod tree;
mod value;

use crate::template::tree::Node;
pub(crate) use function::escaped as query_escaped;
pub use number::{humanize, humanize_duration, humanize_percentage};
use std::collections::BTreeMap;
use std::sync::Arc;
pub use value::{Object, Value};

/// Longest template, in bytes.
pub const TEMPLATE_MAX: usize = 64 << 10;
/// Longest output, in bytes: a message of a channel holds less.
pub const OUTPUT_MAX: usize = 64 << 10;
/// Most steps of one expansion.
const STEPS_MAX: usize = 100_000;
/// Most queries of one expansion.
const QUERIES_MAX: usize = 32;
/// Deepest nesting of blocks, parentheses and calls.
const DEPTH_MAX: usize = 40;

/// Why a template is not understood, or was not expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct TemplateFault {
    /// Line within the template, from 1.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

impl TemplateFault {
    pub(crate) fn new(line: usize, why: impl Into<String>) -> Self {
        Self {
            line,
            why: why.into(),
        }
    }
}

/// A parsed template.
#[derive(Debug, Clone)]
pub struct Template {
    text: Arc<str>,
    /// Empty where the text holds no action.
    nodes: Arc<[Node]>,
    defined: Arc<BTreeMap<String, Vec<Node>>>,
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// What a template may ask for.
pub trait Lookup {
    /// The result of a query at the time of the evaluation: labels and value of each element.
    fn query(&mut self, query: &str) -> Result<Vec<Value>, String>;
}

/// For templates that ask nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoQueries;

impl Lookup for NoQueries {
    fn query(&mut self, _: &str) -> Result<Vec<Value>, String> {
        Err("queries are not possible here".into())
    }
}

impl Template {
    /// Reads a template; `variables` are those that exist from the start, without their `$`.
    pub fn parse(text: &str, variables: &[&str]) -> Result<Self, TemplateFault> {
        if text.len() > TEMPLATE_MAX {
            let why = format!("the template is longer than {TEMPLATE_MAX} bytes");
            return Err(TemplateFault::new(1, why));
        }
        if !text.contains("{{") {
            return Ok(Self::literal(text));
        }
        let (nodes, defined) = parse::parse(text, variables)?;
        Ok(Self {
            text: text.into(),
            nodes: nodes.into(),
            defined: defined.into(),
        })
    }

    /// A text that is taken as it stands.
    pub fn literal(text: &str) -> Self {
        Self {
            text: text.into(),
            nodes: Arc::from([]),
            defined: Arc::default(),
        }
    }

    /// A template of an alerting rule, which has `$labels`, `$value` and the outer world's labels and address.
    pub fn of_rule(text: &str) -> Result<Self, TemplateFault> {
        Self::parse(text, &["labels", "externalLabels", "externalURL", "value"])
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Expands with the given data as `.` and the given variables.
    pub fn expand(
        &self,
        data: &Value,
        variables: &[(&str, Value)],
        lookup: &mut dyn Lookup,
    ) -> Result<String, TemplateFault> {
        if self.nodes.is_empty() {
            return Ok(self.text.to_string());
        }
        run::run(&self.nodes, &self.defined, data, variables, lookup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Up;

    impl Lookup for Up {
        fn query(&mut self, query: &str) -> Result<Vec<Value>, String> {
            if query != "up" {
                return Err(format!("unknown query `{query}`"));
            }
            let sample = |instance: &str, value| {
                Value::sample([("instance".to_owned(), instance.to_owned())], value)
            };
            Ok(vec![sample("b", 2.0), sample("a", 1.0)])
        }
    }

    fn expand(text: &str) -> Result<String, TemplateFault> {
        let labels = Value::texts([("job", "api"), ("instance", "web:9090")]);
        let data = Value::object([("Labels", labels.clone()), ("Value", Value::Float(0.125))]);
        let variables = [
            ("labels", labels),
            ("value", Value::Float(0.125)),
            ("externalLabels", Value::texts([("env", "prod")])),
            ("externalURL", Value::Text("http://m".into())),
        ];
        Template::of_rule(text)?.expand(&data, &variables, &mut Up)
    }

    #[test]
    fn what_rules_write_is_expanded() {
        for (text, expected) in [
            ("plain", "plain"),
            ("{{ $labels.job }} is {{ $value }}", "api is 0.125"),
            ("{{ .Labels.job }}-{{ .Value }}", "api-0.125"),
            ("{{ $labels.missing }}.", "."),
            ("{{ $value | humanizePercentage }}", "12.5%"),
            ("{{ printf \"%.2f\" $value }}", "0.12"),
            ("{{ $value | printf \"%.1f%%\" }}", "0.1%"),
            (
                "{{ with query \"up\" }}{{ . | first | value }}{{ end }}",
                "2",
            ),
            ("{{ query \"up\" | first | label \"instance\" }}", "b"),
            (
                "{{ range query \"up\" | sortByLabel \"instance\" }}{{ .Labels.instance }}={{ .Value }};{{ end }}",
                "a=1;b=2;",
            ),
            (
                "{{ range $i, $e := query \"up\" }}{{ $i }}{{ $e.Value }},{{ end }}",
                "02,11,",
            ),
            (
                "{{ if gt $value 0.1 }}high{{ else if eq 1 1 }}x{{ else }}low{{ end }}",
                "high",
            ),
            (
                "{{ if and (eq $labels.job \"api\") (not false) }}y{{ end }}",
                "y",
            ),
            (
                "{{ \"aB\" | toUpper }}{{ title \"foo bar\" }}{{ toLower \"X\" }}",
                "ABFoo Barx",
            ),
            (
                "{{ reReplaceAll \"(.*):.*\" \"$1\" $labels.instance }}",
                "web",
            ),
            ("{{ if match \"^w\" $labels.instance }}yes{{ end }}", "yes"),
            ("{{ $labels.instance | stripPort }}", "web"),
            (
                "{{ 1234567 | humanize }} {{ humanize1024 2048.0 }}",
                "1.235M 2ki",
            ),
            (
                "{{ humanizeDuration 3661 }} {{ 0.0015 | humanizeDuration }}",
                "1h 1m 1s 1.5ms",
            ),
            ("a {{- /* note */ -}} b", "ab"),
            (
                "{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}",
                "2",
            ),
            (
                "{{ define \"t\" }}<{{ . }}>{{ end }}{{ template \"t\" $labels.job }}",
                "<api>",
            ),
            (
                "{{ define \"t\" }}{{ .arg0 }}/{{ .arg1 }}{{ end }}{{ template \"t\" (args 1 \"b\") }}",
                "1/b",
            ),
            (
                "{{ range query \"up\" }}{{ if eq .Value 1.0 }}{{ break }}{{ end }}{{ .Value }}{{ end }}",
                "2",
            ),
            (
                "{{ $externalLabels.env }} {{ $externalURL }}",
                "prod http://m",
            ),
            ("{{ len $labels }} {{ index $labels \"job\" }}", "2 api"),
            (
                "{{ 0 | humanizeTimestamp }}",
                "1970-01-01 00:00:00 +0000 UTC",
            ),
            ("{{ \"1h30m\" | parseDuration }}", "5400"),
            ("{{ or \"\" \"x\" }}{{ and 1 0 }}", "x0"),
            ("{{ $labels }}", "map[instance:web:9090 job:api]"),
        ] {
            assert_eq!(expand(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_broken_is_told_when_it_is_read() {
        for (text, why) in [
            ("{{ $labels.job", "never closed"),
            ("{{ nosuch 1 }}", "function `nosuch` is not known"),
            ("{{ $nosuch }}", "variable `$nosuch` is not known"),
            ("{{ if true }}", "`end` is missing"),
            ("{{ end }}", "`end` closes nothing"),
            ("{{ else }}", "`else`"),
            ("{{ | }}", "a value is missing"),
            ("{{ \"x }}", "text is never closed"),
            ("{{ (1 }}", "parenthesis"),
            ("{{ template \"none\" }}", "template `none` is not defined"),
            ("x\n{{ }}", "nothing stands"),
        ] {
            let fault = Template::of_rule(text).unwrap_err();
            assert!(fault.why.contains(why), "{text}: {fault}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_when_it_is_expanded() {
        for (text, why) in [
            ("{{ query \"nope\" }}", "unknown query"),
            ("{{ first (query \"up\" | sortByLabel) }}", "sortByLabel"),
            ("{{ gt $labels.job 1 }}", "compare"),
            ("{{ .Nope }}", "no field `Nope`"),
            (
                "{{ define \"r\" }}{{ template \"r\" . }}{{ end }}{{ template \"r\" . }}",
                "nested",
            ),
            (
                "{{ range query \"up\" }}{{ query \"up\" }}{{ end }}{{ label 1 2 3 }}",
                "label",
            ),
        ] {
            let fault = expand(text).unwrap_err();
            assert!(fault.why.contains(why), "{text}: {fault}");
        }
    }

    #[test]
    fn output_and_steps_are_bounded() {
        let double = "{{ $x := \"0123456789\" }}".to_owned()
            + &"{{ $x = print $x $x }}".repeat(30)
            + "{{ $x }}";
        assert!(expand(&double).unwrap_err().why.contains("longer"));
        let mut nested = String::new();
        for _ in 0..10 {
            nested.push_str("{{ range query \"up\" }}");
        }
        nested.push('x');
        nested.push_str(&"{{ end }}".repeat(10));
        assert!(expand(&nested).is_err());
        assert!(Template::of_rule(&format!("{{{{ {}1 }}}}", "(".repeat(10_000))).is_err());
        assert!(Template::of_rule(&"{{ if true }}".repeat(1000)).is_err());
    }
}
