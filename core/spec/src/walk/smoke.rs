//! `smoke`: requests that new instances must answer.

use super::Walk;
use super::fields::{Field, Fields};
use crate::node::Entry;
use crate::shape::Shape;
use mainstay_atoms::{ServiceName, Smoke};
use std::collections::BTreeMap;
use std::time::Duration;

impl Walk<'_> {
    /// All smoke tests of a service; `port` says whether it takes requests.
    pub(super) fn smoke(
        &mut self,
        field: &Field<'_, '_>,
        port: bool,
    ) -> Option<BTreeMap<String, Smoke>> {
        let all = self.all_of(field, Self::smoke_test);
        self.takes_requests(field, port)?;
        all
    }

    fn smoke_test(&mut self, fields: &Fields<'_, '_>, _: &Entry) -> Option<Smoke> {
        let get = self.optional(fields, "get", Self::url_path);
        let expect = self.optional(fields, "expect", Self::whole);
        let contains = self.optional(fields, "contains", |walk, field| {
            Some(walk.scalar(field)?.text.clone())
        });
        let within = self.optional(fields, "within", Self::duration);
        self.missing(fields, "get", "name the path: `get: /`");
        Some(Smoke {
            get: get.ok()??,
            expect: u16::try_from(expect.ok()?.unwrap_or(200)).ok()?,
            contains: contains.ok()?,
            within: within.ok()?.unwrap_or(Duration::from_secs(10)),
        })
    }

    /// Every entry of a map by name.
    pub(super) fn all_of<T>(
        &mut self,
        field: &Field<'_, '_>,
        read: impl Fn(&mut Self, &Fields<'_, '_>, &Entry) -> Option<T>,
    ) -> Option<BTreeMap<String, T>> {
        let Shape::Names(names) = field.key.shape else {
            unreachable!("the table has names here");
        };
        let mut all = Some(BTreeMap::new());
        for entry in self.named(field)?.named() {
            let path = field.path.key(&entry.key.text);
            let name = ServiceName::new(entry.key.text.as_str());
            if let Err(fault) = &name {
                self.bad_name(names.noun, &entry.key.text, entry.key.span, &path, fault);
            }
            let fields = self.fields(&entry.value, entry.key.span, names.value, &path);
            let one = fields.and_then(|fields| read(self, &fields, entry));
            match (name.ok().and(one), &mut all) {
                (Some(one), Some(all)) => drop(all.insert(entry.key.text.clone(), one)),
                _ => all = None,
            }
        }
        all
    }
}
