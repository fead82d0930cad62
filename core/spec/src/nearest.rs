//! What the user may have meant.

use mainstay_faults::nearest;

/// `did you mean …?`, when something is near.
pub(crate) fn did_you_mean<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    nearest(word, names).map(|name| format!("did you mean `{name}`?"))
}

/// Names in a sentence, at most sixteen: `web, api and db`.
pub(crate) fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    const MOST: usize = 16;
    let mut names = names;
    let shown: Vec<String> = names
        .by_ref()
        .take(MOST)
        .map(|name| format!("`{}`", short(name)))
        .collect();
    match (shown.as_slice(), names.count()) {
        ([], _) => "none".into(),
        ([one], 0) => one.clone(),
        ([front @ .., last], 0) => format!("{} and {last}", front.join(", ")),
        (all, more) => format!("{} and {more} more", all.join(", ")),
    }
}

/// The start of a text of the user's, fit for a sentence.
pub(crate) fn short(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(listed(["a", "b", "c"].into_iter()), "`a`, `b` and `c`");
        assert!(listed(["x"; 44].into_iter()).ends_with("and 28 more"));
    }
}
