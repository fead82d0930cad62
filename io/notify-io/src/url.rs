//! Addresses of HTTP, as far as a message needs them.

use crate::stream::Fault;

/// Longest address, in bytes.
const LENGTH_MAX: usize = 4096;

/// An address. It may hold a secret, so it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) is_secure: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Path and query, beginning with a slash.
    pub(crate) path: String,
}

impl Url {
    /// Reads `http://…` or `https://…`.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let refused = |why: &str| Fault::Refused(format!("the channel's address {why}"));
        let text = text.trim();
        if text.len() > LENGTH_MAX {
            return Err(refused("is too long"));
        }
        if text.bytes().any(|byte| !(0x21..0x7f).contains(&byte)) {
            return Err(refused("holds blanks or letters that must be escaped"));
        }
        let (is_secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://"))
        {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(refused("begins with neither `https://` nor `http://`")),
        };
        let rest = rest.split('#').next().unwrap_or(rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(refused("holds a user; give a token instead"));
        }
        let (host, port) = split(authority, if is_secure { 443 } else { 80 })
            .ok_or_else(|| refused("has no host"))?;
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        Ok(Self {
            is_secure,
            host,
            port,
            path,
        })
    }

    /// What `Host` says.
    pub(crate) fn authority(&self) -> String {
        let usual = if self.is_secure { 443 } else { 80 };
        if self.port == usual {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Host and port of `host:port`; an address of version 6 stands in brackets.
pub(crate) fn split(authority: &str, usual: u16) -> Option<(String, u16)> {
    let (host, port) = match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => {
            (&authority[..colon], Some(&authority[colon + 1..]))
        }
        _ => (authority, None),
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None => usual,
    };
    let is_address = host.starts_with('[') && host.ends_with(']');
    let good = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_')
            || (is_address && matches!(byte, b'[' | b']' | b':'))
    };
    (!host.is_empty() && host.bytes().all(good)).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split() {
        for (text, host, port, path, secure) in [
            (
                "https://hooks.example/a/b?c=d#e",
                "hooks.example",
                443,
                "/a/b?c=d",
                true,
            ),
            ("http://127.0.0.1:8080", "127.0.0.1", 8080, "/", false),
            ("http://[::1]:9/x", "[::1]", 9, "/x", false),
            ("https://h?x", "h", 443, "/?x", true),
        ] {
            let Ok(url) = Url::parse(text) else {
                panic!("{text}")
            };
            assert_eq!(
                (
                    url.host.as_str(),
                    url.port,
                    url.path.as_str(),
                    url.is_secure
                ),
                (host, port, path, secure)
            );
        }
        for text in [
            "",
            "ftp://a",
            "https://",
            "https://a b",
            "https://u:p@h/",
            "http://h:0/",
            "http://h:x/",
            "http://a\r\nb/",
            "http://ü/",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }
}
