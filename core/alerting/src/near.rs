//! What somebody may have meant.

use mainstay_faults::nearest;

/// `; did you mean …?` with the known name that differs least, or all known names where none is near.
pub fn hint<'n>(word: &str, known: impl Iterator<Item = &'n String>) -> String {
    let names: Vec<&str> = known.map(String::as_str).collect();
    if let Some(name) = nearest(word, names.iter().copied()) {
        return format!("; did you mean `{name}`?");
    }
    let shown = names.iter().take(NAMES_MAX);
    let shown: Vec<String> = shown.map(|name| format!("`{name}`")).collect();
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
