//! What the file says about the status page.

use mainstay_atoms::HostName;
use serde::{Deserialize, Serialize};

/// The signed page on which a platform says how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusPage {
    /// The host that answers it; none: every host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// Its path.
    pub path: String,
    /// Checks that it tells of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
}

impl StatusPage {
    /// Host and path of a place as the file writes it: `/status`, `shop.example/status`.
    pub(crate) fn place(text: &str) -> Option<(Option<HostName>, String)> {
        let (host, path) = text.split_at(text.find('/')?);
        let host = match host {
            "" => None,
            host => Some(HostName::new(host).ok()?),
        };
        is_path(path).then(|| (host, path.to_owned()))
    }

    /// Why no file says this; nothing when one could.
    pub(crate) fn unsound(&self) -> Option<String> {
        let path = &self.path;
        (!is_path(path)).then(|| format!("the status page stands at `{path}`, which is no path"))
    }
}

/// A path as the gateway compares it: plain segments, nothing to decode, and not the root.
fn is_path(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@".contains(&byte);
    let segment = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(plain);
    let rest = path.strip_prefix('/');
    path.len() <= 256 && rest.is_some_and(|rest| rest.split('/').all(segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_or_a_host_and_a_path() {
        let host = HostName::new("shop.example").ok();
        let found = StatusPage::place("shop.example/a/status");
        assert_eq!(found, Some((host, "/a/status".into())));
        assert_eq!(StatusPage::place("/status"), Some((None, "/status".into())));
        for odd in [
            "",
            "/",
            "status",
            "a/",
            "/a//b",
            "/a/",
            "/../a",
            "/a?b",
            "/a#b",
            "/%61",
            "/ä",
            "A b/c",
            "http://a/b",
            "/a b",
        ] {
            assert_eq!(StatusPage::place(odd), None, "{odd}");
        }
    }
}
