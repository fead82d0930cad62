//! `schema`: the JSON Schema of the file, for editors.

use crate::terminal;
use mainstay_faults::Exit;

pub(crate) fn run() -> Exit {
    terminal::json(&mainstay_spec::schema());
    Exit::Done
}
