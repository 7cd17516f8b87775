//! The library `cmsgpack`: MessagePack (<https://github.com/msgpack/msgpack/blob/master/spec.md>) as Lua values and back.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use mlua::{Result, Table};

use crate::native::{Answer, Natives, Raise, Switchboard};
use crate::options::as_number;
use crate::values::{Reader, Value, Writer};

/// How deep tables may nest. What lies deeper is written as nil.
const NESTING_MAX: u32 = 16;

/// A table of the library's functions.
pub(crate) fn library(natives: &Natives<'_>, board: &Switchboard) -> Result<Table> {
    let table = natives.lua.create_table()?;
    table.raw_set("pack", natives.ported(board, NESTING_MAX, pack)?)?;
    table.raw_set("unpack", natives.ported(board, 0, unpack)?)?;
    table.raw_set("unpack_one", natives.ported(board, 0, unpack_one)?)?;
    table.raw_set("unpack_limit", natives.ported(board, 0, unpack_limit)?)?;
    table.raw_set("_NAME", "cmsgpack")?;
    table.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.raw_set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    table.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(table)
}

fn pack(args: Reader<'_>, out: &mut Writer) -> Answer<()> {
    let mut bytes = Vec::new();
    let mut empty = true;
    for value in args {
        encode::value(value, &mut bytes);
        empty = false;
    }
    if empty {
        return Err(Raise::argument(0, "MessagePack pack needs input."));
    }
    out.string(&bytes);
    Ok(())
}

fn wrong(number: u32, expected: &str, value: Option<&Value<'_>>) -> Raise {
    Raise::argument(number, format!("{expected} expected, got {}", value.map_or("no value", Value::type_name)))
}

/// An integer argument; `default` stands for one that is missing or nil.
fn integer(args: &[Value<'_>], number: usize, default: Option<i64>) -> Answer<i64> {
    let value = args.get(number - 1);
    match (value, default) {
        (None | Some(Value::Nil), Some(default)) => Ok(default),
        _ => value
            .and_then(|&value| as_number(value))
            .map(crate::number::to_c_integer)
            .ok_or_else(|| wrong(number as u32, "number", value)),
    }
}

fn unpack(args: Reader<'_>, out: &mut Writer) -> Answer<()> {
    let args: Vec<_> = args.collect();
    unpack_some(&args, 0, 0, out)
}

fn unpack_one(args: Reader<'_>, out: &mut Writer) -> Answer<()> {
    let args: Vec<_> = args.collect();
    let offset = integer(&args, 2, Some(0))?;
    unpack_some(&args, 1, offset, out)
}

fn unpack_limit(args: Reader<'_>, out: &mut Writer) -> Answer<()> {
    let args: Vec<_> = args.collect();
    let limit = integer(&args, 2, None)?;
    let offset = integer(&args, 3, Some(0))?;
    unpack_some(&args, limit, offset, out)
}

/// At most `limit` values from `offset` on, after the offset to go on at; -1 says that there is nothing left. All values
/// and no offset if both are zero.
fn unpack_some(args: &[Value<'_>], limit: i64, offset: i64, out: &mut Writer) -> Answer<()> {
    let mut digits = Vec::new();
    let value = args.first();
    let Some(bytes) = value.and_then(|&value| crate::redis::text(value, &mut digits)) else {
        return Err(wrong(1, "string", value));
    };
    let all = limit == 0 && offset == 0;
    let (Ok(start), Ok(limit)) = (usize::try_from(offset), usize::try_from(limit)) else {
        // The reference shows the length of the input for the limit.
        let (offset, len) = (offset as i32, bytes.len());
        return Err(Raise::text(format!("Invalid request to unpack with offset of {offset} and limit of {len}.")));
    };
    let Some(rest) = bytes.get(start..) else {
        let (offset, len) = (offset as i32, bytes.len());
        return Err(Raise::text(format!("Start offset {offset} greater than input length {len}.")));
    };
    let mut values = Writer::default();
    let mut decoder = decode::Decoder::new(rest, &mut values);
    let limit = if all { usize::MAX } else { limit };
    let mut count = 0;
    while decoder.left() > 0 && count < limit {
        decoder.value()?;
        count += 1;
        if count > RESULTS_MAX {
            return Err(Raise::text(decode::TOO_MANY));
        }
    }
    let left = decoder.left();
    if !all {
        out.number(if left == 0 { -1.0 } else { (bytes.len() - left) as f64 });
    }
    out.append(&values);
    Ok(())
}

/// Values that a function can return.
const RESULTS_MAX: usize = 7990;
