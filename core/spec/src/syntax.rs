//! What is wrong with a text before it means anything: encoding, YAML itself, budgets.

use crate::budget;
use crate::node::Span;
use crate::tree::{mistake, place};
use granit_parser::ErrorKind;
use mainstay_faults::{Fault, Move, Place, Source, escaped};

/// What to write into an empty file.
pub(crate) const SMALLEST_FILE: &str =
    "the smallest file is `mainstay: 1`, `name: shop`, `services: { web: { run: ./bin/web } }`";

/// The text of a file: within the budget, UTF-8, without control characters; a byte-order mark at
/// the start is dropped.
pub(crate) fn text_of<'b>(name: &str, bytes: &'b [u8]) -> Result<&'b str, Box<Fault>> {
    if bytes.len() > budget::FILE_BYTES {
        return Err(Box::new(too_large(name, bytes.len())));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let fault = Fault::new(Move::You, "not_utf8", "the file is UTF-16, not UTF-8");
        let fault = fault.at(start_of(name)).hint(format!(
            "convert it: `iconv -f UTF-16 -t UTF-8 {name} > {name}.utf8`"
        ));
        return Err(Box::new(fault));
    }
    if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
        return Err(Box::new(binary(name, bytes, at, "a zero byte")));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let message = format!("byte {:#04x} at offset {at} is not UTF-8", bytes[at]);
        let fault = Fault::new(Move::You, "not_utf8", message).at(place_in(name, bytes, at));
        Box::new(fault.hint("save the file as UTF-8, or convert it with `iconv -t UTF-8`"))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let control = |c: char| c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r');
    match text.char_indices().find(|&(_, found)| control(found)) {
        None => Ok(text),
        Some((at, found)) => {
            let what = format!("the control character `{}`", escaped(&found.to_string()));
            Err(Box::new(binary(name, text.as_bytes(), at, &what)))
        }
    }
}

fn too_large(name: &str, found: usize) -> Fault {
    let message = format!(
        "the file has {found} bytes; the most that is read is {}",
        budget::FILE_BYTES
    );
    Fault::new(Move::You, "too_large", message)
        .at(start_of(name))
        .hint("a platform file holds configuration only; put data into files that `artifact` names")
}

fn binary(name: &str, bytes: &[u8], at: usize, what: &str) -> Fault {
    let message = format!("{what} at offset {at}: this is not a text file");
    Fault::new(Move::You, "binary", message)
        .at(place_in(name, bytes, at))
        .hint(
            "name the YAML file with `-f FILE`; in a quoted text write such a character as `\\x1b`",
        )
}

fn start_of(name: &str) -> Place {
    Place {
        file: name.to_owned(),
        line: 1,
        column: 1,
        width: 1,
    }
}

/// The place of an offset in bytes that may not be text.
fn place_in(name: &str, bytes: &[u8], at: usize) -> Place {
    let before = String::from_utf8_lossy(&bytes[..at]);
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    Place {
        line: before.matches('\n').count() + 1,
        column: before[start..].chars().count() + 1,
        ..start_of(name)
    }
}

/// A file without content.
pub(crate) fn empty(name: &str) -> Fault {
    Fault::new(Move::You, "empty_file", "the file says nothing")
        .at(start_of(name))
        .hint(SMALLEST_FILE)
}

/// A second document.
pub(crate) fn several(sources: &[Source], span: Span) -> Fault {
    let message = "a platform file holds one document".to_owned();
    mistake(sources, span, "several_documents", message)
        .label("a second one begins here")
        .hint("take the `---` away, or move what follows into a file of its own")
}

/// An explicit type.
pub(crate) fn tag(sources: &[Source], span: Span) -> Fault {
    mistake(
        sources,
        span,
        "tag",
        "tags are not part of the language".to_owned(),
    )
    .hint("take the tag away: each key knows its type")
}

/// A map or list where a key belongs.
pub(crate) fn key_is_collection(sources: &[Source], span: Span) -> Fault {
    mistake(
        sources,
        span,
        "wrong_type",
        "a key is a single text".to_owned(),
    )
    .label("this is a map or a list")
    .hint("write `key: value`; a value that begins with `{` or `[` as text needs quotes")
}

/// YAML 1.1's merge key.
pub(crate) fn merge_key(sources: &[Source], span: Span) -> Fault {
    let message = "the merge key `<<` is not part of the language".to_owned();
    mistake(sources, span, "merge_key", message)
        .hint("a service takes over another's keys with `extends: NAME`")
}

/// A key that stands twice in one map.
pub(crate) fn duplicate(sources: &[Source], span: Span, key: &str, first: Span) -> Fault {
    let line = place(sources, first).line;
    mistake(
        sources,
        span,
        "duplicate_key",
        format!("duplicate key `{key}`"),
    )
    .label(format!("first given in line {line}"))
    .hint(format!(
        "keep one of the two `{key}`, here or in line {line}"
    ))
}

/// An alias inside the node that it names.
pub(crate) fn alias_of_itself(sources: &[Source], span: Span) -> Fault {
    let message = "an alias cannot stand inside what it names".to_owned();
    mistake(sources, span, "alias_cycle", message)
        .hint("write the value out, or use `extends: NAME` for a service")
}

/// More aliases than are followed.
pub(crate) fn too_many_aliases(sources: &[Source], span: Span) -> Fault {
    let message = format!("more than {} aliases", budget::ALIASES);
    mistake(sources, span, "too_many_aliases", message)
        .hint("write the values out, or use `extends: NAME` for services")
}

/// More nodes than are kept, aliases followed.
pub(crate) fn too_many_nodes(sources: &[Source], span: Span) -> Fault {
    let message = format!("more than {} values, aliases followed", budget::NODES);
    mistake(sources, span, "too_many_nodes", message)
        .label("reading stopped here")
        .hint("aliases within aliases multiply; write the values out")
}

/// Deeper nesting than is read.
pub(crate) fn too_deep(sources: &[Source], span: Span) -> Fault {
    let message = format!(
        "more than {} maps and lists within one another",
        budget::DEPTH
    );
    mistake(sources, span, "too_deep", message)
        .label("reading stopped here")
        .hint("the language needs nine levels at most; look for brackets that are never closed")
}

/// What the YAML scanner refused.
pub(crate) fn scan(sources: &[Source], span: Span, kind: &ErrorKind, info: &str) -> Fault {
    let (code, message, hint) = match kind {
        ErrorKind::RecursionLimitExceeded => return too_deep(sources, span),
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => (
            "tab",
            "a tab cannot indent".to_owned(),
            "indent with spaces, two a level".to_owned(),
        ),
        ErrorKind::UnknownAnchor => (
            "unknown_name",
            "an alias names nothing above it".to_owned(),
            "write the value out; a text that begins with `*` needs quotes".to_owned(),
        ),
        ErrorKind::DirectiveDisallowed => (
            "yaml_syntax",
            "directives are not part of the language".to_owned(),
            "take the line that begins with `%` away".to_owned(),
        ),
        ErrorKind::UnclosedFlowCollection { open } => (
            "yaml_syntax",
            format!("the bracket `{open}` is never closed"),
            format!("add `{}`", if *open == '{' { '}' } else { ']' }),
        ),
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => (
            "yaml_syntax",
            format!("the bracket `{open}` is closed by `{close}`"),
            format!("close it with `{}`", if *open == '{' { '}' } else { ']' }),
        ),
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation => (
            "yaml_syntax",
            "this line is indented like none above it".to_owned(),
            "line the key up with its neighbours, two spaces a level".to_owned(),
        ),
        ErrorKind::UnclosedQuotedScalar => (
            "yaml_syntax",
            "a quoted text is never closed".to_owned(),
            "add the closing quote on the line where the text ends".to_owned(),
        ),
        ErrorKind::MappingValueNotAllowed => (
            "yaml_syntax",
            "a colon stands where no key can be".to_owned(),
            "put a value that holds `: ` into quotes, or check the indentation".to_owned(),
        ),
        ErrorKind::UnexpectedCharacter { character } => (
            "yaml_syntax",
            format!("a value cannot begin with `{character}`"),
            "put the value into quotes".to_owned(),
        ),
        _ => (
            "yaml_syntax",
            format!("not YAML: {info}"),
            "check indentation, brackets and quotes of this line and the one above".to_owned(),
        ),
    };
    mistake(sources, span, code, message).hint(hint)
}
