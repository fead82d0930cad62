//! Runs scripts of the `PromQL` acceptance language against the query engine: text in, a verdict a case out.
//!
//! [`run`] plays one script. Each `eval` is a case; an instant one is played as a range query too, whose middle
//! step must agree, and pinned to its time with `@` and evaluated at other times, which must agree too. A failed case does not end a script; a line that cannot be read does.
#![expect(
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "values are floats, and the tolerance of the language is part of what is checked"
)]

mod compare;
mod convert;
mod pin;
mod run;
mod script;

pub use run::{Report, run};
