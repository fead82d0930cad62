//! Blocks as their bytes say they are: chunks in their files, every section of the index, and what is refused.

use super::*;
use std::convert::Infallible;

fn chunk(first_ms: i64, last_ms: i64) -> Chunk {
    Chunk {
        first_ms,
        last_ms,
        samples: 2,
        encoding: Encoding::Float,
        is_custom: false,
        bytes: b"123456789".to_vec(),
    }
}

fn labels(name: &str, job: &str) -> Labels {
    Labels::new([("__name__", name), ("job", job)])
}

fn index(sorted: &SortedBlock) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written: Result<(), Infallible> = sorted.write(&mut |some| {
        bytes.extend_from_slice(some);
        Ok(())
    });
    written.unwrap();
    bytes
}

fn long(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap())).unwrap()
}

fn word(bytes: &[u8], at: usize) -> usize {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// The content of a section, whose checksum is right.
fn section(bytes: &[u8], at: usize) -> &[u8] {
    let length = word(bytes, at);
    let content = &bytes[at + 4..at + 4 + length];
    let crc = crc32c::crc32c(content) as usize;
    assert_eq!(word(bytes, at + 4 + length), crc);
    content
}

#[test]
fn the_checksum_is_castagnolis() {
    // The check value of CRC-32C, as catalogues name it (RFC 3720, B.4, has more).
    assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
}

#[test]
fn chunks_are_placed_one_after_the_other() {
    let mut builder = BlockBuilder::default();
    let first = builder.add(&labels("a", "x"), &chunk(0, 10));
    assert_eq!(first.segment, 1);
    assert_eq!(first.bytes[..8], SEGMENT);
    assert_eq!(first.bytes[8..10], [9, 1]);
    let crc = crc32c::crc32c(b"\x01123456789").to_be_bytes();
    assert_eq!(first.bytes[19..], crc);
    let second = builder.add(&labels("a", "x"), &chunk(11, 20));
    assert_eq!((second.segment, second.bytes.len()), (1, 15));
    // The next one would not fit.
    builder.end = SEGMENT_MAX - 10;
    let third = builder.add(&labels("b", "x"), &chunk(0, 20));
    assert_eq!((third.segment, third.bytes.len()), (2, 23));
    let stats = BlockStats {
        series: 2,
        chunks: 3,
        floats: 6,
        ..BlockStats::default()
    };
    assert_eq!(builder.stats(), stats);
    let sorted = builder.sort().unwrap();
    let references: Vec<u64> = sorted
        .entries
        .iter()
        .flat_map(|entry| entry.chunks.iter().map(|place| place.reference))
        .collect();
    assert_eq!(references, [8, 23, 1 << 32 | 8]);
}

#[test]
fn an_index_has_every_section_where_its_contents_say() {
    let mut builder = BlockBuilder::default();
    // In an order that is not that of the format.
    for (name, job) in [("up", "b"), ("up", "a"), ("zürich", "a"), ("load", "b")] {
        builder.add(&labels(name, job), &chunk(1000, 2000));
        builder.add(&labels(name, job), &chunk(2000, 2500));
    }
    let bytes = index(&builder.sort().unwrap());
    assert_eq!(bytes[..5], INDEX);
    let contents = bytes.len() - 52;
    let crc = crc32c::crc32c(&bytes[contents..bytes.len() - 4]) as usize;
    assert_eq!(word(&bytes, bytes.len() - 4), crc);
    let places: Vec<usize> = (0..6)
        .map(|place| long(&bytes, contents + 8 * place))
        .collect();
    let [symbols, series, 0, 0, postings, table] = places[..] else {
        panic!("{places:?}");
    };
    let texts = section(&bytes, symbols);
    let expected = "\x08__name__\x01a\x01b\x03job\x04load\x02up\x07zürich";
    assert_eq!(texts, [&[0, 0, 0, 7], expected.as_bytes()].concat());
    assert_eq!((symbols, series % 16), (5, 0));
    // The first series is `load` of `b`: two labels, two chunks.
    let length = usize::from(bytes[series]);
    let content = &bytes[series + 1..=series + length];
    assert_eq!(
        content,
        [
            2, 0, 4, 3, 2, // labels by their texts
            2, // chunks
            0xd0, 0x0f, 0xe8, 0x07, 98, // 1000 in zigzag form, 1000 longer, place 98
            0, 0xf4, 0x03, 30, // at once, 500 longer, 15 bytes on in zigzag form
        ]
    );
    let crc = crc32c::crc32c(content) as usize;
    assert_eq!(word(&bytes, series + 1 + length), crc);
    // All of them, 48 bytes apart at most: each fits into two steps of sixteen.
    let all = section(&bytes, postings);
    assert_eq!(word(all, 0), 4);
    let references: Vec<usize> = (1..5).map(|place| word(all, 4 * place)).collect();
    assert_eq!(references[0] * 16, series);
    assert!(references.is_sorted());
    // No label, then those of the metric's name, then the jobs.
    let mut keys = Vec::new();
    let mut rest = &section(&bytes, table)[4..];
    while let [2, tail @ ..] = rest {
        let mut tail = crate::codec::Bytes(tail);
        let key = (tail.text().unwrap(), tail.text().unwrap());
        let list = section(&bytes, tail.length().unwrap());
        keys.push((key, word(list, 0)));
        rest = tail.0;
    }
    assert_eq!(
        keys,
        [
            (("", ""), 4),
            (("__name__", "load"), 1),
            (("__name__", "up"), 2),
            (("__name__", "zürich"), 1),
            (("job", "a"), 2),
            (("job", "b"), 2),
        ]
    );
}

#[test]
fn what_would_make_an_index_nobody_reads_is_refused() {
    let mut builder = BlockBuilder::default();
    for name in ["a", "b", "a"] {
        builder.add(&labels(name, "x"), &chunk(0, 1));
    }
    let fault = builder.sort().unwrap_err();
    assert!(matches!(fault, IndexFault::Twice { .. }), "{fault}");
    let mut builder = BlockBuilder::default();
    builder.add(&labels("a", "x"), &chunk(0, 5));
    builder.add(&labels("a", "x"), &chunk(4, 9));
    let fault = builder.sort().unwrap_err();
    assert!(
        matches!(fault, IndexFault::Order { at_ms: 4, .. }),
        "{fault}"
    );
}
