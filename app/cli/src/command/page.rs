//! `check page`: whether a status page that was fetched is believed, and what it says.

use crate::argument::{Arguments, CheckAction};
use crate::failure::Failure;
use crate::{show, terminal};
use mainstay_atoms::span;
use mainstay_faults::{Exit, escaped};
use mainstay_status::{BODY_MAX, Expected, Page, PublicKey, believe};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub(crate) fn run(arguments: &Arguments, action: &CheckAction) -> Result<Exit, Failure> {
    let CheckAction::Page { file, key, age } = action;
    let fault = |message: String| Failure::you("page", message);
    let key: PublicKey = key.parse().map_err(|_| {
        fault("`--key` is no key of a status page".into())
            .hint("`mainstay status` shows it where the page is made: `mainstay.status/…`")
    })?;
    let age = span::parse(age).map_err(|why| fault(format!("`--age`: {why}")))?;
    let body = read(file).map_err(|why| fault(format!("`{}`: {why}", file.display())))?;
    let expected = Expected {
        key: &key,
        now_ms: show::time::now(),
        age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
        last: None,
    };
    let page = believe(&body, &expected).map_err(|doubt| {
        fault(format!("the page is not believed: {doubt}"))
            .hint("fetch it anew: `curl -s URL | mainstay check page - --key KEY`")
    })?;
    if arguments.json {
        terminal::json(&page);
    } else {
        terminal::say_out(&text(&page));
    }
    Ok(Exit::Done)
}

/// What a file or standard input holds, and not more than a page and one byte.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    let limit = BODY_MAX as u64 + 1;
    if file == Path::new("-") {
        io::stdin().take(limit).read_to_end(&mut body)?;
    } else {
        File::open(file)?.take(limit).read_to_end(&mut body)?;
    }
    Ok(body)
}

fn text(page: &Page) -> String {
    let (mark, dot) = (terminal::mark("✓"), terminal::mark("·"));
    let (platform, environment) = (escaped(&page.platform), escaped(&page.environment));
    let made = show::time::relative(page.made_ms);
    let (state, epoch, number) = (page.state, page.epoch, page.sequence);
    let mut lines = vec![format!(
        "{mark} {platform} {dot} {environment} {dot} {state}, seen {made}, number {epoch}.{number}"
    )];
    let parts = page.services.iter().chain(&page.checks);
    lines.extend(parts.map(|(name, state)| format!("  {}  {state}", escaped(name))));
    lines.join("\n")
}
