//! What a key can hold.

use crate::hash::Hash;
use crate::list::List;
use crate::set::Set;
use crate::stream::Stream;
use crate::zset::ZSet;
use crate::{Entry, EventClass};
use kinovar_ds::entry::{NewPayload, Payload, prefetch_bytes};
use kinovar_ds::number::{I64_TEXT_MAX, format_i64, parse_i64};

/// A value that does not fit inside its key's entry. Short strings and integers do: they are the entry's payload.
#[derive(Debug)]
pub enum Object {
    /// A string too long to be stored inline.
    Raw(Vec<u8>),
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// A sorted set.
    ZSet(ZSet),
    /// A hash.
    Hash(Hash),
    /// A stream.
    Stream(Box<Stream>),
}

const _: () = assert!(size_of::<Object>() == 24 && size_of::<Option<Object>>() == 24);

/// The operation does not fit the type of the value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WrongType;

/// The type of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are the types' names")]
pub enum ValueType {
    String,
    List,
    Set,
    ZSet,
    Hash,
    Stream,
}

impl ValueType {
    /// As `TYPE` reports it.
    pub const fn name(self) -> &'static str {
        match self {
            ValueType::String => "string",
            ValueType::List => "list",
            ValueType::Set => "set",
            ValueType::ZSet => "zset",
            ValueType::Hash => "hash",
            ValueType::Stream => "stream",
        }
    }

    /// The class of the type's own events.
    pub const fn event_class(self) -> EventClass {
        match self {
            ValueType::String => EventClass::String,
            ValueType::List => EventClass::List,
            ValueType::Set => EventClass::Set,
            ValueType::ZSet => EventClass::SortedSet,
            ValueType::Hash => EventClass::Hash,
            ValueType::Stream => EventClass::Stream,
        }
    }
}

/// A collection type: how it is found in and put into an [`Object`].
pub trait Value: Sized {
    /// Its type.
    const TYPE: ValueType;
    /// The value, if the object is of this type.
    fn from_object(object: &Object) -> Option<&Self>;
    /// The value, if the object is of this type.
    fn from_object_mut(object: &mut Object) -> Option<&mut Self>;
    /// Wraps it.
    fn into_object(self) -> Object;
    /// Whether nothing is left in it: such a value is not kept.
    fn is_empty(&self) -> bool;
    /// When the first of its parts expires, Unix ms.
    fn next_expiry_ms(&self) -> Option<u64> {
        None
    }
}

macro_rules! value {
    ($type:ident) => {
        impl Value for $type {
            const TYPE: ValueType = ValueType::$type;
            value!(@common $type);
        }
    };
    (@common $type:ident) => {
        fn from_object(object: &Object) -> Option<&Self> {
            match object {
                Object::$type(value) => Some(value),
                _ => None,
            }
        }
        fn from_object_mut(object: &mut Object) -> Option<&mut Self> {
            match object {
                Object::$type(value) => Some(value),
                _ => None,
            }
        }
        fn into_object(self) -> Object {
            Object::$type(self)
        }
        fn is_empty(&self) -> bool {
            self.len() == 0
        }
    };
}

value!(List);
value!(Set);
value!(ZSet);

impl Value for Hash {
    const TYPE: ValueType = ValueType::Hash;
    value!(@common Hash);

    fn next_expiry_ms(&self) -> Option<u64> {
        self.next_field_expiry_ms()
    }
}

impl Value for Stream {
    const TYPE: ValueType = ValueType::Stream;
    fn from_object(object: &Object) -> Option<&Self> {
        match object {
            Object::Stream(stream) => Some(stream),
            _ => None,
        }
    }
    fn from_object_mut(object: &mut Object) -> Option<&mut Self> {
        match object {
            Object::Stream(stream) => Some(stream),
            _ => None,
        }
    }
    fn into_object(self) -> Object {
        Object::Stream(Box::new(self))
    }
    /// A stream without entries still has its last id and its groups: it is kept.
    fn is_empty(&self) -> bool {
        false
    }
}

/// A string as it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Text<'a> {
    /// Bytes.
    Bytes(&'a [u8]),
    /// The decimal text of an integer.
    Int(i64),
}

impl Text<'_> {
    /// Calls `f` with the bytes.
    #[inline]
    pub fn with<R>(self, f: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Text::Bytes(bytes) => f(bytes),
            Text::Int(value) => f(format_i64(value, &mut [0; I64_TEXT_MAX])),
        }
    }

    /// The integer that this is the canonical text of.
    #[inline]
    pub fn to_int(self) -> Option<i64> {
        match self {
            Text::Bytes(bytes) => parse_i64(bytes),
            Text::Int(value) => Some(value),
        }
    }

    /// A copy of the bytes.
    pub fn to_vec(self) -> Vec<u8> {
        self.with(<[u8]>::to_vec)
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        self.with(<[u8]>::len)
    }

    /// Whether it is the empty string.
    pub fn is_empty(self) -> bool {
        self == Text::Bytes(b"")
    }
}

/// A string that was set in one go is reported as `embstr` while key and value together have up to so many bytes.
const EMBEDDED_MAX: usize = 41;
/// The same for one that shares the reference's allocation with an expiry.
const EMBEDDED_EXPIRING_MAX: usize = EMBEDDED_MAX - 8;
/// With keys of this length the reference may keep room for an expiry that is set later.
const KEY_WITH_ROOM: usize = 32;

/// Whether an inline string is longer, together with its key, than `max` bytes.
fn exceeds(entry: &Entry, max: usize) -> bool {
    matches!(entry.payload(), Payload::Bytes(bytes) if entry.key().len() + bytes.len() > max)
}

/// Marks a string that the reference would not keep in one piece with its key. The mark stays until the string is set
/// again, even if it would fit later. To be called when a string gets another key, or was set without touching the expiry.
pub(crate) fn note_embedding(entry: &mut Entry) {
    let max = if entry.expire_at_ms().is_some() { EMBEDDED_EXPIRING_MAX } else { EMBEDDED_MAX };
    if exceeds(entry, max) {
        entry.set_raw(true);
    }
}

/// An entry under another key.
pub(crate) fn renamed(mut entry: Entry, key: &[u8]) -> Entry {
    // What was too long beside the old key stays so beside a shorter one.
    if exceeds(&entry, EMBEDDED_MAX) {
        entry.set_raw(true);
    }
    let mut entry = entry.with_key(key);
    note_embedding(&mut entry);
    entry
}

/// The same for a string that was set already when it got its expiry.
pub(crate) fn note_expiry(entry: &mut Entry) {
    // With a long key the reference may have left room for it, which depends on its allocator: measured, not understood.
    let has_room = entry.key().len() >= KEY_WITH_ROOM && exceeds(entry, EMBEDDED_MAX - 2);
    if !has_room {
        note_embedding(entry);
    }
}

/// The string in an entry.
#[inline]
pub fn text(entry: &Entry) -> Result<Text<'_>, WrongType> {
    match entry.payload() {
        Payload::Bytes(bytes) => Ok(Text::Bytes(bytes)),
        Payload::Int(value) => Ok(Text::Int(value)),
        Payload::Object(Object::Raw(bytes)) => Ok(Text::Bytes(bytes)),
        Payload::Object(_) | Payload::None => Err(WrongType),
    }
}

/// The collection in an entry.
#[inline]
pub fn value<T: Value>(entry: &Entry) -> Result<&T, WrongType> {
    match entry.payload() {
        Payload::Object(object) => T::from_object(object).ok_or(WrongType),
        _ => Err(WrongType),
    }
}

/// The type of the value in an entry.
pub fn value_type(entry: &Entry) -> ValueType {
    match entry.payload() {
        Payload::Object(Object::List(_)) => ValueType::List,
        Payload::Object(Object::Set(_)) => ValueType::Set,
        Payload::Object(Object::ZSet(_)) => ValueType::ZSet,
        Payload::Object(Object::Hash(_)) => ValueType::Hash,
        Payload::Object(Object::Stream(_)) => ValueType::Stream,
        Payload::Object(Object::Raw(_)) | Payload::Bytes(_) | Payload::Int(_) | Payload::None => ValueType::String,
    }
}

/// A copy of an entry under another key, with the same expiry and with `meta` as its access clock.
pub fn copy(entry: &Entry, key: &[u8], meta: u32) -> Entry {
    let payload = match entry.payload() {
        Payload::None => NewPayload::None,
        Payload::Bytes(bytes) => NewPayload::Bytes(bytes),
        Payload::Int(value) => NewPayload::Int(value),
        Payload::Object(object) => NewPayload::Object(object.deep_copy()),
    };
    let mut copy = Entry::new(key, payload, entry.expire_at_ms(), Some(meta));
    copy.set_raw(entry.raw() || exceeds(entry, EMBEDDED_MAX));
    copy
}

/// The encoding of the value in an entry, as `OBJECT ENCODING` reports it.
pub fn encoding(entry: &Entry) -> &'static str {
    match entry.payload() {
        Payload::Int(_) => "int",
        Payload::Bytes(_) if !entry.raw() && !exceeds(entry, EMBEDDED_MAX) => "embstr",
        Payload::Bytes(_) | Payload::None | Payload::Object(Object::Raw(_)) => "raw",
        Payload::Object(Object::List(list)) => list.encoding(),
        Payload::Object(Object::Set(set)) => set.encoding(),
        Payload::Object(Object::ZSet(zset)) => zset.encoding(),
        Payload::Object(Object::Hash(hash)) => hash.encoding(),
        Payload::Object(Object::Stream(_)) => "stream",
    }
}

impl Object {
    /// Starts loading what a compact value consists of, so that it is there when all of it is read. Looks at nothing but the
    /// object itself.
    #[inline]
    pub(crate) fn prefetch(&self) {
        let pack = match self {
            Object::Raw(text) => return prefetch_bytes(text),
            Object::List(list) => list.as_listpack(),
            Object::Set(set) => set.as_listpack(),
            Object::ZSet(zset) => zset.as_listpack(),
            Object::Hash(hash) => hash.listpack().map(|(pack, _)| pack),
            Object::Stream(_) => None,
        };
        if let Some(pack) = pack {
            prefetch_bytes(pack.body());
        }
    }

    /// How many allocations freeing it takes, roughly: beyond [`FREE_INLINE_MAX`] it is freed in the background.
    pub fn free_effort(&self) -> usize {
        match self {
            Object::Raw(bytes) => 1 + bytes.len() / (1 << 20),
            Object::List(list) => list.free_effort(),
            Object::Set(set) => set.free_effort(),
            Object::ZSet(zset) => zset.free_effort(),
            Object::Hash(hash) => hash.free_effort(),
            Object::Stream(stream) => stream.free_effort(),
        }
    }

    /// A copy that shares nothing.
    pub fn deep_copy(&self) -> Object {
        match self {
            Object::Raw(bytes) => Object::Raw(bytes.clone()),
            Object::List(list) => Object::List(list.deep_copy()),
            Object::Set(set) => Object::Set(set.deep_copy()),
            Object::ZSet(zset) => Object::ZSet(zset.deep_copy()),
            Object::Hash(hash) => Object::Hash(hash.deep_copy()),
            Object::Stream(stream) => Object::Stream(Box::new(stream.deep_copy())),
        }
    }

    /// Bytes it holds, its own allocations included; `samples` elements of a large collection are looked at (0: all).
    pub fn memory_bytes(&self, samples: usize) -> usize {
        match self {
            Object::Raw(bytes) => kinovar_ds::entry::size_class(bytes.capacity()),
            Object::List(list) => list.memory_bytes(samples),
            Object::Set(set) => set.memory_bytes(samples),
            Object::ZSet(zset) => zset.memory_bytes(samples),
            Object::Hash(hash) => hash.memory_bytes(samples),
            Object::Stream(stream) => stream.memory_bytes(samples),
        }
    }
}

/// Values that take more frees than this are handed to the background.
pub const FREE_INLINE_MAX: usize = 64;
