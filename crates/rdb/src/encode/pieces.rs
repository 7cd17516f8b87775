//! A value in pieces.

use super::text::LongText;
use super::{Encoder, stream};
use crate::wire::{container, push_f64, push_len, push_ms, push_raw_string};
use kinovar_ds::listpack::Item;
use kinovar_ds::quicklist::NodeRef;
use kinovar_keyspace::Object;
use kinovar_keyspace::hash::{Field, Hash};
use kinovar_keyspace::list::List;
use kinovar_keyspace::set::Set;
use kinovar_keyspace::snapshot::go_through;
use kinovar_keyspace::stream::StreamId;
use kinovar_keyspace::zset::ZSet;

/// How far a value was written.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    at: At,
}

/// What comes next.
#[derive(Clone, Debug, Default)]
enum At {
    #[default]
    Start,
    /// More of a string.
    Text(LongText),
    /// The node of a list with this index.
    Node(usize),
    /// The cursor of a table.
    Cursor(u64),
    /// So many members of a sorted set, the lowest.
    Lowest(usize),
    /// The node of a stream after the one with this first id.
    NodeAfter(StreamId),
    /// What a stream has beside its entries.
    Groups,
    /// The group of a stream after the one of this name.
    GroupAfter(Box<[u8]>),
    End,
}

/// Elements of a table that are visited between two looks at how much was written.
const STEP: usize = 64;

impl Pieces {
    /// Appends the next piece: about `bytes` bytes, at least one element, everything if it is `usize::MAX`; or does so much work for
    /// it. Whether more is to come. The value is the same, unchanged, at each call.
    pub fn next(&mut self, object: &Object, bytes: usize, encoder: &mut Encoder, out: &mut Vec<u8>) -> bool {
        let limit = out.len().saturating_add(bytes);
        match object {
            Object::Raw(text) => self.text(text, bytes, encoder, out),
            Object::List(list) => self.list(list, limit, encoder, out),
            Object::Set(set) => self.set(set, limit, encoder, out),
            Object::ZSet(zset) => self.zset(zset, limit, encoder, out),
            Object::Hash(hash) => self.hash(hash, limit, encoder, out),
            Object::Stream(value) => self.stream(value, limit, encoder, out),
        }
        !matches!(self.at, At::End)
    }

    fn text(&mut self, text: &[u8], bytes: usize, encoder: &mut Encoder, out: &mut Vec<u8>) {
        let so_far = match std::mem::take(&mut self.at) {
            At::Text(so_far) => so_far,
            _ if LongText::is_for(text) && bytes < usize::MAX => LongText::new(text, encoder.compressor.is_some(), out),
            _ => {
                encoder.string(text, out);
                self.at = At::End;
                return;
            }
        };
        self.at = so_far.next(text, bytes, encoder.compressor.as_mut(), out).map_or(At::End, At::Text);
    }

    fn list(&mut self, list: &List, limit: usize, encoder: &mut Encoder, out: &mut Vec<u8>) {
        let has_nodes = encoder.version() >= 10;
        let mut index = match self.at {
            At::Node(index) => index,
            _ => {
                push_len(out, if has_nodes { list.node_count() } else { list.len() } as u64);
                0
            }
        };
        while let Some(node) = list.node(index) {
            match node {
                NodeRef::Packed(pack) if has_nodes => {
                    push_len(out, container::PACKED);
                    encoder.listpack(pack, out);
                }
                NodeRef::Plain(element) if has_nodes => {
                    push_len(out, container::PLAIN);
                    encoder.string(element, out);
                }
                NodeRef::Packed(pack) => pack.iter().for_each(|item| encoder.item(item, out)),
                NodeRef::Plain(element) => encoder.string(element, out),
            }
            index += 1;
            if out.len() >= limit && index < list.node_count() {
                self.at = At::Node(index);
                return;
            }
        }
        self.at = At::End;
    }

    fn set(&mut self, set: &Set, limit: usize, encoder: &mut Encoder, out: &mut Vec<u8>) {
        let is_start = matches!(self.at, At::Start);
        if let Some(ints) = set.as_intset() {
            encoder.string(ints.as_bytes(), out);
            self.at = At::End;
            return;
        }
        if let Some(pack) = set.as_listpack().filter(|_| encoder.version() >= 11) {
            encoder.listpack(pack, out);
            self.at = At::End;
            return;
        }
        if is_start {
            push_len(out, set.len() as u64);
        }
        if is_start && limit == usize::MAX {
            set.iter().for_each(|member| encoder.string(member.bytes(&mut [0; 24]), out));
            self.at = At::End;
            return;
        }
        self.table(limit, out, |cursor, out| {
            set.scan(cursor, STEP, &mut |member| encoder.string(member.bytes(&mut [0; 24]), out))
        });
    }

    /// Goes on through a table, by steps that take a cursor and give the next one.
    fn table(&mut self, limit: usize, out: &mut Vec<u8>, step: impl FnMut(u64, &mut Vec<u8>) -> u64) {
        let cursor = if let At::Cursor(cursor) = self.at { cursor } else { 0 };
        self.at = match go_through(cursor, limit, out, step) {
            0 => At::End,
            cursor => At::Cursor(cursor),
        };
    }

    fn zset(&mut self, zset: &ZSet, limit: usize, encoder: &mut Encoder, out: &mut Vec<u8>) {
        if let Some(pack) = zset.as_listpack().filter(|_| encoder.version() >= 10) {
            encoder.listpack(pack, out);
            self.at = At::End;
            return;
        }
        let left = match self.at {
            At::Lowest(left) => left,
            _ => {
                push_len(out, zset.len() as u64);
                zset.len()
            }
        };
        // The greatest comes first.
        let mut written = 0;
        zset.visit(0..left, true, &mut |member, score| {
            encoder.text(member, out);
            push_f64(out, score);
            written += 1;
            out.len() < limit
        });
        self.at = if written == left { At::End } else { At::Lowest(left - written) };
    }

    fn hash(&mut self, hash: &Hash, limit: usize, encoder: &mut Encoder, out: &mut Vec<u8>) {
        let min_ms = hash.next_field_expiry_ms();
        assert!(min_ms.is_none() || encoder.version() >= 12, "fields that expire need version 12");
        let pack = hash.listpack().filter(|(_, expiring)| encoder.version() >= if *expiring { 12 } else { 10 });
        if let Some((pack, expiring)) = pack {
            if expiring {
                push_ms(out, min_ms.unwrap_or(0));
            }
            encoder.listpack(pack, out);
            self.at = At::End;
            return;
        }
        let is_start = matches!(self.at, At::Start);
        if is_start {
            if let Some(min_ms) = min_ms {
                push_ms(out, min_ms);
            }
            push_len(out, hash.len() as u64);
        }
        let mut push = |field: Field<'_>, out: &mut Vec<u8>| {
            if let Some(min_ms) = min_ms {
                push_len(out, field.expire_at_ms.map_or(0, |at_ms| at_ms - min_ms + 1));
            }
            encoder.text(field.name, out);
            encoder.text(field.value, out);
        };
        if is_start && limit == usize::MAX {
            hash.iter().for_each(|field| push(field, out));
            self.at = At::End;
            return;
        }
        // At time zero nothing has expired.
        self.table(limit, out, |cursor, out| hash.scan(cursor, STEP, 0, &mut |field| push(field, out)));
    }

    fn stream(
        &mut self,
        value: &kinovar_keyspace::stream::Stream,
        limit: usize,
        encoder: &mut Encoder,
        out: &mut Vec<u8>,
    ) {
        let mut after = match self.at {
            At::NodeAfter(after) => Some(after),
            At::Start => {
                push_len(out, value.block_count() as u64);
                Some(StreamId::MIN)
            }
            _ => None,
        };
        while let Some(node) = after.and_then(|after| value.node_after(after)) {
            push_raw_string(out, &node.first_id().to_bytes());
            stream::node(&node, encoder, out);
            after = Some(node.first_id());
            if out.len() >= limit {
                self.at = At::NodeAfter(node.first_id());
                return;
            }
        }
        let mut groups_after: Option<Box<[u8]>> = match std::mem::take(&mut self.at) {
            At::GroupAfter(name) => Some(name),
            At::Groups => None,
            _ => {
                stream::counters(value, encoder.version(), out);
                push_len(out, value.group_count() as u64);
                if out.len() >= limit {
                    self.at = At::Groups;
                    return;
                }
                None
            }
        };
        while let Some((name, group)) = value.group_after(groups_after.as_deref()) {
            stream::group(name, group, encoder, out);
            if out.len() >= limit {
                self.at = At::GroupAfter(name.into());
                return;
            }
            groups_after = Some(name.into());
        }
        self.at = At::End;
    }
}

impl Encoder {
    fn item(&mut self, item: Item<'_>, out: &mut Vec<u8>) {
        let mut digits = [0; 20];
        self.string(item.bytes(&mut digits), out);
    }
}
