//! Names people choose, checked on the way in.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing was written.
    #[error("a name cannot be empty")]
    Empty,
    /// Longer than DNS allows.
    #[error("a name has at most {limit} characters, found {found}")]
    Long {
        /// The most that is allowed.
        limit: usize,
        /// What was found.
        found: usize,
    },
    /// A character that cannot stand where it stands.
    #[error("a name cannot hold `{found}` at position {at}; {expected}")]
    Character {
        /// The offending character.
        found: char,
        /// Its position, counted from 1.
        at: usize,
        /// What may stand there.
        expected: &'static str,
    },
    /// A route without a path.
    #[error("a route is a host and a path, such as `shop.example/api`")]
    NoPath,
}

const LABEL_LIMIT: usize = 63;
const HOST_LIMIT: usize = 253;
/// As long as a request line may be.
const ROUTE_LIMIT: usize = 8192;
const LABEL_RULE: &str =
    "lower-case letters, digits and hyphens, a letter first and no hyphen last";

/// A DNS label (RFC 1123) that begins with a letter (RFC 1035), so that it is also a shell-safe word.
fn check_label(text: &str) -> Result<(), NameFault> {
    if text.is_empty() {
        return Err(NameFault::Empty);
    }
    if text.len() > LABEL_LIMIT {
        return Err(NameFault::Long {
            limit: LABEL_LIMIT,
            found: text.chars().count(),
        });
    }
    let last = text.chars().count() - 1;
    for (at, found) in text.chars().enumerate() {
        let fits = match found {
            'a'..='z' => true,
            '0'..='9' => at > 0,
            '-' => at > 0 && at < last,
            _ => false,
        };
        if !fits {
            return Err(NameFault::Character {
                found,
                at: at + 1,
                expected: LABEL_RULE,
            });
        }
    }
    Ok(())
}

/// A host name of RFC 1123: dot-separated labels, which here may begin with a digit.
fn check_host(text: &str) -> Result<(), NameFault> {
    if text.is_empty() {
        return Err(NameFault::Empty);
    }
    if text.len() > HOST_LIMIT {
        return Err(NameFault::Long {
            limit: HOST_LIMIT,
            found: text.chars().count(),
        });
    }
    let mut at = 1;
    for label in text.split('.') {
        if label.is_empty() {
            return Err(NameFault::Character {
                found: '.',
                at,
                expected: "a label between two dots",
            });
        }
        if label.len() > LABEL_LIMIT {
            return Err(NameFault::Long {
                limit: LABEL_LIMIT,
                found: label.chars().count(),
            });
        }
        let last = label.chars().count() - 1;
        for (place, found) in label.chars().enumerate() {
            let fits = match found {
                'a'..='z' | '0'..='9' => true,
                '-' => place > 0 && place < last,
                _ => false,
            };
            if !fits {
                return Err(NameFault::Character {
                    found,
                    at: at + place,
                    expected: "lower-case letters, digits, hyphens and dots",
                });
            }
        }
        at += label.chars().count() + 1;
    }
    Ok(())
}

/// A host name and a path, without a space between.
fn check_route(text: &str) -> Result<(), NameFault> {
    let host = text.find('/').ok_or(NameFault::NoPath)?;
    check_host(&text[..host])?;
    if text.len() > ROUTE_LIMIT {
        return Err(NameFault::Long {
            limit: ROUTE_LIMIT,
            found: text.chars().count(),
        });
    }
    let odd = |found: char| found.is_control() || found.is_whitespace();
    match text.chars().zip(1..).find(|(found, _)| odd(*found)) {
        Some((found, at)) => Err(NameFault::Character {
            found,
            at,
            expected: "a path without spaces",
        }),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Checks a text and makes it a name.
            pub fn new(text: impl Into<String>) -> Result<Self, NameFault> {
                let text = text.into();
                $check(&text)?;
                Ok(Self(text))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameFault;
            fn try_from(text: String) -> Result<Self, NameFault> {
                Self::new(text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.pad(&self.0)
            }
        }

        impl std::str::FromStr for $type {
            type Err = NameFault;
            fn from_str(text: &str) -> Result<Self, NameFault> {
                Self::new(text)
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// The name of a whole platform, the file's `name`.
    PlatformName,
    check_label
);
name!(
    /// The name of one environment; `default` where the file declares none.
    EnvironmentName,
    check_label
);
name!(
    /// The name of a service.
    ServiceName,
    check_label
);
name!(
    /// The name of a machine; `local` is the one that runs the control plane.
    MachineName,
    check_label
);
name!(
    /// A host name in lower case, as a `Host` header carries it, without a port.
    HostName,
    check_host
);
name!(
    /// A route as people and metrics name it: host and path prefix, `shop.example/api`.
    RouteName,
    check_route
);

impl MachineName {
    /// The machine that runs the control plane.
    pub fn local() -> Self {
        Self("local".into())
    }
}

impl EnvironmentName {
    /// The environment of a file that declares none.
    pub fn default_environment() -> Self {
        Self("default".into())
    }
}

impl ServiceName {
    /// The name as the first part of environment variables: `web-api` → `WEB_API`.
    pub fn variable(&self) -> String {
        self.0.to_ascii_uppercase().replace('-', "_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_checked() {
        assert!(ServiceName::new("web-2").is_ok());
        for bad in [
            "",
            "2web",
            "Web",
            "web_1",
            "-web",
            "web-",
            "wéb",
            &"a".repeat(64),
        ] {
            assert!(ServiceName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn routes_are_checked() {
        for good in ["localhost/", "shop.example/api", "a.b/c/d"] {
            assert!(RouteName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "/", "/api", "shop.example", "a b/", "a/b c", "a/\n"] {
            assert!(RouteName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts_are_checked() {
        for good in ["localhost", "shop.example", "3com.example", "a-b.c"] {
            assert!(HostName::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "a..b", "a.", "-a.b", "A.b", "a b", "a/b", "a@b"] {
            assert!(HostName::new(bad).is_err(), "{bad}");
        }
    }
}
