//! Functions of templates. None reads a file or the network; `query` is answered where a template runs.

use super::number::{
    humanize, humanize_binary, humanize_duration, humanize_percentage, humanize_timestamp,
};
use super::printf;
use super::value::Value;
use crate::span;
use mainstay_metrics::Pattern;
use std::cmp::Ordering;
use std::fmt::Write as _;

/// Names of all functions.
const NAMES: &[&str] = &[
    "and",
    "args",
    "eq",
    "first",
    "ge",
    "graphLink",
    "gt",
    "html",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "index",
    "join",
    "js",
    "label",
    "le",
    "len",
    "lt",
    "match",
    "ne",
    "not",
    "or",
    "parseDuration",
    "print",
    "printf",
    "println",
    "query",
    "reReplaceAll",
    "safeHtml",
    "safeUrl",
    "slice",
    "sortByLabel",
    "stringSlice",
    "stripDomain",
    "stripPort",
    "strvalue",
    "tableLink",
    "title",
    "toDuration",
    "toLower",
    "toTime",
    "toUpper",
    "trimSpace",
    "urlQueryEscape",
    "urlquery",
    "value",
];

/// Whether a function of this name exists.
pub(crate) fn is_known(name: &str) -> bool {
    NAMES.binary_search(&name).is_ok()
}

/// Calls a function.
pub(crate) fn call(name: &str, arguments: Vec<Value>) -> Result<Value, String> {
    match name {
        "and" => choose(arguments, false),
        "or" => choose(arguments, true),
        "print" | "println" | "printf" | "html" | "js" | "urlquery" | "urlQueryEscape" => {
            written(name, &arguments)
        }
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" => compared(name, &arguments).map(Value::Truth),
        "args" => Ok(numbered(arguments)),
        "stringSlice" => Ok(Value::List(arguments)),
        "index" => arguments[1.min(arguments.len())..].iter().try_fold(
            arguments.first().cloned().unwrap_or(Value::Nil),
            |value, key| item(&value, key),
        ),
        "slice" => slice(&arguments),
        _ => match <[Value; 1]>::try_from(arguments) {
            Ok([one]) => unary(name, one),
            Err(arguments) => several(name, &arguments),
        },
    }
}

fn choose(arguments: Vec<Value>, wanted: bool) -> Result<Value, String> {
    let last = arguments.last().cloned().ok_or("a value is missing")?;
    Ok(arguments
        .into_iter()
        .find(|value| value.is_true() == wanted)
        .unwrap_or(last))
}

fn written(name: &str, arguments: &[Value]) -> Result<Value, String> {
    if name == "printf" {
        let Some((Value::Text(format), rest)) = arguments.split_first() else {
            return Err("`printf` takes a text first".into());
        };
        return Ok(Value::Text(printf::format(format, rest)));
    }
    let text = printed(arguments, name == "println");
    Ok(Value::Text(match name {
        "html" => html(&text),
        "js" => text.escape_default().collect(),
        "urlquery" | "urlQueryEscape" => escaped(&text),
        "println" => text + "\n",
        _ => text,
    }))
}

/// As Go's `Sprint`: blanks between values of which neither is a text, or between all.
fn printed(arguments: &[Value], always: bool) -> String {
    let mut out = String::new();
    for (place, value) in arguments.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if place > 0 && (always || (!is_text(value) && !is_text(&arguments[place - 1]))) {
            out.push(' ');
        }
        out.push_str(&value.print());
    }
    out
}

/// A text that is safe inside of HTML.
pub(crate) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// A text as a part of a query in an address.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            other => write!(out, "%{other:02X}").unwrap_or_default(),
        }
    }
    out
}

fn compared(name: &str, arguments: &[Value]) -> Result<bool, String> {
    let (first, rest) = arguments
        .split_first()
        .ok_or_else(|| format!("`{name}` takes values"))?;
    if name == "eq" {
        if rest.is_empty() {
            return Err("`eq` takes two values or more".into());
        }
        for other in rest {
            if order(first, other)? == Some(Ordering::Equal) {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    let [second] = rest else {
        return Err(format!("`{name}` takes two values"));
    };
    let found = order(first, second)?;
    Ok(match name {
        "ne" => found != Some(Ordering::Equal),
        "lt" => found == Some(Ordering::Less),
        "le" => matches!(found, Some(Ordering::Less | Ordering::Equal)),
        "gt" => found == Some(Ordering::Greater),
        _ => matches!(found, Some(Ordering::Greater | Ordering::Equal)),
    })
}

/// Compares values of one kind; Go refuses a whole number beside a float, which helps nobody here.
fn order(one: &Value, two: &Value) -> Result<Option<Ordering>, String> {
    match (one, two) {
        (Value::Text(one), Value::Text(two)) => Ok(Some(one.cmp(two))),
        (Value::Truth(one), Value::Truth(two)) => Ok(Some(one.cmp(two))),
        (Value::Integer(one), Value::Integer(two)) => Ok(Some(one.cmp(two))),
        (Value::Nil, Value::Nil) => Ok(Some(Ordering::Equal)),
        (Value::Integer(_) | Value::Float(_), Value::Integer(_) | Value::Float(_)) => {
            Ok(number(one)?.partial_cmp(&number(two)?))
        }
        _ => Err(format!("cannot compare {} with {}", one.kind(), two.kind())),
    }
}

/// A number, also from a text that holds one.
fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(number) => Ok(*number),
        Value::Integer(number) => Ok(*number as f64),
        Value::Text(text) => text
            .parse()
            .map_err(|_| format!("`{text}` is not a number")),
        other => Err(format!("{} is not a number", other.kind())),
    }
}

fn text<'v>(name: &str, value: &'v Value) -> Result<&'v str, String> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(format!("`{name}` takes a text, found {}", other.kind())),
    }
}

fn numbered(arguments: Vec<Value>) -> Value {
    let names = (0..).map(|place: usize| format!("arg{place}"));
    Value::object(names.zip(arguments))
}

fn item(value: &Value, key: &Value) -> Result<Value, String> {
    match (value, key) {
        (Value::List(items), Value::Integer(place)) => {
            let found = usize::try_from(*place)
                .ok()
                .and_then(|place| items.get(place));
            found
                .cloned()
                .ok_or_else(|| format!("the list has no item {place}"))
        }
        (Value::Texts(_) | Value::Object(_), Value::Text(name)) => {
            Ok(value.field(name).unwrap_or(Value::Nil))
        }
        (Value::Object(object), Value::Integer(_)) if object.items.is_some() => {
            item(&Value::List(object.items.clone().unwrap_or_default()), key)
        }
        _ => Err(format!("{} has no item by {}", value.kind(), key.kind())),
    }
}

fn slice(arguments: &[Value]) -> Result<Value, String> {
    let place = |at: usize, otherwise: usize| match arguments.get(at) {
        None => Ok(otherwise),
        Some(Value::Integer(number)) => {
            usize::try_from(*number).map_err(|_| "`slice` takes places from 0".to_owned())
        }
        Some(other) => Err(format!("`slice` takes places, found {}", other.kind())),
    };
    match arguments.first() {
        Some(Value::Text(text)) => {
            let part = text.get(place(1, 0)?..place(2, text.len())?);
            Ok(Value::Text(
                part.ok_or("`slice` goes beyond the text")?.to_owned(),
            ))
        }
        Some(Value::List(items)) => {
            let part = items.get(place(1, 0)?..place(2, items.len())?);
            Ok(Value::List(
                part.ok_or("`slice` goes beyond the list")?.to_vec(),
            ))
        }
        _ => Err("`slice` takes a text or a list".into()),
    }
}

fn unary(name: &str, value: Value) -> Result<Value, String> {
    let words =
        |change: fn(f64) -> String| number(&value).map(|number| Value::Text(change(number)));
    match name {
        "not" => Ok(Value::Truth(!value.is_true())),
        "humanize" => words(humanize),
        "humanize1024" => words(humanize_binary),
        "humanizeDuration" | "toDuration" => words(humanize_duration),
        "humanizePercentage" => words(humanize_percentage),
        "humanizeTimestamp" | "toTime" => words(humanize_timestamp),
        "len" => length(&value).map(Value::Integer),
        "first" => first(value),
        "value" | "strvalue" => {
            let wanted = if name == "value" {
                "Value"
            } else {
                "__value__"
            };
            let labels = value
                .field("Labels")
                .and_then(|labels| labels.field("__value__"));
            let found = if wanted == "Value" {
                value.field("Value")
            } else {
                labels
            };
            found.ok_or_else(|| format!("`{name}` takes an element of a query's result"))
        }
        "parseDuration" => {
            let text = text(name, &value)?;
            let milliseconds = span::parse(text).map_err(|fault| fault.to_string())?;
            Ok(Value::Float(milliseconds as f64 / 1000.0))
        }
        _ => changed(name, text(name, &value)?).map(Value::Text),
    }
}

fn length(value: &Value) -> Result<i64, String> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Texts(texts) => texts.len(),
        Value::Object(object) => object.items.as_ref().map_or(object.fields.len(), Vec::len),
        other => return Err(format!("{} has no length", other.kind())),
    };
    Ok(i64::try_from(length).unwrap_or(i64::MAX))
}

fn first(value: Value) -> Result<Value, String> {
    match value {
        Value::List(items) => items
            .into_iter()
            .next()
            .ok_or_else(|| "first() called on vector with no elements".into()),
        other => Err(format!(
            "`first` takes a query's result, found {}",
            other.kind()
        )),
    }
}

fn changed(name: &str, text: &str) -> Result<String, String> {
    Ok(match name {
        "toUpper" => text.to_uppercase(),
        "toLower" => text.to_lowercase(),
        "title" => titled(text),
        "trimSpace" => text.trim().to_owned(),
        "safeHtml" | "safeUrl" => text.to_owned(),
        "stripPort" => without_port(text).to_owned(),
        "stripDomain" => {
            let host = without_port(text);
            let port = &text[host.len()..];
            let is_address = host.parse::<std::net::IpAddr>().is_ok();
            let short = host.split('.').next().unwrap_or(host);
            if is_address {
                text.to_owned()
            } else {
                format!("{short}{port}")
            }
        }
        "graphLink" => format!("/graph?g0.expr={}&g0.tab=0", escaped(text)),
        "tableLink" => format!("/graph?g0.expr={}&g0.tab=1", escaped(text)),
        _ => return Err(format!("`{name}` does not take one value")),
    })
}

fn without_port(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((host, port))
            if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            if host.contains(':') && !host.ends_with(']') {
                text
            } else {
                host
            }
        }
        _ => text,
    }
}

/// Every first letter of a word in upper case.
fn titled(text: &str) -> String {
    let mut begins = true;
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if begins {
            out.extend(letter.to_uppercase());
        } else {
            out.push(letter);
        }
        begins = !(letter.is_alphanumeric() || letter == '_' || letter == '\'');
    }
    out
}

fn several(name: &str, arguments: &[Value]) -> Result<Value, String> {
    match (name, arguments) {
        ("match", [pattern, subject]) => {
            let (pattern, subject) = (text(name, pattern)?, text(name, subject)?);
            // Unanchored, as the field's is.
            let found =
                Pattern::new(&format!(".*(?:{pattern}).*")).map_err(|fault| fault.to_string())?;
            Ok(Value::Truth(found.matches(subject)))
        }
        ("reReplaceAll", [pattern, replacement, subject]) => {
            let regex = regex::RegexBuilder::new(text(name, pattern)?);
            replaced(regex, text(name, replacement)?, text(name, subject)?)
        }
        ("label", [label, sample]) => {
            let found = sample
                .field("Labels")
                .and_then(|labels| labels.field(text(name, label).ok()?));
            found.ok_or_else(|| "`label` takes a name and an element of a query's result".into())
        }
        ("sortByLabel", [label, Value::List(items)]) => {
            let label = text(name, label)?;
            let key = |value: &Value| match value
                .field("Labels")
                .and_then(|labels| labels.field(label))
            {
                Some(Value::Text(text)) => text,
                _ => String::new(),
            };
            let mut items = items.clone();
            items.sort_by_cached_key(key);
            Ok(Value::List(items))
        }
        ("join", [separator, Value::List(items)]) => {
            let texts: Vec<String> = items.iter().map(Value::print).collect();
            Ok(Value::Text(texts.join(text(name, separator)?)))
        }
        _ => Err(format!(
            "`{name}` does not take {} values of these kinds",
            arguments.len()
        )),
    }
}

fn replaced(mut regex: regex::RegexBuilder, with: &str, subject: &str) -> Result<Value, String> {
    let regex = regex.size_limit(1 << 20).build().map_err(|fault| {
        let text = fault.to_string();
        format!(
            "`reReplaceAll`: {}",
            text.lines().last().unwrap_or_default()
        )
    })?;
    Ok(Value::Text(regex.replace_all(subject, with).into_owned()))
}
