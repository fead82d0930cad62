//! The user's file: text in, [`Platform`] or all its mistakes out.

mod platform;

pub use platform::{Amount, GatewayPorts, Platform, Rolling, Service};
