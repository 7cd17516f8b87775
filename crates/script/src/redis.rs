//! The table `redis`.

use std::rc::Rc;

use kinovar_resp::Protocol;
use kinovar_resp::number::push_f64;
use mlua::{Lua, Result, Table};

use crate::host::{LogLevel, Words};
use crate::native::{Answer, Depth, Natives, Raise, Results};
use crate::number::push_lua;
use crate::options::{as_number, until_nul};
use crate::run::State;
use crate::sandbox::Kind;
use crate::values::{Reader, Value, Writer};
use crate::{Version, from_resp, sha1};

const NO_ARGUMENTS: &str = "ERR Please specify at least one argument for this redis lib call";
const WRONG_TYPES: &str = "ERR Lua redis lib command arguments must be strings or integers";

/// Where effects of commands go, by name: [`crate::Host::set_replication`].
const TARGETS: &[(&str, u8)] =
    &[("REPL_NONE", 0), ("REPL_AOF", 1), ("REPL_SLAVE", 2), ("REPL_REPLICA", 2), ("REPL_ALL", 3)];

/// Levels of the log, in the order of their numbers.
const LEVELS: &[(&str, LogLevel)] = &[
    ("LOG_DEBUG", LogLevel::Debug),
    ("LOG_VERBOSE", LogLevel::Verbose),
    ("LOG_NOTICE", LogLevel::Notice),
    ("LOG_WARNING", LogLevel::Warning),
];

/// What the table holds while code runs.
pub(crate) fn library(natives: &Natives<'_>, kind: Kind, version: &Version, state: &Rc<State>) -> Result<Table> {
    let table = log_and_version(natives, version, state)?;
    let flat = natives.cut(0)?;
    let add = |name: &str, function: fn(&State, &Lua, Reader<'_>, &mut Writer) -> Answer<Results>| {
        let state = state.clone();
        table.raw_set(name, natives.packed(&flat, move |lua, args, out| function(&state, lua, args, out))?)
    };
    add("call", |state, lua, args, out| call(state, lua, args, out, true))?;
    add("pcall", |state, lua, args, out| call(state, lua, args, out, false))?;
    add("error_reply", |_, _, args, out| error_reply(args, out))?;
    add("status_reply", |_, _, args, out| status_reply(args, out))?;
    add("sha1hex", |_, _, args, out| sha1hex(args, out))?;
    add("setresp", |state, _, args, _| setresp(state, args))?;
    add("set_repl", |state, _, args, _| set_repl(state, args))?;
    add("acl_check_cmd", |state, _, args, out| acl_check_cmd(state, args, out))?;
    if kind == Kind::Scripts {
        add("replicate_commands", |_, _, _, out| {
            out.boolean(true);
            Ok(Results::Written)
        })?;
        // There is no debugger to stop in, and nobody to show values to.
        add("breakpoint", |_, _, _, out| {
            out.boolean(false);
            Ok(Results::Written)
        })?;
        add("debug", |_, _, _, _| Ok(Results::Written))?;
    }
    TARGETS.iter().try_for_each(|&(name, bits)| table.raw_set(name, bits))?;
    Ok(table)
}

/// What it holds while a library is loaded as well, when commands cannot be called.
pub(crate) fn log_and_version(natives: &Natives<'_>, version: &Version, state: &Rc<State>) -> Result<Table> {
    let table = natives.lua.create_table()?;
    let flat: Depth = natives.cut(0)?;
    let state = state.clone();
    table.raw_set("log", natives.packed(&flat, move |_, args, _| log(&state, args))?)?;
    for (number, (name, _)) in LEVELS.iter().enumerate() {
        table.raw_set(*name, number)?;
    }
    table.raw_set("REDIS_VERSION", version.text)?;
    table.raw_set("REDIS_VERSION_NUM", version.number)?;
    Ok(table)
}

/// Writes the table that stands for an error.
pub(crate) fn write_error(text: &[u8], out: &mut Writer) {
    out.table(0, 0);
    out.string(b"err");
    out.string(text);
    out.end();
}

/// A value as a text, if it has one: a string or a number.
pub(crate) fn text<'a>(value: Value<'a>, buf: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => {
            push_lua(buf, number);
            Some(buf)
        }
        _ => None,
    }
}

/// A value as a number, a text that reads as one included; else zero.
fn number(value: Value<'_>) -> f64 {
    as_number(value).unwrap_or(0.0)
}

/// Puts the words of a command together.
fn collect(args: Reader<'_>, words: &mut Words) -> std::result::Result<(), &'static str> {
    words.clear();
    let mut digits = Vec::new();
    for value in args {
        let added = match value {
            Value::String(text) => words.push(text),
            Value::Number(number) => {
                digits.clear();
                push_word(&mut digits, number);
                words.push(&digits)
            }
            _ => return Err(WRONG_TYPES),
        };
        added.map_err(|_| "ERR the words of a command have more than 4 GiB")?;
    }
    if words.is_empty() { Err(NO_ARGUMENTS) } else { Ok(()) }
}

/// A number as a word of a command: with all its digits, unlike `tostring`.
fn push_word(out: &mut Vec<u8>, number: f64) {
    if number == 0.0 {
        out.push(b'0');
    } else if number.is_nan() {
        out.extend_from_slice(if number.is_sign_negative() { b"-nan" } else { b"nan" });
    } else {
        push_f64(out, number);
    }
}

fn call(state: &State, lua: &Lua, args: Reader<'_>, out: &mut Writer, raise: bool) -> Answer<Results> {
    let mut words = state.words.borrow_mut();
    if let Err(text) = collect(args, &mut words) {
        write_error(text.as_bytes(), out);
        return if raise { Err(Raise::Written) } else { Ok(Results::Written) };
    }
    let mut answer = Ok(Results::Written);
    state.with_host(|host| {
        host.call(&words, state.protocol.get(), &mut |reply| answer = take_reply(lua, reply, out, raise));
    });
    answer
}

fn take_reply(lua: &Lua, reply: &[u8], out: &mut Writer, raise: bool) -> Answer<Results> {
    if let Some(line) = from_resp::error_line(reply) {
        from_resp::write_error(line, out);
        return if raise { Err(Raise::Written) } else { Ok(Results::Written) };
    }
    if let Some(string) = from_resp::single_string(reply) {
        return Ok(Results::String(lua.create_string(string)?));
    }
    from_resp::write(reply, out);
    Ok(Results::Written)
}

/// The one text that was given, if that is what was given.
fn one_text<'a>(mut args: Reader<'a>) -> Option<&'a [u8]> {
    match (args.next(), args.next()) {
        (Some(Value::String(text)), None) => Some(text),
        _ => None,
    }
}

const WRONG_REPLY: &[u8] = b"ERR wrong number or type of arguments";

fn error_reply(args: Reader<'_>, out: &mut Writer) -> Answer<Results> {
    let Some(text) = one_text(args) else {
        write_error(WRONG_REPLY, out);
        return Ok(Results::Written);
    };
    let text = until_nul(text.strip_prefix(b"-").unwrap_or(text));
    let end = text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    let text = &text[..end];
    let mut line = Vec::with_capacity(text.len() + 4);
    if !text.contains(&b' ') {
        line.extend_from_slice(b"ERR ");
    }
    line.extend(text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
    write_error(&line, out);
    Ok(Results::Written)
}

fn status_reply(args: Reader<'_>, out: &mut Writer) -> Answer<Results> {
    match one_text(args) {
        None => write_error(WRONG_REPLY, out),
        Some(text) => {
            out.table(0, 0);
            out.string(b"ok");
            out.string(text);
            out.end();
        }
    }
    Ok(Results::Written)
}

fn sha1hex(mut args: Reader<'_>, out: &mut Writer) -> Answer<Results> {
    let (Some(value), None) = (args.next(), args.next()) else {
        return Err(Raise::error("ERR wrong number of arguments"));
    };
    let mut digits = Vec::new();
    let digest = sha1::digest(text(value, &mut digits).unwrap_or_default());
    out.string(&sha1::hex(&digest));
    Ok(Results::Written)
}

fn setresp(state: &State, mut args: Reader<'_>) -> Answer<Results> {
    let (Some(value), None) = (args.next(), args.next()) else {
        return Err(Raise::error("ERR redis.setresp() requires one argument."));
    };
    state.protocol.set(match number(value) as i32 {
        2 => Protocol::Resp2,
        3 => Protocol::Resp3,
        _ => return Err(Raise::error("ERR RESP version must be 2 or 3.")),
    });
    Ok(Results::Written)
}

fn set_repl(state: &State, mut args: Reader<'_>) -> Answer<Results> {
    let (Some(value), None) = (args.next(), args.next()) else {
        return Err(Raise::error("ERR redis.set_repl() requires one argument."));
    };
    // What is no number is none of them.
    let targets = Some(number(value)).filter(|number| !number.is_nan());
    let Some(Ok(targets @ 0..=3)) = targets.map(|number| u8::try_from(number as i32)) else {
        return Err(Raise::error("ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE."));
    };
    state.with_host(|host| host.set_replication(targets));
    Ok(Results::Written)
}

fn acl_check_cmd(state: &State, args: Reader<'_>, out: &mut Writer) -> Answer<Results> {
    let mut words = state.words.borrow_mut();
    if let Err(text) = collect(args, &mut words) {
        return Err(Raise::error(text));
    }
    let mut allowed = None;
    state.with_host(|host| allowed = host.is_allowed(&words));
    match allowed {
        Some(allowed) => out.boolean(allowed),
        None => return Err(Raise::error("ERR Invalid command passed to redis.acl_check_cmd()")),
    }
    Ok(Results::Written)
}

fn log(state: &State, args: Reader<'_>) -> Answer<Results> {
    let values: Vec<Value<'_>> = args.collect();
    let [level, parts @ ..] = &values[..] else {
        return Err(Raise::error("ERR redis.log() requires two arguments or more."));
    };
    if parts.is_empty() {
        return Err(Raise::error("ERR redis.log() requires two arguments or more."));
    }
    let Some(level) = as_number(*level) else {
        return Err(Raise::error("ERR First argument must be a number (log level)."));
    };
    let Some(&(_, level)) = usize::try_from(level as i64).ok().and_then(|level| LEVELS.get(level)) else {
        return Err(Raise::error("ERR Invalid log level."));
    };
    let mut line = Vec::new();
    for (i, &part) in parts.iter().enumerate() {
        let mut digits = Vec::new();
        if let Some(text) = text(part, &mut digits) {
            if i > 0 {
                line.push(b' ');
            }
            line.extend_from_slice(text);
        }
    }
    state.with_host(|host| host.log(level, &line));
    Ok(Results::Written)
}
