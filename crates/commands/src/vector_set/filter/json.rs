//! One field of a JSON object, found without reading more of it than is needed.
//!
//! As lenient as the reference: what stands behind the field is not looked at, and what is passed over may be anything that is
//! bracketed in the right way. Fields of objects inside are out of reach; an object is no value.

use super::is_space;
use super::value::{Value, decimal};
use std::borrow::Cow;

/// Lists may be nested so deep.
const DEPTH_MAX: usize = 64;
/// So many characters of a number are looked at.
const NUMBER_MAX: usize = 255;

/// The value of a field of an object; none if it is not there, or holds no value that an expression could use.
pub(super) fn field<'a>(json: &'a [u8], name: &[u8]) -> Option<Value<'a>> {
    let mut reader = Reader { json, at: 0 };
    reader.seek(name)?;
    reader.value(DEPTH_MAX)
}

struct Reader<'a> {
    json: &'a [u8],
    at: usize,
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    /// The next byte that is no space; not taken.
    fn next(&mut self) -> Option<u8> {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
        self.peek()
    }

    /// Takes the next byte if it is this one.
    fn accept(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| self.at += 1)
    }

    /// Goes to where the value of a field begins.
    fn seek(&mut self, name: &[u8]) -> Option<()> {
        self.accept(b'{')?;
        loop {
            if self.next()? != b'"' {
                return None;
            }
            let key = self.pass_string()?;
            self.accept(b':')?;
            self.next()?;
            if key == name {
                return Some(());
            }
            self.pass_value()?;
            self.accept(b',')?;
        }
    }

    /// Passes over a string; what is between its quotes.
    fn pass_string(&mut self) -> Option<&'a [u8]> {
        let start = self.at + 1;
        self.at = start;
        loop {
            match self.peek()? {
                b'\\' => self.at += 2,
                b'"' => {
                    self.at += 1;
                    return self.json.get(start..self.at - 1);
                }
                _ => self.at += 1,
            }
        }
    }

    fn pass_value(&mut self) -> Option<()> {
        match self.next()? {
            b'"' => self.pass_string().map(drop),
            b'{' => self.pass_brackets(b'{', b'}'),
            b'[' => self.pass_brackets(b'[', b']'),
            b't' => self.pass_word(b"true"),
            b'f' => self.pass_word(b"false"),
            b'n' => self.pass_word(b"null"),
            _ => {
                let start = self.at;
                self.at += self.json[start..].iter().take_while(|&&byte| is_of_number(byte)).count();
                (self.at > start).then_some(())
            }
        }
    }

    fn pass_word(&mut self, word: &[u8]) -> Option<()> {
        self.json[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    /// Passes over what is between brackets; those of the other kind need not fit.
    fn pass_brackets(&mut self, open: u8, close: u8) -> Option<()> {
        let mut depth = 0usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.pass_string()?;
                    continue;
                }
                byte if byte == open => depth += 1,
                byte if byte == close => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn value(&mut self, depth: usize) -> Option<Value<'a>> {
        match self.next()? {
            b'"' => self.string(),
            b'[' => self.list(depth),
            b't' => self.word(b"true", Value::Number(1.0)),
            b'f' => self.word(b"false", Value::Number(0.0)),
            b'n' => self.word(b"null", Value::Null),
            b'0'..=b'9' | b'-' | b'+' => {
                let digits = self.json[self.at..].iter().take(NUMBER_MAX).take_while(|&&byte| is_of_number(byte));
                let start = self.at;
                self.at += digits.count();
                decimal(&self.json[start..self.at]).map(Value::Number)
            }
            _ => None,
        }
    }

    /// A word that ends there.
    fn word(&mut self, word: &[u8], value: Value<'a>) -> Option<Value<'a>> {
        self.pass_word(word)?;
        let ends = self.peek().is_none_or(|byte| is_space(byte) || matches!(byte, b',' | b']' | b'}'));
        ends.then_some(value)
    }

    fn string(&mut self) -> Option<Value<'a>> {
        let raw = self.pass_string()?;
        if !raw.contains(&b'\\') {
            return Some(Value::Text(Cow::Borrowed(raw)));
        }
        let mut text = Vec::with_capacity(raw.len());
        let mut bytes = raw.iter();
        while let Some(&byte) = bytes.next() {
            text.push(match byte {
                b'\\' => match bytes.next()? {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    // Anything else stands for itself, the `u` of a code point too.
                    other => *other,
                },
                byte => byte,
            });
        }
        Some(Value::Text(Cow::Owned(text)))
    }

    fn list(&mut self, depth: usize) -> Option<Value<'a>> {
        let depth = depth.checked_sub(1)?;
        self.at += 1;
        let mut items = Vec::new();
        if self.next() == Some(b']') {
            self.at += 1;
            return Some(Value::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            match self.next()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Some(Value::List(items));
                }
                _ => return None,
            }
        }
    }
}
