//! Bytes to values of the keyspace.
//!
//! Every type of value of every version is read; what is stored in one piece (listpacks, ziplists, …) is checked in full.
//! The result has the encoding that the reference gives it on loading, by the thresholds of the [`Settings`].
//!
//! Memory is set aside for what is there, never for what is announced: each element takes a number of bytes in the input at
//! least, and the announced number of elements is compared with what is left.

mod collections;
mod stream;
mod vector_set;

use crate::error::{ErrorKind, Result};
use crate::wire::{Input, Reader, VECTOR_SET, kind};
use kinovar_ds::entry::NewPayload;
use kinovar_ds::number::parse_i64;
use kinovar_keyspace::object::ValueType;
use kinovar_keyspace::{Entry, Object, Settings, string};
use std::borrow::Cow;

/// A value that was read, on its way into an entry.
#[derive(Debug)]
pub enum NewValue<'a> {
    /// The string of an integer's canonical text.
    Int(i64),
    /// Any other string.
    Bytes(Cow<'a, [u8]>),
    /// Any other value.
    Object(Object),
}

impl NewValue<'_> {
    /// Its type.
    pub fn value_type(&self) -> ValueType {
        match self {
            NewValue::Int(_) | NewValue::Bytes(_) | NewValue::Object(Object::Raw(_)) => ValueType::String,
            NewValue::Object(Object::List(_)) => ValueType::List,
            NewValue::Object(Object::Set(_)) => ValueType::Set,
            NewValue::Object(Object::ZSet(_)) => ValueType::ZSet,
            NewValue::Object(Object::Hash(_)) => ValueType::Hash,
            NewValue::Object(Object::Stream(_)) => ValueType::Stream,
            NewValue::Object(Object::VectorSet(_)) => ValueType::VectorSet,
        }
    }

    /// Calls `f` with it in the form that an entry is made of.
    pub fn with_payload<R>(self, f: impl FnOnce(NewPayload<'_, Object>) -> R) -> R {
        match self {
            NewValue::Int(value) => f(NewPayload::Int(value)),
            NewValue::Bytes(Cow::Owned(bytes)) if bytes.len() > string::INLINE_MAX => {
                f(NewPayload::Object(Object::Raw(bytes)))
            }
            NewValue::Bytes(bytes) => f(string::payload(&bytes)),
            NewValue::Object(object) => f(NewPayload::Object(object)),
        }
    }

    /// An entry with it.
    pub fn into_entry(self, key: &[u8], expire_at_ms: Option<u64>, meta: u32) -> Entry {
        self.with_payload(|payload| Entry::new(key, payload, expire_at_ms, Some(meta)))
    }
}

/// Reads the value of a type.
///
/// # Errors
/// [`ErrorKind::Module`] and [`ErrorKind::EmptyCollection`] leave the reader behind the value, any other somewhere in it.
pub fn value<'a>(code: u8, reader: &mut Reader<'a>, settings: &Settings) -> Result<NewValue<'a>> {
    let start = reader.offset();
    let object = match code {
        kind::STRING => return text(reader),
        kind::LIST => Object::List(collections::plain_list(reader, settings)?),
        kind::LIST_ZIPLIST => Object::List(collections::ziplist_list(reader, settings)?),
        kind::LIST_QUICKLIST | kind::LIST_QUICKLIST_2 => {
            Object::List(collections::quicklist(reader, code == kind::LIST_QUICKLIST_2, settings)?)
        }
        kind::SET => Object::Set(collections::plain_set(reader, settings)?),
        kind::SET_INTSET => Object::Set(collections::intset(reader, settings)?),
        kind::SET_LISTPACK => Object::Set(collections::packed_set(reader, settings)?),
        kind::ZSET | kind::ZSET_2 => Object::ZSet(collections::plain_zset(reader, code == kind::ZSET_2, settings)?),
        kind::ZSET_ZIPLIST | kind::ZSET_LISTPACK => {
            Object::ZSet(collections::packed_zset(reader, code == kind::ZSET_ZIPLIST, settings)?)
        }
        kind::HASH => Object::Hash(collections::plain_hash(reader, settings)?),
        kind::HASH_ZIPMAP => Object::Hash(collections::zipmap_hash(reader, settings)?),
        kind::HASH_ZIPLIST | kind::HASH_LISTPACK => {
            Object::Hash(collections::packed_hash(reader, code == kind::HASH_ZIPLIST, settings)?)
        }
        kind::HASH_METADATA_PRE_GA | kind::HASH_METADATA => {
            Object::Hash(collections::expiring_hash(reader, code == kind::HASH_METADATA, settings)?)
        }
        kind::HASH_LISTPACK_EX_PRE_GA | kind::HASH_LISTPACK_EX => {
            Object::Hash(collections::packed_expiring_hash(reader, code == kind::HASH_LISTPACK_EX, settings)?)
        }
        kind::STREAM_LISTPACKS | kind::STREAM_LISTPACKS_2 | kind::STREAM_LISTPACKS_3 => {
            Object::Stream(Box::new(stream::read(reader, code)?))
        }
        kind::MODULE_2 if reader.clone().number()? == VECTOR_SET => {
            Object::VectorSet(Box::new(vector_set::read(reader)?))
        }
        kind::MODULE_2 => return module(reader, start),
        kind::MODULE_PRE_GA => return Err(ErrorKind::PreReleaseModule.at(start)),
        _ => return Err(ErrorKind::UnknownType(code).at(start)),
    };
    let is_empty = match &object {
        Object::List(list) => list.is_empty(),
        Object::Set(set) => set.is_empty(),
        Object::ZSet(zset) => zset.is_empty(),
        Object::Hash(hash) => hash.is_empty(),
        Object::VectorSet(set) => set.is_empty(),
        Object::Raw(_) | Object::Stream(_) => false,
    };
    if is_empty {
        return Err(ErrorKind::EmptyCollection.at(start));
    }
    Ok(NewValue::Object(object))
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<NewValue<'a>> {
    Ok(match reader.string_or_int()? {
        Err(value) => NewValue::Int(value),
        Ok(bytes) => match parse_i64(&bytes) {
            Some(value) => NewValue::Int(value),
            None => NewValue::Bytes(bytes),
        },
    })
}

/// Passes over the value of a module.
fn module<'a>(reader: &mut Reader<'a>, start: u64) -> Result<NewValue<'a>> {
    let name = module_name(reader.clone().number()?);
    crate::skip::value(kind::MODULE_2, reader)?;
    Err(ErrorKind::Module { name }.at(start))
}

/// The name of a module's type: nine characters of six bits each; ten more bits are a version.
pub fn module_name(id: u64) -> String {
    const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9).rev().map(|at| char::from(CHARACTERS[(id >> (10 + 6 * at)) as usize & 63])).collect()
}

/// Says that the bytes at an offset are not what they have to be.
fn corrupt<T>(what: &'static str, offset: u64) -> Result<T> {
    Err(ErrorKind::Corrupt(what).at(offset))
}

/// The next string and where it is stored.
fn string_at<'a>(reader: &mut Reader<'a>) -> Result<(Cow<'a, [u8]>, u64)> {
    let at = Input::offset(reader);
    Ok((reader.string()?, at))
}

#[cfg(test)]
mod tests;
