//! What was recorded and is not written yet.

use super::disk::Disk;
use kinovar_command::keyspace::Unit;
use std::collections::VecDeque;

/// A chunk that has so many bytes is not added to: so nothing large is ever moved to make room.
const CHUNK_BYTES: usize = 256 << 10;
/// Chunks kept for reuse, and the largest that is kept.
const SPARE_CHUNKS: usize = 4;
const SPARE_BYTES: usize = CHUNK_BYTES * 2;

/// What is to be done, in order.
pub enum Piece {
    /// Write this: whole units.
    Bytes(Vec<u8>),
    /// What follows goes to another file.
    Begin(Begin),
    /// There is no file any more.
    End,
}

/// A file to go on with.
pub struct Begin {
    /// The file.
    pub disk: Box<dyn Disk>,
    /// Its length.
    pub bytes: u64,
    /// To be called when the file before is complete and synced, and this one not written to: has whoever loads the files know
    /// of it. Whether that was possible; else the file before is gone on with.
    pub name: Option<Box<dyn FnOnce() -> bool + Send>>,
}

/// The units of all threads in one order.
#[derive(Default)]
pub struct Log {
    pieces: VecDeque<Piece>,
    spare: Vec<Vec<u8>>,
    /// The database that is selected at the end.
    selected: Option<u32>,
    /// What all chunks take up, those included that are being written, bytes.
    capacity: usize,
    /// How many bytes were ever recorded: the position of what comes next.
    end: u64,
    /// Of the last annotation, Unix seconds.
    annotated_s: u64,
}

impl Log {
    /// Adds a unit; the position behind it. `now_s`: it is preceded by the time, if that has changed.
    pub fn push(&mut self, unit: &Unit, now_s: Option<u64>) -> u64 {
        if !matches!(self.pieces.back(), Some(Piece::Bytes(bytes)) if bytes.len() < CHUNK_BYTES) {
            let chunk = self.spare.pop().unwrap_or_default();
            self.pieces.push_back(Piece::Bytes(chunk));
        }
        let Some(Piece::Bytes(chunk)) = self.pieces.back_mut() else { unreachable!("it was added a moment ago") };
        let (before, room) = (chunk.len(), chunk.capacity());
        if let Some(now_s) = now_s.filter(|&now_s| now_s > self.annotated_s) {
            chunk.extend_from_slice(format!("#TS:{now_s}\r\n").as_bytes());
            self.annotated_s = now_s;
        }
        unit.write(&mut self.selected, chunk);
        self.end += (chunk.len() - before) as u64;
        self.capacity += chunk.capacity() - room;
        self.end
    }

    /// What follows goes to another file.
    pub fn begin(&mut self, begin: Begin) {
        self.selected = None;
        self.annotated_s = 0;
        self.pieces.push_back(Piece::Begin(begin));
    }

    /// The file ends here.
    pub fn end(&mut self) {
        self.pieces.push_back(Piece::End);
    }

    /// How many bytes were ever recorded.
    pub fn position(&self) -> u64 {
        self.end
    }

    /// Bytes that what is recorded and not written takes up, with what is kept for reuse.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Takes everything, and some used chunks back.
    pub fn take(&mut self, used: &mut Vec<Vec<u8>>) -> VecDeque<Piece> {
        for mut chunk in used.drain(..) {
            if self.spare.len() < SPARE_CHUNKS && chunk.capacity() <= SPARE_BYTES {
                chunk.clear();
                self.spare.push(chunk);
            } else {
                self.capacity = self.capacity.saturating_sub(chunk.capacity());
            }
        }
        std::mem::take(&mut self.pieces)
    }
}
