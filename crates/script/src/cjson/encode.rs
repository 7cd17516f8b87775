//! Lua values as JSON.

use super::{Invalid, Settings, named};
use crate::native::{Answer, Raise};
use crate::number::push_g;
use crate::values::{Reader, Value};

/// A text that is longer is not written: with settings that allow any number of holes, a small table makes a huge one.
const TEXT_MAX: usize = 1 << 30;

/// `value` as JSON.
pub(super) fn encode(settings: &Settings, value: Value<'_>) -> Answer<Vec<u8>> {
    let mut encoder = Encoder { settings, out: Vec::new() };
    encoder.value(value, 0)?;
    Ok(encoder.out)
}

struct Encoder<'s> {
    settings: &'s Settings,
    out: Vec<u8>,
}

impl Encoder<'_> {
    fn value(&mut self, value: Value<'_>, depth: u32) -> Answer<()> {
        match value {
            Value::String(text) => self.string(text),
            Value::Number(number) => self.number(number)?,
            Value::Boolean(truth) => self.out.extend_from_slice(if truth { b"true" } else { b"false" }),
            Value::Nil | Value::Null => self.out.extend_from_slice(b"null"),
            Value::Table(entries) => match self.last_index(entries)? {
                Some(last) => self.array(entries, last, depth + 1)?,
                None => self.object(entries, depth + 1)?,
            },
            Value::Deep => {
                return Err(Raise::text(format!("Cannot serialise, excessive nesting ({})", depth + 1)));
            }
            Value::Other(_) => return Err(named(value, "type not supported")),
        }
        if self.out.len() > TEXT_MAX {
            return Err(Raise::text("not enough memory"));
        }
        Ok(())
    }

    /// The last index of a table that is an array: all its keys are positive integers, and there are enough of them.
    fn last_index(&self, mut entries: Reader<'_>) -> Answer<Option<u32>> {
        let (mut last, mut count) = (0i32, 0u64);
        while let Some((key, value)) = entries.entry() {
            match key {
                Value::Number(index) if index >= 1.0 && index.fract() == 0.0 => {
                    if index > f64::from(last) {
                        // What is beyond the integers of C makes the table an object.
                        last = if index <= f64::from(i32::MAX) { index as i32 } else { i32::MIN };
                    }
                    count += 1;
                }
                _ => return Ok(None),
            }
            if value == Value::Deep {
                break;
            }
        }
        let sparse = &self.settings.sparse;
        let Some(last) = u32::try_from(last).ok().filter(|&last| last > 0) else { return Ok(None) };
        if sparse.ratio > 0 && u64::from(last) > count * u64::from(sparse.ratio) && last > sparse.safe {
            if !sparse.convert {
                return Err(Raise::text("Cannot serialise table: excessively sparse array"));
            }
            return Ok(None);
        }
        Ok(Some(last))
    }

    fn array(&mut self, entries: Reader<'_>, last: u32, depth: u32) -> Answer<()> {
        self.out.push(b'[');
        let mut next = 1;
        // Elements come in order as long as they lie in the array part of the table; the others are put in order first.
        let mut others = Vec::new();
        let mut rest = entries;
        while let Some((key, value)) = rest.entry() {
            match key {
                Value::Number(index) if index == f64::from(next) && others.is_empty() => {
                    self.element(value, next, depth)?;
                    next += 1;
                }
                Value::Number(index) => others.push((index as u32, value)),
                _ => {}
            }
        }
        others.sort_by_key(|&(index, _)| index);
        for (index, value) in others {
            self.holes(&mut next, index, depth)?;
            self.element(value, next, depth)?;
            next += 1;
        }
        self.holes(&mut next, last + 1, depth)?;
        self.out.push(b']');
        Ok(())
    }

    fn holes(&mut self, next: &mut u32, end: u32, depth: u32) -> Answer<()> {
        while *next < end {
            self.element(Value::Nil, *next, depth)?;
            *next += 1;
        }
        Ok(())
    }

    fn element(&mut self, value: Value<'_>, index: u32, depth: u32) -> Answer<()> {
        if index > 1 {
            self.out.push(b',');
        }
        self.value(value, depth)
    }

    fn object(&mut self, mut entries: Reader<'_>, depth: u32) -> Answer<()> {
        self.out.push(b'{');
        let mut first = true;
        while let Some((key, value)) = entries.entry() {
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            match key {
                Value::String(text) => self.string(text),
                Value::Number(number) => {
                    self.out.push(b'"');
                    self.number(number)?;
                    self.out.push(b'"');
                }
                _ => return Err(named(key, "table key must be a number or string")),
            }
            self.out.push(b':');
            self.value(value, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn number(&mut self, number: f64) -> Answer<()> {
        if !number.is_finite() {
            match self.settings.encode_invalid {
                Invalid::Refused => return Err(named(Value::Number(number), "must not be NaN or Inf")),
                Invalid::Null => {
                    self.out.extend_from_slice(b"null");
                    return Ok(());
                }
                Invalid::Written if number.is_nan() => {
                    self.out.extend_from_slice(b"nan");
                    return Ok(());
                }
                Invalid::Written => {}
            }
        }
        push_g(&mut self.out, number, self.settings.precision as usize);
        Ok(())
    }

    fn string(&mut self, text: &[u8]) {
        self.out.reserve(text.len() + 2);
        self.out.push(b'"');
        let mut plain = 0;
        for (i, &byte) in text.iter().enumerate() {
            let short = match byte {
                b'"' | b'\\' | b'/' => byte,
                8 => b'b',
                b'\t' => b't',
                b'\n' => b'n',
                12 => b'f',
                b'\r' => b'r',
                0..32 | 127 => 0,
                _ => continue,
            };
            self.out.extend_from_slice(&text[plain..i]);
            plain = i + 1;
            if short == 0 {
                self.out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
            } else {
                self.out.extend_from_slice(&[b'\\', short]);
            }
        }
        self.out.extend_from_slice(&text[plain..]);
        self.out.push(b'"');
    }
}
