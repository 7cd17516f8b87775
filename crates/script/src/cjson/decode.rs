//! JSON as Lua values.
//!
//! More is read than JSON allows, unless a setting forbids it: hexadecimal numbers, infinities, leading zeros. A NUL byte
//! ends the text.

use super::Settings;
use crate::native::{Answer, Raise};
use crate::strtod::strtod;
use crate::values::Writer;

/// Nesting that the interpreter has room for, whatever the settings say.
const DEPTH_MAX: u32 = 3990;

/// Writes the value that `json` stands for.
pub(super) fn decode(settings: &Settings, json: &[u8], out: &mut Writer) -> Answer<()> {
    if json.len() >= 2 && (json[0] == 0 || json[1] == 0) {
        return Err(Raise::text("JSON parser does not support UTF-16 or UTF-32"));
    }
    let mut decoder = Decoder { settings, json, at: 0, depth: 0, string: Vec::new(), out };
    let token = decoder.token();
    decoder.value(token)?;
    match decoder.token() {
        Token { kind: Kind::End, .. } => Ok(()),
        token => Err(token.unexpected("the end")),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    /// The text is in [`Decoder::string`].
    String,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static str),
}

#[derive(Clone, Copy)]
struct Token {
    kind: Kind,
    /// Where it begins.
    index: usize,
}

impl Token {
    #[cold]
    fn unexpected(self, expected: &str) -> Raise {
        let found = match self.kind {
            Kind::ObjectBegin => "T_OBJ_BEGIN",
            Kind::ObjectEnd => "T_OBJ_END",
            Kind::ArrayBegin => "T_ARR_BEGIN",
            Kind::ArrayEnd => "T_ARR_END",
            Kind::String => "T_STRING",
            Kind::Number(_) => "T_NUMBER",
            Kind::Boolean(_) => "T_BOOLEAN",
            Kind::Null => "T_NULL",
            Kind::Colon => "T_COLON",
            Kind::Comma => "T_COMMA",
            Kind::End => "T_END",
            Kind::Error(what) => what,
        };
        Raise::text(format!("Expected {expected} but found {found} at character {}", self.index + 1))
    }
}

struct Decoder<'a, 'w> {
    settings: &'a Settings,
    json: &'a [u8],
    at: usize,
    depth: u32,
    string: Vec<u8>,
    out: &'w mut Writer,
}

impl Decoder<'_, '_> {
    /// The byte `ahead` of the next one; 0 behind the end.
    fn peek(&self, ahead: usize) -> u8 {
        self.json.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn token(&mut self) -> Token {
        while matches!(self.peek(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        let index = self.at;
        let mark = |kind, decoder: &mut Self| {
            decoder.at += 1;
            kind
        };
        let kind = match self.peek(0) {
            0 => Kind::End,
            b'{' => mark(Kind::ObjectBegin, self),
            b'}' => mark(Kind::ObjectEnd, self),
            b'[' => mark(Kind::ArrayBegin, self),
            b']' => mark(Kind::ArrayEnd, self),
            b':' => mark(Kind::Colon, self),
            b',' => mark(Kind::Comma, self),
            b'"' => return self.string_token(index),
            b'-' | b'0'..=b'9' => {
                if !self.settings.decode_invalid && self.is_invalid_number() {
                    Kind::Error("invalid number")
                } else {
                    self.number()
                }
            }
            _ => self.word(),
        };
        Token { kind, index }
    }

    fn word(&mut self) -> Kind {
        let words =
            [(&b"true"[..], Kind::Boolean(true)), (&b"false"[..], Kind::Boolean(false)), (&b"null"[..], Kind::Null)];
        for (word, kind) in words {
            if self.json[self.at..].starts_with(word) {
                self.at += word.len();
                return kind;
            }
        }
        let may_be_number = matches!(self.peek(0), b'+' | b'i' | b'I' | b'n' | b'N');
        if may_be_number && self.settings.decode_invalid && self.is_invalid_number() {
            return self.number();
        }
        Kind::Error("invalid token")
    }

    /// Whether what follows is a number to C, but not to JSON.
    fn is_invalid_number(&self) -> bool {
        if self.peek(0) == b'+' {
            return true;
        }
        let sign = usize::from(self.peek(0) == b'-');
        match self.peek(sign) {
            b'0' => matches!(self.peek(sign + 1), b'x' | b'X' | b'0'..=b'9'),
            0..=b'9' => false,
            _ => {
                let word: [u8; 3] = std::array::from_fn(|i| self.peek(sign + i).to_ascii_lowercase());
                matches!(&word, b"inf" | b"nan")
            }
        }
    }

    fn number(&mut self) -> Kind {
        match strtod(&self.json[self.at..]) {
            Some((number, len)) => {
                self.at += len;
                Kind::Number(number)
            }
            None => Kind::Error("invalid number"),
        }
    }

    fn string_token(&mut self, index: usize) -> Token {
        self.at += 1;
        self.string.clear();
        loop {
            let plain = self.json[self.at..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0));
            let end = plain.map_or(self.json.len(), |len| self.at + len);
            self.string.extend_from_slice(&self.json[self.at..end]);
            self.at = end;
            let wrong = match self.peek(0) {
                b'"' => {
                    self.at += 1;
                    return Token { kind: Kind::String, index };
                }
                b'\\' => match self.escape() {
                    Ok(()) => continue,
                    Err(wrong) => wrong,
                },
                _ => "unexpected end of string",
            };
            return Token { kind: Kind::Error(wrong), index: self.at };
        }
    }

    fn escape(&mut self) -> Result<(), &'static str> {
        let byte = match self.peek(1) {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let (code, len) = self.unicode().ok_or("invalid unicode escape code")?;
                self.string.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
                self.at += len;
                return Ok(());
            }
            _ => return Err("invalid escape code"),
        };
        self.string.push(byte);
        self.at += 2;
        Ok(())
    }

    /// The character of a `\u` with its four digits, or of two of those that make up one, and the bytes that they take.
    fn unicode(&self) -> Option<(char, usize)> {
        let first = self.hex(2)?;
        if let Some(code) = char::from_u32(first) {
            return Some((code, 6));
        }
        if first & 0x400 != 0 || self.peek(6) != b'\\' || self.peek(7) != b'u' {
            return None;
        }
        let second = self.hex(8).filter(|second| second & 0xFC00 == 0xDC00)?;
        let code = char::from_u32((((first & 0x3FF) << 10) | (second & 0x3FF)) + 0x10000)?;
        Some((code, 12))
    }

    fn hex(&self, ahead: usize) -> Option<u32> {
        (0..4).try_fold(0, |code, i| Some(code * 16 + char::from(self.peek(ahead + i)).to_digit(16)?))
    }

    fn value(&mut self, token: Token) -> Answer<()> {
        match token.kind {
            Kind::String => self.out.string(&self.string),
            Kind::Number(number) => self.out.number(number),
            Kind::Boolean(truth) => self.out.boolean(truth),
            Kind::Null => self.out.null(),
            Kind::ObjectBegin => self.object()?,
            Kind::ArrayBegin => self.array()?,
            _ => return Err(token.unexpected("value")),
        }
        Ok(())
    }

    fn descend(&mut self) -> Answer<()> {
        self.depth += 1;
        if self.depth <= self.settings.decode_depth.min(DEPTH_MAX) {
            return Ok(());
        }
        let (depth, at) = (self.depth, self.at);
        Err(Raise::text(format!("Found too many nested data structures ({depth}) at character {at}")))
    }

    fn object(&mut self) -> Answer<()> {
        self.descend()?;
        self.out.table(0, 0);
        let mut token = self.token();
        if !matches!(token.kind, Kind::ObjectEnd) {
            loop {
                let Kind::String = token.kind else { return Err(token.unexpected("object key string")) };
                self.out.string(&self.string);
                match self.token() {
                    Token { kind: Kind::Colon, .. } => {}
                    token => return Err(token.unexpected("colon")),
                }
                let value = self.token();
                self.value(value)?;
                match self.token() {
                    Token { kind: Kind::ObjectEnd, .. } => break,
                    Token { kind: Kind::Comma, .. } => token = self.token(),
                    token => return Err(token.unexpected("comma or object end")),
                }
            }
        }
        self.out.end();
        self.depth -= 1;
        Ok(())
    }

    fn array(&mut self) -> Answer<()> {
        self.descend()?;
        let sizes = self.out.open_list();
        let mut count = 0;
        let mut token = self.token();
        if !matches!(token.kind, Kind::ArrayEnd) {
            loop {
                self.value(token)?;
                count += 1;
                match self.token() {
                    Token { kind: Kind::ArrayEnd, .. } => break,
                    Token { kind: Kind::Comma, .. } => token = self.token(),
                    token => return Err(token.unexpected("comma or array end")),
                }
            }
        }
        self.out.close_list(sizes, count);
        self.depth -= 1;
        Ok(())
    }
}
