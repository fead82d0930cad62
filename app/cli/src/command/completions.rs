//! `completions SHELL`.

use crate::argument::Arguments;
use crate::terminal;
use clap::CommandFactory as _;
use clap_complete::Shell;
use mainstay_faults::Exit;

pub(crate) fn run(shell: Shell) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "mainstay", &mut text);
    terminal::say_out(&String::from_utf8_lossy(&text));
    Exit::Done
}
