//! What somebody may have meant.

/// `; did you mean …?` with the known name that differs least, or all known names where none is near.
pub fn hint<'n>(word: &str, known: impl Iterator<Item = &'n String>) -> String {
    let word: String = word.chars().take(100).collect();
    let mut names: Vec<(usize, &String)> = known
        .map(|name| (strsim::osa_distance(&word, name), name))
        .collect();
    names.sort();
    let is_near = |(distance, name): &&(usize, &String)| {
        let longest = word.chars().count().max(name.chars().count());
        *distance <= longest.max(3) / 3 || (word.len() > 2 && name.starts_with(&word))
    };
    if let Some((_, name)) = names.iter().find(is_near) {
        return format!("; did you mean `{name}`?");
    }
    let shown: Vec<String> = names
        .iter()
        .take(NAMES_MAX)
        .map(|(_, name)| format!("`{name}`"))
        .collect();
    if shown.is_empty() {
        "; there is none".to_owned()
    } else {
        format!("; there is {}", shown.join(", "))
    }
}

/// Most names of a message.
const NAMES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn the_nearest_name_is_told_and_else_all() {
        let names = ["primary", "mail", "chat"].map(str::to_owned);
        assert_eq!(hint("primery", names.iter()), "; did you mean `primary`?");
        assert_eq!(hint("prim", names.iter()), "; did you mean `primary`?");
        assert!(hint("x", names.iter()).contains("`chat`"));
        assert_eq!(hint("x", [].iter()), "; there is none");
    }
}
