//! The field names that mean something to a gateway.

macro_rules! names {
    ($($variant:ident $text:literal,)+) => {
        /// A name, told from others without regard to case.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Name {
            $($variant,)+
            /// `X-Forwarded-…`.
            XForwarded,
            /// Any other.
            Other,
        }

        const NAMES: &[(Name, &str)] = &[$((Name::$variant, $text),)+];
    };
}

names! {
    Connection "connection",
    ContentLength "content-length",
    ContentType "content-type",
    Cookie "cookie",
    Date "date",
    Expect "expect",
    Forwarded "forwarded",
    Host "host",
    Http2Settings "http2-settings",
    KeepAlive "keep-alive",
    MainstayMirror "mainstay-mirror",
    ProxyAuthenticate "proxy-authenticate",
    ProxyAuthorization "proxy-authorization",
    ProxyConnection "proxy-connection",
    Te "te",
    Trailer "trailer",
    TransferEncoding "transfer-encoding",
    Upgrade "upgrade",
    XRealIp "x-real-ip",
}

const FORWARDED: &[u8] = b"x-forwarded-";

impl Name {
    /// What `name` means.
    pub(crate) fn of(name: &[u8]) -> Self {
        const FIRST: [u32; 32] = by_length();
        let mut places = FIRST.get(name.len()).copied().unwrap_or(0);
        while places != 0 {
            let (known, text) = NAMES[places.trailing_zeros() as usize];
            if name.eq_ignore_ascii_case(text.as_bytes()) {
                return known;
            }
            places &= places - 1;
        }
        let start = name.get(..FORWARDED.len());
        if start.is_some_and(|start| start.eq_ignore_ascii_case(FORWARDED)) {
            return Self::XForwarded;
        }
        Self::Other
    }

    /// A bit of its own.
    pub(crate) fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Whether it concerns one connection only (RFC 9110, 7.6.1).
    pub(crate) fn ends_here(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::Http2Settings
                | Self::KeepAlive
                | Self::ProxyAuthenticate
                | Self::ProxyAuthorization
                | Self::ProxyConnection
                | Self::Te
                | Self::Trailer
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }

    /// Whether a stranger could pretend to be a gateway by it, or it is the expectation that we meet
    /// ourselves.
    pub(crate) fn is_ours(self) -> bool {
        matches!(
            self,
            Self::Expect
                | Self::Forwarded
                | Self::MainstayMirror
                | Self::XForwarded
                | Self::XRealIp
        )
    }
}

/// By length, the places of the names that have it, one bit each.
const fn by_length() -> [u32; 32] {
    let mut table = [0; 32];
    let mut at = 0;
    while at < NAMES.len() {
        table[NAMES[at].1.len()] |= 1 << at;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_in_any_case() {
        for (known, text) in NAMES {
            assert_eq!(Name::of(text.as_bytes()), *known);
            assert_eq!(Name::of(text.to_uppercase().as_bytes()), *known);
        }
        assert_eq!(Name::of(b"X-Forwarded-Port"), Name::XForwarded);
        for other in ["", "hos", "hosts", "x-forwarded", "x-own", &"a".repeat(99)] {
            assert_eq!(Name::of(other.as_bytes()), Name::Other, "{other}");
        }
    }
}
