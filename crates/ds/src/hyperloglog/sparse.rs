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

/// Finds the run with the register at `index`.
#[inline]
pub(super) fn find(runs: &[u8], index: usize) -> Result<Found, Invalid> {
    let (mut before, mut at, mut start) = (None, 0, 0);
    while at < runs.len() {
        let run = Run::read(runs, at);
        if index < start + run.len {
            return Ok(Found { before, at, run, start, value: run.value });
        }
        before = Some(at);
        at += run.size;
        start += run.len;
    }
    Err(Invalid)
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
