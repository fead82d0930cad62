//! Ids and the counters that fence stale writers.

use crate::{Digest, ServiceName};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not {expected}")]
pub struct IdFault {
    /// What was found.
    pub found: String,
    /// What was expected, with an example.
    pub expected: &'static str,
}

macro_rules! counter {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $type(pub u64);

        impl $type {
            /// The one that follows.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{}", self.0)
            }
        }
    };
}

counter!(
    /// Order of changes to one environment: every step that changes the world has its own, rising by
    /// one, and whoever holds a higher one refuses a lower one.
    Generation
);
counter!(
    /// Order of control planes over one state: rises by one at each start, so that an earlier control
    /// plane is refused by shims and gateways.
    Epoch
);

/// The number of a release, shown as `v42`; rises by one, and a failed release uses its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseNumber(pub u64);

impl ReleaseNumber {
    /// The release that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for ReleaseNumber {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&format!("v{}", self.0))
    }
}

impl std::str::FromStr for ReleaseNumber {
    type Err = IdFault;
    fn from_str(text: &str) -> Result<Self, IdFault> {
        let fault = || IdFault {
            found: text.into(),
            expected: "a release such as `v42`",
        };
        let digits = text.strip_prefix('v').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(fault());
        }
        match digits.parse() {
            Ok(number) if number > 0 => Ok(Self(number)),
            _ => Err(fault()),
        }
    }
}

impl TryFrom<String> for ReleaseNumber {
    type Error = IdFault;
    fn try_from(text: String) -> Result<Self, IdFault> {
        text.parse()
    }
}

impl From<ReleaseNumber> for String {
    fn from(number: ReleaseNumber) -> String {
        number.to_string()
    }
}

/// One place of a service in a release: `web.v42.1`. A restart keeps the id and takes a new
/// [`Generation`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceId {
    /// The service it is one of.
    pub service: ServiceName,
    /// The release that made it.
    pub release: ReleaseNumber,
    /// Its number within that service and release, from 1.
    pub ordinal: u32,
}

impl fmt::Display for InstanceId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&format!(
            "{}.{}.{}",
            self.service, self.release, self.ordinal
        ))
    }
}

impl std::str::FromStr for InstanceId {
    type Err = IdFault;
    fn from_str(text: &str) -> Result<Self, IdFault> {
        let fault = || IdFault {
            found: text.into(),
            expected: "an instance such as `web.v42.1`",
        };
        let mut parts = text.split('.');
        let (Some(service), Some(release), Some(ordinal), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(fault());
        };
        if !release.starts_with('v') {
            return Err(fault());
        }
        Ok(Self {
            service: ServiceName::new(service).map_err(|_| fault())?,
            release: release.parse().map_err(|_| fault())?,
            ordinal: ordinal.parse().map_err(|_| fault())?,
        })
    }
}

impl TryFrom<String> for InstanceId {
    type Error = IdFault;
    fn try_from(text: String) -> Result<Self, IdFault> {
        text.parse()
    }
}

impl From<InstanceId> for String {
    fn from(id: InstanceId) -> String {
        id.to_string()
    }
}

/// The id of a plan: the digest of everything in it, shown by its first six hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanId(pub Digest);

impl fmt::Display for PlanId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0.to_hex()[..6])
    }
}

/// Who acts: a login name, or `mainstay` for what the control plane does by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Actor(pub String);

impl Actor {
    /// The control plane itself.
    pub fn itself() -> Self {
        Self("mainstay".into())
    }

    /// An alert that fires, and does what the file lets it do. No login and no token has a name with a space.
    pub fn alert(name: &str) -> Self {
        Self(format!("{ALERT}{name}"))
    }

    /// Whether it is an alert.
    pub fn is_alert(&self) -> bool {
        self.0.starts_with(ALERT)
    }
}

/// What tells alerts from people.
const ALERT: &str = "alert ";

impl fmt::Display for Actor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_what_they_print() {
        let id: InstanceId = "web-api.v42.3".parse().unwrap();
        assert_eq!(id.to_string(), "web-api.v42.3");
        assert_eq!((id.release, id.ordinal), (ReleaseNumber(42), 3));
        for bad in [
            "web",
            "web.42.1",
            "web.v42",
            "web.v0.1",
            "Web.v1.1",
            "web.v1.1.1",
            "web.v1.x",
        ] {
            assert!(bad.parse::<InstanceId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_release_may_be_typed_without_its_letter() {
        assert_eq!("42".parse(), Ok(ReleaseNumber(42)));
        assert!("v".parse::<ReleaseNumber>().is_err());
        assert!("v+1".parse::<ReleaseNumber>().is_err());
        assert!("v99999999999999999999".parse::<ReleaseNumber>().is_err());
    }
}
