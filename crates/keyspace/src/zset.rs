//! ZSet values: to come with their commands.

/// A zset.
#[derive(Debug, Default)]
pub struct ZSet {}

impl ZSet {
    /// Number of elements.
    pub fn len(&self) -> usize {
        0
    }

    /// As `OBJECT ENCODING` reports it.
    pub fn encoding(&self) -> &'static str {
        "listpack"
    }

    /// Frees needed to drop it, roughly.
    pub fn free_effort(&self) -> usize {
        1
    }

    /// A copy that shares nothing.
    pub fn deep_copy(&self) -> ZSet {
        ZSet {}
    }

    /// Bytes it holds; see [`crate::Object::memory_bytes`].
    pub fn memory_bytes(&self, _samples: usize) -> usize {
        0
    }
}
