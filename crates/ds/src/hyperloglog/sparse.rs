//! Sparse registers: runs of registers with the same value, in one or two bytes each.
//!
//! | byte | run |
//! |---|---|
//! | `00llllll` | `l + 1` zeros |
//! | `01hhhhhh llllllll` | `h * 256 + l + 1` zeros |
//! | `1vvvvvll` | `l + 1` times the value `v + 1` |
//!
//! How runs are split and joined when a register is raised is a part of the format: the bytes must be those of the reference.

use super::{HEADER, Hit, Invalid, REGISTERS, dense, make_dense};

/// The largest value.
pub(super) const VALUE_MAX: u8 = 32;
const VALUE_LEN_MAX: usize = 4;
const SHORT_ZEROS_MAX: usize = 64;
const LONG_ZEROS: u8 = 0x40;
const VALUE: u8 = 0x80;
/// A run is split into three at most: zeros, the value, zeros.
const SPLIT_MAX: usize = 5;
/// So many runs are looked at, from the one before that which was changed, whether they can be joined.
const JOINED_RUNS: usize = 5;

/// Registers with the same value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// The value; 0 for zeros.
    pub value: u8,
    /// How many there are, from 1 on.
    pub len: usize,
    /// Bytes that say so.
    pub size: usize,
}

impl Run {
    /// The run that starts at `at`. The second byte of the last run is 0 where it is missing.
    #[inline(always)]
    fn read(runs: &[u8], at: usize) -> Run {
        let byte = runs[at];
        if byte & VALUE != 0 {
            Run { value: (byte >> 2 & 0x1f) + 1, len: usize::from(byte & 3) + 1, size: 1 }
        } else if byte & LONG_ZEROS != 0 {
            let low = runs.get(at + 1).copied().unwrap_or(0);
            Run { value: 0, len: (usize::from(byte & 0x3f) << 8 | usize::from(low)) + 1, size: 2 }
        } else {
            Run { value: 0, len: usize::from(byte & 0x3f) + 1, size: 1 }
        }
    }
}

/// Shows the runs of a sparse HyperLogLog, whether they make sense or not.
pub fn each_run(bytes: &[u8], mut visit: impl FnMut(Run)) {
    let runs = &bytes[HEADER..];
    let mut at = 0;
    while at < runs.len() {
        let run = Run::read(runs, at);
        at += run.size;
        visit(run);
    }
}

/// Shows the runs, each with the index of its first register.
#[inline]
pub(super) fn each_valid_run(runs: &[u8], mut visit: impl FnMut(usize, Run)) -> Result<(), Invalid> {
    let (mut at, mut start) = (0, 0);
    while at < runs.len() {
        let run = Run::read(runs, at);
        if start + run.len > REGISTERS {
            return Err(Invalid);
        }
        visit(start, run);
        at += run.size;
        start += run.len;
    }
    if start == REGISTERS { Ok(()) } else { Err(Invalid) }
}

/// The run with a register.
pub(super) struct Found {
    /// Where the run before it is, if there is one.
    before: Option<usize>,
    /// Where it is.
    at: usize,
    run: Run,
    /// The index of its first register.
    start: usize,
    /// The register's value.
    pub(super) value: u8,
}

/// A run, while one looks for another.
#[derive(Clone, Copy)]
struct Cursor {
    /// Where the run before it is, if there is one.
    before: Option<usize>,
    /// Where it is.
    at: usize,
    /// The index of its first register.
    start: usize,
}

/// Finds the run with the register at `index`.
#[inline]
pub(super) fn find(runs: &[u8], index: usize) -> Result<Found, Invalid> {
    let cursor = Cursor { before: None, at: 0, start: 0 };
    find_from(runs, skip_blocks(runs, index, cursor), runs.len(), index).map_err(|_| Invalid)
}

/// Looks at the runs that start before `end`; the cursor behind them if it is none of them.
#[inline(always)]
fn find_from(runs: &[u8], mut cursor: Cursor, end: usize, index: usize) -> Result<Found, Cursor> {
    while cursor.at < end {
        let Cursor { before, at, start } = cursor;
        let run = Run::read(runs, at);
        if index < start + run.len {
            return Ok(Found { before, at, run, start, value: run.value });
        }
        cursor = Cursor { before: Some(at), at: at + run.size, start: start + run.len };
    }
    Err(cursor)
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
fn skip_blocks(_runs: &[u8], _index: usize, cursor: Cursor) -> Cursor {
    cursor
}

/// Passes over whole blocks of runs in front of that with the register at `index`.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
fn skip_blocks(runs: &[u8], index: usize, mut cursor: Cursor) -> Cursor {
    while let Some(bytes) = runs[cursor.at.min(runs.len())..].first_chunk() {
        let next = match Block::read(bytes) {
            Some(block) => Cursor {
                before: Some(cursor.at + block.last),
                at: cursor.at + block.size,
                start: cursor.start + block.len,
            },
            None => match find_from(runs, cursor, cursor.at + BLOCK, index) {
                Ok(_) => return cursor,
                Err(next) => next,
            },
        };
        if next.start > index {
            return cursor;
        }
        cursor = next;
    }
    cursor
}

/// Bytes in a block.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const BLOCK: usize = 16;

/// Runs that follow each other.
#[cfg(all(target_arch = "x86_64", not(miri)))]
struct Block {
    /// Bytes of all of them.
    size: usize,
    /// Where the last one is.
    last: usize,
    /// How many registers they have.
    len: usize,
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
impl Block {
    /// The runs in some bytes, the first of which starts a run. `None` if it is not plain which bytes are the second ones of
    /// a run: where one of them looks like a first one.
    #[inline(always)]
    fn read(bytes: &[u8; BLOCK]) -> Option<Block> {
        use std::arch::x86_64::*;
        // SAFETY: sixteen bytes are read from as many, and all machines of the architecture have SSE2, as the other
        // instructions need.
        unsafe {
            let all = |byte: u8| _mm_set1_epi8(byte as i8);
            let sum = |bytes| {
                let halves = _mm_sad_epu8(bytes, _mm_setzero_si128());
                (_mm_cvtsi128_si64(halves) + _mm_cvtsi128_si64(_mm_unpackhi_epi64(halves, halves))) as usize
            };
            let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
            let firsts = _mm_cmpeq_epi8(_mm_and_si128(bytes, all(VALUE | LONG_ZEROS)), all(LONG_ZEROS));
            let seconds = _mm_slli_si128::<1>(firsts);
            if _mm_movemask_epi8(_mm_and_si128(firsts, seconds)) != 0 {
                return None;
            }
            let are_values = _mm_cmplt_epi8(bytes, _mm_setzero_si128());
            let masks = _mm_or_si128(_mm_and_si128(are_values, all(3)), _mm_andnot_si128(are_values, all(0x3f)));
            let masked = _mm_and_si128(bytes, masks);
            // The registers of a long run: one, and as many as its second byte says, and the high part of its first one.
            let short = _mm_add_epi8(_mm_andnot_si128(firsts, masked), all(1));
            let low = _mm_or_si128(_mm_and_si128(seconds, bytes), _mm_andnot_si128(seconds, short));
            let mut len = sum(low) + (sum(_mm_and_si128(firsts, masked)) << 8);
            let mut size = BLOCK;
            if _mm_movemask_epi8(firsts) >> (BLOCK - 1) & 1 == 1 {
                // Its second byte lies outside.
                let first = (_mm_extract_epi16::<7>(masked) >> 8) as usize;
                len -= (first << 8) + 1;
                size -= 1;
            }
            let ends_with_second = _mm_movemask_epi8(seconds) >> (size - 1) & 1;
            Some(Block { size, last: size - 1 - ends_with_second as usize, len })
        }
    }
}

/// Raises a register; see [`super::raise`].
pub(super) fn raise(bytes: &mut Vec<u8>, hit: Hit, max_bytes: usize) -> Result<bool, Invalid> {
    if hit.value > VALUE_MAX {
        return raise_dense(bytes, hit);
    }
    let found = find(&bytes[HEADER..], hit.index)?;
    if found.value >= hit.value {
        return Ok(false);
    }
    let mut split = Split::default();
    let before = hit.index - found.start;
    split.push(found.value, before);
    split.push(hit.value, 1);
    split.push(found.value, found.run.len - before - 1);
    let len = bytes.len() + split.len - found.run.size;
    if split.len > found.run.size && len > max_bytes {
        return raise_dense(bytes, hit);
    }
    let at = HEADER + found.at;
    bytes.splice(at..bytes.len().min(at + found.run.size), split.bytes[..split.len].iter().copied());
    // Only where the second byte of the last run was missing.
    bytes.truncate(len);
    join(bytes, HEADER + found.before.unwrap_or(0));
    Ok(true)
}

fn raise_dense(bytes: &mut Vec<u8>, hit: Hit) -> Result<bool, Invalid> {
    make_dense(bytes)?;
    Ok(dense::raise(&mut bytes[HEADER..], hit))
}

/// What a run is split into.
#[derive(Default)]
struct Split {
    bytes: [u8; SPLIT_MAX],
    len: usize,
}

impl Split {
    fn push(&mut self, value: u8, len: usize) {
        match (value, len) {
            (_, 0) => {}
            (0, 1..=SHORT_ZEROS_MAX) => self.push_byte(len as u8 - 1),
            (0, _) => long_zeros(len).into_iter().for_each(|byte| self.push_byte(byte)),
            _ => self.push_byte(run_of_value(value, len)),
        }
    }

    fn push_byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }
}

/// A run of zeros in two bytes.
pub(super) const fn long_zeros(len: usize) -> [u8; 2] {
    [LONG_ZEROS | ((len - 1) >> 8) as u8, (len - 1) as u8]
}

fn run_of_value(value: u8, len: usize) -> u8 {
    VALUE | (value - 1) << 2 | (len - 1) as u8
}

/// Joins runs of the same value that follow each other, from `at` on.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOINED_RUNS {
        if at >= bytes.len() {
            return;
        }
        let run = Run::read(bytes, at);
        if run.value > 0 && at + 1 < bytes.len() {
            let next = Run::read(bytes, at + 1);
            let len = run.len + next.len;
            if next.value == run.value && len <= VALUE_LEN_MAX {
                bytes[at + 1] = run_of_value(run.value, len);
                bytes.remove(at);
                // What came of it may be joined with the run behind it.
                continue;
            }
        }
        at += run.size;
    }
}
