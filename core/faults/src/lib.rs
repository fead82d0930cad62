//! What went wrong, where, what was expected, and whose move it is.
//!
//! Every fault that reaches a person ends as a [`Fault`]; libraries keep their own `thiserror` enums
//! and are turned into this one at the edge, in one place. [`render`] and [`render_all`] show faults
//! as text with the line they mean, [`Listed`] is the same as JSON, [`Exit`] is the one mapping to
//! exit codes and [`colour`](Style::coloured) the one mapping to colours; [`nearest`] is the one guess at what a
//! person meant.
//!
//! Invariants: the text is complete without colour; whatever stands in a user's file, no control
//! character of it reaches the terminal. This crate never prints, and reads no file: the texts that
//! places point into are arguments ([`Source`]).

mod escape;
mod exit;
mod fault;
mod nearest;
mod render;
mod source;
mod style;
mod wire;

pub use escape::escaped;
pub use exit::{Exit, REFUSED_BY_POLICY};
pub use fault::{Fault, MORE_FAULTS, Move, Place, chain};
pub use nearest::nearest;
pub use render::{render, render_all, summary};
pub use source::Source;
pub use style::{Role, Style};
pub use wire::Listed;
