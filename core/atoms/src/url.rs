//! Addresses of HTTP, and of servers as `host:port` (RFC 3986, as far as somebody who asks needs them).

use std::fmt;
use std::net::Ipv6Addr;

/// Longest address, in bytes.
const LENGTH_MAX: usize = 4096;

/// An address that begins with `http://` or `https://`. Path and query may hold a secret, so it is not shown whole.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether by TLS.
    pub is_secure: bool,
    /// Where it is.
    pub authority: Authority,
    /// Path and query, beginning with a slash.
    pub path: String,
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// A name or an address; one of version 6 in brackets.
    pub host: String,
    /// Above zero.
    pub port: u16,
}

/// Why a text is no address; it is not repeated, because it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// Longer than 4096 bytes.
    #[error("it has more than {LENGTH_MAX} bytes")]
    Long,
    /// Neither `http` nor `https`.
    #[error("it begins with neither `https://` nor `http://`")]
    Scheme,
    /// Blanks, control characters, letters beyond ASCII.
    #[error("it holds blanks, or letters that must be escaped")]
    Letters,
    /// `user:password@`.
    #[error("it names a user, whose place is a token or `Authorization`")]
    User,
    /// No `host` or `host:port`.
    #[error("it has no host, or a port that is none")]
    Host,
    /// What stands after `#` is never sent.
    #[error("it has a part after `#`, which is never sent")]
    Fragment,
}

impl Url {
    /// Reads `http://…` or `https://…`.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        if text.len() > LENGTH_MAX {
            return Err(UrlFault::Long);
        }
        let (is_secure, rest) = match text.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("http://").ok_or(UrlFault::Scheme)?),
        };
        if rest.bytes().any(|byte| !(0x21..0x7f).contains(&byte)) {
            return Err(UrlFault::Letters);
        }
        if rest.contains('#') {
            return Err(UrlFault::Fragment);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(UrlFault::User);
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self {
            is_secure,
            authority: Authority::parse(authority, Some(usual(is_secure))).ok_or(UrlFault::Host)?,
            path: format!("{slash}{path}"),
        })
    }

    /// What `Host` says: the port only where it is not the usual one (RFC 9110, section 7.2).
    pub fn host_field(&self) -> String {
        if self.authority.port == usual(self.is_secure) {
            self.authority.host.clone()
        } else {
            self.authority.to_string()
        }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Url({}…)", self.host_field())
    }
}

impl Authority {
    /// Reads `host:port`, or a host alone where there is a usual port; an address of version 6 stands in brackets.
    pub fn parse(text: &str, usual: Option<u16>) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
            _ => (text, usual),
        };
        let inner = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_host = match inner {
            Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
            None => (1..=253).contains(&host.len()) && host.bytes().all(good),
        };
        let port = port.filter(|port| *port > 0 && is_host)?;
        Some(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.host, self.port)
    }
}

/// The port of a scheme.
fn usual(is_secure: bool) -> u16 {
    if is_secure { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        for (text, is_secure, authority, path, host_field) in [
            (
                "https://m.example/a/b?c=d",
                true,
                "m.example:443",
                "/a/b?c=d",
                "m.example",
            ),
            ("http://m.example", false, "m.example:80", "/", "m.example"),
            (
                "http://10.0.0.7:9090/write",
                false,
                "10.0.0.7:9090",
                "/write",
                "10.0.0.7:9090",
            ),
            (
                "https://[::1]:4318/v1",
                true,
                "[::1]:4318",
                "/v1",
                "[::1]:4318",
            ),
            ("https://[::1]?a", true, "[::1]:443", "/?a", "[::1]"),
            (
                "https://m.example:443/",
                true,
                "m.example:443",
                "/",
                "m.example",
            ),
        ] {
            let url = Url::parse(text).unwrap();
            let parts = (
                url.is_secure,
                url.authority.to_string(),
                url.path.clone(),
                url.host_field(),
            );
            assert_eq!(
                parts,
                (is_secure, authority.into(), path.into(), host_field.into()),
                "{text}"
            );
        }
        let secret = Url::parse("https://m.example/a?token=word").unwrap();
        assert_eq!(format!("{secret:?}"), "Url(m.example…)");
    }

    #[test]
    fn what_is_no_address_says_why() {
        let long = format!("https://m.example/{}", "a".repeat(LENGTH_MAX));
        for (text, fault) in [
            ("", UrlFault::Scheme),
            ("ftp://m.example/", UrlFault::Scheme),
            ("m.example/write", UrlFault::Scheme),
            ("https://", UrlFault::Host),
            ("https:///write", UrlFault::Host),
            ("https://m.example:0/", UrlFault::Host),
            ("https://m.example:70000/", UrlFault::Host),
            ("https://m.example:x/", UrlFault::Host),
            ("https://m.example:/", UrlFault::Host),
            ("https://[::1/", UrlFault::Host),
            ("https://[m.example]/", UrlFault::Host),
            ("https://user:word@m.example/", UrlFault::User),
            ("https://m.example/a b", UrlFault::Letters),
            ("https://m.example/\r\nX: y", UrlFault::Letters),
            ("https://ü.example/", UrlFault::Letters),
            ("https://m.example/#part", UrlFault::Fragment),
            (&long, UrlFault::Long),
        ] {
            assert_eq!(Url::parse(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn a_server_has_a_port() {
        let server = |text, usual| Authority::parse(text, usual).map(|one| one.to_string());
        assert_eq!(
            server("mail.example:25", None).as_deref(),
            Some("mail.example:25")
        );
        assert_eq!(
            server("mail.example", Some(25)).as_deref(),
            Some("mail.example:25")
        );
        assert_eq!(server("mail.example", None), None);
        assert_eq!(server(&format!("{}:1", "a".repeat(254)), None), None);
    }
}
