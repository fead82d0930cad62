//! Ledger entries, bundles, checkpoints and keys from hostile bytes: a typed fault or a value that
//! writes back the very same bytes, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_ledger::{
    Checkpoint, Entry, PublicKey, SigningKey, decode_bundle, encode_bundle,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(entry) = Entry::decode(bytes) {
        assert_eq!(entry.encode().as_deref(), Ok(bytes));
    }
    if let Ok(entries) = decode_bundle(bytes) {
        assert_eq!(encode_bundle(entries), bytes);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(key) = text.parse::<PublicKey>() {
        assert_eq!(key.to_string(), text);
    }
    let key = SigningKey::from_seed(&[7; 32]).expect("any seed makes a key");
    assert!(
        Checkpoint::verify(text, key.public()).is_err(),
        "nobody forges a signature"
    );
});
