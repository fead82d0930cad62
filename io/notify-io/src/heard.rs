//! What the other side answered, for people who try a channel out; secrets that it repeats are blotted out.

use std::cell::RefCell;

/// Shortest secret that is looked for: shorter ones are in every text.
const SHORTEST: usize = 4;

/// What was heard during one attempt.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    said: RefCell<String>,
    secrets: RefCell<Vec<String>>,
}

impl Heard {
    /// A text that is not shown; of an address also what follows its host.
    pub(crate) fn hide(&self, secret: &str) {
        let rest = secret.split_once("://").map(|(_, rest)| rest);
        let path = rest.and_then(|rest| rest.split_once('/'));
        let parts = [Some(secret), path.map(|(_, path)| path)];
        let parts = parts.into_iter().flatten();
        let parts = parts.filter(|part| part.len() >= SHORTEST);
        self.secrets.borrow_mut().extend(parts.map(str::to_owned));
    }

    /// The other side said something; what it says last counts.
    pub(crate) fn hear(&self, said: String) {
        *self.said.borrow_mut() = said;
    }

    /// What it said last.
    pub(crate) fn said(&self) -> String {
        let mut said = self.said.borrow().clone();
        for secret in self.secrets.borrow().iter() {
            said = said.replace(secret.as_str(), "…");
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_are_repeated_are_blotted_out() {
        let heard = Heard::default();
        heard.hide("https://hooks.example/services/T0/key");
        heard.hide("s3cret");
        heard.hide("k");
        heard.hear("404: no /services/T0/key for s3cret, ok".into());
        assert_eq!(heard.said(), "404: no /… for …, ok");
    }
}
