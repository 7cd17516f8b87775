//! Dense registers: six bits each, four registers in three bytes, the least significant bits first.

use super::{DENSE_REGISTERS, Hit, Registers, estimate::Histogram, is_wide};
use crate::wide::vectorised;

/// All registers.
pub(super) type Packed = [u8; DENSE_REGISTERS];

const MASK: u32 = 0x3f;

/// The four registers of three bytes, the first in the lowest bits.
#[inline(always)]
fn load([a, b, c]: [u8; 3]) -> u32 {
    u32::from_le_bytes([a, b, c, 0])
}

#[inline(always)]
fn store(four: u32) -> [u8; 3] {
    let [a, b, c, _] = four.to_le_bytes();
    [a, b, c]
}

/// The three bytes with the register at `index`, and where it is among their bits.
#[inline(always)]
fn place(index: usize) -> (usize, u32) {
    (index / 4, index as u32 % 4 * 6)
}

/// The register at `index`. `packed` are all registers.
#[inline]
pub(super) fn get(packed: &[u8], index: usize) -> u8 {
    let (three, shift) = place(index);
    (load(packed.as_chunks().0[three]) >> shift & MASK) as u8
}

/// Raises a register if it is lower; whether it was.
#[inline]
pub(super) fn raise(packed: &mut [u8], hit: Hit) -> bool {
    let (three, shift) = place(hit.index);
    let bytes = &mut packed.as_chunks_mut().0[three];
    let four = load(*bytes);
    let is_lower = four >> shift & MASK < u32::from(hit.value);
    if is_lower {
        *bytes = store(four & !(MASK << shift) | u32::from(hit.value) << shift);
    }
    is_lower
}

/// Makes bytes of the registers.
pub(super) fn unpack(packed: &Packed, registers: &mut Registers) {
    if is_wide() { unpack_wide(packed, registers) } else { unpack_body(packed, registers) }
}

/// Makes registers of the bytes, which are below 64.
pub(super) fn pack(registers: &Registers, packed: &mut Packed) {
    if is_wide() { pack_wide(registers, packed) } else { pack_body(registers, packed) }
}

/// Raises `registers` to those that are packed.
pub(super) fn merge(registers: &mut Registers, packed: &Packed) {
    if is_wide() { merge_wide(registers, packed) } else { merge_body(registers, packed) }
}

/// How many registers have each value.
pub(super) fn histogram(registers: &Registers) -> Histogram {
    if is_wide() { histogram_wide(registers) } else { histogram_body(registers) }
}

vectorised! {
    fn unpack_wide(packed: &Packed, registers: &mut Registers) = unpack_body;
    fn pack_wide(registers: &Registers, packed: &mut Packed) = pack_body;
    fn merge_wide(registers: &mut Registers, packed: &Packed) = merge_body;
    fn histogram_wide(registers: &Registers) -> Histogram = histogram_body;
}

#[inline(always)]
fn spread(four: u32) -> [u8; 4] {
    (four & MASK | (four & MASK << 6) << 2 | (four & MASK << 12) << 4 | (four & MASK << 18) << 6).to_le_bytes()
}

#[inline(always)]
fn unpack_body(packed: &Packed, registers: &mut Registers) {
    let (threes, _) = packed.as_chunks::<3>();
    let (fours, _) = registers.as_chunks_mut::<4>();
    for (three, four) in threes.iter().zip(fours) {
        *four = spread(load(*three));
    }
}

#[inline(always)]
fn pack_body(registers: &Registers, packed: &mut Packed) {
    let (fours, _) = registers.as_chunks::<4>();
    let (threes, _) = packed.as_chunks_mut::<3>();
    for (four, three) in fours.iter().zip(threes) {
        let spread = u32::from_le_bytes(*four);
        let [a, b, c, d] = [0, 8, 16, 24].map(|shift| spread >> shift & MASK);
        *three = store(a | b << 6 | c << 12 | d << 18);
    }
}

#[inline(always)]
fn merge_body(registers: &mut Registers, packed: &Packed) {
    const CHUNK: usize = 64;
    let (packed, _) = packed.as_chunks::<{ CHUNK / 4 * 3 }>();
    let (registers, _) = registers.as_chunks_mut::<CHUNK>();
    for (packed, registers) in packed.iter().zip(registers) {
        let mut others = [0; CHUNK];
        for (three, four) in packed.as_chunks().0.iter().zip(others.as_chunks_mut().0) {
            *four = spread(load(*three));
        }
        for (register, other) in registers.iter_mut().zip(others) {
            *register = other.max(*register);
        }
    }
}

/// Compares all registers with one value after the other: few values occur, and comparing is quick with vectors.
#[inline(always)]
fn histogram_body(registers: &Registers) -> Histogram {
    /// As many as a byte can count.
    const COUNTED: usize = 128;
    const LANES: usize = 64;
    let (mut lowest, mut highest) = ([u8::MAX; LANES], [0; LANES]);
    let (chunks, _) = registers.as_chunks::<LANES>();
    for chunk in chunks {
        for ((lowest, highest), &register) in lowest.iter_mut().zip(&mut highest).zip(chunk) {
            *lowest = register.min(*lowest);
            *highest = register.max(*highest);
        }
    }
    let lowest = lowest.into_iter().min().expect("there are lanes");
    let highest = highest.into_iter().max().expect("there are lanes");
    let mut histogram = [0; 64];
    for value in lowest..=highest.min(63) {
        for part in chunks.chunks(COUNTED) {
            let mut counts = [0u8; LANES];
            for chunk in part {
                for (count, &register) in counts.iter_mut().zip(chunk) {
                    *count += u8::from(register == value);
                }
            }
            histogram[usize::from(value)] += counts.iter().map(|&count| u32::from(count)).sum::<u32>();
        }
    }
    histogram
}
