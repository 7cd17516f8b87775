//! The library `cjson`: JSON texts as Lua values and back.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;

use mlua::{Lua, Result, Table, Value as LuaValue};

use crate::native::{Answer, Depth, Natives, Raise};
use crate::options::Options;
use crate::values::{Reader, Value, Writer};

/// What can be set. Each table that `cjson.new` makes has settings of its own.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    sparse: Sparse,
    encode_depth: u32,
    decode_depth: u32,
    encode_invalid: Invalid,
    decode_invalid: bool,
    keep_buffer: bool,
    precision: u32,
}

/// When a table with holes is an array.
#[derive(Clone, Copy, Debug)]
struct Sparse {
    /// Whether one with too many holes becomes an object, rather than an error.
    convert: bool,
    /// There are too many when the last index exceeds the number of elements times this; 0 is never.
    ratio: u32,
    /// But not if the last index is at most this.
    safe: u32,
}

/// What becomes of numbers that JSON does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Invalid {
    Refused,
    Written,
    Null,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            sparse: Sparse { convert: false, ratio: 2, safe: 10 },
            encode_depth: 1000,
            decode_depth: 1000,
            encode_invalid: Invalid::Refused,
            decode_invalid: true,
            keep_buffer: true,
            precision: 14,
        }
    }
}

/// Largest value of most settings.
const LIMIT: i64 = i32::MAX as i64;
/// Most digits of a number.
const PRECISION_MAX: i64 = 14;

/// A table of the library's functions with default settings.
pub(crate) fn library(natives: &Natives<'_>) -> Result<Table> {
    let table = natives.lua.create_table()?;
    let settings = Rc::new(RefCell::new(Settings::default()));
    let deep = natives.depth(settings.borrow().encode_depth)?;
    let flat = natives.cut(0)?;
    let with = settings.clone();
    table.raw_set("encode", natives.packed(&deep, move |args, out| encode(&with.borrow(), args, out))?)?;
    let add = |name: &str, function: fn(&mut Settings, &Depth, Reader<'_>, &mut Writer) -> Answer<()>| {
        let (settings, deep) = (settings.clone(), deep.clone());
        let function =
            natives.packed(&flat, move |args, out| function(&mut settings.borrow_mut(), &deep, args, out))?;
        table.raw_set(name, function)
    };
    add("decode", |settings, _, args, out| decode(settings, args, out))?;
    add("encode_sparse_array", |settings, _, args, out| sparse_array(&mut settings.sparse, args, out))?;
    add("encode_max_depth", |settings, deep, args, out| {
        integer(&mut settings.encode_depth, 1..=LIMIT, args, out)?;
        deep.set(settings.encode_depth)?;
        Ok(())
    })?;
    add("decode_max_depth", |settings, _, args, out| integer(&mut settings.decode_depth, 1..=LIMIT, args, out))?;
    add("encode_number_precision", |settings, _, args, out| {
        integer(&mut settings.precision, 1..=PRECISION_MAX, args, out)
    })?;
    add("encode_keep_buffer", |settings, _, args, out| switch(&mut settings.keep_buffer, args, out))?;
    add("decode_invalid_numbers", |settings, _, args, out| switch(&mut settings.decode_invalid, args, out))?;
    add("encode_invalid_numbers", |settings, _, args, out| invalid_numbers(&mut settings.encode_invalid, args, out))?;
    let parts = natives.parts.clone();
    let new = natives.plain(move |lua: &Lua, _, ()| {
        let natives = Natives { lua, parts: parts.clone() };
        Ok(LuaValue::Table(library(&natives)?))
    })?;
    table.raw_set("new", new)?;
    table.raw_set("null", LuaValue::NULL)?;
    table.raw_set("_NAME", "cjson")?;
    table.raw_set("_VERSION", "2.1.0")?;
    Ok(table)
}

fn encode(settings: &Settings, mut args: Reader<'_>, out: &mut Writer) -> Answer<()> {
    let (Some(value), None) = (args.next(), args.next()) else {
        return Err(Raise::argument(1, "expected 1 argument"));
    };
    let json = encode::encode(settings, value)?;
    out.string(&json);
    Ok(())
}

fn decode(settings: &Settings, mut args: Reader<'_>, out: &mut Writer) -> Answer<()> {
    let (Some(value), None) = (args.next(), args.next()) else {
        return Err(Raise::argument(1, "expected 1 argument"));
    };
    let mut digits = Vec::new();
    let Some(json) = crate::redis::text(value, &mut digits) else {
        return Err(Raise::argument(1, format!("string expected, got {}", value.type_name())));
    };
    decode::decode(settings, json, out)?;
    Ok(())
}

fn integer(setting: &mut u32, range: std::ops::RangeInclusive<i64>, args: Reader<'_>, out: &mut Writer) -> Answer<()> {
    let options = Options::new(args, 1)?;
    options.integer(1, setting, range)?;
    out.number(f64::from(*setting));
    Ok(())
}

fn switch(setting: &mut bool, args: Reader<'_>, out: &mut Writer) -> Answer<()> {
    let options = Options::new(args, 1)?;
    options.switch(1, setting)?;
    out.boolean(*setting);
    Ok(())
}

fn invalid_numbers(setting: &mut Invalid, args: Reader<'_>, out: &mut Writer) -> Answer<()> {
    let options = Options::new(args, 1)?;
    match options.choice(1, &["off", "on", "null"])? {
        Some(0) => *setting = Invalid::Refused,
        Some(1) => *setting = Invalid::Written,
        Some(_) => *setting = Invalid::Null,
        None => {}
    }
    match setting {
        Invalid::Refused => out.boolean(false),
        Invalid::Written => out.boolean(true),
        Invalid::Null => out.string(b"null"),
    }
    Ok(())
}

fn sparse_array(setting: &mut Sparse, args: Reader<'_>, out: &mut Writer) -> Answer<()> {
    let options = Options::new(args, 3)?;
    options.switch(1, &mut setting.convert)?;
    out.boolean(setting.convert);
    options.integer(2, &mut setting.ratio, 0..=LIMIT)?;
    out.number(f64::from(setting.ratio));
    options.integer(3, &mut setting.safe, 0..=LIMIT)?;
    out.number(f64::from(setting.safe));
    Ok(())
}

/// What a value is called in errors.
fn named(value: Value<'_>, what: &str) -> Raise {
    Raise::text(format!("Cannot serialise {}: {what}", value.type_name()))
}
