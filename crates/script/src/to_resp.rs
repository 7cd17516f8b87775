//! What a script returns as a reply.
//!
//! A table is looked through for the fields `err`, `ok`, `double`, `map`, `set`, `big_number` and `verbatim_string`, in
//! this order; if it has none of them it is a list, which ends before its first nil. Numbers lose their fraction.

use kinovar_resp::{Protocol, Reply};

use crate::options::until_nul;
use crate::values::{Reader, Value};

/// How deep tables may nest.
pub(crate) const DEPTH: u32 = 2000;

/// How the values of a script are spelled.
#[derive(Clone, Copy)]
pub(crate) struct Spelling {
    /// The client's protocol.
    pub(crate) client: Protocol,
    /// What the script has chosen with `redis.setresp`: with RESP3, false is a boolean rather than a null.
    pub(crate) script: Protocol,
}

/// Writes one value at the end of `out`.
pub(crate) fn write(value: Value<'_>, spelling: Spelling, out: &mut Vec<u8>) {
    match value {
        Value::String(bytes) => Reply::new(out, spelling.client).bulk(bytes),
        Value::Number(number) => Reply::new(out, spelling.client).integer(truncated(number)),
        Value::Boolean(true) if spelling.script == Protocol::Resp2 => Reply::new(out, spelling.client).integer(1),
        Value::Boolean(false) if spelling.script == Protocol::Resp2 => Reply::new(out, spelling.client).null(),
        Value::Boolean(truth) => Reply::new(out, spelling.client).boolean(truth),
        Value::Nil | Value::Null | Value::Other(_) => Reply::new(out, spelling.client).null(),
        Value::Deep => Reply::new(out, spelling.client).error(b"ERR reached lua stack limit"),
        Value::Table(entries) => table(entries, spelling, out),
    }
}

/// Whether a value is an error that has been counted already, where a command failed.
pub(crate) fn is_counted(value: Value<'_>) -> bool {
    let Value::Table(mut entries) = value else { return false };
    let mark = Value::String(b"ignore_error_stats_update");
    std::iter::from_fn(|| entries.entry()).any(|(key, value)| key == mark && value == Value::Boolean(true))
}

/// The integer that C makes of a double: what does not fit is the smallest one.
fn truncated(number: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&number) { number as i64 } else { i64::MIN }
}

/// Fields that say what a table stands for.
#[derive(Default)]
struct Fields<'a> {
    err: Option<&'a [u8]>,
    ok: Option<&'a [u8]>,
    double: Option<f64>,
    map: Option<Reader<'a>>,
    set: Option<Reader<'a>>,
    big_number: Option<&'a [u8]>,
    verbatim: Option<(&'a [u8], &'a [u8])>,
}

impl<'a> Fields<'a> {
    fn note(&mut self, name: &[u8], value: Value<'a>) {
        match (name, value) {
            (b"err", Value::String(text)) => self.err = Some(until_nul(text)),
            (b"ok", Value::String(text)) => self.ok = Some(until_nul(text)),
            (b"double", Value::Number(number)) => self.double = Some(number),
            (b"map", Value::Table(entries)) => self.map = Some(entries),
            (b"set", Value::Table(entries)) => self.set = Some(entries),
            (b"big_number", Value::String(text)) => self.big_number = Some(text),
            (b"verbatim_string", Value::Table(parts)) => self.verbatim = verbatim(parts),
            _ => {}
        }
    }
}

fn verbatim<'a>(mut parts: Reader<'a>) -> Option<(&'a [u8], &'a [u8])> {
    let (mut format, mut string) = (None, None);
    while let Some((key, value)) = parts.entry() {
        match (key, value) {
            (Value::String(b"format"), Value::String(text)) => format = Some(text),
            (Value::String(b"string"), Value::String(text)) => string = Some(text),
            _ => {}
        }
    }
    format.zip(string)
}

fn table(entries: Reader<'_>, spelling: Spelling, out: &mut Vec<u8>) {
    let mut fields = Fields::default();
    // Elements of a list come in order as long as they lie in the table's array.
    let mut ordered = 0;
    let mut others = Vec::new();
    let mut rest = entries;
    while let Some((key, value)) = rest.entry() {
        match key {
            Value::Number(index) if index == (ordered + 1) as f64 && others.is_empty() => ordered += 1,
            Value::Number(index) if index > ordered as f64 && index.fract() == 0.0 => {
                others.push((index as u64, value))
            }
            Value::String(name) => fields.note(name, value),
            _ => {}
        }
    }
    let mut reply = Reply::new(out, spelling.client);
    if let Some(text) = fields.err {
        reply.error(text);
    } else if let Some(text) = fields.ok {
        line(&mut reply, b'+', text);
    } else if let Some(number) = fields.double {
        reply.double(number);
    } else if let Some(map) = fields.map {
        reply.map(count(map));
        each(map, |key, value| {
            write(key, spelling, out);
            write(value, spelling, out);
        });
    } else if let Some(set) = fields.set {
        reply.set(count(set));
        each(set, |key, _| write(key, spelling, out));
    } else if let Some(text) = fields.big_number {
        big_number(&mut reply, text);
    } else if let Some((format, text)) = fields.verbatim {
        let mut letters = [b' '; 3];
        letters.iter_mut().zip(until_nul(format)).for_each(|(letter, &byte)| *letter = byte);
        verbatim_string(&mut reply, letters, text);
    } else {
        list(entries, ordered, others, spelling, out);
    }
}

fn list(entries: Reader<'_>, ordered: usize, mut others: Vec<(u64, Value<'_>)>, spelling: Spelling, out: &mut Vec<u8>) {
    others.sort_by_key(|&(index, _)| index);
    let start = ordered as u64 + 1;
    let more = others.iter().zip(start..).take_while(|((index, _), wanted)| index == wanted).count();
    Reply::new(out, spelling.client).array(ordered + more);
    let mut left = ordered;
    let mut rest = entries;
    while left > 0 {
        let Some((key, value)) = rest.entry() else { break };
        if let Value::Number(index) = key
            && index == (ordered - left + 1) as f64
        {
            write(value, spelling, out);
            left -= 1;
        }
    }
    others[..more].iter().for_each(|&(_, value)| write(value, spelling, out));
}

fn count(mut entries: Reader<'_>) -> usize {
    std::iter::from_fn(|| entries.entry()).count()
}

fn each<'a>(mut entries: Reader<'a>, mut visit: impl FnMut(Value<'a>, Value<'a>)) {
    while let Some((key, value)) = entries.entry() {
        visit(key, value);
    }
}

/// A line with a mark. It has to stay one line, whatever the script has put into it.
fn line(reply: &mut Reply<'_>, mark: u8, text: &[u8]) {
    reply.raw(&[mark]);
    text.iter().for_each(|&byte| reply.raw(&[if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }]));
    reply.raw(b"\r\n");
}

fn big_number(reply: &mut Reply<'_>, text: &[u8]) {
    if reply.is_resp3() {
        line(reply, b'(', text);
    } else {
        let clean: Vec<u8> = text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }).collect();
        reply.bulk(&clean);
    }
}

fn verbatim_string(reply: &mut Reply<'_>, format: [u8; 3], text: &[u8]) {
    if reply.is_resp3() {
        reply.raw(format!("={}\r\n", text.len() + 4).as_bytes());
        reply.raw(&format);
        reply.raw(b":");
        reply.raw(text);
        reply.raw(b"\r\n");
    } else {
        reply.bulk(text);
    }
}
