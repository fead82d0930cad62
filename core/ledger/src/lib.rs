//! The ledger's rules: bytes in, facts out.
//!
//! An append-only log as RFC 6962 has it (SHA-256, leaf prefix 0, node prefix 1) in the C2SP formats
//! tlog-checkpoint, signed-note and tlog-tiles, so that a third party can check it with its own tools.
//!
//! Invariants:
//! - what is hashed is exactly what is stored: [`Entry::encode`] makes the bytes, [`leaf_hash`] takes them;
//! - decoding is total: hostile bytes give a typed fault, never a panic or a large allocation;
//! - [`decide_open`] is the only place that says whether a folder may be written to again;
//! - a log that goes on after a loss does so on another [`Timeline`], which is another origin.
//!
//! What this crate never does: read a clock, a file or entropy, or know what an entry's kind means.
//! Entry points: [`Entry`], [`Frontier`], [`Checkpoint`], [`decide_open`]. Times are [`Wall`] milliseconds.
//!
//! [`Wall`]: mainstay_atoms::Wall

mod checkpoint;
mod entry;
mod note;
mod proof;
mod rule;
mod tile;
mod timeline;
mod tree;

pub use checkpoint::{Checkpoint, CheckpointFault};
pub use entry::{ENTRY_LIMIT, Entry, EntryFault, IdempotencyKey, Kind, KindFault};
pub use note::{NoteFault, PublicKey, SigningKey};
pub use proof::{
    ProofFault, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion,
    verify_subtree_consistency, verify_subtree_inclusion,
};
pub use rule::{Disk, Halt, Loss, Signed, Verdict, decide_open, loss, timeline};
pub use tile::{BundleFault, TILE_WIDTH, bundle_path, decode_bundle, encode_bundle, tile_path};
pub use timeline::Timeline;
pub use tree::{Frontier, empty_root, leaf_hash, node_hash, root_of};
