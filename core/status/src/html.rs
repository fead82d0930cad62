//! A page for people.

use crate::page::{Page, State};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Seconds after which a browser asks again.
const AGAIN: u32 = 15;

/// Reads in black on white and white on black alike; every state is a word.
const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:40em;margin:2em auto;padding:0 1em}\
th,td{text-align:left;padding:.2em 1.5em .2em 0}pre{white-space:pre-wrap;word-break:break-all}";

/// The page, and at its end the note that machines verify.
pub(crate) fn render(page: &Page, note: &str) -> String {
    let place = escaped(&format!("{} / {}", page.platform, page.environment));
    let made = civil(page.made_ms);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"refresh\" content=\"{AGAIN}\">\n\
         <title>{place}: {state}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>{place}: {state}</h1>\n\
         <p>Seen at <time datetime=\"{made}\">{made}</time>. If that is more than a minute ago, whoever looks after \
         the platform is gone, and this page no longer says how it is.</p>\n",
        state = page.state,
    );
    table(&mut out, "Services", &page.services);
    table(&mut out, "Checks", &page.checks);
    let note = escaped(note);
    // Writing to a text cannot fail.
    write!(
        out,
        "<details>\n<summary>Signed, for machines</summary>\n<pre>{note}</pre>\n</details>\n</body>\n</html>\n"
    )
    .ok();
    out
}

fn table(out: &mut String, title: &str, rows: &BTreeMap<String, State>) {
    if rows.is_empty() {
        return;
    }
    write!(out, "<h2>{title}</h2>\n<table>\n").ok();
    for (name, state) in rows {
        let name = escaped(name);
        writeln!(
            out,
            "<tr><th scope=\"row\">{name}</th><td>{state}</td></tr>"
        )
        .ok();
    }
    out.push_str("</table>\n");
}

fn civil(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| ms.to_string(), |time| time.to_string())
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            one => out.push(one),
        }
    }
    out
}
