//! A file that grows, as far as the journal needs one.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Somewhere to append to.
pub trait Disk: Send {
    /// Appends some of `bytes`; how many.
    ///
    /// # Errors
    /// The system's.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Has everything that was appended outlive a crash.
    ///
    /// # Errors
    /// The system's: then nobody knows what would be left.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts off what is behind `bytes`.
    ///
    /// # Errors
    /// The system's.
    fn cut(&mut self, bytes: u64) -> io::Result<()>;
}

impl Disk for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }
}

/// A file at its end, which is made if it is not there; and its length.
///
/// # Errors
/// The system's.
pub fn open(path: &Path, truncate: bool) -> io::Result<(Box<dyn Disk>, u64)> {
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    if truncate {
        file.set_len(0)?;
    }
    let bytes = file.metadata()?.len();
    Ok((Box::new(file), bytes))
}
