//! Streams.

use super::{corrupt, string_at};
use crate::error::Result;
use crate::wire::{Input, Reader, kind};
use kinovar_ds::listpack::{self, Item};
use kinovar_keyspace::stream::node::{Builder, Counters, Misfit};
use kinovar_keyspace::stream::{Group, Pending, Stream, StreamId};

const BAD_NODE: &str = "invalid node of a stream";
/// Stands for a number that is not known, and for a time that never was.
const UNKNOWN: u64 = u64::MAX;
/// Flag of an entry: deleted.
const DELETED: i64 = 1;
/// Flag of an entry: its fields have the node's names.
const SAME_NAMES: i64 = 2;

pub(super) fn read(reader: &mut Reader<'_>, code: u8) -> Result<Stream> {
    let start = reader.offset();
    let nodes = reader.count(2)?;
    let last_id = look_up_last_id(reader.clone(), nodes)?;
    let mut builder = Builder::new();
    let mut texts = Texts::default();
    for _ in 0..nodes {
        read_node(reader, last_id, &mut builder, &mut texts)?;
    }
    // How many entries there are was counted.
    let announced = reader.number()?;
    if announced > 0 && nodes == 0 {
        return corrupt("a stream without the entries that it counts", start);
    }
    id(reader)?;
    let counters = if code == kind::STREAM_LISTPACKS { None } else { Some(counters(reader)?) };
    builder.set_counters(last_id, counters);
    for _ in 0..reader.count(5)? {
        read_group(reader, code, &mut builder)?;
    }
    Ok(builder.finish())
}

fn id(reader: &mut Reader<'_>) -> Result<StreamId> {
    Ok(StreamId::new(reader.number()?, reader.number()?))
}

fn counters(reader: &mut Reader<'_>) -> Result<Counters> {
    Ok(Counters { first_id: id(reader)?, max_deleted_id: id(reader)?, entries_added: reader.number()? })
}

/// The last id, which stands behind the nodes.
fn look_up_last_id(mut reader: Reader<'_>, nodes: usize) -> Result<StreamId> {
    for _ in 0..nodes {
        reader.pass_string()?;
        reader.pass_string()?;
    }
    reader.number()?;
    id(&mut reader)
}

/// Names and values of an entry by turns.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn push(&mut self, item: Item<'_>) {
        item.write_to(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }
}

/// An entry inside a node.
struct Place {
    id: StreamId,
    deleted: bool,
    same_names: bool,
    /// Number of names and values, or of values.
    texts: usize,
}

fn read_node(reader: &mut Reader<'_>, last_id: StreamId, builder: &mut Builder, texts: &mut Texts) -> Result<()> {
    let (key, key_at) = string_at(reader)?;
    let Ok(key) = <[u8; 16]>::try_from(&*key) else {
        return corrupt("the key of a stream's node is no id", key_at);
    };
    let (bytes, at) = string_at(reader)?;
    let Ok(mut items) = listpack::items(&bytes) else { return corrupt("invalid listpack", at) };
    let Some(head) = read_head(&mut items) else { return corrupt(BAD_NODE, at) };
    // Once over all entries to see that they are whole, and which of them can be kept.
    let Some(places) = read_places(items.clone(), StreamId::from_bytes(key), &head) else {
        return corrupt(BAD_NODE, at);
    };
    let mut names = Texts::default();
    head.names.iter().for_each(|name| names.push(*name));
    let mut kept = vec![true; places.len()];
    let mut next = last_id.next();
    for (place, kept) in places.iter().zip(&mut kept).rev() {
        // Where the last id was set back behind deleted entries, these have later ids than what came then.
        *kept = !place.deleted || next.is_none_or(|next| place.id < next);
        if *kept {
            next = Some(place.id);
        }
    }
    // The first entry gives the node its names. Were it otherwise, each of the others could make us store them anew.
    if places.first().is_some_and(|first| !first.same_names || !kept[0]) {
        return corrupt(BAD_NODE, at);
    }
    if places.iter().any(|place| !place.deleted && place.id > last_id) {
        return corrupt("a stream's last id is below that of an entry", at);
    }
    builder.begin_node();
    for (place, kept) in places.iter().zip(kept) {
        // Flags and id, and the number of fields.
        items.by_ref().take(if place.same_names { 3 } else { 4 }).for_each(drop);
        texts.clear();
        items.by_ref().take(place.texts).for_each(|text| texts.push(text));
        items.next();
        if !kept {
            continue;
        }
        let pushed = if place.same_names {
            let fields = names.iter().zip(texts.iter()).flat_map(|(name, value)| [name, value]);
            builder.push(place.id, place.deleted, true, fields)
        } else {
            builder.push(place.id, place.deleted, false, texts.iter())
        };
        match pushed {
            Ok(()) => {}
            Err(Misfit::NotAbove) => return corrupt("the ids of a stream's entries do not ascend", at),
            Err(Misfit::TooLarge) => return corrupt("an entry of a stream is too large", at),
        }
    }
    Ok(())
}

/// What stands in front of a node's entries.
struct Head<'a> {
    live: usize,
    deleted: usize,
    names: Vec<Item<'a>>,
}

fn number(item: Option<Item<'_>>) -> Option<i64> {
    item?.as_int()
}

fn size(item: Option<Item<'_>>) -> Option<usize> {
    usize::try_from(number(item)?).ok()
}

fn read_head<'a>(items: &mut listpack::Iter<'a>) -> Option<Head<'a>> {
    let (live, deleted, count) = (size(items.next())?, size(items.next())?, size(items.next())?);
    let names: Vec<Item<'a>> = items.by_ref().take(count).collect();
    (names.len() == count && number(items.next())? == 0).then_some(Head { live, deleted, names })
}

fn read_places(mut items: listpack::Iter<'_>, first: StreamId, head: &Head<'_>) -> Option<Vec<Place>> {
    let mut places = Vec::new();
    let mut deleted_count = 0;
    while let Some(flags) = items.next() {
        let flags = number(Some(flags))?;
        let id = StreamId::new(
            first.ms.wrapping_add(number(items.next())? as u64),
            first.seq.wrapping_add(number(items.next())? as u64),
        );
        let (deleted, same_names) = (flags & DELETED != 0, flags & SAME_NAMES != 0);
        let (texts, elements) = if same_names {
            (head.names.len(), head.names.len() + 3)
        } else {
            let texts = size(items.next())?.checked_mul(2)?;
            (texts, texts.checked_add(4)?)
        };
        for _ in 0..texts {
            items.next()?;
        }
        if size(items.next())? != elements {
            return None;
        }
        deleted_count += usize::from(deleted);
        places.push(Place { id, deleted, same_names, texts });
    }
    (deleted_count == head.deleted && places.len() - deleted_count == head.live).then_some(places)
}

fn read_group(reader: &mut Reader<'_>, code: u8, builder: &mut Builder) -> Result<()> {
    let (name, at) = string_at(reader)?;
    let last_id = id(reader)?;
    let entries_read = match code {
        kind::STREAM_LISTPACKS => None,
        _ => Some(Some(reader.number()?).filter(|&read| read != UNKNOWN).map(|read| read as i64)),
    };
    let Some(group) = builder.add_group(&name, last_id, entries_read) else {
        return corrupt("a group of a stream is there twice", at);
    };
    let mut pending = read_pending(reader)?;
    for _ in 0..reader.count(10)? {
        read_consumer(reader, code, group, &mut pending)?;
    }
    if pending.iter().any(|pending| !pending.taken) {
        return corrupt("an entry of a stream is pending for nobody", at);
    }
    Ok(())
}

/// What a group has pending, whosever it is.
struct Unassigned {
    id: StreamId,
    delivered_ms: u64,
    deliveries: u64,
    taken: bool,
}

fn read_pending(reader: &mut Reader<'_>) -> Result<Vec<Unassigned>> {
    let count = reader.count(25)?;
    let mut all: Vec<Unassigned> = Vec::with_capacity(count);
    for _ in 0..count {
        let at = reader.offset();
        let id = StreamId::from_bytes(reader.array()?);
        let (delivered_ms, deliveries) = (reader.ms()?, reader.number()?);
        if all.last().is_some_and(|last| last.id >= id) {
            return corrupt("the ids of pending entries do not ascend", at);
        }
        all.push(Unassigned { id, delivered_ms, deliveries, taken: false });
    }
    Ok(all)
}

fn read_consumer(reader: &mut Reader<'_>, code: u8, group: &mut Group, pending: &mut [Unassigned]) -> Result<()> {
    let (name, at) = string_at(reader)?;
    let seen_ms = reader.ms()?;
    let active_ms = match code {
        kind::STREAM_LISTPACKS_3 => Some(reader.ms()?).filter(|&active_ms| active_ms != UNKNOWN),
        // Old versions noted one time only.
        _ => Some(seen_ms),
    };
    let (consumer, is_new) = group.create_consumer(&name, seen_ms);
    if !is_new {
        return corrupt("a consumer of a stream is there twice", at);
    }
    group.consumer_mut(consumer).set_active(active_ms);
    for _ in 0..reader.count(16)? {
        let at = reader.offset();
        let id = StreamId::from_bytes(reader.array()?);
        let found = pending.binary_search_by_key(&id, |pending| pending.id);
        match found.ok().map(|index| &mut pending[index]).filter(|found| !found.taken) {
            Some(found) => {
                found.taken = true;
                let (delivered_ms, deliveries) = (found.delivered_ms, found.deliveries);
                group.set_pending(Pending { id, consumer, delivered_ms, deliveries });
            }
            None => return corrupt("an entry is pending for a consumer and not for its group", at),
        }
    }
    Ok(())
}
