//! Tiles and entry bundles as C2SP tlog-tiles lays them out (<https://c2sp.org/tlog-tiles>).

/// Hashes of a full tile, and entries of a full bundle.
pub const TILE_WIDTH: u64 = 256;

/// Why bytes are no entry bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bundle ends within entry {at}")]
pub struct BundleFault {
    /// The entry that is cut, counted from 0 in the bundle.
    pub at: usize,
}

/// The path of a full tile of hashes: `tile/0/x001/x234/067`.
pub fn tile_path(level: u8, number: u64) -> String {
    format!("tile/{level}/{}", split(number))
}

/// The path of a full bundle of entries: `tile/entries/x001/x234/067`.
pub fn bundle_path(number: u64) -> String {
    format!("tile/entries/{}", split(number))
}

/// Groups of three digits, all but the last with an `x`.
fn split(number: u64) -> String {
    let mut text = format!("{:03}", number % 1000);
    let mut rest = number / 1000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    text
}

/// Entries one after the other, each with its length in two bytes. Each has at most 65,535 bytes.
pub fn encode_bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).expect("an entry fits two bytes of length");
        bytes.extend(length.to_be_bytes());
        bytes.extend(entry);
    }
    bytes
}

/// The entries of a bundle.
pub fn decode_bundle(bytes: &[u8]) -> Result<Vec<&[u8]>, BundleFault> {
    let (mut entries, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let fault = BundleFault { at: entries.len() };
        let (&length, tail) = rest.split_first_chunk::<2>().ok_or(fault)?;
        let length = usize::from(u16::from_be_bytes(length));
        let (entry, tail) = tail.split_at_checked(length).ok_or(fault)?;
        entries.push(entry);
        rest = tail;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(tile_path(0, 1_234_067), "tile/0/x001/x234/067");
        assert_eq!(bundle_path(5), "tile/entries/005");
        assert_eq!(tile_path(1, 1000), "tile/1/x001/000");
    }

    #[test]
    fn bundles_read_back_and_cut_ones_do_not() {
        let entries: [&[u8]; 3] = [b"a", b"", b"long"];
        let bytes = encode_bundle(entries);
        assert_eq!(decode_bundle(&bytes).unwrap(), entries);
        assert_eq!(
            decode_bundle(&bytes[..bytes.len() - 1]),
            Err(BundleFault { at: 2 })
        );
    }
}
