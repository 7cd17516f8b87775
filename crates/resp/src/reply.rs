//! The reply writer: one call per shape, spelled for the connection's protocol version.
//!
//! | call | RESP2 | RESP3 |
//! |---|---|---|
//! | [`Reply::null`] | `$-1` | `_` |
//! | [`Reply::null_array`] | `*-1` | `_` |
//! | [`Reply::map`] | `*2n` | `%n` |
//! | [`Reply::set`] | `*n` | `~n` |
//! | [`Reply::push`] | `*n` | `>n` |
//! | [`Reply::double`] | bulk string | `,` |
//! | [`Reply::boolean`] | `:0` / `:1` | `#f` / `#t` |
//! | [`Reply::verbatim`] | bulk string | `=` with its three-letter format |
//! | [`Reply::big_number`] | bulk string | `(` |

use crate::number;

/// Protocol version of a connection, negotiated by `HELLO`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    /// The protocol every client speaks before `HELLO 3`.
    #[default]
    Resp2,
    /// Typed replies and out-of-band pushes.
    Resp3,
}

/// Appends replies to an output buffer.
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl<'a> Reply<'a> {
    /// A writer at the end of `out`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Reply { out, protocol }
    }

    /// The protocol this writer spells replies in.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Changes the protocol of what follows (`HELLO` answers in the new one).
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Whether the connection speaks RESP3.
    #[inline]
    pub fn is_resp3(&self) -> bool {
        self.protocol == Protocol::Resp3
    }

    /// Bytes in the buffer so far; a position for [`Reply::truncate`].
    #[inline]
    pub fn position(&self) -> usize {
        self.out.len()
    }

    /// What was written since `position`.
    pub fn since(&self, position: usize) -> &[u8] {
        &self.out[position..]
    }

    /// Takes back everything written since `position`.
    pub fn truncate(&mut self, position: usize) {
        self.out.truncate(position);
    }

    /// Appends bytes that are already a reply.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A simple string; `text` has no line break.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']));
        self.out.push(b'+');
        self.out.extend_from_slice(text.as_bytes());
        self.crlf();
    }

    /// An error line: `text` starts with its code (`ERR …`, `WRONGTYPE …`). Line breaks become spaces.
    pub fn error(&mut self, text: &[u8]) {
        self.out.push(b'-');
        let end = text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
        let trimmed = &text[..end];
        self.out.extend(trimmed.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
        self.crlf();
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        self.header(b':', value);
    }

    /// A count as an integer.
    #[inline]
    pub fn count(&mut self, value: usize) {
        self.integer(value as i64);
    }

    /// `1` or `0` as an integer: what most predicates answer in both protocols.
    #[inline]
    pub fn flag(&mut self, value: bool) {
        self.out.extend_from_slice(if value { b":1\r\n" } else { b":0\r\n" });
    }

    /// A RESP3 boolean; `1`/`0` in RESP2.
    pub fn boolean(&mut self, value: bool) {
        match self.protocol {
            Protocol::Resp2 => self.flag(value),
            Protocol::Resp3 => self.out.extend_from_slice(if value { b"#t\r\n" } else { b"#f\r\n" }),
        }
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 26);
        self.header(b'$', bytes.len() as i64);
        self.out.extend_from_slice(bytes);
        self.crlf();
    }

    /// A bulk string of `value` in decimal.
    pub fn bulk_integer(&mut self, value: i64) {
        let mut buf = [0; number::I64_TEXT_MAX];
        let text = number::format_i64(value, &mut buf);
        self.bulk(text);
    }

    /// A bulk string of a double, in both protocols.
    pub fn bulk_double(&mut self, value: f64) {
        let mut text = Vec::with_capacity(24);
        number::push_f64(&mut text, value);
        self.bulk(&text);
    }

    /// A verbatim string (`format` is three letters, `txt` or `mkd`); a bulk string in RESP2.
    pub fn verbatim(&mut self, format: &str, bytes: &[u8]) {
        debug_assert_eq!(format.len(), 3);
        match self.protocol {
            Protocol::Resp2 => self.bulk(bytes),
            Protocol::Resp3 => {
                self.header(b'=', bytes.len() as i64 + 4);
                self.out.extend_from_slice(format.as_bytes());
                self.out.push(b':');
                self.out.extend_from_slice(bytes);
                self.crlf();
            }
        }
    }

    /// A double: `,` in RESP3, a bulk string in RESP2.
    pub fn double(&mut self, value: f64) {
        match self.protocol {
            Protocol::Resp2 => self.bulk_double(value),
            Protocol::Resp3 => {
                self.out.push(b',');
                number::push_f64(self.out, value);
                self.crlf();
            }
        }
    }

    /// A big number given in decimal: `(` in RESP3, a bulk string in RESP2.
    pub fn big_number(&mut self, digits: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits),
            Protocol::Resp3 => {
                self.out.push(b'(');
                self.out.extend_from_slice(digits);
                self.crlf();
            }
        }
    }

    /// The absent value: `$-1` or `_`.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The absent array: `*-1` or `_`.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The head of an array of `len` replies.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len as i64);
    }

    /// The head of a map of `len` pairs.
    pub fn map(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', 2 * len as i64),
            Protocol::Resp3 => self.header(b'%', len as i64),
        }
    }

    /// The head of a set of `len` replies.
    pub fn set(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', len as i64),
            Protocol::Resp3 => self.header(b'~', len as i64),
        }
    }

    /// The head of an out-of-band push of `len` replies.
    pub fn push(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', len as i64),
            Protocol::Resp3 => self.header(b'>', len as i64),
        }
    }

    /// The head of `len` attribute pairs, which say something about the reply that follows; only in RESP3.
    pub fn attribute(&mut self, len: usize) {
        debug_assert!(self.is_resp3());
        self.header(b'|', len as i64);
    }

    /// An array whose length is known only after its elements: `body` writes them and returns how many. The head is then
    /// inserted in front of them (one move of the written bytes).
    pub fn array_of(&mut self, body: impl FnOnce(&mut Reply<'_>) -> usize) {
        self.deferred(body, |reply, len| reply.array(len));
    }

    /// Like [`Reply::array_of`], for a map: `body` returns the number of pairs.
    pub fn map_of(&mut self, body: impl FnOnce(&mut Reply<'_>) -> usize) {
        self.deferred(body, |reply, len| reply.map(len));
    }

    /// Like [`Reply::array_of`], for a set.
    pub fn set_of(&mut self, body: impl FnOnce(&mut Reply<'_>) -> usize) {
        self.deferred(body, |reply, len| reply.set(len));
    }

    fn deferred(&mut self, body: impl FnOnce(&mut Reply<'_>) -> usize, head: impl FnOnce(&mut Reply<'_>, usize)) {
        let start = self.out.len();
        let len = body(self);
        let end = self.out.len();
        head(self, len);
        let head_len = self.out.len() - end;
        self.out[start..].rotate_right(head_len);
    }

    /// Type byte, decimal, line end.
    #[inline]
    fn header(&mut self, kind: u8, value: i64) {
        self.out.push(kind);
        number::push_i64(self.out, value);
        self.crlf();
    }

    #[inline]
    fn crlf(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(protocol: Protocol, write: impl FnOnce(&mut Reply<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Reply::new(&mut out, protocol));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_shape_in_both_protocols() {
        type Case = (fn(&mut Reply<'_>), &'static str, &'static str);
        let cases: &[Case] = &[
            (|r| r.null(), "$-1\r\n", "_\r\n"),
            (|r| r.null_array(), "*-1\r\n", "_\r\n"),
            (|r| r.map(2), "*4\r\n", "%2\r\n"),
            (|r| r.set(2), "*2\r\n", "~2\r\n"),
            (|r| r.push(2), "*2\r\n", ">2\r\n"),
            (|r| r.double(0.5), "$3\r\n0.5\r\n", ",0.5\r\n"),
            (|r| r.boolean(true), ":1\r\n", "#t\r\n"),
            (|r| r.verbatim("txt", b"a"), "$1\r\na\r\n", "=5\r\ntxt:a\r\n"),
            (|r| r.big_number(b"12"), "$2\r\n12\r\n", "(12\r\n"),
            (|r| r.error(b"ERR a\r\nb\r\n"), "-ERR a  b\r\n", "-ERR a  b\r\n"),
            (|r| r.bulk_integer(-12), "$3\r\n-12\r\n", "$3\r\n-12\r\n"),
        ];
        for (write, resp2, resp3) in cases {
            assert_eq!(written(Protocol::Resp2, write), *resp2);
            assert_eq!(written(Protocol::Resp3, write), *resp3);
        }
    }

    #[test]
    fn deferred_heads_come_first() {
        let text = written(Protocol::Resp3, |reply| {
            reply.integer(9);
            reply.map_of(|reply| {
                reply.bulk(b"k");
                reply.array_of(|reply| {
                    reply.integer(1);
                    1
                });
                1
            });
        });
        assert_eq!(text, ":9\r\n%1\r\n$1\r\nk\r\n*1\r\n:1\r\n");
    }
}
