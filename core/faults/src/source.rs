//! The text that places point into.

/// A file or command line as the user wrote it, for showing the line that a fault means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name that places use.
    pub name: String,
    /// The whole text; bytes that are not UTF-8 were replaced by `�`.
    pub text: String,
}

impl Source {
    /// Makes a source of a file's bytes.
    pub fn new(name: impl Into<String>, bytes: &[u8]) -> Self {
        Self {
            name: name.into(),
            text: String::from_utf8_lossy(bytes).into_owned(),
        }
    }

    /// The line of this number, counted from 1, without its end. Lines end as in YAML 1.2: `\n`,
    /// `\r\n` or `\r`.
    pub fn line(&self, number: usize) -> Option<&str> {
        let mut rest = self.text.as_str();
        for _ in 1..number {
            let end = rest.find(['\n', '\r'])?;
            let width = if rest[end..].starts_with("\r\n") {
                2
            } else {
                1
            };
            rest = &rest[end + width..];
        }
        Some(&rest[..rest.find(['\n', '\r']).unwrap_or(rest.len())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_as_yaml_counts_them() {
        let source = Source::new("f", b"a\r\nb\rc\n");
        let lines: Vec<_> = (1..=5).map(|number| source.line(number)).collect();
        assert_eq!(lines, [Some("a"), Some("b"), Some("c"), Some(""), None]);
    }
}
