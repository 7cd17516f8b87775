//! The library `bit`: operations on 32 bits, after LuaBitOp (<https://bitop.luajit.org/semantics.html>).

use mlua::{Lua, MultiValue, Result, Table, Value};

use crate::native::{Answer, Natives, Raise};

/// A table of the library's functions.
pub(crate) fn library(natives: &Natives<'_>) -> Result<Table> {
    let table = natives.lua.create_table()?;
    let unary = |name: &str, function: fn(u32) -> u32| {
        let function = natives.plain(move |_, count, value: Value| {
            let bits = argument(count, 1, &value)?;
            Ok(result(function(bits)))
        })?;
        table.raw_set(name, function)
    };
    unary("tobit", |bits| bits)?;
    unary("bnot", |bits| !bits)?;
    unary("bswap", u32::swap_bytes)?;
    let shift = |name: &str, function: fn(u32, u32) -> u32| {
        let function = natives.plain(move |_, count, (value, by): (Value, Value)| {
            let bits = argument(count, 1, &value)?;
            let by = argument(count, 2, &by)? & 31;
            Ok(result(function(bits, by)))
        })?;
        table.raw_set(name, function)
    };
    shift("lshift", |bits, by| bits << by)?;
    shift("rshift", |bits, by| bits >> by)?;
    shift("arshift", |bits, by| ((bits as i32) >> by) as u32)?;
    shift("rol", u32::rotate_left)?;
    shift("ror", u32::rotate_right)?;
    let fold = |name: &str, function: fn(u32, u32) -> u32| {
        let function = natives.plain(move |_, count, values: MultiValue| {
            let mut bits = argument(count, 1, values.front().unwrap_or(&Value::Nil))?;
            // From the last one, which shows when several of them are wrong.
            for number in (2..=count).rev() {
                bits = function(bits, argument(count, number, &values[number - 1])?);
            }
            Ok(result(bits))
        })?;
        table.raw_set(name, function)
    };
    fold("band", |a, b| a & b)?;
    fold("bor", |a, b| a | b)?;
    fold("bxor", |a, b| a ^ b)?;
    table.raw_set("tohex", natives.plain(tohex)?)?;
    Ok(table)
}

/// An argument as bits: its value modulo 2^32, fractions rounded to even.
fn argument(count: usize, number: usize, value: &Value) -> Answer<u32> {
    // Adding this moves the integer part of a double to the low end of its bits, as the library's authors specify it.
    const BIAS: f64 = 6_755_399_441_055_744.0;
    let number_of = |value: f64| (value + BIAS).to_bits() as u32;
    match value {
        Value::Integer(integer) => Ok(number_of(*integer as f64)),
        Value::Number(double) => Ok(number_of(*double)),
        Value::String(text) if let Some(double) = crate::strtod::whole(&text.as_bytes()) => Ok(number_of(double)),
        value => {
            let got = if number > count { "no value" } else { type_name(value) };
            Err(Raise::argument(number as u32, format!("number expected, got {got}")))
        }
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::LightUserData(_) => "userdata",
        value => value.type_name(),
    }
}

/// Bits as a number: a signed one.
fn result(bits: u32) -> Value {
    Value::Integer(i64::from(bits as i32))
}

/// Hexadecimal digits: eight of them, or as many as the second argument says, capital ones if it is negative.
fn tohex(lua: &Lua, count: usize, (value, digits): (Value, Value)) -> Answer<Value> {
    let bits = argument(count, 1, &value)?;
    let digits = if count < 2 { 8 } else { argument(count, 2, &digits)? as i32 };
    let text = if digits < 0 { format!("{bits:08X}") } else { format!("{bits:08x}") };
    let shown = digits.unsigned_abs().min(8) as usize;
    Ok(Value::String(lua.create_string(&text[8 - shown..])?))
}
