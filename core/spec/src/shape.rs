//! The language as data: which keys stand where, what they take, and what they mean.
//!
//! The one table: the walker, the merge, `explain`, the schema and the reference all read it.

use crate::kind::Kind;

/// What may stand at a place.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// One value.
    Value(Kind),
    /// Keys that the language names.
    Map(&'static Keys),
    /// A short form, or keys that the language names.
    Either(Kind, &'static Keys),
    /// Keys that the user chooses.
    Names(&'static Names),
}

/// A map whose keys the language names.
#[derive(Debug)]
pub(crate) struct Keys {
    /// The mirror type, which is also the definition's name in the schema.
    pub(crate) title: &'static str,
    /// What the map is, with its article: `a service`.
    pub(crate) noun: &'static str,
    /// What it is for.
    pub(crate) docs: &'static [&'static str],
    /// All its keys.
    pub(crate) rows: &'static [Key],
}

/// A map whose keys the user chooses.
#[derive(Debug)]
pub(crate) struct Names {
    /// What a key names: `service`.
    pub(crate) noun: &'static str,
    /// What stands for a key in paths of the reference: `NAME`.
    pub(crate) placeholder: &'static str,
    /// Whether an environment may add keys.
    pub(crate) open: bool,
    /// What each key holds.
    pub(crate) value: Shape,
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
    /// The value that holds when the key is absent, as it would be written; empty for none, in
    /// brackets when it is a sentence.
    pub(crate) default: &'static str,
    /// A value that differs from the default, as it would be written.
    pub(crate) example: &'static str,
    /// What it means.
    pub(crate) docs: &'static [&'static str],
}

/// A type that mirrors part of the file.
pub(crate) trait Shaped {
    /// What may stand there.
    const SHAPE: Shape;
    /// Whether the key must be given.
    const REQUIRED: bool = true;
}

impl<T: Shaped> Shaped for Option<T> {
    const SHAPE: Shape = T::SHAPE;
    const REQUIRED: bool = false;
}

impl Shape {
    /// The keys that the language names here.
    pub(crate) fn keys(self) -> Option<&'static Keys> {
        match self {
            Self::Map(keys) | Self::Either(_, keys) => Some(keys),
            Self::Value(_) | Self::Names(_) => None,
        }
    }

    /// What a child of this name has.
    pub(crate) fn child(self, name: &str) -> Option<Self> {
        match self {
            Self::Map(keys) | Self::Either(_, keys) => keys.find(name).map(|key| key.shape),
            Self::Names(names) => Some(names.value),
            Self::Value(_) => None,
        }
    }

    /// In words: `a whole number from 0 to 1000`.
    pub(crate) fn phrase(self) -> String {
        match self {
            Self::Value(kind) => kind.phrase(),
            Self::Map(_) => "a map of keys".into(),
            Self::Either(kind, _) => format!("{}, or a map of keys", kind.phrase()),
            Self::Names(names) => format!("a map by {}", names.noun),
        }
    }
}

impl Keys {
    /// The key of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&'static Key>
    where
        Self: 'static,
    {
        self.rows.iter().find(|key| key.name == name)
    }

    /// The names of all keys.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.rows.iter().map(|key| key.name)
    }
}

impl Key {
    /// Whether the default is a value and not a sentence about one.
    pub(crate) fn default_value(&self) -> Option<&'static str> {
        (!self.default.is_empty() && !self.default.starts_with('(')).then_some(self.default)
    }

    /// The default for a person.
    pub(crate) fn default_text(&self) -> Option<&'static str> {
        let text = self.default.trim_start_matches('(').trim_end_matches(')');
        (!text.is_empty()).then_some(text)
    }
}

/// Declares a map of keys: its mirror type for the schema, and its rows of the table.
macro_rules! keys {
    (
        $(#[doc = $about:literal])*
        $type:ident = $noun:literal {
            $(
                $(#[doc = $doc:literal])*
                $name:ident: $field:ty, default $default:literal, example $example:literal;
            )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        #[expect(dead_code, reason = "the fields exist for the schema alone")]
        pub(crate) struct $type {
            $( $(#[doc = $doc])* pub(crate) $name: $field, )*
        }

        impl $crate::shape::Shaped for $type {
            const SHAPE: $crate::shape::Shape = $crate::shape::Shape::Map(&Self::KEYS);
        }

        impl $crate::shape::Keyed for $type {
            const KEYS: $crate::shape::Keys = $crate::shape::Keys {
                title: stringify!($type),
                noun: $noun,
                docs: &[$($about),*],
                rows: &[$(
                    $crate::shape::Key {
                        name: stringify!($name),
                        shape: <$field as $crate::shape::Shaped>::SHAPE,
                        required: <$field as $crate::shape::Shaped>::REQUIRED,
                        default: $default,
                        example: $example,
                        docs: &[$($doc),*],
                    },
                )*],
            };
        }
    };
}
pub(crate) use keys;

/// A mirror type with keys.
pub(crate) trait Keyed {
    /// Its rows of the table.
    const KEYS: Keys;
}
