//! The signals process: collects metrics, keeps them, answers queries, judges rules.
//!
//! What this crate never does: write to the terminal, end the process, decide what a platform should look like.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "counts and times become floats, as metrics are"
)]

mod store;
