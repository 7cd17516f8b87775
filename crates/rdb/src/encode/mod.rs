//! Values of the keyspace to bytes.
//!
//! With [`VERSION`] the type codes and, for everything that has an order, the bytes are those of Redis 8.2. Older
//! versions get the forms that their servers read. [`minimum_version`] tells which version can hold a value.
//!
//! # In pieces
//! A value of millions of elements takes longer than a lock should be held. [`Pieces`] writes it piece by piece: it
//! remembers how far it came, not where that is in memory, so the value may be let go of in between, as long as it is not
//! changed. What all pieces give together is the whole value; its collections without an order may come in another one
//! than in [`Encoder::value`].

mod pieces;
mod stream;
mod text;
mod vector_set;

use crate::lzf::Compressor;
use crate::wire::{VERSION, VERSION_MIN, kind, opcode, push_int_string, push_len, push_ms, push_string};
use kinovar_ds::entry::Payload;
use kinovar_ds::listpack::Listpack;
use kinovar_keyspace::hash::Hash;
use kinovar_keyspace::stream::{Group, Stream};
use kinovar_keyspace::{Entry, Object, Text};
pub use pieces::Pieces;
pub(crate) use vector_set::{HAS_ATTRIBUTES, HAS_PROJECTION};

/// How values are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Whether strings of more than 20 bytes are compressed (`rdbcompression`).
    pub compress: bool,
    /// The version of the format: [`VERSION_MIN`] … [`VERSION`].
    pub version: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options { compress: true, version: VERSION }
    }
}

/// Writes values, one after the other.
pub struct Encoder {
    version: u32,
    compressor: Option<Compressor>,
    /// A listpack on its way to the compressor.
    packed: Vec<u8>,
}

/// What a file says about a key beside its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Usage {
    /// Nothing.
    #[default]
    None,
    /// Seconds since it was used last; with an LRU policy.
    IdleS(u64),
    /// How often it is used, on a logarithmic scale; with an LFU policy.
    Freq(u8),
}

impl Encoder {
    /// An encoder with these options. Panics if there is no such version.
    pub fn new(options: Options) -> Encoder {
        assert!((VERSION_MIN..=VERSION).contains(&options.version), "a version that can be written");
        let compressor = options.compress.then(Compressor::new);
        Encoder { version: options.version, compressor, packed: Vec::new() }
    }

    /// The version that is written.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Appends all that a file has about a key: expiry, usage, type, key and value.
    pub fn record(&mut self, entry: &Entry, usage: Usage, out: &mut Vec<u8>) {
        self.record_head(entry, usage, out);
        self.value(entry, out);
    }

    /// Appends what stands in front of the value in [`Encoder::record`].
    pub fn record_head(&mut self, entry: &Entry, usage: Usage, out: &mut Vec<u8>) {
        if let Some(at_ms) = entry.expire_at_ms() {
            out.push(opcode::EXPIRE_TIME_MS);
            push_ms(out, at_ms);
        }
        match usage {
            Usage::None => {}
            Usage::IdleS(idle_s) => {
                out.push(opcode::IDLE);
                push_len(out, idle_s);
            }
            Usage::Freq(freq) => out.extend_from_slice(&[opcode::FREQ, freq]),
        }
        out.push(self.kind(entry));
        push_string(out, entry.key(), self.compressor.as_mut());
    }

    /// Appends an entry's value.
    #[inline]
    pub fn value(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        match entry.payload() {
            Payload::Int(value) => push_int_string(out, value),
            Payload::Bytes(bytes) => push_string(out, bytes, self.compressor.as_mut()),
            Payload::Object(object) => self.object(object, out),
            Payload::None => push_len(out, 0),
        }
    }

    /// Appends a value. Panics if the version cannot hold it: see [`minimum_version`].
    pub fn object(&mut self, object: &Object, out: &mut Vec<u8>) {
        let more = Pieces::default().next(object, usize::MAX, self, out);
        debug_assert!(!more, "a piece without limit is the last");
    }

    /// The code of an entry's type and encoding.
    pub fn kind(&self, entry: &Entry) -> u8 {
        match entry.payload() {
            Payload::Object(object) => self.object_kind(object),
            Payload::Int(_) | Payload::Bytes(_) | Payload::None => kind::STRING,
        }
    }

    /// The code of a value's type and encoding.
    pub fn object_kind(&self, object: &Object) -> u8 {
        let since = |version: u32, newer: u8, older: u8| if self.version >= version { newer } else { older };
        match object {
            Object::Raw(_) => kind::STRING,
            Object::List(_) => since(10, kind::LIST_QUICKLIST_2, kind::LIST),
            Object::Set(set) if set.as_intset().is_some() => kind::SET_INTSET,
            Object::Set(set) if set.as_listpack().is_some() => since(11, kind::SET_LISTPACK, kind::SET),
            Object::Set(_) => kind::SET,
            Object::ZSet(zset) if zset.as_listpack().is_some() => since(10, kind::ZSET_LISTPACK, kind::ZSET_2),
            Object::ZSet(_) => kind::ZSET_2,
            Object::Hash(hash) => match hash.listpack() {
                Some((_, false)) => since(10, kind::HASH_LISTPACK, kind::HASH),
                Some((_, true)) if self.version >= 12 => kind::HASH_LISTPACK_EX,
                None if hash.next_field_expiry_ms().is_some() => kind::HASH_METADATA,
                Some((_, true)) | None => kind::HASH,
            },
            Object::Stream(_) => {
                since(11, kind::STREAM_LISTPACKS_3, since(10, kind::STREAM_LISTPACKS_2, kind::STREAM_LISTPACKS))
            }
            Object::VectorSet(_) => kind::MODULE_2,
        }
    }

    #[inline]
    fn string(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        push_string(out, bytes, self.compressor.as_mut());
    }

    #[inline]
    fn text(&mut self, text: Text<'_>, out: &mut Vec<u8>) {
        match text {
            Text::Int(value) => push_int_string(out, value),
            Text::Bytes(bytes) => self.string(bytes, out),
        }
    }

    /// Appends a listpack as a string.
    fn listpack(&mut self, list: &Listpack, out: &mut Vec<u8>) {
        match &mut self.compressor {
            Some(compressor) => {
                self.packed.clear();
                list.append_to(&mut self.packed);
                push_string(out, &self.packed, Some(compressor));
            }
            None => {
                push_len(out, list.bytes_len() as u64);
                list.append_to(out);
            }
        }
    }
}

/// The oldest version that holds all of an entry's value.
pub fn minimum_version(entry: &Entry) -> u32 {
    match entry.payload() {
        Payload::Object(object) => object_minimum_version(object),
        Payload::Int(_) | Payload::Bytes(_) | Payload::None => VERSION_MIN,
    }
}

/// The oldest version that holds all of a value.
pub fn object_minimum_version(object: &Object) -> u32 {
    match object {
        Object::Raw(_) | Object::List(_) | Object::Set(_) | Object::ZSet(_) => VERSION_MIN,
        Object::Hash(hash) => hash_minimum_version(hash),
        Object::Stream(stream) => stream_minimum_version(stream),
        // Any version has values of modules; a server with vector sets is of version 12.
        Object::VectorSet(_) => 12,
    }
}

fn hash_minimum_version(hash: &Hash) -> u32 {
    if hash.next_field_expiry_ms().is_some() { 12 } else { VERSION_MIN }
}

/// Version 10 is the first to have the counters, version 11 the first to tell when a consumer was active: before that, it was
/// when it was seen.
fn stream_minimum_version(stream: &Stream) -> u32 {
    let active_when_seen = |group: &Group| group.consumers().all(|(_, one)| one.active_ms() == Some(one.seen_ms()));
    if stream.groups().all(|(_, group)| active_when_seen(group)) { 10 } else { 11 }
}

/// Appends a payload's or a record's value: the type's code and the value.
pub fn typed_value(entry: &Entry, encoder: &mut Encoder, out: &mut Vec<u8>) {
    out.push(encoder.kind(entry));
    encoder.value(entry, out);
}
