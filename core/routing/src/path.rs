//! The path of a request: normalised once, and the same bytes are matched and forwarded.

use std::borrow::Cow;

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a path with a forbidden character")]
pub struct PathFault;

/// Removes dot segments (RFC 3986, 5.2.4), also those written as `%2e`; leaves every other escape,
/// `%2F` above all, and repeated slashes as they are. A path without dot segments is lent back.
///
/// A fault: a path that does not begin with `/`, a control character, a space, `#`, `\`, `%00`, or a
/// `%` that two hexadecimal digits do not follow.
pub fn normalise(path: &str) -> Result<Cow<'_, str>, PathFault> {
    check(path.as_bytes())?;
    if !path.starts_with('/') {
        return Err(PathFault);
    }
    if has_dot_segment(path) {
        Ok(Cow::Owned(without_dots(path)))
    } else {
        Ok(Cow::Borrowed(path))
    }
}

/// Whether `prefix` matches `path` on whole segments: `/api` matches `/api` and `/api/x`, not `/apis`.
pub fn begins_with(path: &str, prefix: &str) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Checks the characters of a target, path and query alike, as [`normalise`] does.
pub(crate) fn check(target: &[u8]) -> Result<(), PathFault> {
    let query = memchr::memchr(b'?', target).unwrap_or(target.len());
    for (at, byte) in target.iter().enumerate() {
        let fits = match byte {
            0..=b' ' | 0x7f | b'#' => false,
            b'\\' => at > query,
            b'%' => at > query && !is_nul(&target[at + 1..]) || is_escape(&target[at + 1..]),
            _ => true,
        };
        if !fits {
            return Err(PathFault);
        }
    }
    Ok(())
}

fn is_nul(after: &[u8]) -> bool {
    after.starts_with(b"00")
}

fn is_escape(after: &[u8]) -> bool {
    match after {
        [high, low, ..] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit() && !is_nul(after),
        _ => false,
    }
}

fn has_dot_segment(path: &str) -> bool {
    path.split('/').any(|segment| dots(segment) > 0)
}

/// 1 for `.`, 2 for `..`, however they are written; else 0.
fn dots(segment: &str) -> usize {
    let mut rest = segment.as_bytes();
    let mut count = 0;
    while !rest.is_empty() {
        rest = match rest {
            [b'.', after @ ..] | [b'%', b'2', b'e' | b'E', after @ ..] => after,
            _ => return 0,
        };
        count += 1;
    }
    if count <= 2 { count } else { 0 }
}

fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut open = false;
    for segment in path.split('/').skip(1) {
        open = match dots(segment) {
            0 => {
                kept.push(segment);
                false
            }
            1 => true,
            _ => {
                kept.pop();
                true
            }
        };
    }
    let mut result = String::with_capacity(path.len());
    for segment in &kept {
        result.push('/');
        result.push_str(segment);
    }
    if open {
        result.push('/');
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dot_segments_go_and_the_rest_stays() {
        for (given, read) in [
            ("/", "/"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/../../a", "/a"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e", "/"),
            ("/a%2Fb/../c", "/c"),
            ("/a%2fb", "/a%2fb"),
            ("//a//b", "//a//b"),
            ("/.../a", "/.../a"),
            ("/a.b/.c", "/a.b/.c"),
        ] {
            assert_eq!(normalise(given).unwrap(), read, "{given}");
        }
    }

    #[test]
    fn forbidden_characters_are_faults() {
        for bad in [
            "", "a", "/#", "/a b", "/%00", "/%0", "/%zz", "/a\\b", "/\u{1}", "/\u{7f}",
        ] {
            assert!(normalise(bad).is_err(), "{bad:?}");
        }
        assert!(
            check(b"/a?q=%zz&b=\\").is_ok(),
            "a query is the application's"
        );
        assert!(check(b"/a?q=%00").is_err());
        assert!(check(b"/a?q=#").is_err());
    }

    #[test]
    fn prefixes_match_whole_segments() {
        assert!(begins_with("/api", "/api") && begins_with("/api/x", "/api"));
        assert!(!begins_with("/apis", "/api") && begins_with("/x", "/"));
        assert!(begins_with("/api/", "/api/") && begins_with("/api/x", "/api/"));
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(path in "(/[a.%2eE/]{0,4}){0,6}") {
            if let Ok(once) = normalise(&path) {
                let twice = normalise(&once).unwrap();
                prop_assert_eq!(&twice, &once);
                prop_assert!(!has_dot_segment(&once));
            }
        }

        #[test]
        fn any_text_has_an_answer(path in ".*") {
            let answered = normalise(&path);
            prop_assert!(answered.is_ok() || answered.is_err());
        }
    }
}
