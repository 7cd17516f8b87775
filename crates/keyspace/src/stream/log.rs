//! All blocks of a stream.

/// The entries of a stream.
#[derive(Debug, Default)]
pub(super) struct Log {}
