//! The table `redis`.

use std::rc::Rc;

use kinovar_resp::Protocol;
use kinovar_resp::number::push_f64;
use mlua::{Result, Table};

use crate::host::{LogLevel, Words};
use crate::native::{Answer, Natives, Raise, Switchboard};
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
pub(crate) fn library(
    natives: &Natives<'_>,
    board: &Switchboard,
    kind: Kind,
    version: &Version,
    state: &Rc<State>,
) -> Result<Table> {
    let table = log_and_version(natives, board, version, state)?;
    let add = |name: &str, function: fn(&State, Reader<'_>, &mut Writer) -> Answer<()>| {
        let state = state.clone();
        table.raw_set(name, natives.ported(board, 0, move |args, out| function(&state, args, out))?)
    };
    add("call", |state, args, out| call(state, args, out, true))?;
    add("pcall", |state, args, out| call(state, args, out, false))?;
    add("error_reply", |_, args, out| error_reply(args, out))?;
    add("status_reply", |_, args, out| status_reply(args, out))?;
    add("sha1hex", |_, args, out| sha1hex(args, out))?;
    add("setresp", |state, args, _| setresp(state, args))?;
    add("set_repl", |state, args, _| set_repl(state, args))?;
    add("acl_check_cmd", acl_check_cmd)?;
    if kind == Kind::Scripts {
        add("replicate_commands", |_, _, out| {
            out.boolean(true);
            Ok(())
        })?;
        // There is no debugger to stop in, and nobody to show values to.
        add("breakpoint", |_, _, out| {
            out.boolean(false);
            Ok(())
        })?;
        add("debug", |_, _, _| Ok(()))?;
    }
    TARGETS.iter().try_for_each(|&(name, bits)| table.raw_set(name, bits))?;
    Ok(table)
}

/// What it holds while a library is loaded as well, when commands cannot be called.
pub(crate) fn log_and_version(
    natives: &Natives<'_>,
    board: &Switchboard,
    version: &Version,
    state: &Rc<State>,
) -> Result<Table> {
    let table = natives.lua.create_table()?;
    let state = state.clone();
    table.raw_set("log", natives.ported(board, 0, move |args, _| log(&state, args))?)?;
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

fn call(state: &State, args: Reader<'_>, out: &mut Writer, raise: bool) -> Answer<()> {
    let mut words = state.words.borrow_mut();
    if let Err(text) = collect(args, &mut words) {
        write_error(text.as_bytes(), out);
        return if raise { Err(Raise::Written) } else { Ok(()) };
    }
    let mut answer = Ok(());
    state.with_host(|host| {
        host.call(&words, state.protocol.get(), &mut |reply| answer = take_reply(reply, out, raise));
    });
    answer
}

fn take_reply(reply: &[u8], out: &mut Writer, raise: bool) -> Answer<()> {
    if let Some(line) = from_resp::error_line(reply) {
        from_resp::write_error(line, out);
        return if raise { Err(Raise::Written) } else { Ok(()) };
    }
    from_resp::write(reply, out);
    Ok(())
}

/// The one text that was given, if that is what was given.
fn one_text<'a>(mut args: Reader<'a>) -> Option<&'a [u8]> {
    match (args.next(), args.next()) {
        (Some(Value::String(text)), None) => Some(text),
        _ => None,
    }
}

const WRONG_REPLY: &[u8] = b"ERR wrong number or type of arguments";

fn error_reply(args: Reader<'_>, out: &mut Writer) -> Answer<()> {
    let Some(text) = one_text(args) else {
        write_error(WRONG_REPLY, out);
        return Ok(());
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
    Ok(())
}

fn status_reply(args: Reader<'_>, out: &mut Writer) -> Answer<()> {
    match one_text(args) {
        None => write_error(WRONG_REPLY, out),
        Some(text) => {
            out.table(0, 0);
            out.string(b"ok");
            out.string(text);
            out.end();
        }
    }
    Ok(())
}

fn sha1hex(mut args: Reader<'_>, out: &mut Writer) -> Answer<()> {
    let (Some(value), None) = (args.next(), args.next()) else {
        return Err(Raise::error("ERR wrong number of arguments"));
    };
    let mut digits = Vec::new();
    let digest = sha1::digest(text(value, &mut digits).unwrap_or_default());
    out.string(&sha1::hex(&digest));
    Ok(())
}

fn setresp(state: &State, mut args: Reader<'_>) -> Answer<()> {
    let (Some(value), None) = (args.next(), args.next()) else {
        return Err(Raise::error("ERR redis.setresp() requires one argument."));
    };
    state.protocol.set(match number(value) as i32 {
        2 => Protocol::Resp2,
        3 => Protocol::Resp3,
        _ => return Err(Raise::error("ERR RESP version must be 2 or 3.")),
    });
    Ok(())
}

fn set_repl(state: &State, mut args: Reader<'_>) -> Answer<()> {
    let (Some(value), None) = (args.next(), args.next()) else {
        return Err(Raise::error("ERR redis.set_repl() requires one argument."));
    };
    // What is no number is none of them.
    let targets = Some(number(value)).filter(|number| !number.is_nan());
    let Some(Ok(targets @ 0..=3)) = targets.map(|number| u8::try_from(number as i32)) else {
        return Err(Raise::error("ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE."));
    };
    state.with_host(|host| host.set_replication(targets));
    Ok(())
}

fn acl_check_cmd(state: &State, args: Reader<'_>, out: &mut Writer) -> Answer<()> {
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
    Ok(())
}

fn log(state: &State, args: Reader<'_>) -> Answer<()> {
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
    Ok(())
}
