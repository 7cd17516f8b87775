//! `DEBUG DIGEST`: a fingerprint of data, by which two servers can be compared. It is the reference's.
//!
//! Everything is made of two steps. *Adding* something to a digest is an exclusive or with its SHA-1. What is added has no order: the
//! keys of a database, the elements of sets, sorted sets and hashes. *Mixing* something into a digest is adding it and taking the
//! SHA-1 of what comes out: that is for what has an order.
//!
//! | what | how |
//! |---|---|
//! | everything | the number of each database that is not empty is mixed in, four bytes, highest first; then its keys are added |
//! | a key | its name and then its value |
//! | a value | the number of its type is mixed in as that of a database; then what follows; an expiry adds a fixed text |
//! | a string | mixed in |
//! | a list | each element is mixed in |
//! | a set | each member is added |
//! | a sorted set | each member and its score, with the fewest digits, are mixed into zeros, which are added |
//! | a hash | each name and its value are mixed into zeros, to which a field's expiry adds a fixed text, and which are added |
//! | a vector set | the numbers of elements and of components are mixed into zeros, which are added to other zeros; so are the stored
//! | | vector, the name and the attributes of each element; what comes out is added |
//! | a stream | of each entry, id, names and values are mixed in; groups do not count |

use kinovar_command::keyspace::object::{self, Object, Text, ValueType};
use kinovar_command::keyspace::stream::{Stream, StreamId};
use kinovar_command::keyspace::{Entry, Payload, VectorSet};
use kinovar_command::*;
use kinovar_script::sha1;

type Digest = [u8; 20];

fn join(digest: &mut Digest, other: &Digest) {
    digest.iter_mut().zip(other).for_each(|(byte, other)| *byte ^= other);
}

fn add(digest: &mut Digest, bytes: &[u8]) {
    join(digest, &sha1::digest(bytes));
}

fn mix(digest: &mut Digest, bytes: &[u8]) {
    add(digest, bytes);
    *digest = sha1::digest(digest);
}

fn mix_text(digest: &mut Digest, text: Text<'_>) {
    text.with(|bytes| mix(digest, bytes));
}

fn number_of(kind: ValueType) -> u32 {
    match kind {
        ValueType::String => 0,
        ValueType::List => 1,
        ValueType::Set => 2,
        ValueType::ZSet => 3,
        ValueType::Hash => 4,
        ValueType::Stream => 6,
        ValueType::VectorSet => 5,
    }
}

/// Adds a value, and whether its key expires.
fn add_value(digest: &mut Digest, entry: &Entry) {
    mix(digest, &number_of(object::value_type(entry)).to_be_bytes());
    match entry.payload() {
        Payload::Object(Object::List(list)) => list.visit(0..list.len(), false, |element| {
            mix_text(digest, element);
            true
        }),
        Payload::Object(Object::Set(set)) => {
            let mut buffer = [0; 24];
            set.iter().for_each(|member| add(digest, member.bytes(&mut buffer)));
        }
        Payload::Object(Object::ZSet(zset)) => zset.for_each(0..zset.len(), false, |member, score| {
            let mut own = Digest::default();
            mix_text(&mut own, member);
            let mut text = Vec::new();
            number::push_f64_shortest(&mut text, score);
            mix(&mut own, &text);
            add(digest, &own);
        }),
        Payload::Object(Object::Hash(hash)) => {
            for field in hash.iter() {
                let mut own = Digest::default();
                mix_text(&mut own, field.name);
                mix_text(&mut own, field.value);
                if field.expire_at_ms.is_some() {
                    add(&mut own, b"!!hexpire!!");
                }
                add(digest, &own);
            }
        }
        Payload::Object(Object::Stream(stream)) => mix_stream(digest, stream),
        Payload::Object(Object::VectorSet(set)) => add_vector_set(digest, set),
        _ => {
            if let Ok(text) = object::text(entry) {
                mix_text(digest, text);
            }
        }
    }
    if entry.expire_at_ms().is_some() {
        add(digest, b"!!expire!!");
    }
}

fn add_vector_set(digest: &mut Digest, set: &VectorSet) {
    let mut sum = Digest::default();
    let mut own = Digest::default();
    mix_text(&mut own, Text::Int(set.len() as i64));
    mix_text(&mut own, Text::Int(set.index().dim() as i64));
    add(&mut sum, &own);
    for node in set.nodes_from(0) {
        let mut own = Digest::default();
        mix(&mut own, set.index().stored(node));
        mix(&mut own, set.name(node));
        if let Some(attributes) = set.attributes(node) {
            mix(&mut own, attributes);
        }
        add(&mut sum, &own);
    }
    add(digest, &sum);
}

fn mix_stream(digest: &mut Digest, stream: &Stream) {
    for entry in stream.range(StreamId::MIN, StreamId::MAX) {
        let id = format!("{}.{}", entry.id.ms, entry.id.seq);
        mix(digest, id.as_bytes());
        for text in entry.texts() {
            mix_text(digest, text);
        }
    }
}

fn write(ctx: &mut Ctx<'_>, digest: &Digest) {
    let hex = sha1::hex(digest);
    ctx.reply.simple(std::str::from_utf8(&hex).expect("digits"));
}

/// `DEBUG DIGEST`: of everything.
pub fn digest(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    if !ctx.db.has_locked_all() {
        ctx.db.lock_all_or_give_up()?;
    }
    let mut digest = Digest::default();
    for index in 0..ctx.db.keyspace().databases() {
        let (mut keys, mut sum) = (0, Digest::default());
        for partition in 0..ctx.db.keyspace().partitions() {
            ctx.db.look(partition, |partition| {
                let Some(db) = partition.db(index) else { return };
                keys += db.len();
                for entry in db.table().iter() {
                    let mut own = Digest::default();
                    mix(&mut own, entry.key());
                    add_value(&mut own, entry);
                    add(&mut sum, &own);
                }
            });
        }
        if keys > 0 {
            mix(&mut digest, &index.to_be_bytes());
            join(&mut digest, &sum);
        }
    }
    write(ctx, &digest);
    Ok(())
}

/// `DEBUG DIGEST-VALUE`: of the values of some keys.
pub fn digest_value(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    ctx.reply.array(args.left());
    while !args.is_empty() {
        let key = args.key()?;
        let partition = ctx.db.keyspace().partition_of(&key);
        ctx.db.visit(partition)?;
        let mut digest = Digest::default();
        if let Some(entry) = ctx.db.peek(&key) {
            add_value(&mut digest, entry);
        }
        write(ctx, &digest);
    }
    Ok(())
}
