//! The HyperLogLog: how many different elements there were, in 12 KiB at most, to within 0.81% (standard error).
//!
//! An element's hash chooses one of 16384 registers and a value that is large with small probability. A register keeps the
//! largest value that it has met. All of them together say how many elements there must have been.
//!
//! A HyperLogLog is a string of bytes, the same as in Redis: a header, then the registers, *sparse* (runs) or *dense* (six bits
//! each); see `docs/formats/hyperloglog.md`. Functions here take the whole string, which [`is_hyperloglog`] must have accepted.
//! Beyond that its bytes may be anything: what makes no sense is [`Invalid`].
//!
//! P. Flajolet, É. Fusy, O. Gandouet, F. Meunier, "HyperLogLog: the analysis of a near-optimal cardinality estimation
//! algorithm", 2007; S. Heule, M. Nunkesser, A. Hall, "HyperLogLog in practice", 2013.

mod dense;
mod estimate;
mod hash;
mod sparse;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

pub use sparse::{Run, each_run};

/// Bits of the hash that choose a register.
const INDEX_BITS: u32 = 14;
/// How many registers there are.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// Bits of the hash that make the value: the largest is one more.
const VALUE_BITS: u32 = 64 - INDEX_BITS;
/// Length of the header, bytes.
const HEADER: usize = 16;
const MAGIC: &[u8] = b"HYLL";
/// Where the header says how the registers are kept.
const ENCODING: usize = 4;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
/// Where the header keeps the last estimate, eight bytes, the least significant first.
const CACHE: usize = 8;
/// Set in the last byte of the estimate when it is out of date.
const STALE: u8 = 0x80;
/// Length of the registers when they are dense.
const DENSE_REGISTERS: usize = REGISTERS * 6 / 8;
/// Length of a dense HyperLogLog, bytes.
pub const DENSE_LEN: usize = HEADER + DENSE_REGISTERS;

/// A HyperLogLog to which nothing was added.
pub const EMPTY: [u8; HEADER + 2] = {
    let mut bytes = [0; HEADER + 2];
    (bytes[0], bytes[1], bytes[2], bytes[3]) = (MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3]);
    bytes[ENCODING] = SPARSE;
    bytes[CACHE + 7] = STALE;
    // One run of zeros over all registers.
    [bytes[HEADER], bytes[HEADER + 1]] = sparse::long_zeros(REGISTERS);
    bytes
};

/// The values of all registers, a byte each.
pub type Registers = [u8; REGISTERS];

/// The bytes of a HyperLogLog do not make sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Invalid;

/// What an element comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hit {
    /// Of the register.
    pub index: usize,
    /// What the register must have at least, 1 to 51.
    pub value: u8,
}

impl Hit {
    /// Of an element. O(length).
    #[inline]
    pub fn of(element: &[u8]) -> Hit {
        let hash = hash::murmur64a(element, hash::SEED);
        let value = (hash >> INDEX_BITS | 1 << VALUE_BITS).trailing_zeros() + 1;
        Hit { index: hash as usize % REGISTERS, value: value as u8 }
    }
}

static IS_WIDE: AtomicBool = AtomicBool::new(true);

/// Whether vectors wider than the architecture's own are used.
pub fn use_vectors(on: bool) {
    IS_WIDE.store(on, Relaxed);
}

#[inline]
fn is_wide() -> bool {
    IS_WIDE.load(Relaxed)
}

/// Whether a string looks like a HyperLogLog. O(1).
#[inline]
pub fn is_hyperloglog(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER
        && bytes.starts_with(MAGIC)
        && match bytes[ENCODING] {
            DENSE => bytes.len() == DENSE_LEN,
            encoding => encoding == SPARSE,
        }
}

/// Whether the registers are dense.
#[inline]
pub fn is_dense(bytes: &[u8]) -> bool {
    bytes[ENCODING] == DENSE
}

/// The estimate kept in the header, unless it is out of date.
#[inline]
pub fn cached_estimate(bytes: &[u8]) -> Option<u64> {
    let cache = bytes[CACHE..HEADER].try_into().expect("eight bytes");
    (bytes[HEADER - 1] & STALE == 0).then_some(u64::from_le_bytes(cache))
}

/// Keeps an estimate in the header. One beyond 63 bits is out of date at once.
pub fn cache_estimate(bytes: &mut [u8], estimate: u64) {
    bytes[CACHE..HEADER].copy_from_slice(&estimate.to_le_bytes());
}

/// Marks the estimate in the header as out of date.
#[inline]
pub fn outdate(bytes: &mut [u8]) {
    bytes[HEADER - 1] |= STALE;
}

/// Whether [`raise`] would change a register. O(1) dense, O(length) sparse.
#[inline]
pub fn would_raise(bytes: &[u8], hit: Hit) -> Result<bool, Invalid> {
    if is_dense(bytes) {
        return Ok(dense::get(&bytes[HEADER..], hit.index) < hit.value);
    }
    if hit.value > sparse::VALUE_MAX {
        return Ok(true);
    }
    Ok(sparse::find(&bytes[HEADER..], hit.index)?.value < hit.value)
}

/// Raises a register, if it is lower; whether it was. Sparse registers become dense where a value is too large for them, or if
/// they would grow beyond `sparse_max_bytes`, the header included. The estimate is not touched if nothing was raised, and may be
/// out of date without saying so if something was: see [`outdate`].
#[inline]
pub fn raise(bytes: &mut Vec<u8>, hit: Hit, sparse_max_bytes: usize) -> Result<bool, Invalid> {
    if is_dense(bytes) {
        return Ok(dense::raise(&mut bytes[HEADER..], hit));
    }
    sparse::raise(bytes, hit, sparse_max_bytes)
}

/// Makes sparse registers dense; whether they were sparse.
pub fn make_dense(bytes: &mut Vec<u8>) -> Result<bool, Invalid> {
    if is_dense(bytes) {
        return Ok(false);
    }
    let mut registers = [0; REGISTERS];
    merge(&mut registers, bytes)?;
    bytes.truncate(HEADER);
    bytes.resize(DENSE_LEN, 0);
    bytes[ENCODING] = DENSE;
    dense::pack(&registers, packed_mut(bytes));
    Ok(true)
}

/// Raises `registers` to those of a HyperLogLog. If that is invalid some may have been raised already.
pub fn merge(registers: &mut Registers, bytes: &[u8]) -> Result<(), Invalid> {
    if is_dense(bytes) {
        dense::merge(registers, packed(bytes));
        return Ok(());
    }
    sparse::each_valid_run(&bytes[HEADER..], |start, run| {
        if run.value > 0 {
            registers[start..start + run.len].iter_mut().for_each(|register| *register = run.value.max(*register));
        }
    })
}

/// Puts the registers of a dense HyperLogLog in the place of those it has.
pub fn replace_dense(bytes: &mut [u8], registers: &Registers) {
    dense::pack(registers, packed_mut(bytes));
}

/// Raises the registers of a HyperLogLog to `registers`, as [`raise`] does one after the other.
pub fn raise_all(bytes: &mut Vec<u8>, registers: &Registers, sparse_max_bytes: usize) -> Result<(), Invalid> {
    for (index, &value) in registers.iter().enumerate().filter(|&(_, &value)| value > 0) {
        raise(bytes, Hit { index, value }, sparse_max_bytes)?;
    }
    Ok(())
}

/// How many different elements were added, estimated anew. O(1) dense, O(length) sparse.
pub fn estimate(bytes: &[u8]) -> Result<u64, Invalid> {
    if is_dense(bytes) {
        let mut registers = [0; REGISTERS];
        dense::unpack(packed(bytes), &mut registers);
        return Ok(estimate_of(&registers));
    }
    let mut histogram = [0; 64];
    sparse::each_valid_run(&bytes[HEADER..], |_, run| histogram[usize::from(run.value)] += run.len as u32)?;
    Ok(estimate::estimate(&histogram))
}

/// The same of registers.
pub fn estimate_of(registers: &Registers) -> u64 {
    estimate::estimate(&dense::histogram(registers))
}

#[inline]
fn packed(bytes: &[u8]) -> &dense::Packed {
    bytes[HEADER..].try_into().expect("the length was checked")
}

#[inline]
fn packed_mut(bytes: &mut [u8]) -> &mut dense::Packed {
    (&mut bytes[HEADER..]).try_into().expect("the length was checked")
}
