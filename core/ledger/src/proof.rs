//! Proofs that an entry is in a tree and that one tree grew from another.
//!
//! Verification follows RFC 9162 (2.1.3.2, 2.1.4.2) and, for subtrees, the IETF draft "Merkle Tree
//! Certificates" (section 4); making follows RFC 6962's recursive definition.

use crate::tree::{empty_root, node_hash, root_of};
use mainstay_atoms::Digest;

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// The numbers name no such leaf or tree.
    #[error("no proof exists for these sizes: {first} and {second}")]
    Sizes {
        /// Leaf index, or the smaller size.
        first: u64,
        /// Tree size, or the larger size.
        second: u64,
    },
    /// Too few or too many hashes.
    #[error("the proof has {found} hashes, which cannot fit these sizes")]
    Length {
        /// How many there are.
        found: usize,
    },
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// Checks that the leaf hash stands at `index` in the tree of `size` leaves with this root.
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: Digest,
    root: Digest,
    proof: &[Digest],
) -> Result<(), ProofFault> {
    if index >= size {
        return Err(ProofFault::Sizes {
            first: index,
            second: size,
        });
    }
    let length = ProofFault::Length { found: proof.len() };
    let (mut node, mut last, mut hash) = (index, size - 1, leaf);
    for &sibling in proof {
        if last == 0 {
            return Err(length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, hash);
            let level = if node == 0 { 0 } else { node.trailing_zeros() };
            (node, last) = (node >> level, last >> level);
        } else {
            hash = node_hash(hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(length);
    }
    equal(hash, root)
}

/// Checks that the tree of `size` leaves begins with the tree of `old_size` leaves. The empty tree
/// proves nothing about another, so it is consistent with itself alone.
pub fn verify_consistency(
    old_size: u64,
    size: u64,
    old_root: Digest,
    root: Digest,
    proof: &[Digest],
) -> Result<(), ProofFault> {
    if old_size == 0 && size != 0 {
        return Err(ProofFault::Sizes {
            first: old_size,
            second: size,
        });
    }
    if old_size == size {
        equal(old_root, root)?;
    }
    verify_subtree_consistency(0, old_size, size, old_root, root, proof)
}

/// Checks that the leaf hash stands at `index` in the subtree of leaves `start..end`.
pub fn verify_subtree_inclusion(
    index: u64,
    start: u64,
    end: u64,
    leaf: Digest,
    root: Digest,
    proof: &[Digest],
) -> Result<(), ProofFault> {
    if !is_subtree(start, end) || index < start || index >= end {
        return Err(ProofFault::Sizes {
            first: index,
            second: end,
        });
    }
    verify_inclusion(index - start, end - start, leaf, root, proof)
}

/// Checks that the subtree of leaves `start..end` belongs to the tree of `size` leaves.
pub fn verify_subtree_consistency(
    start: u64,
    end: u64,
    size: u64,
    subtree_root: Digest,
    root: Digest,
    proof: &[Digest],
) -> Result<(), ProofFault> {
    if start == end && end <= size {
        return verify_nothing(subtree_root, proof);
    }
    if !is_subtree(start, end) || end > size {
        return Err(ProofFault::Sizes {
            first: end,
            second: size,
        });
    }
    let (mut first, mut inner, mut outer) = (start, end - 1, size - 1);
    let at_edge = inner == outer;
    while first != inner && (at_edge || inner & 1 == 1) {
        (first, inner, outer) = (first >> 1, inner >> 1, outer >> 1);
    }
    let length = ProofFault::Length { found: proof.len() };
    let (seed, rest) = if first == inner {
        (subtree_root, proof)
    } else {
        let (&seed, rest) = proof.split_first().ok_or(length)?;
        (seed, rest)
    };
    let (mut old, mut new) = (seed, seed);
    for &sibling in rest {
        if outer == 0 {
            return Err(length);
        }
        if inner & 1 == 1 || inner == outer {
            if first < inner {
                old = node_hash(sibling, old);
            }
            new = node_hash(sibling, new);
            let level = if inner == 0 {
                0
            } else {
                inner.trailing_zeros()
            };
            (first, inner, outer) = (first >> level, inner >> level, outer >> level);
        } else {
            new = node_hash(new, sibling);
        }
        (first, inner, outer) = (first >> 1, inner >> 1, outer >> 1);
    }
    if outer != 0 {
        return Err(length);
    }
    equal(old, subtree_root)?;
    equal(new, root)
}

/// A subtree without leaves belongs to every tree, and needs no proof.
fn verify_nothing(subtree_root: Digest, proof: &[Digest]) -> Result<(), ProofFault> {
    if proof.is_empty() {
        equal(subtree_root, empty_root())
    } else {
        Err(ProofFault::Length { found: proof.len() })
    }
}

/// The proof that leaf `index` is in the tree over these leaf hashes; `None` when there is no such leaf.
pub fn inclusion_proof(index: usize, leaves: &[Digest]) -> Option<Vec<Digest>> {
    if index >= leaves.len() {
        return None;
    }
    let mut proof = Vec::new();
    let (mut index, mut leaves) = (index, leaves);
    while leaves.len() > 1 {
        let (left, right) = leaves.split_at(split(leaves.len()));
        if index < left.len() {
            proof.push(root_of(right));
            leaves = left;
        } else {
            proof.push(root_of(left));
            index -= left.len();
            leaves = right;
        }
    }
    proof.reverse();
    Some(proof)
}

/// The proof that the tree over these leaf hashes begins with its first `old_size` leaves; `None` for
/// an empty old tree or one that is larger.
pub fn consistency_proof(old_size: usize, leaves: &[Digest]) -> Option<Vec<Digest>> {
    if old_size == 0 || old_size > leaves.len() {
        return None;
    }
    let mut proof = Vec::new();
    let (mut size, mut leaves, mut whole) = (old_size, leaves, true);
    while size < leaves.len() {
        let (left, right) = leaves.split_at(split(leaves.len()));
        if size <= left.len() {
            proof.push(root_of(right));
            leaves = left;
        } else {
            proof.push(root_of(left));
            size -= left.len();
            leaves = right;
            whole = false;
        }
    }
    if !whole {
        proof.push(root_of(leaves));
    }
    proof.reverse();
    Some(proof)
}

/// The largest power of two below `size`, which is at least 2.
fn split(size: usize) -> usize {
    1 << (size - 1).ilog2()
}

/// A subtree begins at a multiple of the power of two that holds it.
fn is_subtree(start: u64, end: u64) -> bool {
    start < end
        && (end - start)
            .checked_next_power_of_two()
            .is_some_and(|width| start.is_multiple_of(width))
}

fn equal(found: Digest, wanted: Digest) -> Result<(), ProofFault> {
    if found == wanted {
        Ok(())
    } else {
        Err(ProofFault::Root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::leaf_hash;
    use proptest::prelude::*;

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    proptest! {
        #[test]
        fn a_made_proof_holds_and_a_changed_one_does_not(size in 1_usize..200, pick: usize, flip: usize) {
            let leaves = leaves(size);
            let (index, root) = (pick % size, root_of(&leaves));
            let mut proof = inclusion_proof(index, &leaves).unwrap();
            let check = |proof: &[Digest]| verify_inclusion(index as u64, size as u64, leaves[index], root, proof);
            prop_assert_eq!(check(&proof), Ok(()));
            proof.push(root);
            prop_assert!(check(&proof).is_err());
            proof.pop();
            if !proof.is_empty() {
                let at = flip % proof.len();
                proof[at].0[flip % 32] ^= 1;
                prop_assert!(check(&proof).is_err());
            }
        }

        #[test]
        fn growth_is_proved_and_only_growth(old in 1_usize..200, more in 0_usize..200) {
            let leaves = leaves(old + more);
            let (old_root, root) = (root_of(&leaves[..old]), root_of(&leaves));
            let proof = consistency_proof(old, &leaves).unwrap();
            let (old, size) = (old as u64, leaves.len() as u64);
            prop_assert_eq!(verify_consistency(old, size, old_root, root, &proof), Ok(()));
            prop_assert!(verify_consistency(old, size, leaf_hash(b"x"), root, &proof).is_err());
        }
    }
}
