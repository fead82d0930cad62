//! The proofs against every vector of transparency-dev/merkle.

use mainstay_atoms::Digest;
use mainstay_ledger::{
    ProofFault, verify_consistency, verify_inclusion, verify_subtree_consistency,
    verify_subtree_inclusion,
};
use serde::Deserialize;
use std::path::PathBuf;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    file: String,
    want_err: bool,
    proof: Option<Vec<String>>,
    leaf_idx: Option<u64>,
    tree_size: Option<u64>,
    start: Option<u64>,
    end: Option<u64>,
    size: Option<u64>,
    size1: Option<u64>,
    size2: Option<u64>,
    root: Option<String>,
    leaf_hash: Option<String>,
    root1: Option<String>,
    root2: Option<String>,
}

/// A field's hash. Ours are 32 bytes by type, so a stand-in takes the place of the authors' shorter
/// dummies: equal texts stay equal. Nothing at all is no hash.
fn hash(text: Option<&String>) -> Option<Digest> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text?)
        .ok()?;
    if bytes.is_empty() {
        return None;
    }
    Some(<[u8; 32]>::try_from(bytes.as_slice()).map_or_else(|_| Digest::of(&bytes), Digest))
}

impl Vector {
    fn holds(&self) -> Option<Result<(), ProofFault>> {
        let proof = self.proof.as_deref().unwrap_or_default();
        let proof: Vec<Digest> = proof
            .iter()
            .map(|text| hash(Some(text)))
            .collect::<Option<_>>()?;
        let proof = proof.as_slice();
        if let Some(index) = self.leaf_idx {
            let (leaf, root) = (hash(self.leaf_hash.as_ref())?, hash(self.root.as_ref())?);
            return Some(match self.tree_size {
                Some(size) => verify_inclusion(index, size, leaf, root, proof),
                None => verify_subtree_inclusion(index, self.start?, self.end?, leaf, root, proof),
            });
        }
        let (old, new) = (hash(self.root1.as_ref())?, hash(self.root2.as_ref())?);
        Some(match self.size1 {
            Some(size) => verify_consistency(size, self.size2?, old, new, proof),
            None => verify_subtree_consistency(self.start?, self.end?, self.size?, old, new, proof),
        })
    }
}

fn folder() -> PathBuf {
    match std::env::var_os("MAINSTAY_CONFORMANCE") {
        Some(folder) => folder.into(),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn every_vector_ends_as_its_authors_say() {
    let folder = folder().join("merkle");
    if !folder.exists() {
        eprintln!("skipped: no vectors in {}", folder.display());
        return;
    }
    let mut checked = 0;
    for name in [
        "inclusion",
        "consistency",
        "subtreeinclusion",
        "subtreeconsistency",
    ] {
        let text = std::fs::read(folder.join(format!("{name}.json"))).unwrap();
        let vectors: Vec<Vector> = serde_json::from_slice(&text).unwrap();
        for vector in vectors {
            let holds = vector.holds() == Some(Ok(()));
            assert_eq!(holds, !vector.want_err, "{name}: {}", vector.file);
            checked += 1;
        }
    }
    assert_eq!(checked, 252);
}
