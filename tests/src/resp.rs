//! A strict RESP2/RESP3 decoder that keeps the wire type of every value.
//!
//! Strict on purpose: a client library forgives a missing line feed, a leading zero or a RESP3 type in a RESP2
//! conversation; a test must not. Nothing is shared with the server's own protocol crate, so that one misreading of
//! the specification cannot hide on both sides. Source: the RESP protocol specification on redis.io.

use std::fmt;

/// One value as it stood on the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reply {
    /// `+text`
    Simple(Vec<u8>),
    /// `-text`
    Error(Vec<u8>),
    /// `:n`
    Int(i64),
    /// `$n` with n bytes
    Bulk(Vec<u8>),
    /// `$-1`
    NilBulk,
    /// `*-1`
    NilArray,
    /// `_`
    Null,
    /// `*n`
    Array(Vec<Reply>),
    /// `%n`: keys and values in wire order
    Map(Vec<(Reply, Reply)>),
    /// `~n`
    Set(Vec<Reply>),
    /// `>n`
    Push(Vec<Reply>),
    /// `,text`: kept as text, so that formatting is compared too
    Double(Vec<u8>),
    /// `#t` or `#f`
    Bool(bool),
    /// `(digits`
    BigNumber(Vec<u8>),
    /// `!n`
    BlobError(Vec<u8>),
    /// `=n`: the three-letter format and the text
    Verbatim(Vec<u8>, Vec<u8>),
}

impl Reply {
    /// True for both kinds of error.
    pub fn is_error(&self) -> bool {
        matches!(self, Reply::Error(_) | Reply::BlobError(_))
    }

    /// True for the three ways to say "nothing".
    pub fn is_nil(&self) -> bool {
        matches!(self, Reply::NilBulk | Reply::NilArray | Reply::Null)
    }

    /// The integer inside, if it is one.
    pub fn int(&self) -> Option<i64> {
        match self {
            Reply::Int(n) => Some(*n),
            _ => None,
        }
    }

    /// The bytes of a string-like reply.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Reply::Simple(b) | Reply::Bulk(b) | Reply::Double(b) | Reply::BigNumber(b) => Some(b),
            Reply::Verbatim(_, b) => Some(b),
            _ => None,
        }
    }

    /// The bytes of a string-like reply as text; empty if it is none.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes().unwrap_or_default()).into_owned()
    }

    /// The elements of an array, set or push.
    pub fn items(&self) -> Option<&[Reply]> {
        match self {
            Reply::Array(v) | Reply::Set(v) | Reply::Push(v) => Some(v),
            _ => None,
        }
    }

    /// True for `+OK`.
    pub fn is_ok(&self) -> bool {
        matches!(self, Reply::Simple(s) if s == b"OK")
    }
}

/// Bytes that no server may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolError(pub String);

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "protocol error: {}", self.0)
    }
}

impl std::error::Error for ProtocolError {}

type Decoded<T> = Result<Option<(T, usize)>, ProtocolError>;

/// Nesting beyond this is refused rather than followed.
const DEPTH_MAX: usize = 32;

/// Decodes one value from the start of `buf`: the value and the bytes it took, or `None` while it is incomplete.
pub fn decode(buf: &[u8]) -> Decoded<Reply> {
    decode_at(buf, 0, 0)
}

fn bad<T>(what: impl Into<String>) -> Result<T, ProtocolError> {
    Err(ProtocolError(what.into()))
}

/// The line from `at` up to CRLF, and the position after it.
fn line(buf: &[u8], at: usize) -> Decoded<&[u8]> {
    let rest = buf.get(at..).unwrap_or_default();
    let Some(end) = rest.iter().position(|&b| b == b'\r' || b == b'\n') else {
        return Ok(None);
    };
    if rest[end] == b'\n' {
        return bad("line feed without carriage return");
    }
    match rest.get(end + 1) {
        None => Ok(None),
        Some(b'\n') => Ok(Some((&rest[..end], at + end + 2))),
        Some(_) => bad("carriage return without line feed"),
    }
}

/// A decimal integer in its only spelling: no plus sign, no leading zero, no minus zero.
fn integer(text: &[u8]) -> Result<i64, ProtocolError> {
    let parsed = std::str::from_utf8(text).ok().and_then(|s| s.parse::<i64>().ok());
    match parsed {
        Some(n) if n.to_string().as_bytes() == text => Ok(n),
        _ => bad(format!("bad integer {:?}", String::from_utf8_lossy(text))),
    }
}

/// A length: `None` stands for -1.
fn length(text: &[u8]) -> Result<Option<usize>, ProtocolError> {
    match integer(text)? {
        -1 => Ok(None),
        n if n >= 0 => Ok(Some(n as usize)),
        n => bad(format!("negative length {n}")),
    }
}

fn decode_at(buf: &[u8], at: usize, depth: usize) -> Decoded<Reply> {
    if depth > DEPTH_MAX {
        return bad("nested too deeply");
    }
    let Some(&kind) = buf.get(at) else {
        return Ok(None);
    };
    let Some((head, next)) = line(buf, at + 1)? else {
        return Ok(None);
    };
    let whole = |reply| Ok(Some((reply, next)));
    match kind {
        b'+' => whole(Reply::Simple(head.to_vec())),
        b'-' => whole(Reply::Error(head.to_vec())),
        b':' => whole(Reply::Int(integer(head)?)),
        b',' => whole(Reply::Double(double(head)?)),
        b'(' => whole(Reply::BigNumber(head.to_vec())),
        b'_' if head.is_empty() => whole(Reply::Null),
        b'#' if head == b"t" || head == b"f" => whole(Reply::Bool(head == b"t")),
        b'$' | b'!' | b'=' => blob(buf, kind, length(head)?, next),
        b'*' | b'~' | b'>' | b'%' => aggregate(buf, kind, length(head)?, next, depth),
        b'|' => attribute(buf, length(head)?, next, depth),
        _ => bad(format!("unknown type byte {:?}", kind as char)),
    }
}

/// The text of a double, checked to be one.
fn double(text: &[u8]) -> Result<Vec<u8>, ProtocolError> {
    let ok = std::str::from_utf8(text).is_ok_and(|s| s.parse::<f64>().is_ok());
    if ok { Ok(text.to_vec()) } else { bad(format!("bad double {:?}", String::from_utf8_lossy(text))) }
}

fn blob(buf: &[u8], kind: u8, len: Option<usize>, at: usize) -> Decoded<Reply> {
    let Some(len) = len else {
        return if kind == b'$' { Ok(Some((Reply::NilBulk, at))) } else { bad("nil of a type without nil") };
    };
    let Some(tail) = buf.get(at + len..at + len + 2) else {
        return Ok(None);
    };
    if tail != b"\r\n" {
        return bad("string is not followed by CRLF");
    }
    let body = buf[at..at + len].to_vec();
    let reply = match kind {
        b'$' => Reply::Bulk(body),
        b'!' => Reply::BlobError(body),
        _ if body.get(3) == Some(&b':') => Reply::Verbatim(body[..3].to_vec(), body[4..].to_vec()),
        _ => return bad("verbatim string without a format"),
    };
    Ok(Some((reply, at + len + 2)))
}

fn aggregate(buf: &[u8], kind: u8, len: Option<usize>, at: usize, depth: usize) -> Decoded<Reply> {
    let Some(len) = len else {
        return if kind == b'*' { Ok(Some((Reply::NilArray, at))) } else { bad("nil of a type without nil") };
    };
    let count = if kind == b'%' { len * 2 } else { len };
    let Some((items, next)) = sequence(buf, count, at, depth)? else {
        return Ok(None);
    };
    let reply = match kind {
        b'*' => Reply::Array(items),
        b'~' => Reply::Set(items),
        b'>' => Reply::Push(items),
        _ => Reply::Map(into_pairs(items)),
    };
    Ok(Some((reply, next)))
}

/// Attributes annotate the reply behind them; no command under test sends one, so they are decoded and dropped.
fn attribute(buf: &[u8], len: Option<usize>, at: usize, depth: usize) -> Decoded<Reply> {
    let Some(len) = len else {
        return bad("nil attribute");
    };
    match sequence(buf, len * 2, at, depth)? {
        Some((_, next)) => decode_at(buf, next, depth),
        None => Ok(None),
    }
}

fn sequence(buf: &[u8], count: usize, mut at: usize, depth: usize) -> Decoded<Vec<Reply>> {
    let mut items = Vec::with_capacity(count.min(1024));
    for _ in 0..count {
        let Some((item, next)) = decode_at(buf, at, depth + 1)? else {
            return Ok(None);
        };
        items.push(item);
        at = next;
    }
    Ok(Some((items, at)))
}

fn into_pairs(items: Vec<Reply>) -> Vec<(Reply, Reply)> {
    let mut pairs = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        pairs.push((key, value));
    }
    pairs
}

/// Appends a command as an array of bulk strings.
pub fn encode(out: &mut Vec<u8>, args: &[Vec<u8>]) {
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(bytes: &[u8]) -> Reply {
        let (reply, used) = decode(bytes).unwrap().unwrap();
        assert_eq!(used, bytes.len());
        reply
    }

    #[test]
    fn every_type_is_kept_apart() {
        assert_eq!(one(b"+OK\r\n"), Reply::Simple(b"OK".to_vec()));
        assert_eq!(one(b"$-1\r\n"), Reply::NilBulk);
        assert_eq!(one(b"*-1\r\n"), Reply::NilArray);
        assert_eq!(one(b"_\r\n"), Reply::Null);
        assert_eq!(one(b",1.50\r\n"), Reply::Double(b"1.50".to_vec()));
        assert_eq!(one(b"=5\r\ntxt:a\r\n"), Reply::Verbatim(b"txt".to_vec(), b"a".to_vec()));
        assert_eq!(one(b"%1\r\n+a\r\n:1\r\n"), Reply::Map(vec![(Reply::Simple(b"a".to_vec()), Reply::Int(1))]));
        assert_eq!(one(b"*2\r\n#t\r\n~0\r\n"), Reply::Array(vec![Reply::Bool(true), Reply::Set(vec![])]));
    }

    #[test]
    fn every_prefix_is_incomplete() {
        let whole = b"*3\r\n$3\r\na\r\n\r\n%1\r\n,inf\r\n=4\r\ntxt:\r\n!3\r\nERR\r\n";
        for cut in 0..whole.len() {
            assert_eq!(decode(&whole[..cut]), Ok(None), "cut at {cut}");
        }
        assert!(decode(whole).unwrap().is_some());
    }

    #[test]
    fn sloppy_bytes_are_refused() {
        for bytes in [
            &b"+OK\n"[..],
            b":01\r\n",
            b":+1\r\n",
            b"$-2\r\n",
            b"$1\r\nab\r\n",
            b"#x\r\n",
            b"~-1\r\n",
            b"x\r\n",
            b",\r\n",
        ] {
            assert!(decode(bytes).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
