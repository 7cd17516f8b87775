//! Writing what was recorded: all or nothing of each piece, and again if it has failed.

use super::disk::Disk;
use super::log::{Begin, Piece};
use std::collections::VecDeque;
use std::io;

/// The error number of a file system without room (`ENOSPC`).
const NO_ROOM: i32 = 28;

/// What has gone wrong.
#[derive(Debug)]
pub enum Trouble {
    /// Nothing could be written.
    Write(io::Error),
    /// Only a part could be written; it was cut off again, unless that has failed as well.
    Short {
        /// Bytes written.
        written: usize,
        /// Bytes to be written.
        wanted: usize,
        /// Why the part is still there.
        stays: Option<io::Error>,
    },
    /// The file could not be synced.
    Sync(io::Error),
}

impl Trouble {
    /// The error of the system that clients are told. A file that takes a part has no room for the rest.
    pub fn error(&self) -> io::Error {
        match self {
            Trouble::Write(error) | Trouble::Sync(error) => {
                error.raw_os_error().map_or_else(|| io::Error::from(error.kind()), io::Error::from_raw_os_error)
            }
            Trouble::Short { .. } => io::Error::from_raw_os_error(NO_ROOM),
        }
    }

    /// Whether it was about a sync.
    pub fn is_sync(&self) -> bool {
        matches!(self, Trouble::Sync(_))
    }
}

/// A file and what is to be written to it.
#[derive(Default)]
pub struct Writer {
    disk: Option<Box<dyn Disk>>,
    /// How long the file is.
    bytes: u64,
    queue: VecDeque<Piece>,
    /// How much of the first piece is written: only what could not be cut off again.
    done: usize,
    /// The position up to which everything is written.
    written: u64,
    /// The position up to which everything is written and synced.
    synced: u64,
    /// Chunks that are written.
    pub used: Vec<Vec<u8>>,
}

impl Writer {
    /// Adds work.
    pub fn add(&mut self, pieces: VecDeque<Piece>) {
        if self.queue.is_empty() {
            self.queue = pieces;
        } else {
            self.queue.extend(pieces);
        }
    }

    /// The position up to which everything is written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The position up to which everything is written and synced.
    pub fn synced(&self) -> u64 {
        self.synced
    }

    /// How long the file is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there is a file to write to.
    pub fn has_file(&self) -> bool {
        self.disk.is_some()
    }

    /// Whether there is something that a sync would be about.
    pub fn has_unsynced(&self) -> bool {
        self.written > self.synced
    }

    /// Writes everything that is to be written.
    ///
    /// # Errors
    /// What has gone wrong: what is left is still to be written.
    pub fn write(&mut self) -> Result<(), Trouble> {
        while let Some(piece) = self.queue.pop_front() {
            match piece {
                Piece::Bytes(bytes) => {
                    if let Err(trouble) = self.append(&bytes[self.done..]) {
                        self.queue.push_front(Piece::Bytes(bytes));
                        return Err(trouble);
                    }
                    self.done = 0;
                    self.used.push(bytes);
                }
                other => {
                    // What follows may be synced before what is there would be.
                    if let Err(trouble) = self.sync() {
                        self.queue.push_front(other);
                        return Err(trouble);
                    }
                    match other {
                        Piece::Begin(Begin { disk, bytes, name }) => {
                            if name.is_none_or(|name| name()) {
                                self.disk = Some(disk);
                                self.bytes = bytes;
                            }
                        }
                        _ => self.disk = None,
                    }
                }
            }
        }
        Ok(())
    }

    /// Forgets what was to be written to files that nobody wants any more, if that is so: they need not work.
    pub fn forget_ended(&mut self) {
        let Some(end) = self.queue.iter().rposition(|piece| matches!(piece, Piece::End)) else { return };
        for piece in self.queue.drain(..=end) {
            if let Piece::Bytes(bytes) = piece {
                self.written += (bytes.len() - std::mem::take(&mut self.done)) as u64;
                self.used.push(bytes);
            }
        }
        self.disk = None;
        self.synced = self.written;
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let Some(disk) = &mut self.disk else {
            self.written += bytes.len() as u64;
            return Ok(());
        };
        let mut at = 0;
        let failed = loop {
            if at == bytes.len() {
                break None;
            }
            match disk.append(&bytes[at..]) {
                Ok(0) => break Some(io::Error::from(io::ErrorKind::WriteZero)),
                Ok(count) => at += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Some(error),
            }
        };
        match failed {
            None => {
                self.bytes += at as u64;
                self.written += at as u64;
                Ok(())
            }
            Some(error) if at == 0 => Err(Trouble::Write(error)),
            Some(_) => {
                let stays = disk.cut(self.bytes).err();
                if stays.is_some() {
                    self.bytes += at as u64;
                    self.written += at as u64;
                    self.done += at;
                }
                Err(Trouble::Short { written: at, wanted: bytes.len(), stays })
            }
        }
    }

    /// Syncs what is written.
    ///
    /// # Errors
    /// The system's.
    pub fn sync(&mut self) -> Result<(), Trouble> {
        if let Some(disk) = self.disk.as_mut().filter(|_| self.written > self.synced) {
            disk.sync().map_err(Trouble::Sync)?;
        }
        self.synced = self.written;
        Ok(())
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
