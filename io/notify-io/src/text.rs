//! Text of alerts made safe for a channel, and short enough.

/// At most so many characters; what is cut is shown to be.
pub(crate) fn clipped(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars()
        .take(most.saturating_sub(1))
        .chain(['…'])
        .collect()
}

/// Safe inside of HTML.
pub(crate) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            control if control.is_control() && !matches!(control, '\n' | '\t') => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

/// Safe in Slack's text: no links, no mentions, no styles.
pub(crate) fn slack(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A style needs its sign twice; a letter of no width between them takes it away.
            '*' | '_' | '~' | '`' => out.extend(['\u{200b}', letter]),
            other => out.push(other),
        }
    }
    out
}

/// Safe in Discord's text: signs of styles, links and mentions stand for themselves.
pub(crate) fn discord(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if "\\*_~`|>#[]()<@:-".contains(letter) {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

/// An address of the web that may become a link, else nothing.
pub(crate) fn link(text: &str) -> Option<&str> {
    let is_link = text.starts_with("https://") || text.starts_with("http://");
    let is_clean = text
        .bytes()
        .all(|byte| (0x21..0x7f).contains(&byte) && !b"\"'<>|\\^`{}".contains(&byte));
    (is_link && is_clean).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_labels_stay_text() {
        let hostile =
            "<script>alert('x')</script> <!channel> *b* @everyone [a](http://e) & \u{1b}[31m";
        assert!(!html(hostile).contains('<') && !html(hostile).contains('\u{1b}'));
        assert!(!slack(hostile).contains('<'));
        assert!(
            discord(hostile).contains("\\@everyone") && discord(hostile).contains("\\[a\\]\\(")
        );
        assert_eq!(clipped("abcdef", 4), "abc…");
        assert_eq!(link("https://a/b?c=d"), Some("https://a/b?c=d"));
        assert_eq!(link("javascript:alert(1)"), None);
        assert_eq!(link("https://a/\"><script>"), None);
    }
}
