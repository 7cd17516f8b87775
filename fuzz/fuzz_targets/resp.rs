//! The request parser: input cut anywhere gives the requests of the uncut input; nothing is allocated for announcements.
#![no_main]

use kinovar_resp::parser::{Batch, INLINE_MAX, ParseError, Parser, RequestLimits, Stop};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    authenticated: bool,
    small_bulks: bool,
    frames_max: u8,
    /// Sizes of the pieces in which the input arrives, over and over.
    pieces: [u8; 4],
    bytes: &'a [u8],
}

type Request = Vec<Vec<u8>>;

fn feed(chunks: &[&[u8]], frames_max: usize, limits: &RequestLimits) -> (Vec<Request>, usize, Option<ParseError>) {
    let (mut parser, mut batch) = (Parser::default(), Batch::default());
    let (mut buf, mut requests) = (Vec::new(), Vec::new());
    for chunk in chunks {
        buf.extend_from_slice(chunk);
        loop {
            batch.clear();
            let (consumed, stop) = parser.parse(&buf, 0, &mut batch, limits, frames_max);
            assert!(batch.frames.len() <= frames_max && consumed <= buf.len());
            // A span takes four bytes of input at the least ("$0\r\n" and its end), and a vector doubles.
            assert!(
                batch.spans.capacity() <= 16 * 1024 + buf.len()
                    && batch.scratch.capacity() <= 16 * 1024 + 2 * buf.len()
            );
            let mut end = 0;
            for frame in &batch.frames {
                assert!(frame.argc > 0);
                assert!(frame.end as usize > end);
                end = frame.end as usize;
                let source: &[u8] = if frame.inline { &batch.scratch } else { &buf };
                requests.push(batch.args(frame).iter().map(|span| span.of(source).to_vec()).collect());
            }
            assert!(end <= consumed);
            buf.drain(..consumed);
            match stop {
                Stop::Full => {}
                Stop::Done => {
                    assert!(buf.is_empty());
                    break;
                }
                Stop::Incomplete => break,
                Stop::Error(error) => return (requests, 0, Some(error)),
            }
        }
    }
    (requests, buf.len(), None)
}

fn pieces<'a>(mut bytes: &'a [u8], sizes: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        let (piece, rest) = bytes.split_at(bytes.len().min(usize::from(*size).max(1)));
        pieces.push(piece);
        bytes = rest;
        if bytes.is_empty() {
            return pieces;
        }
    }
    pieces
}

fuzz_target!(|input: Input<'_>| {
    let limits = RequestLimits {
        bulk_len_max: if input.small_bulks { 100 } else { 512 << 20 },
        authenticated: input.authenticated,
    };
    // A header line longer than the limit is "too big" or malformed, whichever is known first.
    let bytes = &input.bytes[..input.bytes.len().min(INLINE_MAX)];
    let frames_max = usize::from(input.frames_max).max(1);
    let whole = feed(&[bytes], usize::MAX, &limits);
    assert_eq!(feed(&pieces(bytes, &input.pieces), frames_max, &limits), whole);
    if whole.2.is_none() && bytes.len() < 300 {
        assert_eq!(feed(&pieces(bytes, &[1]), frames_max, &limits), whole);
    }
});
