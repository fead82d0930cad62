//! The only file that writes to the terminal.

use mainstay_faults::Style;
use serde::Serialize;
use std::io::{IsTerminal as _, Write as _};

/// How talk looks.
pub(crate) fn style() -> Style {
    let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    Style {
        ascii: !utf8(),
        coloured,
        columns: 100,
    }
}

/// Whether the locale takes more than ASCII; an unset locale is taken for one that does.
pub(crate) fn utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty());
    set.is_none_or(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("utf-8") || value.contains("utf8")
    })
}

/// Whether talk is redrawn in place.
pub(crate) fn live() -> bool {
    std::io::stderr().is_terminal()
}

/// A line of talk. A closed pipe takes nothing; there is nobody to tell.
pub(crate) fn say(text: &str) {
    drop(writeln!(
        std::io::stderr().lock(),
        "{}",
        text.trim_end_matches('\n')
    ));
}

/// Talk without a line end, for redrawing.
pub(crate) fn draw(text: &str) {
    let mut stderr = std::io::stderr().lock();
    drop(
        stderr
            .write_all(text.as_bytes())
            .and_then(|()| stderr.flush()),
    );
}

/// Draws lines over the `drawn` ones that stand there; how many stand there now.
pub(crate) fn redraw(text: &str, drawn: usize) -> usize {
    let cut = |line: &str| line.chars().take(100).collect::<String>();
    let body: Vec<String> = text
        .lines()
        .map(|line| format!("\u{1b}[2K{}\n", cut(line)))
        .collect();
    let up = if drawn > 0 {
        format!("\u{1b}[{drawn}A")
    } else {
        String::new()
    };
    draw(&format!("{up}{}\u{1b}[J", body.concat()));
    body.len()
}

/// A line that somebody types as the answer; none where nobody can be asked.
pub(crate) fn ask(question: &str) -> Option<String> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return None;
    }
    draw(question);
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).ok()?;
    Some(answer)
}

/// A piece of data with its line end.
pub(crate) fn say_out(text: &str) {
    drop(writeln!(
        std::io::stdout().lock(),
        "{}",
        text.trim_end_matches('\n')
    ));
}

/// Data as JSON.
pub(crate) fn json<T: Serialize>(value: &T) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => say_out(&text),
        Err(fault) => say(&format!(
            "error: the answer cannot be written as JSON: {fault}"
        )),
    }
}

/// The mark of a line, in ASCII where the locale asks for it.
pub(crate) fn mark(unicode: &'static str) -> &'static str {
    if utf8() {
        return unicode;
    }
    match unicode {
        "✓" => "ok",
        "✗" => "x",
        "▸" => ">",
        "○" => "o",
        "→" => "->",
        "·" => "-",
        "…" => "...",
        other => other,
    }
}
