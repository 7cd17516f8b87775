//! The request parser: bytes in, a batch of argument spans out.
//!
//! A request is either a *multibulk* (`*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`) or an *inline* line (`GET k\r\n`, quotes as in a
//! configuration file). Arguments are not copied: a [`Span`] names a range of the buffer that was parsed. Only inline
//! arguments, which may need unescaping, are written to a scratch area of the batch.
//!
//! # Incomplete requests
//! Input arrives in pieces. The caller keeps the unconsumed tail and calls again with more bytes after it; the
//! [`Parser`] remembers the spans already found, relative to the start of the unfinished request, so a request of n
//! bytes costs O(n) in total however it was cut.
//!
//! # Invariants
//! - A parsed span lies within the buffer it was parsed from (or within the scratch, for an inline frame).
//! - Nothing is allocated from a length that the peer merely announced.

use crate::number::parse_i64;

/// A range of bytes: of the request buffer or of the batch's scratch area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Span {
    /// The bytes that this span names in `buf`.
    #[inline]
    pub fn of(self, buf: &[u8]) -> &[u8] {
        &buf[self.start as usize..self.start as usize + self.len as usize]
    }
}

/// One complete request of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Index of its first span in [`Batch::spans`].
    pub first: u32,
    /// Number of arguments, the command's name included; never 0.
    pub argc: u32,
    /// Where it ends in the request buffer.
    pub end: u32,
    /// Whether the spans lie in [`Batch::scratch`] rather than in the request buffer.
    pub inline: bool,
}

/// Requests parsed together; reused from turn to turn.
#[derive(Default, Debug)]
pub struct Batch {
    /// Arguments of all frames.
    pub spans: Vec<Span>,
    /// The requests, in order.
    pub frames: Vec<Frame>,
    /// Unescaped arguments of inline requests.
    pub scratch: Vec<u8>,
}

impl Batch {
    /// Forgets the frames, keeps a modest amount of memory.
    pub fn clear(&mut self) {
        const KEEP_SPANS: usize = 16 * 1024;
        self.spans.clear();
        self.spans.shrink_to(KEEP_SPANS);
        self.frames.clear();
        self.scratch.clear();
        self.scratch.shrink_to(KEEP_SPANS);
    }

    /// The spans of one frame.
    #[inline]
    pub fn args(&self, frame: &Frame) -> &[Span] {
        &self.spans[frame.first as usize..(frame.first + frame.argc) as usize]
    }
}

/// What a peer may send.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// `proto-max-bulk-len`, bytes.
    pub bulk_len_max: i64,
    /// Whether the connection has authenticated; before, requests are held small.
    pub authenticated: bool,
}

/// Longest inline request and longest header line.
pub const INLINE_MAX: usize = 64 * 1024;
const UNAUTHENTICATED_ARGS_MAX: i64 = 10;
const UNAUTHENTICATED_BULK_MAX: i64 = 16 * 1024;

/// Malformed input; the connection is answered and closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// An inline request longer than [`INLINE_MAX`].
    BigInline,
    /// A `*` line longer than [`INLINE_MAX`].
    BigMultibulkCount,
    /// A `$` line longer than [`INLINE_MAX`].
    BigBulkCount,
    /// The number after `*` is not one, or too large.
    MultibulkLength,
    /// More arguments than an unauthenticated connection may send.
    UnauthenticatedMultibulk,
    /// A bulk was expected; this byte came.
    ExpectedDollar(u8),
    /// The number after `$` is not one, or too large.
    BulkLength,
    /// A longer bulk than an unauthenticated connection may send.
    UnauthenticatedBulk,
    /// An inline request with an unclosed quote.
    UnbalancedQuotes,
}

impl ParseError {
    /// The text of the error reply, without `-ERR Protocol error: `.
    pub fn text(self) -> String {
        match self {
            ParseError::BigInline => "too big inline request".into(),
            ParseError::BigMultibulkCount => "too big mbulk count string".into(),
            ParseError::BigBulkCount => "too big bulk count string".into(),
            ParseError::MultibulkLength => "invalid multibulk length".into(),
            ParseError::UnauthenticatedMultibulk => "unauthenticated multibulk length".into(),
            ParseError::ExpectedDollar(byte) => format!("expected '$', got '{}'", char::from(byte)),
            ParseError::BulkLength => "invalid bulk length".into(),
            ParseError::UnauthenticatedBulk => "unauthenticated bulk length".into(),
            ParseError::UnbalancedQuotes => "unbalanced quotes in request".into(),
        }
    }
}

/// Why parsing stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// All bytes were consumed.
    Done,
    /// The rest is the beginning of a request.
    Incomplete,
    /// The batch holds as many frames as the caller asked for.
    Full,
    /// The bytes after the last frame are not a request.
    Error(ParseError),
}

/// A multibulk request of which not all bytes have come, relative to its first byte.
#[derive(Debug)]
struct Pending {
    spans: Vec<Span>,
    argc: i64,
    at: usize,
}

/// Parsing state of one connection.
#[derive(Default, Debug)]
pub struct Parser {
    pending: Option<Box<Pending>>,
    /// Bytes the unfinished request needs at least, from its first byte on: a hint for sizing the buffer.
    wanted: usize,
}

enum Line {
    /// The number, and the position after the line end.
    Number(i64, usize),
    Incomplete,
    Malformed,
}

impl Parser {
    /// Bytes that the unfinished request needs at least, counted from its first byte; 0 when none is open.
    pub fn wanted_bytes(&self) -> usize {
        self.wanted
    }

    /// Appends up to `frames_max` requests found in `buf[from..]` to `batch`. Returns the position after the last complete
    /// request and why it stopped. On [`Stop::Incomplete`] the caller keeps `buf[position..]` and calls again with that
    /// tail, extended, at the start of the next buffer.
    pub fn parse(
        &mut self,
        buf: &[u8],
        from: usize,
        batch: &mut Batch,
        limits: &RequestLimits,
        frames_max: usize,
    ) -> (usize, Stop) {
        let mut at = from;
        while at < buf.len() {
            if batch.frames.len() >= frames_max {
                return (at, Stop::Full);
            }
            let step = if self.pending.is_some() || buf[at] == b'*' {
                self.multibulk(buf, at, batch, limits)
            } else {
                inline(buf, at, batch)
            };
            match step {
                Ok(Some(next)) => at = next,
                Ok(None) => return (at, Stop::Incomplete),
                Err(error) => return (at, Stop::Error(error)),
            }
        }
        (at, Stop::Done)
    }

    /// One multibulk request at `start`; the position after it, or `None` when it is not complete.
    fn multibulk(
        &mut self,
        buf: &[u8],
        start: usize,
        batch: &mut Batch,
        limits: &RequestLimits,
    ) -> Result<Option<usize>, ParseError> {
        let first = batch.spans.len();
        let (argc, mut at) = match self.pending.take() {
            Some(pending) => {
                let moved = pending.spans.iter().map(|span| Span { start: span.start + start as u32, ..*span });
                batch.spans.extend(moved);
                (pending.argc, start + pending.at)
            }
            None => match count_line(buf, start) {
                Line::Number(argc, next) => {
                    if argc > i64::from(i32::MAX) {
                        return Err(ParseError::MultibulkLength);
                    }
                    if argc > UNAUTHENTICATED_ARGS_MAX && !limits.authenticated {
                        return Err(ParseError::UnauthenticatedMultibulk);
                    }
                    if argc <= 0 {
                        return Ok(Some(next));
                    }
                    (argc, next)
                }
                Line::Incomplete if buf.len() - start > INLINE_MAX => return Err(ParseError::BigMultibulkCount),
                Line::Incomplete => return Ok(None),
                Line::Malformed => return Err(ParseError::MultibulkLength),
            },
        };
        while ((batch.spans.len() - first) as i64) < argc {
            match bulk(buf, at, limits)? {
                Bulk::Complete(span, next) => {
                    batch.spans.push(span);
                    at = next;
                }
                Bulk::Incomplete { needed } => {
                    self.suspend(batch, first, argc, at - start, start);
                    self.wanted = needed - start;
                    return Ok(None);
                }
            }
        }
        self.wanted = 0;
        batch.frames.push(Frame { first: first as u32, argc: argc as u32, end: at as u32, inline: false });
        Ok(Some(at))
    }

    /// Moves the spans of the unfinished request out of the batch, relative to its first byte.
    fn suspend(&mut self, batch: &mut Batch, first: usize, argc: i64, at: usize, start: usize) {
        let spans = batch.spans.drain(first..).map(|span| Span { start: span.start - start as u32, ..span }).collect();
        self.pending = Some(Box::new(Pending { spans, argc, at }));
    }
}

enum Bulk {
    Complete(Span, usize),
    /// Not all bytes are here; the buffer must reach `needed` at least.
    Incomplete {
        needed: usize,
    },
}

/// The number of arguments, on the line that starts with the `*` at `start`.
#[inline]
fn count_line(buf: &[u8], start: usize) -> Line {
    match buf[start..].first_chunk() {
        Some(&[_, count @ b'1'..=b'9', b'\r', _]) => Line::Number(i64::from(count - b'0'), start + 4),
        _ => number_line(buf, start + 1),
    }
}

#[inline]
fn bulk(buf: &[u8], at: usize, limits: &RequestLimits) -> Result<Bulk, ParseError> {
    match short_bulk(buf, at) {
        Some((span, next)) if i64::from(span.len) <= limits.bulk_len_max => Ok(Bulk::Complete(span, next)),
        _ => long_bulk(buf, at, limits),
    }
}

/// The common case: a bulk of less than a hundred bytes that is there as a whole.
#[inline]
fn short_bulk(buf: &[u8], at: usize) -> Option<(Span, usize)> {
    let &[b'$', tens, ones, end, _] = buf.get(at..)?.first_chunk::<5>()? else { return None };
    let (tens, ones_digit) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    let (len, start) = if ones == b'\r' && tens <= 9 {
        (u32::from(tens), at + 4)
    } else if end == b'\r' && ones_digit <= 9 && (1..=9).contains(&tens) {
        (u32::from(tens) * 10 + u32::from(ones_digit), at + 5)
    } else {
        return None;
    };
    let next = start + len as usize + 2;
    (next <= buf.len()).then_some((Span { start: start as u32, len }, next))
}

fn long_bulk(buf: &[u8], at: usize, limits: &RequestLimits) -> Result<Bulk, ParseError> {
    let Some(&kind) = buf.get(at) else {
        return Ok(Bulk::Incomplete { needed: at + 1 });
    };
    if kind != b'$' {
        // Redis looks at the byte only once the whole line has come.
        return match buf[at..].iter().take(INLINE_MAX).any(|&byte| byte == b'\n') {
            true => Err(ParseError::ExpectedDollar(kind)),
            false if buf.len() - at > INLINE_MAX => Err(ParseError::BigBulkCount),
            false => Ok(Bulk::Incomplete { needed: buf.len() + 1 }),
        };
    }
    let (len, start) = match number_line(buf, at + 1) {
        Line::Number(len, next) => (len, next),
        Line::Incomplete if buf.len() - at > INLINE_MAX => return Err(ParseError::BigBulkCount),
        Line::Incomplete => return Ok(Bulk::Incomplete { needed: buf.len() + 1 }),
        Line::Malformed => return Err(ParseError::BulkLength),
    };
    if len < 0 || len > limits.bulk_len_max || len > i64::from(u32::MAX / 2) {
        return Err(ParseError::BulkLength);
    }
    if len > UNAUTHENTICATED_BULK_MAX && !limits.authenticated {
        return Err(ParseError::UnauthenticatedBulk);
    }
    let end = start + len as usize;
    if end + 2 > buf.len() {
        return Ok(Bulk::Incomplete { needed: end + 2 });
    }
    // The two bytes after the payload are skipped unread, as Redis does.
    Ok(Bulk::Complete(Span { start: start as u32, len: len as u32 }, end + 2))
}

/// The number on the line that starts at `at`, ended by `\r` and one more byte.
#[inline]
fn number_line(buf: &[u8], at: usize) -> Line {
    let mut value: i64 = 0;
    let mut end = at;
    // Short plain numbers first: this runs once or more per argument.
    while let Some(&byte) = buf.get(end) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 || end - at > 9 {
            break;
        }
        value = value * 10 + i64::from(digit);
        end += 1;
    }
    match buf.get(end) {
        Some(b'\r') if end > at && (buf[at] != b'0' || end == at + 1) => match buf.get(end + 1) {
            Some(_) => Line::Number(value, end + 2),
            None => Line::Incomplete,
        },
        _ => slow_number_line(buf, at),
    }
}

#[cold]
fn slow_number_line(buf: &[u8], at: usize) -> Line {
    let window = &buf[at..buf.len().min(at + INLINE_MAX)];
    match window.iter().position(|&byte| byte == b'\r') {
        None => Line::Incomplete,
        Some(len) if at + len + 1 >= buf.len() => Line::Incomplete,
        Some(len) => match parse_i64(&window[..len]) {
            Some(value) => Line::Number(value, at + len + 2),
            None => Line::Malformed,
        },
    }
}

/// One inline request at `start`; the position after it, or `None` when its line has not ended.
fn inline(buf: &[u8], start: usize, batch: &mut Batch) -> Result<Option<usize>, ParseError> {
    let window = &buf[start..buf.len().min(start + INLINE_MAX + 1)];
    let Some(len) = window.iter().position(|&byte| byte == b'\n') else {
        return if buf.len() - start > INLINE_MAX { Err(ParseError::BigInline) } else { Ok(None) };
    };
    let line = window[..len].strip_suffix(b"\r").unwrap_or(&window[..len]);
    let first = batch.spans.len();
    let mut rest = line;
    loop {
        let begin = batch.scratch.len();
        match next_word(rest, &mut batch.scratch) {
            Ok(Some(next)) => rest = next,
            Ok(None) => break,
            Err(UnbalancedQuotes) => {
                batch.spans.truncate(first);
                return Err(ParseError::UnbalancedQuotes);
            }
        }
        batch.spans.push(Span { start: begin as u32, len: (batch.scratch.len() - begin) as u32 });
    }
    let argc = batch.spans.len() - first;
    if argc > 0 {
        let end = (start + len + 1) as u32;
        batch.frames.push(Frame { first: first as u32, argc: argc as u32, end, inline: true });
    }
    Ok(Some(start + len + 1))
}

/// A line with a quote that never closes, or closes in the middle of a word.
#[derive(Debug, PartialEq, Eq)]
pub struct UnbalancedQuotes;

/// Appends the next word of `line` to `out`, unescaped, and returns what follows it; `None` when no word is left.
///
/// Words are separated by white space. In double quotes `\xHH`, `\n`, `\r`, `\t`, `\b`, `\a` and `\c` for any other c are
/// escapes; in single quotes only `\'`. A closing quote must end its word.
pub fn next_word<'a>(line: &'a [u8], out: &mut Vec<u8>) -> Result<Option<&'a [u8]>, UnbalancedQuotes> {
    let space = |byte: u8| byte.is_ascii_whitespace() || byte == 0x0b;
    let mut at = line.iter().position(|&byte| !space(byte)).unwrap_or(line.len());
    if at == line.len() {
        return Ok(None);
    }
    while let Some(&byte) = line.get(at) {
        match byte {
            b'"' | b'\'' => {
                at = quoted(line, at, out)?;
                return match line.get(at) {
                    Some(&next) if !space(next) => Err(UnbalancedQuotes),
                    _ => Ok(Some(&line[at..])),
                };
            }
            0 => break,
            byte if space(byte) => break,
            byte => out.push(byte),
        }
        at += 1;
    }
    if line.get(at) == Some(&0) {
        at = line.len();
    }
    Ok(Some(&line[at..]))
}

/// The quoted text whose opening quote is at `open`; returns the position after the closing quote.
fn quoted(line: &[u8], open: usize, out: &mut Vec<u8>) -> Result<usize, UnbalancedQuotes> {
    let quote = line[open];
    let mut at = open + 1;
    loop {
        match (line.get(at), quote) {
            (None, _) => return Err(UnbalancedQuotes),
            (Some(&byte), _) if byte == quote => return Ok(at + 1),
            (Some(b'\\'), b'\'') if line.get(at + 1) == Some(&b'\'') => {
                out.push(b'\'');
                at += 2;
            }
            (Some(b'\\'), b'"') if at + 1 < line.len() => at += escape(&line[at..], out),
            (Some(&byte), _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
}

/// Decodes the escape at the start of `text`, which has two bytes at least; returns its length.
fn escape(text: &[u8], out: &mut Vec<u8>) -> usize {
    let hex = |index: usize| text.get(index).and_then(|&byte| char::from(byte).to_digit(16));
    if let (b'x', Some(high), Some(low)) = (text[1], hex(2), hex(3)) {
        out.push((high * 16 + low) as u8);
        return 4;
    }
    out.push(match text[1] {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    });
    2
}

/// The second word of the request that `bytes` begin with, the key of most commands, if `bytes` are a multibulk request that
/// goes so far. A guess that is made cheaply, ahead of parsing: it checks no limits and reports no errors.
pub fn peek_second(bytes: &[u8]) -> Option<&[u8]> {
    let (&mark, rest) = bytes.split_first()?;
    let (words, rest) = peek_number(rest)?;
    if mark != b'*' || words < 2 {
        return None;
    }
    let (_, rest) = peek_bulk(rest)?;
    peek_bulk(rest).map(|(word, _)| word)
}

/// A number of up to three digits and what follows its line end.
#[inline]
fn peek_number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut number = 0;
    for (at, &byte) in bytes.iter().enumerate().take(4) {
        match byte {
            b'0'..=b'9' => number = number * 10 + usize::from(byte - b'0'),
            _ => return (byte == b'\r').then(|| bytes.get(at + 2..))?.map(|rest| (number, rest)),
        }
    }
    None
}

#[inline]
fn peek_bulk(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&mark, rest) = bytes.split_first()?;
    let (len, rest) = peek_number(rest)?;
    let (word, rest) = rest.split_at_checked(len)?;
    (mark == b'$').then(|| (word, rest.get(2..).unwrap_or(&[])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: RequestLimits = RequestLimits { bulk_len_max: 512 << 20, authenticated: true };

    /// Feeds `input` in pieces of `piece` bytes; all requests as vectors of arguments, and the error if one came.
    fn feed(input: &[u8], piece: usize, limits: &RequestLimits) -> (Vec<Vec<Vec<u8>>>, Option<ParseError>) {
        let (mut parser, mut batch) = (Parser::default(), Batch::default());
        let (mut buf, mut requests) = (Vec::new(), Vec::new());
        for chunk in input.chunks(piece.max(1)) {
            buf.extend_from_slice(chunk);
            loop {
                batch.clear();
                let (consumed, stop) = parser.parse(&buf, 0, &mut batch, limits, 3);
                for frame in &batch.frames {
                    let source: &[u8] = if frame.inline { &batch.scratch } else { &buf };
                    requests.push(batch.args(frame).iter().map(|span| span.of(source).to_vec()).collect());
                }
                buf.drain(..consumed);
                match stop {
                    Stop::Full => {}
                    Stop::Error(error) => return (requests, Some(error)),
                    Stop::Done | Stop::Incomplete => break,
                }
            }
        }
        (requests, None)
    }

    fn words(request: &[&str]) -> Vec<Vec<u8>> {
        request.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn requests_in_any_pieces() {
        let input =
            b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n\r\n*0\r\n*-1\r\n*1\r\n$0\r\n\r\nSET \"a b\\x41\\n\" 'c\\'d'\r\n";
        let expected = vec![words(&["GET", "k"]), words(&["PING"]), words(&[""]), words(&["SET", "a bA\n", "c'd"])];
        for piece in 1..input.len() {
            assert_eq!(feed(input, piece, &LIMITS), (expected.clone(), None), "pieces of {piece}");
        }
    }

    #[test]
    fn malformed_input_is_named() {
        let cases: &[(&[u8], ParseError)] = &[
            (b"*x\r\n", ParseError::MultibulkLength),
            (b"*2147483648\r\n", ParseError::MultibulkLength),
            (b"*1\r\n:3\r\n", ParseError::ExpectedDollar(b':')),
            (b"*1\r\n$-1\r\n", ParseError::BulkLength),
            (b"*1\r\n$x\r\n", ParseError::BulkLength),
            (b"*1\r\n$536870913\r\n", ParseError::BulkLength),
            (b"SET \"a\r\n", ParseError::UnbalancedQuotes),
            (b"SET \"a\"b\r\n", ParseError::UnbalancedQuotes),
        ];
        for (input, error) in cases {
            assert_eq!(feed(input, 1, &LIMITS).1, Some(*error), "{}", String::from_utf8_lossy(input));
        }
        let long = vec![b'a'; INLINE_MAX + 2];
        assert_eq!(feed(&long, 4096, &LIMITS).1, Some(ParseError::BigInline));
        let mut long = b"*1\r\n$".to_vec();
        long.resize(INLINE_MAX + 8, b'1');
        assert_eq!(feed(&long, 4096, &LIMITS).1, Some(ParseError::BigBulkCount));
    }

    #[test]
    fn strangers_send_little() {
        let limits = RequestLimits { authenticated: false, ..LIMITS };
        assert_eq!(feed(b"*11\r\n", 9, &limits).1, Some(ParseError::UnauthenticatedMultibulk));
        assert_eq!(feed(b"*1\r\n$16385\r\n", 9, &limits).1, Some(ParseError::UnauthenticatedBulk));
    }

    #[test]
    fn an_announced_length_allocates_nothing() {
        let (mut parser, mut batch) = (Parser::default(), Batch::default());
        let (consumed, stop) = parser.parse(b"*2000000000\r\n$400000000\r\nab", 0, &mut batch, &LIMITS, 64);
        assert_eq!((consumed, stop), (0, Stop::Incomplete));
        assert!(batch.spans.capacity() < 100);
        assert_eq!(parser.wanted_bytes(), 13 + 12 + 400_000_000 + 2);
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_parsed(
            requests in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6), 1..6),
            piece in 1usize..64,
        ) {
            let mut input = Vec::new();
            for request in &requests {
                input.extend_from_slice(format!("*{}\r\n", request.len()).as_bytes());
                for arg in request {
                    input.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
                    input.extend_from_slice(arg);
                    input.extend_from_slice(b"\r\n");
                }
            }
            prop_assert_eq!(feed(&input, piece, &LIMITS), (requests, None));
        }

        #[test]
        fn garbage_never_panics(input in prop::collection::vec(any::<u8>(), 0..400), piece in 1usize..64) {
            feed(&input, piece, &LIMITS);
        }
    }

    #[test]
    fn the_second_word_is_seen_ahead_of_parsing() {
        assert_eq!(peek_second(b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"), Some(&b"key"[..]));
        assert_eq!(peek_second(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9\r\nhal"), Some(&b"k"[..]));
        assert_eq!(peek_second(b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n"), Some(&b""[..]));
        let whole = b"*2\r\n$3\r\nGET\r\n$3\r\nkey";
        for len in 0..whole.len() {
            assert_eq!(peek_second(&whole[..len]), None, "{len}");
        }
        for odd in [
            &b"*1\r\n$4\r\nPING\r\n"[..],
            b"GET key\r\n",
            b"*2\r\n:3\r\nGET",
            b"*2\r\n$99999\r\nx",
            b"*-1\r\n$3",
            b"*x",
        ] {
            assert_eq!(peek_second(odd), None);
        }
    }
}
