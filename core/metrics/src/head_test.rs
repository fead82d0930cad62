//! Tests of the head: rows, pages, freezes, and the head that is made again from records.

use super::*;
use crate::block::Block;
use crate::block_writer::BlockWriter;
use crate::page::PageReader;
use crate::sample::is_stale;
use crate::source::Source as _;

const ALL: Select<'_> = Select {
    matchers: &[],
    after_ms: i64::MIN,
    until_ms: i64::MAX,
};

fn labels(name: &str) -> Labels {
    Labels::new([("__name__", name)])
}

/// A head with the bytes of its pages and its log, as a store keeps them.
struct Kept {
    head: Head,
    pages: Vec<u8>,
    records: Vec<Record>,
}

impl Kept {
    fn new() -> Self {
        Self {
            head: Head::new(1000, 100),
            pages: Vec::new(),
            records: Vec::new(),
        }
    }

    fn row(&mut self, group: GroupId, at_ms: i64, values: &[f64]) -> Appended {
        self.records.extend(self.head.fresh());
        let mut values = values.to_vec();
        let appended = self.head.append_row(group, at_ms, &mut values);
        self.records.push(Record::Row {
            group: group.0,
            at_ms,
            values,
        });
        appended
    }

    fn page(&mut self, group: GroupId) {
        let page = self.head.page(group).unwrap().unwrap();
        let place = page.at(self.pages.len() as u64);
        self.pages.extend(&page.bytes);
        self.head.paged(group, place);
        self.records.push(Record::Paged {
            group: group.0,
            offset: place.offset,
        });
    }

    fn seen(&self, head: &Head, name: &str) -> Vec<(i64, f64)> {
        let matchers = [Matcher::equal("__name__", name)];
        let mut reader = PageReader::new(Arc::<[u8]>::from(&self.pages[..]));
        let mut columns = Columns::default();
        for series in head.find(&matchers) {
            let located = head.locate(series, &ALL).unwrap();
            for pages in &located.pages {
                reader
                    .read(pages, located.number, &ALL, &mut columns)
                    .unwrap();
            }
            columns.add(located.tail.view(&located.labels));
        }
        columns.at_ms.into_iter().zip(columns.values).collect()
    }
}

#[test]
fn rows_are_read_back_from_memory_pages_and_blocks() {
    let mut kept = Kept::new();
    let target = kept.head.target("api", "one");
    let a = kept.head.series(target, &labels("a"), false).unwrap();
    let b = kept.head.series(target, &labels("b"), false).unwrap();
    assert_eq!(kept.head.series(target, &labels("a"), false), Ok(a));
    assert_eq!((a.group, a.slot, b.slot), (b.group, 0, 1));
    assert_eq!(kept.row(a.group, 10, &[1.0, 5.0]), Appended::Stored);
    assert_eq!(kept.row(a.group, 10, &[9.0, 9.0]), Appended::Duplicate);
    assert_eq!(kept.row(a.group, 20, &[2.0, gap()]), Appended::Stored);
    assert_eq!(kept.row(a.group, 15, &[9.0, 9.0]), Appended::OutOfOrder);
    kept.page(a.group);
    assert_eq!(kept.row(a.group, 30, &[3.0, 6.0]), Appended::Stored);
    let a_seen = [(10, 1.0), (20, 2.0), (30, 3.0)];
    assert_eq!(kept.seen(&kept.head, "a"), a_seen);
    let b_seen = kept.seen(&kept.head, "b");
    assert_eq!((b_seen[0], b_seen[2]), ((10, 5.0), (30, 6.0)));
    assert!(b_seen[1].0 == 20 && is_stale(b_seen[1].1), "{b_seen:?}");
    kept.page(a.group);
    let frozen = kept.head.freeze(30);
    assert_eq!((frozen.first_ms, frozen.last_ms), (10, 30));
    let mut writer = BlockWriter::new().unwrap();
    let mut reader = PageReader::new(Arc::<[u8]>::from(&kept.pages[..]));
    for one in &frozen.series {
        let mut columns = Columns::default();
        for pages in &one.pages {
            reader.read(pages, one.number, &ALL, &mut columns).unwrap();
        }
        writer.add(columns.view(&one.labels)).unwrap();
    }
    let mut bytes = writer.take();
    bytes.extend(writer.finish().unwrap());
    let block = Block::open(Arc::<[u8]>::from(bytes)).unwrap();
    let mut seen = Vec::new();
    let visit = &mut |view: crate::SeriesView<'_>| {
        seen.push((view.labels.to_string(), view.at_ms.to_vec()));
        true
    };
    block.select(&ALL, visit).unwrap();
    let times = vec![10, 20, 30];
    assert_eq!(
        seen,
        [
            ("{__name__=\"a\"}".to_owned(), times.clone()),
            ("{__name__=\"b\"}".to_owned(), times)
        ]
    );
    assert_eq!(kept.row(a.group, 30, &[4.0, 4.0]), Appended::Duplicate);
    assert_eq!(kept.row(a.group, 40, &[4.0, 4.0]), Appended::Stored);
    assert_eq!(kept.seen(&kept.head, "a"), [(40, 4.0)]);
}

#[test]
fn another_head_is_made_from_records_and_pages() {
    let mut kept = Kept::new();
    let target = kept.head.target("api", "one");
    let a = kept.head.series(target, &labels("a"), false).unwrap();
    for at in 1..=5 {
        kept.row(a.group, at * 10, &[at as f64]);
        if at == 3 {
            kept.page(a.group);
        }
    }
    let own = kept.head.series(target, &labels("own"), true).unwrap();
    kept.records.extend(kept.head.fresh());
    for (at_ms, value) in [(7, 1.0), (9, 2.0)] {
        let value = Value::Float(value);
        assert_eq!(
            kept.head.append(own.series, at_ms, value.clone()),
            Appended::Stored
        );
        kept.records.push(Record::Sample {
            number: own.series.0,
            at_ms,
            value,
        });
    }
    let mut again = Head::new(1000, 100);
    for record in kept.records.iter().filter(|record| {
        !matches!(
            record,
            Record::Row { .. } | Record::Sample { .. } | Record::Paged { .. }
        )
    }) {
        again.replay(record.clone());
    }
    let pages = kept.head.locate(a.series, &ALL).unwrap().pages;
    again.replay(Record::Page {
        group: a.group.0,
        page: pages[0][0],
    });
    for record in &kept.records {
        again.replay(Record::read(&record.bytes(), 0).unwrap());
    }
    again.replayed(i64::MIN);
    for name in ["a", "own"] {
        assert_eq!(
            kept.seen(&again, name),
            kept.seen(&kept.head, name),
            "{name}"
        );
    }
    assert_eq!(kept.seen(&again, "a").len(), 5);
    assert_eq!(again.unpaged(a.group).0, 2);
    // The definitions alone make the same seats.
    let mut third = Head::new(1000, 100);
    kept.head
        .definitions()
        .for_each(|record| third.replay(record));
    third.replayed(i64::MIN);
    let target = third.target("api", "one");
    assert_eq!(third.series(target, &labels("a"), false), Ok(a));
    assert!(third.fresh().is_empty());
}

#[test]
fn series_that_two_targets_show_have_times_of_their_own() {
    let mut kept = Kept::new();
    let (one, two) = (
        kept.head.target("api", "one"),
        kept.head.target("api", "two"),
    );
    let first = kept.head.series(one, &labels("a"), false).unwrap();
    kept.row(first.group, 10, &[1.0]);
    let second = kept.head.series(two, &labels("a"), false).unwrap();
    assert!(second.own && second.series == first.series);
    assert_eq!(
        kept.head.append(second.series, 15, Value::Float(2.0)),
        Appended::Stored
    );
    assert_eq!(kept.seen(&kept.head, "a"), [(10, 1.0), (15, 2.0)]);
    // One that left hands its series on.
    let third = kept.head.series(one, &labels("b"), false).unwrap();
    kept.row(third.group, 20, &[gap(), 1.0]);
    kept.head.leave(one);
    let moved = kept.head.series(two, &labels("b"), false).unwrap();
    assert!(!moved.own && moved.group != third.group);
    kept.row(moved.group, 30, &[2.0]);
    assert_eq!(kept.seen(&kept.head, "b"), [(20, 1.0), (30, 2.0)]);
}

#[test]
fn owners_have_limits_and_the_unseen_go() {
    let mut head = Head::new(1000, 2);
    let (one, two) = (head.target("api", "1"), head.target("web", "2"));
    let seat = head.series(one, &labels("a"), false).unwrap();
    head.series(one, &labels("b"), false).unwrap();
    let full = head.series(one, &labels("c"), false).unwrap_err();
    assert_eq!(
        full.to_string(),
        "`api` has 2 series, its limit; {__name__=\"c\"} is refused"
    );
    head.series(two, &labels("c"), false).unwrap();
    head.append_row(seat.group, 1, &mut [1.0, gap()]);
    let page = head.page(seat.group).unwrap().unwrap();
    head.paged(seat.group, page.at(0));
    assert_eq!(head.freeze(1).series.len(), 1);
    assert_eq!(
        (head.len(), head.owned("api"), head.owned("web")),
        (1, 1, 0)
    );
    assert!(head.series(one, &labels("c"), false).is_ok());
    assert!(head.find(&[Matcher::equal("__name__", "b")]).is_empty());
}
