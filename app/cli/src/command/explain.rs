//! `explain PATH`: what a value is, and who set it.

use crate::argument::Arguments;
use crate::failure::Failure;
use crate::{context, terminal};
use mainstay_faults::{Exit, escaped};
use mainstay_spec::Explanation;

pub(crate) fn run(arguments: &Arguments, path: &str) -> Result<Exit, Failure> {
    let file = context::read(arguments)?;
    let resolved = file.resolve(arguments)?;
    let explanation = mainstay_spec::explain(&resolved, path)
        .map_err(|fault| Failure::of_file(vec![*fault], file.sources()))?;
    if arguments.json {
        terminal::json(&explanation);
    } else {
        terminal::say_out(&show(&explanation));
    }
    Ok(Exit::Done)
}

fn show(explanation: &Explanation) -> String {
    let mut lines = vec![explanation.path.clone()];
    let mut line = |name: &str, text: &str| lines.push(format!("  {name:<8} {}", escaped(text)));
    let value = explanation.value.as_deref().unwrap_or("not given");
    line(
        "value",
        &format!(
            "{value}{}",
            if explanation.is_default {
                " (default)"
            } else {
                ""
            }
        ),
    );
    line("takes", &explanation.kind);
    if let Some(default) = &explanation.default {
        line("default", default);
    }
    line("means", &explanation.meaning);
    for (place, origin) in explanation.origins.iter().enumerate() {
        let name = if place == 0 { "set by" } else { "" };
        line(
            name,
            &format!("{}:{}  {}", origin.file, origin.line, origin.what),
        );
    }
    if let Some(example) = &explanation.example {
        line("example", example);
    }
    lines.join("\n")
}
