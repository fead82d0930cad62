//! What one file may cost.

/// Bytes of a file: a thousand services take 300 KB.
pub(crate) const FILE_BYTES: usize = 4 << 20;
/// Nodes after aliases are followed: a thousand services take 30 000.
pub(crate) const NODES: usize = 250_000;
/// Maps and lists within one another: the language needs nine.
pub(crate) const DEPTH: usize = 64;
/// Aliases that are followed.
pub(crate) const ALIASES: usize = 1000;
/// Characters of a key that YAML looks ahead for its colon.
pub(crate) const KEY_CHARACTERS: usize = 1024;
/// Faults that are listed.
pub(crate) const FAULTS: usize = 100;
/// Faults that are kept before the first ones by place are chosen.
pub(crate) const FAULTS_KEPT: usize = 2000;
/// Nodes of all environments together when every one of them is checked.
pub(crate) const CHECKED_NODES: usize = 5_000_000;
