//! What the user may have meant.

/// The name nearest to a word, if one is near: at most a third of its letters differ.
pub(crate) fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if word.len() > 256 {
        return None;
    }
    let wanted = word.to_lowercase();
    let (distance, name) = names
        .map(|name| (distance(&wanted, &name.to_lowercase()), name))
        .min_by_key(|&(distance, _)| distance)?;
    let longest = wanted.chars().count().max(name.chars().count());
    let limit = longest.max(3) / 3;
    let begins = wanted.len() >= 3 && (name.starts_with(&wanted) || wanted.starts_with(name));
    (distance <= limit || begins).then_some(name)
}

/// Edits from one word to the other, a swap of neighbours counted once; a plural or a hyphen for
/// an underscore costs nothing more than one.
fn distance(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > 64 {
        return usize::MAX;
    }
    strsim::osa_distance(a, b)
}

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
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["replicas", "run", "ready", "env", "extends"];
        let near = |word| nearest(word, names.into_iter());
        assert_eq!(near("replcas"), Some("replicas"));
        assert_eq!(near("Ready"), Some("ready"));
        assert_eq!(near("extend"), Some("extends"));
        assert_eq!(near("rnu"), Some("run"));
        assert_eq!(near("volumes"), None);
        assert_eq!(near(""), None);
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(listed(["a", "b", "c"].into_iter()), "`a`, `b` and `c`");
        assert!(listed(["x"; 44].into_iter()).ends_with("and 28 more"));
    }
}
