//! `schema`: the JSON Schema of the file, for editors.

use crate::argument::Arguments;
use crate::failure::Failure;
use crate::terminal;
use mainstay_faults::Exit;

pub(crate) fn run(_: &Arguments) -> Result<Exit, Failure> {
    terminal::json(&mainstay_spec::schema());
    Ok(Exit::Done)
}
