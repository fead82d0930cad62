//! Faults as text: message, the line that is meant, carets under the token, evidence, hint.

use crate::{Fault, MORE_FAULTS, Place, Role, Source, Style, escaped};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use unicode_width::UnicodeWidthStr;

/// Spaces that a tab is shown as.
const TAB: &str = "    ";

/// One fault, several lines, each ended.
pub fn render(fault: &Fault, sources: &[Source], style: Style) -> String {
    let mut text = format!(
        "{}: {}\n",
        style.paint(Role::Error, "error"),
        style.paint(Role::Message, &escaped(&fault.message))
    );
    let indent = fault
        .place
        .as_ref()
        .map_or(1, |place| place.line.to_string().len());
    if let Some(place) = &fault.place {
        show_place(&mut text, fault, place, sources, style);
    } else if let Some(label) = &fault.label {
        note(&mut text, indent, &escaped(label));
    }
    for line in &fault.evidence {
        note(&mut text, indent, &escaped(line));
    }
    if let Some(hint) = &fault.hint {
        let hint = format!("{}: {}", style.paint(Role::Hint, "hint"), escaped(hint));
        note(&mut text, indent, &hint);
    }
    text
}

/// All faults, a blank line between, and the summary last.
pub fn render_all(faults: &[Fault], sources: &[Source], style: Style) -> String {
    let mut text = String::new();
    for fault in faults {
        text.push_str(&render(fault, sources, style));
        text.push('\n');
    }
    text.push_str(&summary(faults));
    text.push('\n');
    text
}

/// `2 errors in mainstay.yaml; nothing was changed`.
pub fn summary(faults: &[Fault]) -> String {
    let listed = faults.iter().filter(|fault| fault.code != MORE_FAULTS);
    let count = listed.count();
    let more = if count < faults.len() {
        "more than "
    } else {
        ""
    };
    let plural = if count == 1 { "" } else { "s" };
    let files: BTreeSet<_> = faults
        .iter()
        .filter_map(|fault| fault.place.as_ref())
        .map(|place| escaped(&place.file))
        .collect();
    let files: Vec<_> = files.into_iter().collect();
    let files = if files.is_empty() {
        String::new()
    } else {
        format!(" in {}", files.join(" and "))
    };
    format!("{more}{count} error{plural}{files}; nothing was changed")
}

/// A line beside the frame: `  = hint: …`.
fn note(text: &mut String, indent: usize, line: &str) {
    writeln!(text, "{:indent$}= {line}", "").expect("a String takes everything");
}

/// The frame with the line and its carets; only the place when the text is not at hand.
fn show_place(text: &mut String, fault: &Fault, place: &Place, sources: &[Source], style: Style) {
    let number = place.line.to_string();
    let (corner, bar, _) = style.frame();
    let gap = " ".repeat(number.len());
    let name = format!("{}:{}:{}", escaped(&place.file), place.line, place.column);
    let corner = style.paint(Role::Frame, corner);
    let name = style.paint(Role::Place, &name);
    writeln!(text, "{gap}{corner} {name}").expect("a String takes everything");
    let source = sources.iter().find(|source| source.name == place.file);
    let Some(line) = source.and_then(|source| source.line(place.line)) else {
        if let Some(label) = &fault.label {
            note(text, number.len(), &escaped(label));
        }
        return;
    };
    let shown = Shown::cut(line, place, style);
    let carets = format!(
        "{} {}",
        "^".repeat(shown.width),
        escaped(fault.label.as_deref().unwrap_or(""))
    );
    let bar = style.paint(Role::Frame, bar);
    let number = style.paint(Role::Frame, &number);
    let blank = " ".repeat(shown.before);
    let carets = style.paint(Role::Caret, carets.trim_end());
    write!(
        text,
        "{number}{bar} {}\n{gap}{bar} {blank}{carets}\n",
        shown.text
    )
    .expect("a String takes everything");
}

/// A line made fit for the terminal, and where its token stands then, in columns.
struct Shown {
    text: String,
    before: usize,
    width: usize,
}

impl Shown {
    /// Escapes the line and cuts it around the token.
    fn cut(line: &str, place: &Place, style: Style) -> Self {
        let characters: Vec<char> = line.chars().collect();
        let start = (place.column.max(1) - 1).min(characters.len());
        let end = (start + place.width.max(1)).min(characters.len());
        let safe = |part: &[char]| -> String {
            part.iter()
                .map(|&found| match found {
                    '\t' => TAB.to_owned(),
                    other => escaped(other.encode_utf8(&mut [0; 4])).into_owned(),
                })
                .collect()
        };
        let (_, _, mark) = style.frame();
        let columns = style.columns.max(20);
        let columns = if characters.len() <= columns && safe(&characters).width() <= columns {
            usize::MAX / 4
        } else {
            columns
        };
        // A line may be as long as the file: what lies further off than the columns is not touched.
        let far = columns + 1;
        let token = &characters[start..end.min(start + far)];
        let token = keep_start(&safe(token), columns / 2, mark);
        let width = token.width();
        let before = keep_end(
            &safe(&characters[start.saturating_sub(far)..start]),
            (columns - width) / 2,
            mark,
        );
        let left = columns - width - before.width();
        let after = keep_start(
            &safe(&characters[end..characters.len().min(end + far)]),
            left,
            mark,
        );
        Self {
            before: before.width(),
            width: width.max(1),
            text: format!("{before}{token}{after}").trim_end().to_owned(),
        }
    }
}

/// The first so many columns, marked where something was cut.
fn keep_start(text: &str, columns: usize, mark: &str) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let (mut end, mut width) = (0, mark.width());
    for (at, found) in text.char_indices() {
        width += found.encode_utf8(&mut [0; 4]).width();
        if width > columns {
            break;
        }
        end = at + found.len_utf8();
    }
    format!("{}{mark}", &text[..end])
}

/// The last so many columns, marked where something was cut.
fn keep_end(text: &str, columns: usize, mark: &str) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let (mut start, mut width) = (text.len(), mark.width());
    for (at, found) in text.char_indices().rev() {
        width += found.encode_utf8(&mut [0; 4]).width();
        if width > columns {
            break;
        }
        start = at;
    }
    format!("{mark}{}", &text[start..])
}
