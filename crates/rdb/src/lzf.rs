//! LZF: the compression of strings in RDB files.
//!
//! No published crate does both things needed here: produce the very bytes that the reference produces, so that payloads
//! of equal values are equal, and expand hostile input without trusting the length that comes with it. The format is small:
//!
//! | control byte | what follows | meaning |
//! |---|---|---|
//! | `000nnnnn` | n + 1 bytes | these bytes |
//! | `nnnooooo`, n in 1 … 6 | 1 byte `o` | n + 2 bytes from `o` (13 bits) + 1 back |
//! | `111ooooo` | 1 byte `n`, 1 byte `o` | n + 9 bytes from `o` + 1 back |
//!
//! A copy may reach into what it is itself writing: that repeats a pattern.
//!
//! # Compression
//! A table remembers where three bytes with a certain hash were seen last. If they are there again, within 8 KiB, the match is
//! extended as far as it goes and written as a copy; two of the positions inside are entered in the table as well.
//! Otherwise one byte goes to the run of literals. What is found depends on the hash function and on which positions are entered,
//! so both are LibLZF's (Marc Lehmann, BSD licence, in the "very fast" configuration with 16 bits of hash), as is the rule that
//! gives up as soon as the output cannot be shorter any more.
//!
//! The table is not cleared between strings: positions count on from one string to the next, and those below the present one's
//! first are no matches. A compressor is 256 KiB, so one is kept for many values.

/// Bits of the hash.
const HASH_BITS: u32 = 16;
/// Longest run of literals.
const LITERALS_MAX: usize = 32;
/// A copy begins at most so far back.
const DISTANCE_MAX: usize = 1 << 13;
/// No copy is longer.
const COPY_MAX: usize = 264;
/// Up to here a match is extended by whole steps, without looking whether it goes too far.
const STEP: usize = 16;
/// No byte of compressed text stands for more than this many bytes: three bytes copy 264 at most.
const EXPANSION_MAX: usize = COPY_MAX / 3;

/// Compresses strings, one after the other.
pub struct Compressor {
    /// Where three bytes of this hash were seen last, counted from the first string on, plus one.
    table: Box<[u32]>,
    /// Position of the first byte of the next string.
    base: u32,
}

impl Default for Compressor {
    fn default() -> Self {
        Compressor { table: vec![0; 1 << HASH_BITS].into_boxed_slice(), base: 1 }
    }
}

#[inline]
fn slot(bytes: &[u8], at: usize) -> usize {
    let three = u32::from(bytes[at]) << 16 | u32::from(bytes[at + 1]) << 8 | u32::from(bytes[at + 2]);
    ((three >> (24 - HASH_BITS)).wrapping_sub(three.wrapping_mul(5)) & ((1 << HASH_BITS) - 1)) as usize
}

impl Compressor {
    /// A compressor that has seen nothing.
    pub fn new() -> Compressor {
        Compressor::default()
    }

    /// Appends `input` in compressed form, if that takes at most `max` bytes; otherwise `out` stays as it was.
    /// Returns how many bytes it took.
    pub fn compress(&mut self, input: &[u8], max: usize, out: &mut Vec<u8>) -> Option<usize> {
        let len = u32::try_from(input.len()).ok().filter(|&len| len > 0 && len < u32::MAX / 2 && max > 0)?;
        if self.base.checked_add(len).is_none() {
            self.table.fill(0);
            self.base = 1;
        }
        let start = out.len();
        let done = self.compress_from(input, max, out);
        self.base += len;
        match done {
            Some(()) => Some(out.len() - start),
            None => {
                out.truncate(start);
                None
            }
        }
    }

    /// Where the three bytes at `at` were seen before in this string, if a copy from there is allowed; notes that they are here.
    #[inline]
    fn seen(&mut self, input: &[u8], at: usize) -> Option<usize> {
        let slot = &mut self.table[slot(input, at)];
        let before = std::mem::replace(slot, self.base + at as u32).checked_sub(self.base)? as usize;
        // The very first byte is no match: so the original has it.
        (before > 0 && at - before <= DISTANCE_MAX && input[before..before + 3] == input[at..at + 3]).then_some(before)
    }

    fn compress_from(&mut self, input: &[u8], max: usize, out: &mut Vec<u8>) -> Option<()> {
        let (start, end) = (out.len(), input.len());
        // Where the control byte of the run of literals is that is being collected.
        let mut run = start;
        out.push(0);
        let mut at = 0;
        while at + 2 < end {
            let Some(before) = self.seen(input, at) else {
                push_literal(out, &mut run, input[at], start + max)?;
                at += 1;
                continue;
            };
            let is_empty = out.len() - run == 1;
            // A copy of three bytes and the next control byte have to fit.
            if out.len() - usize::from(is_empty) + 4 >= start + max {
                return None;
            }
            end_run(out, run);
            let len = match_len(input, before, at);
            let distance = at - before - 1;
            let high = (distance >> 8) as u8;
            match len - 2 {
                short @ ..7 => out.push(high | (short as u8) << 5),
                long => out.extend_from_slice(&[high | 7 << 5, (long - 7) as u8]),
            }
            out.push(distance as u8);
            run = out.len();
            out.push(0);
            at += len;
            if at + 2 >= end {
                break;
            }
            for near in [at - 2, at - 1] {
                self.table[slot(input, near)] = self.base + near as u32;
            }
        }
        if out.len() + 3 > start + max {
            return None;
        }
        for &byte in &input[at..] {
            push_literal(out, &mut run, byte, usize::MAX)?;
        }
        end_run(out, run);
        Some(())
    }
}

/// Adds a byte to the run of literals; a full run ends.
#[inline]
fn push_literal(out: &mut Vec<u8>, run: &mut usize, byte: u8, limit: usize) -> Option<()> {
    if out.len() >= limit {
        return None;
    }
    out.push(byte);
    if out.len() - *run - 1 == LITERALS_MAX {
        end_run(out, *run);
        *run = out.len();
        out.push(0);
    }
    Some(())
}

/// Writes the control byte of a run of literals, or takes it away if there is none.
fn end_run(out: &mut Vec<u8>, run: usize) {
    match out.len() - run - 1 {
        0 => out.truncate(run),
        count => out[run] = (count - 1) as u8,
    }
}

/// How many bytes at `at` are those at `before`, three at least. The end of the input is approached as the original does, which
/// may leave the last bytes to a copy or to literals.
fn match_len(input: &[u8], before: usize, at: usize) -> usize {
    let max = (input.len() - at - 2).min(COPY_MAX);
    let same = |len: usize| input[before + len] == input[at + len];
    let mut len = 3;
    if max > STEP {
        while len < 3 + STEP && same(len) {
            len += 1;
        }
        if len < 3 + STEP {
            return len;
        }
    }
    while len < max && same(len) {
        len += 1;
    }
    len
}

/// Appends what `packed` stands for, which has to be `len` bytes. `None`, with whatever in `out`, if it is not.
pub fn decompress(mut packed: &[u8], len: usize, out: &mut Vec<u8>) -> Option<()> {
    if len > packed.len().saturating_mul(EXPANSION_MAX) {
        return None;
    }
    let start = out.len();
    out.reserve_exact(len);
    out.resize(start + len, 0);
    let out = &mut out[start..];
    let mut at = 0;
    while let Some((&control, rest)) = packed.split_first() {
        if control < LITERALS_MAX as u8 {
            let count = usize::from(control) + 1;
            let (literals, after) = rest.split_at_checked(count)?;
            let room = out.get_mut(at..)?;
            match (rest.first_chunk::<LITERALS_MAX>(), room.first_chunk_mut::<LITERALS_MAX>()) {
                // What is too much is overwritten by what follows.
                (Some(from), Some(to)) => *to = *from,
                _ => room.get_mut(..count)?.copy_from_slice(literals),
            }
            at += count;
            packed = after;
            continue;
        }
        let (count, rest) = match control >> 5 {
            7 => {
                let (&more, rest) = rest.split_first()?;
                (usize::from(more) + 9, rest)
            }
            count => (usize::from(count) + 2, rest),
        };
        let (&low, rest) = rest.split_first()?;
        packed = rest;
        let distance = (usize::from(control & 31) << 8 | usize::from(low)) + 1;
        let from = at.checked_sub(distance)?;
        if count > out.len() - at {
            return None;
        }
        if count <= CHUNK && distance >= CHUNK && at + CHUNK <= out.len() {
            out.copy_within(from..from + CHUNK, at);
        } else if distance >= count {
            out.copy_within(from..from + count, at);
        } else {
            for step in 0..count {
                out[at + step] = out[from + step];
            }
        }
        at += count;
    }
    (at == len).then_some(())
}

/// Bytes that are copied at once, where that does not do too much harm.
const CHUNK: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(compressor: &mut Compressor, input: &[u8]) -> Option<Vec<u8>> {
        let mut out = b"before".to_vec();
        let size = compressor.compress(input, input.len().checked_sub(4)?, &mut out);
        assert_eq!(&out[..6], b"before");
        assert_eq!(out.len() - 6, size.unwrap_or(0));
        size.map(|_| out.split_off(6))
    }

    /// Text with repetitions near and far.
    fn repetitive() -> impl Strategy<Value = Vec<u8>> {
        let piece = (prop::collection::vec(0u8..4, 1..12), 1usize..60);
        prop::collection::vec(piece, 0..60)
            .prop_map(|pieces| pieces.into_iter().flat_map(|(piece, times)| piece.repeat(times)).collect())
    }

    proptest! {
        #[test]
        fn what_is_compressed_comes_back(inputs in prop::collection::vec(repetitive(), 1..4)) {
            let mut compressor = Compressor::new();
            for input in inputs {
                let Some(packed) = packed(&mut compressor, &input) else { continue };
                prop_assert!(packed.len() + 4 <= input.len());
                let mut out = b"x".to_vec();
                prop_assert!(decompress(&packed, input.len(), &mut out).is_some());
                prop_assert_eq!(&out[1..], &input[..]);
                // What came before makes no difference.
                prop_assert_eq!(super::tests::packed(&mut Compressor::new(), &input), Some(packed.clone()));
                prop_assert!(decompress(&packed, input.len() + 1, &mut Vec::new()).is_none());
                prop_assert!(decompress(&packed, input.len() - 1, &mut Vec::new()).is_none());
                prop_assert!(decompress(&packed[..packed.len() - 1], input.len(), &mut Vec::new()).is_none());
            }
        }

        #[test]
        fn any_bytes_are_expanded_or_refused(packed in prop::collection::vec(any::<u8>(), 0..200), len in 0usize..2000) {
            let mut out = Vec::new();
            if decompress(&packed, len, &mut out).is_some() {
                prop_assert_eq!(out.len(), len);
            }
            prop_assert!(out.capacity() <= packed.len() * EXPANSION_MAX);
        }
    }

    #[test]
    fn hostile_input_is_refused() {
        for (packed, len) in [
            (&b"\x01\x00"[..], 2),
            (b"\x00a", 2),
            (b"\x01ab", 1),
            (b"\x20\x00", 3),
            (b"\x00a\x20\x01", 4),
            (b"\x00a\xe0\x00", 10),
            (b"\x00a\xe0", 10),
            (b"", 1),
            (b"\x00a", usize::MAX),
        ] {
            assert!(decompress(packed, len, &mut Vec::new()).is_none(), "{packed:?} {len}");
        }
        let mut out = Vec::new();
        decompress(b"\x00a\xe0\xff\x00", 265, &mut out).expect("a copy of itself");
        assert_eq!(out, [b'a'; 265]);
    }

    #[test]
    fn positions_may_run_out() {
        let mut compressor = Compressor::new();
        let input = b"abcabcabcabcabcabcabcabcabcabc".repeat(3);
        let expected = packed(&mut compressor, &input).unwrap();
        compressor.base = u32::MAX - 10;
        assert_eq!(packed(&mut compressor, &input), Some(expected.clone()));
        assert_eq!(packed(&mut compressor, &input), Some(expected));
    }
}
