//! `check`: all mistakes of the file, in every environment or the one named.

use crate::argument::Arguments;
use crate::attach::attach;
use crate::context;
use crate::failure::Failure;
use crate::terminal;
use mainstay_faults::Exit;

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let file = context::read(arguments)?;
    let checked = mainstay_spec::check(&file.tree, arguments.environment.as_deref(), file.sets());
    let resolved = checked.map_err(|faults| Failure::of_file(faults, file.sources()))?;
    for one in &resolved {
        attach(&file, one, &mut one.platform.clone())?;
    }
    if arguments.json {
        terminal::json(&serde_json::json!({ "ok": true, "errors": [] }));
        return Ok(Exit::Done);
    }
    for one in &resolved {
        let platform = &one.platform;
        let (services, domains) = (platform.services.len(), platform.domains.len());
        terminal::say_out(&format!(
            "{} {} {} {}: {services} services, {domains} domains",
            terminal::mark("✓"),
            platform.name,
            terminal::mark("·"),
            platform.environment,
        ));
    }
    Ok(Exit::Done)
}
