//! Secrets at the last moment: from the vault, a file, or as they are given.

use crate::Attempt;
use crate::stream::Fault;
use mainstay_alerting::Secret;
use std::fs::File;
use std::io::Read as _;

/// Longest secret, in bytes.
const LENGTH_MAX: u64 = 16 << 10;

/// Where named secrets are.
pub trait Vault {
    /// The secret of this name; `None` where there is none.
    fn secret(&self, name: &str) -> Option<String>;
}

/// A closure is a vault.
impl<F: Fn(&str) -> Option<String>> Vault for F {
    fn secret(&self, name: &str) -> Option<String> {
        self(name)
    }
}

/// The secret itself.
pub(crate) fn read(attempt: &Attempt<'_>, secret: &Secret) -> Result<String, Fault> {
    let value = value(attempt, secret)?;
    attempt.heard.hide(&value);
    Ok(value)
}

fn value(attempt: &Attempt<'_>, secret: &Secret) -> Result<String, Fault> {
    match secret {
        Secret::Inline(value) => Ok(value.clone()),
        Secret::Named(name) => attempt.vault.secret(name).ok_or_else(|| {
            Fault::Refused(format!(
                "secret `{name}` is not there; set it with `mainstay secret set {name}`"
            ))
        }),
        Secret::File(path) => {
            let mut text = String::new();
            let file =
                File::open(path).and_then(|file| file.take(LENGTH_MAX).read_to_string(&mut text));
            file.map_err(|fault| {
                Fault::failed(format!("secret file `{path}` cannot be read: {fault}"))
            })?;
            Ok(text.trim_end_matches(['\r', '\n']).to_owned())
        }
    }
}
