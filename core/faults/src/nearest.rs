//! What somebody may have meant by a word that nothing is called.

/// The name nearest to a word, if one is near: at most a third of its letters differ.
pub fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
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
}
