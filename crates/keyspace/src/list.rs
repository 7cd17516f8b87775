//! List values: to come with their commands.

/// A list.
#[derive(Debug, Default)]
pub struct List {}

impl List {
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
    pub fn deep_copy(&self) -> List {
        List {}
    }

    /// Bytes it holds; see [`crate::Object::memory_bytes`].
    pub fn memory_bytes(&self, _samples: usize) -> usize {
        0
    }
}

/// Elements from this size on have a node of their own.
pub fn set_packed_threshold(_bytes: usize) {}

impl List {
    /// What `DEBUG OBJECT` adds for lists.
    pub fn debug_details(&self) -> String {
        String::new()
    }
}
