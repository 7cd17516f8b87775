//! Hash values: to come with their commands.

/// A hash.
#[derive(Debug, Default)]
pub struct Hash {}

impl Hash {
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
    pub fn deep_copy(&self) -> Hash {
        Hash {}
    }

    /// Bytes it holds; see [`crate::Object::memory_bytes`].
    pub fn memory_bytes(&self, _samples: usize) -> usize {
        0
    }
}

impl Hash {
    /// When the first field expires, Unix ms.
    pub fn next_field_expiry_ms(&self) -> Option<u64> {
        None
    }

    /// Removes up to `max` fields whose time has come and returns how many.
    pub fn expire_fields(&mut self, _now_ms: u64, _max: usize) -> usize {
        0
    }
}
