//! Files read as a stream.

use super::{CHECKSUM_SINCE, MAGIC, VERSION_DIGITS};
use crate::decode::{self, NewValue, module_name};
use crate::encode::Usage;
use crate::error::{ErrorKind, Result};
use crate::skip;
use crate::wire::{self, CRC64, Input, VERSION, opcode};
use kinovar_keyspace::Settings;
use std::borrow::Cow;
use std::io::{self, Read};

/// Bytes that are asked for at once.
const CHUNK: usize = 256 << 10;

/// What a file has next.
#[derive(Debug)]
pub enum Event<'a> {
    /// Something about the file.
    Aux {
        /// What.
        name: Cow<'a, [u8]>,
        /// Its value; numbers as text.
        value: Cow<'a, [u8]>,
    },
    /// The keys that follow are in this database.
    SelectDb(u32),
    /// How many keys the database has, and how many of them expire. A hint that may be wrong.
    ResizeDb {
        /// Keys.
        keys: u64,
        /// Of these, with an expiry.
        expires: u64,
    },
    /// The same for a slot of a cluster.
    SlotInfo {
        /// Its number.
        slot: u64,
        /// Keys.
        keys: u64,
        /// Of these, with an expiry.
        expires: u64,
    },
    /// The text of a library of functions.
    Function(Cow<'a, [u8]>),
    /// Something that a module wrote, which was passed over.
    ModuleAux {
        /// The name of the module's type.
        name: String,
    },
    /// A key.
    Record(Record<'a>),
    /// The end of the file, whose checksum is right, or absent.
    Eof,
}

/// A key with its value as it is in the file.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// The database.
    pub db: u32,
    /// The key.
    pub key: Cow<'a, [u8]>,
    /// Code of the value's type.
    pub kind: u8,
    /// When it expires, Unix ms.
    pub expire_at_ms: Option<u64>,
    /// How it was used.
    pub usage: Usage,
    /// The value, undecoded.
    pub value: &'a [u8],
    /// Where the value begins in the file.
    pub offset: u64,
}

impl<'a> Record<'a> {
    /// Decodes the value.
    pub fn decode(&self, settings: &Settings) -> Result<NewValue<'a>> {
        decode::value(self.kind, &mut wire::Reader::new(self.value, self.offset), settings)
    }
}

/// What of a file is being read: after an error, what could not be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doing {
    /// The code of what comes next, or how a key was used.
    Type,
    /// When a key expires.
    Expiry,
    /// A number between keys.
    Number,
    /// Something about the file.
    Aux,
    /// What a module wrote.
    ModuleAux,
    /// A library of functions.
    Function,
    /// A key whose value has this code.
    Key(u8),
    /// A value of this code.
    Value(u8),
    /// The checksum.
    Checksum,
}

/// Reads a file. After an error, or [`Event::Eof`], there is nothing more to be asked for.
pub struct Reader<R: Read> {
    window: Window<R>,
    version: u32,
    verify: bool,
    db: u32,
    lacks_checksum: bool,
    doing: Doing,
}

impl<R: Read> Reader<R> {
    /// Begins to read; `verify` tells whether the checksum is looked at.
    ///
    /// # Errors
    /// The source fails, or it is no RDB file of a version that is known.
    pub fn new(source: R, verify: bool) -> Result<Reader<R>> {
        let mut window = Window::new(source, verify);
        let header = match window.array::<{ MAGIC.len() + VERSION_DIGITS }>() {
            Err(error) if matches!(error.kind, ErrorKind::Truncated) => return Err(ErrorKind::NotRdb.at(0)),
            header => header?,
        };
        let (magic, digits) = header.split_at(MAGIC.len());
        let number = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(version) = number.and_then(|digits| digits.parse().ok()).filter(|_| magic == MAGIC) else {
            return Err(ErrorKind::NotRdb.at(0));
        };
        if !(1..=VERSION).contains(&version) {
            return Err(ErrorKind::Version(version).at(MAGIC.len() as u64));
        }
        Ok(Reader { window, version, verify, db: 0, lacks_checksum: false, doing: Doing::Type })
    }

    /// The file's version.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Whether the file, which has been read to its end, has no checksum to be verified.
    pub fn lacks_checksum(&self) -> bool {
        self.lacks_checksum
    }

    /// How much has been read. After an error: up to what could not be.
    pub fn offset(&self) -> u64 {
        self.window.offset()
    }

    /// What is being read; after an error, what could not be.
    pub fn doing(&self) -> Doing {
        self.doing
    }

    /// The key whose value could not be read.
    pub fn broken_key(&self) -> Option<Cow<'_, [u8]>> {
        matches!(self.doing, Doing::Value(_)).then(|| self.window.kept().string().ok()).flatten()
    }

    /// What comes next.
    ///
    /// # Errors
    /// The source fails, the bytes are wrong, or the checksum is.
    pub fn next_event(&mut self) -> Result<Event<'_>> {
        let (mut expire_at_ms, mut usage) = (None, Usage::None);
        self.window.keep_nothing();
        loop {
            let at = self.window.offset();
            self.doing = Doing::Type;
            let code = self.window.byte()?;
            self.doing = match code {
                opcode::EXPIRE_TIME_S | opcode::EXPIRE_TIME_MS => Doing::Expiry,
                opcode::SELECT_DB | opcode::RESIZE_DB | opcode::SLOT_INFO => Doing::Number,
                opcode::AUX => Doing::Aux,
                opcode::FUNCTION2 => Doing::Function,
                opcode::MODULE_AUX => Doing::ModuleAux,
                opcode::EOF => Doing::Checksum,
                _ => Doing::Type,
            };
            match code {
                opcode::EXPIRE_TIME_S => {
                    let time_s = i32::from_le_bytes(self.window.array()?);
                    expire_at_ms = time_from(i64::from(time_s).saturating_mul(1000));
                }
                opcode::EXPIRE_TIME_MS => expire_at_ms = time_from(i64::from_le_bytes(self.window.array()?)),
                opcode::IDLE => usage = Usage::IdleS(self.window.number()?),
                opcode::FREQ => usage = Usage::Freq(self.window.byte()?),
                opcode::EOF => return self.end(),
                opcode::SELECT_DB => {
                    let db = self.window.number()?;
                    self.db = u32::try_from(db)
                        .ok()
                        .filter(|&db| i32::try_from(db).is_ok())
                        .ok_or(ErrorKind::Corrupt("a database's number is out of range").at(at))?;
                    return Ok(Event::SelectDb(self.db));
                }
                opcode::RESIZE_DB => {
                    return Ok(Event::ResizeDb { keys: self.window.number()?, expires: self.window.number()? });
                }
                opcode::SLOT_INFO => {
                    return Ok(Event::SlotInfo {
                        slot: self.window.number()?,
                        keys: self.window.number()?,
                        expires: self.window.number()?,
                    });
                }
                opcode::AUX => {
                    self.window.keep();
                    self.window.pass_string()?;
                    self.window.pass_string()?;
                    let mut kept = self.window.kept();
                    return Ok(Event::Aux { name: kept.string()?, value: kept.string()? });
                }
                opcode::FUNCTION2 => {
                    self.window.keep();
                    self.window.pass_string()?;
                    return Ok(Event::Function(self.window.kept().string()?));
                }
                opcode::MODULE_AUX => {
                    let name = module_name(self.window.number()?);
                    skip::module_items(&mut self.window)?;
                    return Ok(Event::ModuleAux { name });
                }
                opcode::FUNCTION_PRE_GA => return Err(ErrorKind::PreReleaseFunction.at(at)),
                kind => return self.record(kind, at, expire_at_ms, usage),
            }
        }
    }

    fn record(&mut self, kind: u8, at: u64, expire_at_ms: Option<u64>, usage: Usage) -> Result<Event<'_>> {
        if !skip::is_known(kind) {
            return Err(ErrorKind::UnknownType(kind).at(at));
        }
        self.window.keep();
        self.doing = Doing::Key(kind);
        self.window.pass_string()?;
        let key_len = self.window.kept_len();
        let offset = self.window.offset();
        self.doing = Doing::Value(kind);
        skip::value(kind, &mut self.window).map_err(|error| match error.kind {
            // The place of the code, not that behind the key.
            ErrorKind::PreReleaseModule => error.kind.at(at),
            _ => error,
        })?;
        let db = self.db;
        let mut kept = self.window.kept();
        let value = &kept.rest()[key_len..];
        let key = kept.string()?;
        Ok(Event::Record(Record { db, key, kind, expire_at_ms, usage, value, offset }))
    }

    fn end(&mut self) -> Result<Event<'static>> {
        if self.version < CHECKSUM_SINCE {
            return Ok(Event::Eof);
        }
        let computed = self.window.checksum();
        let at = self.window.offset();
        let stored = u64::from_le_bytes(self.window.array()?);
        self.lacks_checksum = stored == 0;
        if self.verify && stored != 0 && stored != computed {
            return Err(ErrorKind::Checksum { stored, computed }.at(at));
        }
        Ok(Event::Eof)
    }

    /// What was read from the source beyond the end of the file, and the source: an append-only file goes on there.
    pub fn into_rest(self) -> (Vec<u8>, R) {
        let Window { buffer, at, source, .. } = self.window;
        (buffer[at..].to_vec(), source)
    }
}

/// Times before 1970 have passed like any other; -1 is none.
fn time_from(time_ms: i64) -> Option<u64> {
    (time_ms != -1).then_some(time_ms.max(0) as u64)
}

/// A part of the file, in memory.
struct Window<R> {
    source: R,
    buffer: Vec<u8>,
    /// The next byte.
    at: usize,
    /// What is kept in the buffer begins here.
    keep: Option<usize>,
    /// Offset of the buffer in the file.
    base: u64,
    /// In the digest is what is before this.
    digested: usize,
    digest: Option<crc::Digest<'static, u64, crc::Table<16>>>,
}

impl<R: Read> Window<R> {
    fn new(source: R, verify: bool) -> Window<R> {
        let digest = verify.then(|| CRC64.digest());
        Window { source, buffer: Vec::new(), at: 0, keep: None, base: 0, digested: 0, digest }
    }

    /// Keeps what is read from here on.
    fn keep(&mut self) {
        self.keep = Some(self.at);
    }

    fn keep_nothing(&mut self) {
        self.keep = None;
    }

    /// How much was kept.
    fn kept_len(&self) -> usize {
        self.at - self.keep.unwrap_or(self.at)
    }

    /// What was kept.
    fn kept(&self) -> wire::Reader<'_> {
        let from = self.at - self.kept_len();
        wire::Reader::new(&self.buffer[from..self.at], self.base + from as u64)
    }

    /// Sees to it that `count` bytes are there.
    #[inline]
    fn need(&mut self, count: u64) -> Result<()> {
        if ((self.buffer.len() - self.at) as u64) < count { self.fill(count) } else { Ok(()) }
    }

    #[cold]
    fn fill(&mut self, count: u64) -> Result<()> {
        self.drop_passed();
        while ((self.buffer.len() - self.at) as u64) < count {
            // A little at a time: what is announced need not come.
            let before = self.buffer.len();
            self.buffer.resize(before + CHUNK, 0);
            // One read: a source that has not come to its end may have nothing more for a while.
            let read = self.source.read(&mut self.buffer[before..]);
            self.buffer.truncate(before + read.as_ref().map_or(0, |&count| count.min(CHUNK)));
            match read {
                Ok(1..) => {}
                Ok(0) => return Err(ErrorKind::Truncated.at(self.base + before as u64)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ErrorKind::Io(error).at(self.base + self.buffer.len() as u64)),
            }
        }
        Ok(())
    }

    /// Forgets what need not be kept.
    fn drop_passed(&mut self) {
        let passed = self.at - self.kept_len();
        self.digest_until(passed);
        self.buffer.drain(..passed);
        if self.buffer.capacity() > 16 * CHUNK && self.buffer.len() < CHUNK {
            self.buffer.shrink_to(CHUNK);
        }
        self.base += passed as u64;
        self.at -= passed;
        self.keep = self.keep.map(|keep| keep - passed);
        self.digested -= passed;
    }

    fn digest_until(&mut self, end: usize) {
        if let Some(digest) = &mut self.digest {
            digest.update(&self.buffer[self.digested..end]);
        }
        self.digested = end;
    }

    /// The checksum of all that was read.
    fn checksum(&mut self) -> u64 {
        self.digest_until(self.at);
        self.digest.clone().map_or(0, |digest| digest.finalize())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.need(N as u64)?;
        let bytes = self.buffer[self.at..].first_chunk().copied();
        self.at += N;
        Ok(bytes.expect("there are so many"))
    }
}

impl<R: Read> Input for Window<R> {
    fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    #[inline]
    fn byte(&mut self) -> Result<u8> {
        self.need(1)?;
        self.at += 1;
        Ok(self.buffer[self.at - 1])
    }

    #[inline]
    fn pass(&mut self, mut count: u64) -> Result<()> {
        while self.keep.is_none() && count > CHUNK as u64 {
            self.need(1)?;
            let step = count.min((self.buffer.len() - self.at) as u64);
            self.at += step as usize;
            count -= step;
        }
        self.need(count)?;
        self.at += count as usize;
        Ok(())
    }

    fn word(&mut self) -> Result<[u8; 8]> {
        self.array()
    }
}
