//! Storage: bytes that never change and are read at places, in memory or wherever a caller keeps them.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

/// Bytes that a block or pages are read from. Only what is asked for has to be in memory.
pub trait Storage: Debug + Send + Sync {
    /// How many bytes there are.
    fn length(&self) -> u64;

    /// So many bytes from a place; nothing where they are not there or cannot be read.
    fn read(&self, offset: u64, length: usize) -> Option<Cow<'_, [u8]>>;
}

impl Storage for [u8] {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, offset: u64, length: usize) -> Option<Cow<'_, [u8]>> {
        let offset = usize::try_from(offset).ok()?;
        let end = offset.checked_add(length)?;
        self.get(offset..end).map(Cow::Borrowed)
    }
}

impl<S: Storage + ?Sized> Storage for Arc<S> {
    fn length(&self) -> u64 {
        (**self).length()
    }

    fn read(&self, offset: u64, length: usize) -> Option<Cow<'_, [u8]>> {
        (**self).read(offset, length)
    }
}
