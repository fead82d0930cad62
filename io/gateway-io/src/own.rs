//! A text of the gateway's, as a body.

use bytes::Bytes;

/// It, until it was taken.
#[derive(Debug)]
pub(crate) struct Own(pub(crate) Option<Bytes>);

impl Own {
    pub(crate) fn length(&self) -> u64 {
        self.0.as_ref().map_or(0, |bytes| bytes.len() as u64)
    }
}
