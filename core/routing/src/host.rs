//! The host of a request, in the one form that is matched.

use std::borrow::Cow;

const LIMIT: usize = 253;

/// Why bytes are not a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a host name, an address, or either with a port")]
pub struct HostFault;

/// A host without its port, in lower case, without a trailing dot; at most 253 bytes. It borrows from
/// the request unless that has capital letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host<'a>(Cow<'a, str>);

impl<'a> Host<'a> {
    /// Reads a `Host` field or an authority: `name`, `name:port`, `1.2.3.4:port`, `[v6]:port`
    /// (RFC 9110, 7.2). User information, blanks, slashes and percent escapes are faults.
    pub fn parse(authority: &'a [u8]) -> Result<Self, HostFault> {
        let name = Self::check(authority)?;
        let name = std::str::from_utf8(name).map_err(|_| HostFault)?;
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Ok(Self(Cow::Owned(name.to_ascii_lowercase())));
        }
        Ok(Self(Cow::Borrowed(name)))
    }

    /// The name within an authority, checked.
    pub(crate) fn check(authority: &[u8]) -> Result<&[u8], HostFault> {
        let (name, port) = split_port(authority)?;
        if !port.iter().all(u8::is_ascii_digit) || port.len() > 5 {
            return Err(HostFault);
        }
        let name = match name.strip_suffix(b".") {
            Some(rest) if !name.starts_with(b"[") => rest,
            _ => name,
        };
        if name.is_empty() || name.len() > LIMIT || !legal(name) {
            return Err(HostFault);
        }
        Ok(name)
    }

    /// The host as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names this machine's loopback network: `localhost`, `127.x.y.z` or `[::1]`.
    pub fn is_loopback(&self) -> bool {
        let text = self.as_str();
        text == "localhost"
            || text == "[::1]"
            || text
                .parse::<std::net::Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

fn split_port(authority: &[u8]) -> Result<(&[u8], &[u8]), HostFault> {
    if authority.starts_with(b"[") {
        let end = memchr::memchr(b']', authority).ok_or(HostFault)? + 1;
        return match &authority[end..] {
            [] => Ok((authority, b"")),
            [b':', port @ ..] if !port.is_empty() => Ok((&authority[..end], port)),
            _ => Err(HostFault),
        };
    }
    match memchr::memchr(b':', authority) {
        None => Ok((authority, b"")),
        Some(at) if at + 1 < authority.len() => Ok((&authority[..at], &authority[at + 1..])),
        Some(_) => Err(HostFault),
    }
}

fn legal(name: &[u8]) -> bool {
    if let Some(inner) = name.strip_prefix(b"[") {
        let Some(inner) = inner.strip_suffix(b"]") else {
            return false;
        };
        return std::str::from_utf8(inner)
            .is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
    }
    // A label between dots is never empty.
    let mut before = b'.';
    for byte in name {
        let fits = match byte {
            b'.' => before != b'.',
            b'-' | b'_' => true,
            other => other.is_ascii_alphanumeric(),
        };
        if !fits {
            return false;
        }
        before = *byte;
    }
    before != b'.'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_of_a_host() {
        for (given, read) in [
            ("Shop.Example", "shop.example"),
            ("shop.example:8080", "shop.example"),
            ("shop.example.", "shop.example"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(Host::parse(given.as_bytes()).unwrap().as_str(), read);
        }
    }

    #[test]
    fn odd_hosts_are_faults() {
        for bad in [
            "", "a@b", "a/b", "a b", "a:", "a:x", "a:123456", ":80", "a..b", ".a", "a%41", "[::1",
            "[::1]x", "[nine]", "a:1:2", "é", "a,b", "a..",
        ] {
            assert!(Host::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Host::parse(&[b'a'; 254]).is_err());
    }

    #[test]
    fn loopback_has_many_names() {
        for name in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
        ] {
            assert!(
                Host::parse(name.as_bytes()).unwrap().is_loopback(),
                "{name}"
            );
        }
        assert!(!Host::parse(b"128.0.0.1").unwrap().is_loopback());
    }
}
