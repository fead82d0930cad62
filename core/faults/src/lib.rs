//! What went wrong, where, what was expected, and whose move it is.
//!
//! Every fault that reaches a person ends as a [`Fault`]; libraries keep their own `thiserror` enums
//! and are turned into this one at the edge, in one place.

mod fault;

pub use fault::{Fault, Move, Place};
