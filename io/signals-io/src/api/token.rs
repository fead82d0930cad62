//! Tokens: who may use the API from outside the machine; those that are lent for a while only read.

use super::{Api, Ready, Right};
use crate::answer::ApiFault;
use crate::process::Process;
use std::fmt::Write as _;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How long a lent token is good.
const LENT: Duration = Duration::from_mins(15);

/// Tokens that are lent at one time.
const LENT_MAX: usize = 256;

/// Bytes of a token: nobody guesses 32.
const BYTES: usize = 32;

/// Digests of tokens that are lent, with their ends.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Vec<(String, Instant)>);

fn digest(token: &str) -> String {
    hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a text cannot fail.
        write!(out, "{byte:02x}").ok();
    }
    out
}

/// Compares without telling by its time where two differ.
fn equal(one: &str, two: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), two.as_bytes()).is_ok()
}

impl Process {
    /// What the bearer of a token may do.
    pub(crate) fn right_of(&self, token: &str) -> Right {
        let digest = digest(token);
        let config = self.config();
        let known = config
            .tokens
            .iter()
            .find(|known| equal(&known.sha256.to_ascii_lowercase(), &digest));
        if let Some(known) = known {
            return if known.write {
                Right::Write
            } else {
                Right::Read
            };
        }
        let now = Instant::now();
        let lent = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let good = lent
            .0
            .iter()
            .any(|(known, end)| *end > now && equal(known, &digest));
        if good { Right::Read } else { Right::Nothing }
    }
}

impl Api {
    /// Lends a token.
    pub(super) fn issue(&self) -> Result<Ready, ApiFault> {
        let mut bytes = [0; BYTES];
        aws_lc_rs::rand::fill(&mut bytes)
            .map_err(|_| ApiFault::unavailable("the system has no randomness"))?;
        let token = hex(&bytes);
        let now = Instant::now();
        let mut lent = self
            .process
            .tokens
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        lent.0.retain(|(_, end)| *end > now);
        if lent.0.len() >= LENT_MAX {
            lent.0.remove(0);
        }
        lent.0.push((digest(&token), now + LENT));
        let text = format!("{{\"token\":\"{token}\",\"seconds\":{}}}", LENT.as_secs());
        Ok(Ready::json(text.into_bytes()))
    }
}
