//! Channels: hands messages to people and machines, each within a deadline, and says what came of it.
