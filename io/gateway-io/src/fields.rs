//! The fields of a head: as they lie in what was read, or in the map of a library.

use crate::name::Name;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::ops::Range;

/// Fields, in order.
#[derive(Debug)]
pub(crate) enum Fields {
    Read(Lines),
    Map(HeaderMap),
}

/// Fields where they were read: no copy, no hash.
#[derive(Debug)]
pub(crate) struct Lines {
    text: Bytes,
    places: Vec<Place>,
    /// One bit for each [`Name`] that there is.
    present: u32,
}

/// Where a field lies.
#[derive(Debug)]
pub(crate) struct Place {
    known: Name,
    name: Range<usize>,
    value: Range<usize>,
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) known: Name,
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl Fields {
    /// Notes where fields lie; they borrow from `text`.
    pub(crate) fn read(text: Bytes, fields: &[httparse::Header<'_>]) -> Self {
        let place = |part: &[u8]| {
            let start = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
            let fits = !part.is_empty() && start < text.len();
            if fits {
                start..start + part.len()
            } else {
                0..0
            }
        };
        let mut present = 0;
        let places = fields.iter().map(|field| {
            let known = Name::of(field.name.as_bytes());
            present |= known.bit();
            Place {
                known,
                name: place(field.name.as_bytes()),
                value: place(field.value),
            }
        });
        let places = places.collect();
        Self::Read(Lines {
            text,
            places,
            present,
        })
    }

    /// All of them.
    pub(crate) fn iter(&self) -> Iter<'_> {
        match self {
            Self::Read(lines) => Iter::Read(&lines.text, lines.places.iter()),
            Self::Map(map) => Iter::Map(map.iter()),
        }
    }

    /// Whether there may be one of this name; true means nothing for the map of a library.
    fn may_have(&self, name: Name) -> bool {
        match self {
            Self::Read(lines) => lines.present & name.bit() != 0,
            Self::Map(_) => true,
        }
    }

    /// All values of a field.
    pub(crate) fn all(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        let fields = if self.may_have(name) {
            self.iter()
        } else {
            Iter::None
        };
        fields
            .filter(move |field| field.known == name)
            .map(|field| field.value)
    }

    /// The first value of a field.
    pub(crate) fn get(&self, name: Name) -> Option<&[u8]> {
        if !self.may_have(name) {
            return None;
        }
        self.all(name).next()
    }

    /// Whether a comma-separated list has an element.
    pub(crate) fn lists(&self, name: Name, element: &[u8]) -> bool {
        self.may_have(name)
            && self
                .all(name)
                .flat_map(|value| value.split(|byte| *byte == b','))
                .any(|other| other.trim_ascii().eq_ignore_ascii_case(element))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Read(lines) => lines.places.len(),
            Self::Map(map) => map.len(),
        }
    }

    /// For a library; what is no field there is left out.
    pub(crate) fn into_map(self) -> HeaderMap {
        let lines = match self {
            Self::Map(map) => return map,
            Self::Read(lines) => lines,
        };
        let mut map = HeaderMap::with_capacity(lines.places.len());
        for place in lines.places {
            let name = HeaderName::from_bytes(&lines.text[place.name]);
            let value = HeaderValue::from_maybe_shared(lines.text.slice(place.value));
            if let (Ok(name), Ok(value)) = (name, value) {
                map.append(name, value);
            }
        }
        map
    }
}

/// See [`Fields::iter`].
#[derive(Debug)]
pub(crate) enum Iter<'a> {
    Read(&'a [u8], std::slice::Iter<'a, Place>),
    Map(header::Iter<'a, HeaderValue>),
    None,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        match self {
            Self::Read(text, places) => places.next().map(|place| Field {
                known: place.known,
                name: text.get(place.name.clone()).unwrap_or_default(),
                value: text.get(place.value.clone()).unwrap_or_default(),
            }),
            Self::Map(map) => map.next().map(|(name, value)| Field {
                known: Name::of(name.as_str().as_bytes()),
                name: name.as_str().as_bytes(),
                value: value.as_bytes(),
            }),
            Self::None => None,
        }
    }
}
