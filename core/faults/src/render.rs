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
        let end = start
            .saturating_add(place.width.max(1))
            .min(characters.len());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Move;

    const TEXT: &[u8] = b"mainstay: 1\nservices:\n  web:\n    replcas: 3\n";

    fn fault(line: usize, column: usize, width: usize) -> Fault {
        Fault::new(Move::You, "unknown_key", "unknown key `replcas`")
            .at(Place {
                file: "mainstay.yaml".into(),
                line,
                column,
                width,
            })
            .label("a service has no such key")
            .hint("did you mean `replicas`?")
    }

    fn shown(text: &str, fault: &Fault, style: Style) -> String {
        render(
            fault,
            &[Source::new("mainstay.yaml", text.as_bytes())],
            style,
        )
    }

    /// The line and the carets of a fault.
    fn middle(text: &str, fault: &Fault, style: Style) -> (String, String) {
        let shown = shown(text, fault, style);
        let lines: Vec<_> = shown.lines().collect();
        (lines[2].to_owned(), lines[3].to_owned())
    }

    #[test]
    fn a_fault_shows_its_line() {
        let sources = [Source::new("mainstay.yaml", TEXT)];
        let text = render_all(&[fault(4, 5, 7)], &sources, Style::default());
        let expected = "error: unknown key `replcas`
 ┌ mainstay.yaml:4:5
4│     replcas: 3
 │     ^^^^^^^ a service has no such key
 = hint: did you mean `replicas`?

1 error in mainstay.yaml; nothing was changed
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_terminal_without_utf_8_gets_ascii() {
        let style = Style {
            ascii: true,
            ..Style::default()
        };
        let text = render(
            &fault(4, 5, 7),
            &[Source::new("mainstay.yaml", TEXT)],
            style,
        );
        assert!(text.is_ascii(), "{text}");
        assert!(text.contains("\n --> mainstay.yaml:4:5\n4|     replcas: 3\n |     ^^^^^^^ a"));
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let style = Style {
            coloured: true,
            ..Style::default()
        };
        let sources = [Source::new("mainstay.yaml", TEXT)];
        let plain = render(&fault(4, 5, 7), &sources, Style::default());
        let coloured = render(&fault(4, 5, 7), &sources, style);
        assert_ne!(coloured, plain);
        let mut stripped = String::new();
        let mut parts = coloured.split('\u{1b}');
        stripped.push_str(parts.next().unwrap_or(""));
        for part in parts {
            stripped.push_str(part.split_once('m').map_or("", |(_, rest)| rest));
        }
        assert_eq!(stripped, plain);
    }

    #[test]
    fn carets_stand_under_wide_characters_and_tabs() {
        let (line, carets) = middle("日本: x", &fault(1, 5, 1), Style::default());
        assert_eq!(line, "1│ 日本: x");
        assert_eq!(carets, " │       ^ a service has no such key");
        let (line, carets) = middle("\tab: x", &fault(1, 2, 2), Style::default());
        assert_eq!(line, "1│     ab: x");
        assert_eq!(carets, " │     ^^ a service has no such key");
        let (_, carets) = middle("日本: x", &fault(1, 1, 2), Style::default());
        assert_eq!(carets, " │ ^^^^ a service has no such key");
    }

    #[test]
    fn long_lines_are_cut_around_the_token() {
        let text = format!("{}token: {}", "a".repeat(5000), "b".repeat(5000));
        let (line, carets) = middle(&text, &fault(1, 5001, 5), Style::default());
        assert!(line.width() <= 103, "{}", line.width());
        assert!(
            line.starts_with("1│ …aaa") && line.ends_with("bbb…"),
            "{line}"
        );
        let from = carets.find('^').expect("carets");
        let start: String = line
            .chars()
            .skip(carets[..from].chars().count())
            .take(5)
            .collect();
        assert_eq!(start, "token");
    }

    #[test]
    fn nothing_of_the_user_steers_the_terminal() {
        let bad = "a\u{1b}]0;x\u{7}b\u{202e}";
        let fault = Fault {
            message: bad.into(),
            label: Some(bad.into()),
            hint: Some(bad.into()),
            evidence: vec![bad.into()],
            path: Some(bad.into()),
            ..fault(1, 2, 1)
        };
        let text = shown(bad, &fault, Style::default());
        assert!(
            !text.contains(|c: char| c.is_control() && c != '\n'),
            "{text:?}"
        );
        assert!(text.contains("\\u{1b}"));
    }

    #[test]
    fn places_beyond_the_text_are_no_panic() {
        for (line, column, width) in [
            (0, 0, 0),
            (9, 1, 1),
            (1, 900, 3),
            (usize::MAX, usize::MAX, usize::MAX / 2),
        ] {
            for text in ["", "x", "é\n"] {
                assert!(
                    shown(text, &fault(line, column, width), Style::default()).contains("hint")
                );
            }
        }
    }

    #[test]
    fn a_fault_without_place_is_shown_too() {
        let fault = Fault::new(Move::Operator, "disk", "the disk is full")
            .evidence("0 bytes free")
            .hint("make room");
        assert_eq!(
            render(&fault, &[], Style::default()),
            "error: the disk is full\n = 0 bytes free\n = hint: make room\n"
        );
        assert_eq!(summary(&[fault]), "1 error; nothing was changed");
    }

    #[test]
    fn programs_get_the_same_facts() {
        let listed = crate::Listed::from(&fault(4, 5, 7));
        let json = serde_json::to_value(&listed).expect("plain data");
        let expected = serde_json::json!({
            "file": "mainstay.yaml", "line": 4, "column": 5, "path": null, "code": "unknown_key",
            "message": "unknown key `replcas`", "hint": "did you mean `replicas`?",
        });
        assert_eq!(json, expected);
    }
}
