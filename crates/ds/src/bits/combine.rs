//! Several strings of bits become one, bit by bit.

use crate::wide::vectorised;

/// How bits are combined. Strings are as if they went on with zeros.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Set in all strings.
    And,
    /// Set in any string.
    Or,
    /// Set in an odd number of strings.
    Xor,
    /// Not set in the string; of one string only.
    Not,
    /// Set in the first string and in none of the others.
    Diff,
    /// Set in any but the first string, and not in the first.
    Diff1,
    /// Set in the first string and in any of the others.
    AndOr,
    /// Set in exactly one string.
    One,
}

/// Bytes of the result that are made at a time: with those that they are made from they stay in the nearest cache.
pub(super) const BLOCK: usize = 8 << 10;

vectorised! {
    fn append_block(operation: Operation, sources: &[&[u8]], start: usize, end: usize, out: &mut Vec<u8>)
        = append_block_body;
}

/// The result of `operation`, as long as the longest of `sources`. O(length of all).
pub fn combine(operation: Operation, sources: &[&[u8]]) -> Vec<u8> {
    let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let mut out = Vec::with_capacity(len);
    while out.len() < len {
        let start = out.len();
        let end = len.min(start + BLOCK);
        append_block(operation, sources, start, end, &mut out);
        debug_assert_eq!(out.len(), end);
    }
    out
}

/// The part of `source` from `start` to `end` that is there.
#[inline(always)]
fn part(source: &[u8], start: usize, end: usize) -> &[u8] {
    &source[start.min(source.len())..end.min(source.len())]
}

/// Appends the bytes `combine(a, b)`, zeros in the place of those that `a` or `b` lacks.
#[inline(always)]
fn append_both(out: &mut Vec<u8>, len: usize, a: &[u8], b: &[u8], combine: impl Fn(u8, u8) -> u8) {
    let common = a.len().min(b.len());
    let start = out.len();
    out.extend(a[..common].iter().zip(&b[..common]).map(|(&a, &b)| combine(a, b)));
    out.extend(a[common..].iter().map(|&a| combine(a, 0)));
    out.extend(b[common..].iter().map(|&b| combine(0, b)));
    out.resize(start + len, combine(0, 0));
}

#[inline(always)]
fn update(block: &mut [u8], other: &[u8], combine: impl Fn(u8, u8) -> u8) {
    let (common, rest) = block.split_at_mut(other.len().min(block.len()));
    common.iter_mut().zip(other).for_each(|(byte, &other)| *byte = combine(*byte, other));
    rest.iter_mut().for_each(|byte| *byte = combine(*byte, 0));
}

#[inline(always)]
pub(super) fn append_block_body(operation: Operation, sources: &[&[u8]], start: usize, end: usize, out: &mut Vec<u8>) {
    let len = end - start;
    let at = |index: usize| sources.get(index).map_or(&[][..], |source: &&[u8]| part(source, start, end));
    let rest = sources.get(2..).unwrap_or_default().iter().map(|source| part(source, start, end));
    let (first, second) = (at(0), at(1));
    match operation {
        Operation::Not => append_both(out, len, first, &[], |byte, _| !byte),
        // One string alone is the result.
        _ if sources.len() == 1 => append_both(out, len, first, &[], |byte, _| byte),
        Operation::And => {
            append_both(out, len, first, second, |a, b| a & b);
            rest.for_each(|other| update(&mut out[start..], other, |a, b| a & b));
        }
        Operation::Or => {
            append_both(out, len, first, second, |a, b| a | b);
            rest.for_each(|other| update(&mut out[start..], other, |a, b| a | b));
        }
        Operation::Xor => {
            append_both(out, len, first, second, |a, b| a ^ b);
            rest.for_each(|other| update(&mut out[start..], other, |a, b| a ^ b));
        }
        Operation::Diff => {
            append_both(out, len, first, second, |a, b| a & !b);
            rest.for_each(|other| update(&mut out[start..], other, |a, b| a & !b));
        }
        Operation::Diff1 if sources.len() == 2 => append_both(out, len, first, second, |a, b| !a & b),
        Operation::AndOr if sources.len() == 2 => append_both(out, len, first, second, |a, b| a & b),
        Operation::Diff1 | Operation::AndOr => {
            append_both(out, len, second, &[], |byte, _| byte);
            rest.for_each(|other| update(&mut out[start..], other, |a, b| a | b));
            if operation == Operation::Diff1 {
                update(&mut out[start..], first, |others, first| !first & others);
            } else {
                update(&mut out[start..], first, |others, first| first & others);
            }
        }
        Operation::One if sources.len() == 2 => append_both(out, len, first, second, |a, b| a ^ b),
        Operation::One => append_one(out, len, first, second, rest),
    }
}

/// The bits that are set in exactly one string: in any of those up to it, and in none twice.
#[inline(always)]
fn append_one<'s>(out: &mut Vec<u8>, len: usize, first: &[u8], second: &[u8], rest: impl Iterator<Item = &'s [u8]>) {
    let start = out.len();
    let mut again = [0; BLOCK];
    let again = &mut again[..len];
    again[..first.len()].copy_from_slice(first);
    update(again, second, |a, b| a & b);
    append_both(out, len, first, second, |a, b| a | b);
    for other in rest {
        let any = &mut out[start..];
        for ((any, again), &other) in any.iter_mut().zip(again.iter_mut()).zip(other) {
            *again |= *any & other;
            *any |= other;
        }
    }
    update(&mut out[start..], again, |any, again| any & !again);
}
