//! Values as the commands that make them: what the base of an append-only file consists of where it is no snapshot
//! (`aof-use-rdb-preamble no`).
//!
//! The commands and their sizes are those of Redis 8.2: up to 64 items each, and the time to live at the end. What no command can
//! say is lost, as it is there: when consumers of streams were seen, and what is pending of entries that are deleted.
//!
//! # In pieces
//! A value of millions of elements takes longer than a lock should be held. [`Pieces`] remembers how far it came, not where that is
//! in memory, so the value may be let go of in between, as long as it is not changed.

mod stream;
#[cfg(test)]
mod tests;

use kinovar_command::keyspace::hash::{Field, Hash};
use kinovar_command::keyspace::list::List;
use kinovar_command::keyspace::set::Set;
use kinovar_command::keyspace::snapshot::go_through;
use kinovar_command::keyspace::zset::ZSet;
use kinovar_command::keyspace::{Entry, Object, Payload, Text};
use kinovar_command::{Protocol, Reply};

/// Items in one command.
const ITEMS_MAX: usize = 64;
/// Elements of a table that are visited between two looks at how much was written.
const STEP: usize = 64;

/// Appends the command that selects a database.
pub fn select(db: u32, out: &mut Vec<u8>) {
    let mut words = Reply::new(out, Protocol::Resp2);
    words.array(2);
    words.bulk(b"SELECT");
    words.bulk_integer(db.into());
}

/// Appends the command that loads a library of functions.
pub fn library(text: &[u8], out: &mut Vec<u8>) {
    push(out, &[b"FUNCTION", b"LOAD", text]);
}

/// Appends the commands that make a key.
pub fn entry(entry: &Entry, out: &mut Vec<u8>) {
    let more = Pieces::default().next(entry, usize::MAX, out);
    debug_assert!(!more, "a piece without limit is the last");
}

/// How far a key was written.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    at: At,
    /// Items that were written of a collection.
    items: usize,
}

/// What comes next.
#[derive(Clone, Debug, Default)]
enum At {
    #[default]
    Start,
    /// The node of a list with this index.
    Node(usize),
    /// The cursor of a table.
    Cursor(u64),
    /// The member of a sorted set with this rank.
    Rank(usize),
    /// A part of a stream.
    Stream(stream::At),
    End,
}

impl Pieces {
    /// Appends the next piece: about `bytes` bytes, at least one element, everything if it is `usize::MAX`. Whether more is
    /// to come. The value is the same, unchanged, at each call.
    pub fn next(&mut self, entry: &Entry, bytes: usize, out: &mut Vec<u8>) -> bool {
        let limit = out.len().saturating_add(bytes);
        match entry.payload() {
            Payload::Object(object) => self.object(entry.key(), object, limit, out),
            Payload::Int(value) => self.string(entry.key(), Text::Int(value), out),
            Payload::Bytes(bytes) => self.string(entry.key(), Text::Bytes(bytes), out),
            Payload::None => self.string(entry.key(), Text::Bytes(b""), out),
        }
        let is_over = matches!(self.at, At::End);
        if let Some(at_ms) = entry.expire_at_ms().filter(|_| is_over) {
            let mut words = Reply::new(out, Protocol::Resp2);
            words.array(3);
            words.bulk(b"PEXPIREAT");
            words.bulk(entry.key());
            bulk_unsigned(&mut words, at_ms);
        }
        !is_over
    }

    fn object(&mut self, key: &[u8], object: &Object, limit: usize, out: &mut Vec<u8>) {
        match object {
            Object::Raw(text) => self.string(key, Text::Bytes(text), out),
            Object::List(list) => self.list(key, list, limit, out),
            Object::Set(set) => self.set(key, set, limit, out),
            Object::ZSet(zset) => self.zset(key, zset, limit, out),
            Object::Hash(hash) if hash.next_field_expiry_ms().is_some() => self.expiring_hash(key, hash, limit, out),
            Object::Hash(hash) => self.hash(key, hash, limit, out),
            Object::Stream(value) => {
                let at = match std::mem::take(&mut self.at) {
                    At::Stream(at) => at,
                    _ => stream::At::default(),
                };
                self.at = stream::write(key, value, at, limit, out).map_or(At::End, At::Stream);
            }
        }
    }

    fn string(&mut self, key: &[u8], value: Text<'_>, out: &mut Vec<u8>) {
        value.with(|value| push(out, &[b"SET", key, value]));
        self.at = At::End;
    }

    fn list(&mut self, key: &[u8], list: &List, limit: usize, out: &mut Vec<u8>) {
        let command = Filling { name: b"RPUSH", key, total: list.len(), width: 1 };
        let mut index = if let At::Node(index) = self.at { index } else { 0 };
        while index < list.node_count() {
            list.visit_node(index, |element| {
                command.item(&mut self.items, out);
                push_text(out, element);
            });
            index += 1;
            if out.len() >= limit && index < list.node_count() {
                self.at = At::Node(index);
                return;
            }
        }
        self.at = At::End;
    }

    fn set(&mut self, key: &[u8], set: &Set, limit: usize, out: &mut Vec<u8>) {
        let command = Filling { name: b"SADD", key, total: set.len(), width: 1 };
        let mut items = self.items;
        self.table(limit, out, |cursor, out| {
            set.scan(cursor, STEP, &mut |member| {
                command.item(&mut items, out);
                Reply::new(out, Protocol::Resp2).bulk(member.bytes(&mut [0; 24]));
            })
        });
        self.items = items;
    }

    fn zset(&mut self, key: &[u8], zset: &ZSet, limit: usize, out: &mut Vec<u8>) {
        let command = Filling { name: b"ZADD", key, total: zset.len(), width: 2 };
        let mut rank = if let At::Rank(rank) = self.at { rank } else { 0 };
        zset.visit(rank..zset.len(), false, &mut |member, score| {
            command.item(&mut self.items, out);
            Reply::new(out, Protocol::Resp2).bulk_double(score);
            push_text(out, member);
            rank += 1;
            out.len() < limit
        });
        self.at = if rank == zset.len() { At::End } else { At::Rank(rank) };
    }

    fn hash(&mut self, key: &[u8], hash: &Hash, limit: usize, out: &mut Vec<u8>) {
        let command = Filling { name: b"HMSET", key, total: hash.len(), width: 2 };
        let mut items = self.items;
        // At time zero nothing has expired.
        self.table(limit, out, |cursor, out| {
            hash.scan(cursor, STEP, 0, &mut |field| {
                command.item(&mut items, out);
                push_text(out, field.name);
                push_text(out, field.value);
            })
        });
        self.items = items;
    }

    /// Each field has commands of its own where any expires.
    fn expiring_hash(&mut self, key: &[u8], hash: &Hash, limit: usize, out: &mut Vec<u8>) {
        let write = |field: Field<'_>, out: &mut Vec<u8>| {
            Filling { name: b"HMSET", key, total: 1, width: 2 }.item(&mut 0, out);
            push_text(out, field.name);
            push_text(out, field.value);
            if let Some(at_ms) = field.expire_at_ms {
                let mut words = Reply::new(out, Protocol::Resp2);
                words.array(6);
                words.bulk(b"HPEXPIREAT");
                words.bulk(key);
                bulk_unsigned(&mut words, at_ms);
                words.bulk(b"FIELDS");
                words.bulk(b"1");
                push_text(out, field.name);
            }
        };
        self.table(limit, out, |cursor, out| hash.scan(cursor, STEP, 0, &mut |field| write(field, out)));
    }

    /// Goes on through a table, by steps that take a cursor and give the next one. What is packed is one step.
    fn table(&mut self, limit: usize, out: &mut Vec<u8>, step: impl FnMut(u64, &mut Vec<u8>) -> u64) {
        let cursor = if let At::Cursor(cursor) = self.at { cursor } else { 0 };
        self.at = match go_through(cursor, limit, out, step) {
            0 => At::End,
            cursor => At::Cursor(cursor),
        };
    }
}

/// Commands with the items of a collection.
struct Filling<'k> {
    name: &'static [u8],
    key: &'k [u8],
    /// Items of the collection.
    total: usize,
    /// Words of an item.
    width: usize,
}

impl Filling<'_> {
    /// Counts an item, whose words the caller appends. With the first one of a command goes its head.
    fn item(&self, items: &mut usize, out: &mut Vec<u8>) {
        if items.is_multiple_of(ITEMS_MAX) {
            let count = (self.total - *items).min(ITEMS_MAX);
            let mut words = Reply::new(out, Protocol::Resp2);
            words.array(2 + count * self.width);
            words.bulk(self.name);
            words.bulk(self.key);
        }
        *items += 1;
    }
}

fn push(out: &mut Vec<u8>, words: &[&[u8]]) {
    let mut command = Reply::new(out, Protocol::Resp2);
    command.array(words.len());
    words.iter().for_each(|word| command.bulk(word));
}

fn push_text(out: &mut Vec<u8>, text: Text<'_>) {
    text.with(|bytes| Reply::new(out, Protocol::Resp2).bulk(bytes));
}

fn bulk_unsigned(words: &mut Reply<'_>, value: u64) {
    match i64::try_from(value) {
        Ok(value) => words.bulk_integer(value),
        Err(_) => words.bulk(value.to_string().as_bytes()),
    }
}
