//! Hashes of the tree and its growing right edge.

use mainstay_atoms::Digest;

const LEAF: u8 = 0;
const NODE: u8 = 1;

/// The hash of a leaf: SHA-256 of byte 0 and the stored bytes (RFC 6962, 2.1).
pub fn leaf_hash(bytes: &[u8]) -> Digest {
    Digest::of_parts(&[&[LEAF], bytes])
}

/// The hash of a node: SHA-256 of byte 1, left and right (RFC 6962, 2.1).
pub fn node_hash(left: Digest, right: Digest) -> Digest {
    let mut bytes = [NODE; 65];
    bytes[1..33].copy_from_slice(&left.0);
    bytes[33..].copy_from_slice(&right.0);
    Digest::of(&bytes)
}

/// The root of a tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> Digest {
    Digest::of(&[])
}

/// The root over these leaf hashes.
pub fn root_of(leaves: &[Digest]) -> Digest {
    let mut frontier = Frontier::default();
    for &leaf in leaves {
        frontier.push(leaf);
    }
    frontier.root()
}

/// The right edge of a tree: the roots of its full subtrees, largest first. Enough to append and to
/// know the root, in at most 64 hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Digest>,
}

impl Frontier {
    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends one leaf hash.
    pub fn push(&mut self, leaf: Digest) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("one peak for each bit of the size");
            hash = node_hash(left, hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root of the tree as it stands.
    pub fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev().copied();
        let Some(smallest) = peaks.next() else {
            return empty_root();
        };
        peaks.fold(smallest, |right, left| node_hash(left, right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_root_is_the_standards() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Frontier::default().root().to_hex(), hex);
    }

    #[test]
    fn eight_leaves_have_the_published_root() {
        // RFC 6962's reference leaves, as in every implementation's tests.
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let hashes: Vec<Digest> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
        assert_eq!(
            root_of(&hashes).to_hex(),
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
        );
        assert_eq!(
            root_of(&hashes[..3]).to_hex(),
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
        );
    }
}
