//! Files written.

use super::MAGIC;
use crate::encode::{Encoder, Usage};
use crate::lzf::Compressor;
use crate::wire::{CRC64, VERSION, VERSION_MIN, opcode, push_int_string, push_len, push_string};
use kinovar_keyspace::Entry;
use std::io::{self, Write};

/// What is collected before it is handed on.
const BUFFER_BYTES: usize = 64 << 10;

/// Writes a file.
pub struct Writer<W: Write> {
    out: W,
    buffer: Vec<u8>,
    /// `None`: zeros stand in the place of the checksum (`rdbchecksum no`).
    digest: Option<crc::Digest<'static, u64, crc::Table<16>>>,
    /// Handed on, and so in the digest.
    written: u64,
    compressor: Option<Compressor>,
}

/// What a file says about the server that wrote it.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Unix time, s.
    pub created_s: u64,
    /// Memory in use, bytes.
    pub used_memory: u64,
    /// Whether this is the base of an append-only file.
    pub aof_base: bool,
    /// Where in the replication stream the file's moment is, if there is one.
    pub replication: Option<Replication>,
}

/// A moment in a replication stream.
#[derive(Clone, Debug)]
pub struct Replication {
    /// The database that the stream has selected; -1 if none.
    pub selected_db: i64,
    /// Name of the stream.
    pub id: String,
    /// Bytes of it.
    pub offset: i64,
}

/// The version that files claim to be written by: what tools look at.
const REDIS_VERSION: &[u8] = b"8.2.3";

impl<W: Write> Writer<W> {
    /// Begins a file of this version. Panics if there is no such version to be written.
    pub fn new(out: W, version: u32, checksum: bool, compress: bool) -> Writer<W> {
        assert!((VERSION_MIN..=VERSION).contains(&version), "a version that can be written");
        let mut buffer = Vec::with_capacity(BUFFER_BYTES + BUFFER_BYTES / 4);
        buffer.extend_from_slice(MAGIC);
        buffer.extend_from_slice(format!("{version:04}").as_bytes());
        Writer {
            out,
            buffer,
            digest: checksum.then(|| CRC64.digest()),
            written: 0,
            compressor: compress.then(Compressor::new),
        }
    }

    /// Length of the file up to here.
    pub fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Notes something about the file.
    pub fn aux(&mut self, name: &[u8], value: &[u8]) -> io::Result<()> {
        self.buffer.push(opcode::AUX);
        push_string(&mut self.buffer, name, self.compressor.as_mut());
        push_string(&mut self.buffer, value, self.compressor.as_mut());
        self.hand_on()
    }

    /// Notes a number.
    pub fn aux_int(&mut self, name: &[u8], value: i64) -> io::Result<()> {
        self.buffer.push(opcode::AUX);
        push_string(&mut self.buffer, name, self.compressor.as_mut());
        push_int_string(&mut self.buffer, value);
        self.hand_on()
    }

    /// Notes what files of the reference begin with.
    pub fn facts(&mut self, facts: &Facts) -> io::Result<()> {
        self.aux(b"redis-ver", REDIS_VERSION)?;
        self.aux_int(b"redis-bits", i64::from(usize::BITS))?;
        self.aux_int(b"ctime", facts.created_s as i64)?;
        self.aux_int(b"used-mem", facts.used_memory as i64)?;
        if let Some(replication) = &facts.replication {
            self.aux_int(b"repl-stream-db", replication.selected_db)?;
            self.aux(b"repl-id", replication.id.as_bytes())?;
            self.aux_int(b"repl-offset", replication.offset)?;
        }
        self.aux_int(b"aof-base", i64::from(facts.aof_base))
    }

    /// Adds the text of a library of functions.
    pub fn function(&mut self, text: &[u8]) -> io::Result<()> {
        self.buffer.push(opcode::FUNCTION2);
        push_string(&mut self.buffer, text, self.compressor.as_mut());
        self.hand_on()
    }

    /// Says which database the keys that follow are in.
    pub fn select_db(&mut self, db: u32) -> io::Result<()> {
        self.buffer.push(opcode::SELECT_DB);
        push_len(&mut self.buffer, u64::from(db));
        self.hand_on()
    }

    /// Says how many keys the database has, and how many of them expire: to set memory aside at once.
    pub fn resize_db(&mut self, keys: u64, expires: u64) -> io::Result<()> {
        self.buffer.push(opcode::RESIZE_DB);
        push_len(&mut self.buffer, keys);
        push_len(&mut self.buffer, expires);
        self.hand_on()
    }

    /// The same for a slot of a cluster.
    pub fn slot_info(&mut self, slot: u16, keys: u64, expires: u64) -> io::Result<()> {
        self.buffer.push(opcode::SLOT_INFO);
        for number in [u64::from(slot), keys, expires] {
            push_len(&mut self.buffer, number);
        }
        self.hand_on()
    }

    /// Adds a key.
    pub fn entry(&mut self, entry: &Entry, usage: Usage, encoder: &mut Encoder) -> io::Result<()> {
        encoder.record(entry, usage, &mut self.buffer);
        self.hand_on()
    }

    /// Adds what was encoded elsewhere.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() >= BUFFER_BYTES {
            self.flush_buffer()?;
            return self.write_out(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        self.hand_on()
    }

    /// Ends the file; where it was written to, flushed.
    pub fn finish(mut self) -> io::Result<W> {
        self.buffer.push(opcode::EOF);
        self.flush_buffer()?;
        let checksum = self.digest.take().map_or(0, |digest| digest.finalize());
        self.out.write_all(&checksum.to_le_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn hand_on(&mut self) -> io::Result<()> {
        if self.buffer.len() < BUFFER_BYTES { Ok(()) } else { self.flush_buffer() }
    }

    fn flush_buffer(&mut self) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.write_out(&buffer);
        buffer.clear();
        if buffer.capacity() > 4 * BUFFER_BYTES {
            buffer.shrink_to(BUFFER_BYTES);
        }
        self.buffer = buffer;
        result
    }

    fn write_out(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}
