//! Lists, sets, sorted sets and hashes.

use super::{corrupt, string_at};
use crate::error::{ErrorKind, Result};
use crate::wire::{Reader, container};
use crate::{pairs, ziplist, zipmap};
use kinovar_ds::intset::Intset;
use kinovar_ds::listpack::{self, Item, Listpack};
use kinovar_ds::number::parse_f64;
use kinovar_keyspace::Settings;
use kinovar_keyspace::hash::Hash;
use kinovar_keyspace::list::{End, List};
use kinovar_keyspace::set::Set;
use kinovar_keyspace::zset::ZSet;
use std::borrow::Cow;
use std::cmp::Ordering;

const BAD_LISTPACK: &str = "invalid listpack";
const BAD_ZIPLIST: &str = "invalid ziplist";
const SAME_MEMBER: &str = "a member is there twice, or a part of a pair is missing";
const SAME_FIELD: &str = "a field is there twice, or a part of one is missing";
const BAD_SCORE: &str = "a score that is not a number";
/// Latest time that a field may expire at.
const FIELD_EXPIRY_MAX: u64 = (1 << 48) - 2;

/// The next string as a listpack, which it is, or a ziplist.
fn pack(reader: &mut Reader<'_>, is_ziplist: bool) -> Result<(Listpack, u64)> {
    let (bytes, at) = string_at(reader)?;
    let pack = if is_ziplist {
        ziplist::to_listpack(&bytes).ok_or(BAD_ZIPLIST)
    } else {
        Listpack::from_bytes(&bytes).map_err(|_| BAD_LISTPACK)
    };
    match pack {
        Ok(pack) => Ok((pack, at)),
        Err(what) => corrupt(what, at),
    }
}

// ---- lists ----

pub(super) fn plain_list(reader: &mut Reader<'_>, settings: &Settings) -> Result<List> {
    let count = reader.count(1)?;
    let mut list = List::of_nodes(settings);
    for _ in 0..count {
        list.push(End::Right, &reader.string()?);
    }
    list.compact(settings);
    Ok(list)
}

pub(super) fn ziplist_list(reader: &mut Reader<'_>, settings: &Settings) -> Result<List> {
    let (bytes, at) = string_at(reader)?;
    let mut list = List::of_nodes(settings);
    let mut digits = [0; 20];
    let whole = ziplist::read(&bytes, |item| list.push(End::Right, item.bytes(&mut digits)));
    if whole.is_none() {
        return corrupt(BAD_ZIPLIST, at);
    }
    // It stays a quicklist, however small: so it does in the reference.
    Ok(list)
}

pub(super) fn quicklist(reader: &mut Reader<'_>, has_containers: bool, settings: &Settings) -> Result<List> {
    let nodes = reader.count(1)?;
    let mut list = List::of_nodes(settings);
    for _ in 0..nodes {
        let at = reader.offset();
        match if has_containers { reader.number()? } else { container::PACKED } {
            container::PLAIN => match &*reader.string()? {
                b"" => return corrupt("an empty node of a list", at),
                element => list.push_plain_node(element),
            },
            container::PACKED => list.push_node(pack(reader, !has_containers)?.0),
            _ => return corrupt("unknown kind of node in a list", at),
        }
    }
    list.compact(settings);
    Ok(list)
}

// ---- sets ----

pub(super) fn plain_set(reader: &mut Reader<'_>, settings: &Settings) -> Result<Set> {
    let count = reader.count(1)?;
    let mut set = Set::for_loading(count, count.min(reader.rest().len() / 2), settings);
    for _ in 0..count {
        let (member, at) = string_at(reader)?;
        if !set.add(&member, settings) {
            return corrupt(SAME_MEMBER, at);
        }
    }
    Ok(set)
}

pub(super) fn intset(reader: &mut Reader<'_>, settings: &Settings) -> Result<Set> {
    let (bytes, at) = string_at(reader)?;
    match Intset::from_bytes(&bytes) {
        Ok(ints) => Ok(Set::from_intset(ints, settings)),
        Err(_) => corrupt("invalid intset", at),
    }
}

pub(super) fn packed_set(reader: &mut Reader<'_>, settings: &Settings) -> Result<Set> {
    let (pack, at) = pack(reader, false)?;
    if !pairs::are_distinct(&pack, 1) {
        return corrupt(SAME_MEMBER, at);
    }
    Ok(Set::from_listpack(pack, settings))
}

// ---- sorted sets ----

fn order(a: (&[u8], f64), b: (&[u8], f64)) -> Ordering {
    // Scores are numbers, and the two zeros the same.
    a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal).then_with(|| a.0.cmp(b.0))
}

pub(super) fn plain_zset(reader: &mut Reader<'_>, is_binary: bool, settings: &Settings) -> Result<ZSet> {
    let count = reader.count(if is_binary { 9 } else { 2 })?;
    let start = reader.offset();
    let mut members: Vec<(Cow<'_, [u8]>, f64)> = Vec::with_capacity(count);
    // The reference writes the greatest first.
    let mut descends = true;
    for _ in 0..count {
        let (member, at) = string_at(reader)?;
        let score = if is_binary { reader.f64()? } else { reader.f64_text()? };
        if score.is_nan() {
            return corrupt(BAD_SCORE, at);
        }
        if let Some((last, last_score)) = members.last() {
            descends = descends && order((&member, score), (last, *last_score)).is_lt();
        }
        members.push((member, score));
    }
    if descends {
        members.reverse();
    } else {
        members.sort_unstable_by(|a, b| order((&a.0, a.1), (&b.0, b.1)));
    }
    let mut zset = ZSet::new_tree();
    for (member, score) in &members {
        if !zset.push_greatest(member, *score) {
            return corrupt(SAME_MEMBER, start);
        }
    }
    zset.compact(settings);
    Ok(zset)
}

/// How the scores of a packed set are written.
enum Scores {
    /// As we write them, the members in order.
    Ready,
    /// Numbers, but in other words or out of order.
    Odd,
}

fn check_scores(pack: &Listpack) -> Option<Scores> {
    let mut items = pack.iter();
    let mut ready = true;
    let mut last: Option<(Vec<u8>, f64)> = None;
    while let Some(member) = items.next() {
        let score = items.next()?;
        if let Some(value) = ZSet::stored_score(score).filter(|_| ready) {
            let member = member.to_vec();
            ready = last.is_none_or(|(name, score)| order((&name, score), (&member, value)).is_lt());
            last = Some((member, value));
            continue;
        }
        ready = false;
        odd_score(score)?;
        last = None;
    }
    Some(if ready { Scores::Ready } else { Scores::Odd })
}

fn odd_score(item: Item<'_>) -> Option<f64> {
    match item {
        Item::Int(value) => Some(value as f64),
        Item::Str(text) => parse_f64(text).filter(|value| !value.is_nan()),
    }
}

pub(super) fn packed_zset(reader: &mut Reader<'_>, is_ziplist: bool, settings: &Settings) -> Result<ZSet> {
    let (pack, at) = pack(reader, is_ziplist)?;
    if !pairs::are_distinct(&pack, 2) {
        return corrupt(SAME_MEMBER, at);
    }
    match check_scores(&pack) {
        None => corrupt(BAD_SCORE, at),
        Some(Scores::Ready) => Ok(ZSet::from_listpack(pack, settings)),
        Some(Scores::Odd) => {
            let mut zset = ZSet::new_tree();
            let mut items = pack.iter();
            while let (Some(member), Some(score)) = (items.next(), items.next().and_then(odd_score)) {
                zset.insert(&member.to_vec(), score, settings);
            }
            zset.compact(settings);
            Ok(zset)
        }
    }
}

// ---- hashes ----

pub(super) fn plain_hash(reader: &mut Reader<'_>, settings: &Settings) -> Result<Hash> {
    let count = reader.count(2)?;
    let mut hash = Hash::for_loading(count, count.min(reader.rest().len() / 4), false, settings);
    for _ in 0..count {
        let (name, at) = string_at(reader)?;
        let value = reader.string()?;
        if !hash.insert_new(&name, &value, None, settings) {
            return corrupt(SAME_FIELD, at);
        }
    }
    Ok(hash)
}

pub(super) fn zipmap_hash(reader: &mut Reader<'_>, settings: &Settings) -> Result<Hash> {
    let (bytes, at) = string_at(reader)?;
    let mut count = 0usize;
    if zipmap::read(&bytes, |_, _| count += 1).is_none() {
        return corrupt("invalid zipmap", at);
    }
    let mut hash = Hash::for_loading(count, count, false, settings);
    let mut distinct = true;
    zipmap::read(&bytes, |name, value| distinct &= hash.insert_new(name, value, None, settings));
    if distinct { Ok(hash) } else { corrupt(SAME_FIELD, at) }
}

pub(super) fn packed_hash(reader: &mut Reader<'_>, is_ziplist: bool, settings: &Settings) -> Result<Hash> {
    let (pack, at) = pack(reader, is_ziplist)?;
    if !pairs::are_distinct(&pack, 2) {
        return corrupt(SAME_FIELD, at);
    }
    Ok(Hash::from_listpack(pack, false, settings))
}

/// A time that a field expires at, none if it is zero.
fn field_expiry(at_ms: u64, offset: u64) -> Result<Option<u64>> {
    if at_ms > FIELD_EXPIRY_MAX {
        return corrupt("the expiry of a field is out of range", offset);
    }
    Ok((at_ms > 0).then_some(at_ms))
}

pub(super) fn expiring_hash(reader: &mut Reader<'_>, has_min: bool, settings: &Settings) -> Result<Hash> {
    let min_ms = if has_min { min_expiry(reader)? } else { 0 };
    let count = reader.count(3)?;
    let mut hash = Hash::for_loading(count, count.min(reader.rest().len() / 4), true, settings);
    for _ in 0..count {
        let at = reader.offset();
        let expire_at_ms = match reader.number()? {
            0 => None,
            // Counted from the earliest of all, plus one.
            ttl if has_min => field_expiry(min_ms.saturating_add(ttl - 1), at)?,
            at_ms => field_expiry(at_ms, at)?,
        };
        let name = reader.string()?;
        let value = reader.string()?;
        if !hash.insert_new(&name, &value, expire_at_ms, settings) {
            return corrupt(SAME_FIELD, at);
        }
    }
    Ok(hash)
}

fn min_expiry(reader: &mut Reader<'_>) -> Result<u64> {
    let at = reader.offset();
    let min_ms = reader.ms()?;
    // One more stands for none.
    if min_ms > FIELD_EXPIRY_MAX + 1 {
        return corrupt("the earliest expiry of a field is out of range", at);
    }
    Ok(min_ms)
}

pub(super) fn packed_expiring_hash(reader: &mut Reader<'_>, has_min: bool, settings: &Settings) -> Result<Hash> {
    if has_min {
        min_expiry(reader)?;
    }
    let (pack, at) = pack(reader, false)?;
    if !pairs::are_distinct(&pack, 3) {
        return corrupt(SAME_FIELD, at);
    }
    let expiries = pack.iter().skip(2).step_by(3).map(|expiry| match expiry {
        Item::Int(at_ms) => field_expiry(u64::try_from(at_ms).unwrap_or(u64::MAX), at),
        Item::Str(_) => corrupt("the expiry of a field is no number", at),
    });
    let expiries: Vec<Option<u64>> = expiries.collect::<Result<_>>()?;
    if expiries.is_sorted_by_key(|expiry| expiry.unwrap_or(u64::MAX)) {
        return Ok(Hash::from_listpack(pack, true, settings));
    }
    let mut hash = Hash::for_loading(expiries.len(), expiries.len(), true, settings);
    let mut items = pack.iter();
    for expire_at_ms in expiries {
        let field: [Option<listpack::Item<'_>>; 3] = [items.next(), items.next(), items.next()];
        let [Some(name), Some(value), Some(_)] = field else {
            return Err(ErrorKind::Corrupt(SAME_FIELD).at(at));
        };
        hash.insert_new(&name.to_vec(), &value.to_vec(), expire_at_ms, settings);
    }
    Ok(hash)
}
