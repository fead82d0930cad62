//! xxHash64 with seed zero (Collet, "xxHash fast digest algorithm", version 0.1.1).

const PRIMES: [u64; 5] = [
    0x9E37_79B1_85EB_CA87,
    0xC2B2_AE3D_27D4_EB4F,
    0x1656_67B1_9E37_79F9,
    0x85EB_CA77_C2B2_AE63,
    0x27D4_EB2F_1656_67C5,
];

fn round(state: u64, lane: u64) -> u64 {
    state
        .wrapping_add(lane.wrapping_mul(PRIMES[1]))
        .rotate_left(31)
        .wrapping_mul(PRIMES[0])
}

fn word(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// The hash of a text.
pub(crate) fn xx64(bytes: &[u8]) -> u64 {
    let mut rest = bytes;
    let mut hash = if bytes.len() >= 32 {
        let mut states = [
            PRIMES[0].wrapping_add(PRIMES[1]),
            PRIMES[1],
            0,
            0u64.wrapping_sub(PRIMES[0]),
        ];
        while rest.len() >= 32 {
            for (place, state) in states.iter_mut().enumerate() {
                *state = round(*state, word(&rest[8 * place..8 * place + 8]));
            }
            rest = &rest[32..];
        }
        let turns = [1, 7, 12, 18];
        let joined = states.iter().zip(turns).fold(0u64, |sum, (state, turn)| {
            sum.wrapping_add(state.rotate_left(turn))
        });
        states.iter().fold(joined, |hash, state| {
            (hash ^ round(0, *state))
                .wrapping_mul(PRIMES[0])
                .wrapping_add(PRIMES[3])
        })
    } else {
        PRIMES[4]
    };
    hash = hash.wrapping_add(bytes.len() as u64);
    while rest.len() >= 8 {
        hash = (hash ^ round(0, word(&rest[..8])))
            .rotate_left(27)
            .wrapping_mul(PRIMES[0])
            .wrapping_add(PRIMES[3]);
        rest = &rest[8..];
    }
    if rest.len() >= 4 {
        hash = (hash ^ word(&rest[..4]).wrapping_mul(PRIMES[0]))
            .rotate_left(23)
            .wrapping_mul(PRIMES[1])
            .wrapping_add(PRIMES[2]);
        rest = &rest[4..];
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(PRIMES[4]))
            .rotate_left(11)
            .wrapping_mul(PRIMES[0]);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(PRIMES[1]);
    hash = (hash ^ hash >> 29).wrapping_mul(PRIMES[2]);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::xx64;

    #[test]
    fn known_hashes() {
        assert_eq!(xx64(b""), 0xEF46_DB37_51D8_E999);
        assert_eq!(xx64(b"a"), 0xD24E_C4F1_A98C_6E5B);
        assert_eq!(xx64(b"abc"), 0x44BC_2CF5_AD77_0999);
    }
}
