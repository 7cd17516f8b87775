//! Vectors as they are stored: normalised, and perhaps quantised.
//!
//! | quantisation | bytes for `d` dimensions | what a component is |
//! |---|---|---|
//! | none | 4 d | a float |
//! | [`Q8`](Quantization::Q8) | d | `round(127 x / range)`, where the range is the largest magnitude in the vector |
//! | [`Bin`](Quantization::Bin) | 8 ceil(d / 64) | whether it is positive |
//!
//! All vectors of an index have one length, so a vector's place follows from its number: pages of cache lines, which never move once
//! they are full. Behind a vector come zeros up to the next multiple of [`Store::stride`], which lets the kernels
//! take whole steps.

use super::kernels::Kernels;
use crate::paged::Paged;

/// How components are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quantization {
    /// As floats.
    None,
    /// As eight-bit integers.
    Q8,
    /// As one bit.
    Bin,
}

impl Quantization {
    /// Bytes of a vector of `dim` components.
    pub fn bytes(self, dim: usize) -> usize {
        match self {
            Quantization::None => dim * 4,
            Quantization::Q8 => dim,
            Quantization::Bin => dim.div_ceil(64) * 8,
        }
    }
}

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// A page of vectors has about so many bytes.
const PAGE_BYTES: usize = 64 << 10;
/// Kernels read so many bytes in a step.
const STEP: usize = 32;

/// The vectors of an index.
#[derive(Clone)]
pub(super) struct Store {
    quantization: Quantization,
    dim: usize,
    /// Bytes from one vector to the next.
    stride: usize,
    /// A page has `1 << page_shift` vectors.
    page_shift: u32,
    pages: Vec<Vec<Line>>,
    /// The largest magnitude in each vector, where they are quantised by it.
    ranges: Paged<f32>,
    len: usize,
    pub(super) kernels: Kernels,
}

/// A vector that is compared with others: one of the store's, or one from outside in the same form.
#[derive(Clone, Copy)]
pub(super) struct Query<'a> {
    /// With the zeros behind it.
    bytes: &'a [u8],
    pub(super) range: f32,
    dim: usize,
}

/// A vector in the form in which an index stores it.
#[derive(Clone)]
pub struct Prepared {
    lines: Vec<Line>,
    range: f32,
    l2: f32,
}

fn as_bytes(lines: &[Line]) -> &[u8] {
    // SAFETY: lines are bytes without gaps.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), size_of_val(lines)) }
}

fn as_bytes_mut(lines: &mut [Line]) -> &mut [u8] {
    // SAFETY: lines are bytes without gaps, and any bytes are lines.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), size_of_val(lines)) }
}

impl Store {
    pub(super) fn new(quantization: Quantization, dim: usize) -> Store {
        assert!(dim > 0, "a vector has components");
        let stride = quantization.bytes(dim).next_multiple_of(STEP);
        let page_shift = (PAGE_BYTES / stride).max(1).ilog2();
        Store {
            quantization,
            dim,
            stride,
            page_shift,
            pages: Vec::new(),
            ranges: Paged::default(),
            len: 0,
            kernels: Kernels::detect(),
        }
    }

    pub(super) fn quantization(&self) -> Quantization {
        self.quantization
    }

    #[inline(always)]
    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    #[inline(always)]
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    #[inline(always)]
    pub(super) fn range(&self, node: u32) -> f32 {
        self.ranges[node as usize]
    }

    /// Where a vector begins. Panics if there is none of this number.
    #[inline(always)]
    pub(super) fn address(&self, node: u32) -> *const u8 {
        assert!((node as usize) < self.len, "a vector of the store");
        let page = &self.pages[(node >> self.page_shift) as usize];
        let within = node as usize & ((1 << self.page_shift) - 1);
        // A page is as long as its vectors need.
        page.as_ptr().cast::<u8>().wrapping_add(within * self.stride)
    }

    /// A vector with the zeros behind it.
    fn padded(&self, node: u32) -> &[u8] {
        // SAFETY: a page has room for all of its vectors, `stride` bytes each, and every byte was written.
        unsafe { std::slice::from_raw_parts(self.address(node), self.stride) }
    }

    /// A vector's own bytes.
    pub(super) fn bytes(&self, node: u32) -> &[u8] {
        &self.padded(node)[..self.quantization.bytes(self.dim)]
    }

    #[inline]
    pub(super) fn query(&self, node: u32) -> Query<'_> {
        Query { bytes: self.padded(node), range: self.range(node), dim: self.dim }
    }

    /// A vector from outside, as a query.
    #[inline]
    pub(super) fn query_of<'a>(&self, prepared: &'a Prepared) -> Query<'a> {
        let bytes = as_bytes(&prepared.lines);
        assert!(bytes.len() >= self.stride, "prepared for this index");
        Query { bytes: &bytes[..self.stride], range: prepared.range, dim: self.dim }
    }

    /// Writes the distances of the query to each of the nodes.
    #[inline]
    pub(super) fn distances(&self, query: &Query<'_>, nodes: &[u32], out: &mut [f32]) {
        assert!(query.bytes.len() == self.stride && query.dim == self.dim && nodes.len() <= out.len());
        let kernel = match self.quantization {
            Quantization::None => self.kernels.float,
            Quantization::Q8 => self.kernels.int8,
            Quantization::Bin => self.kernels.bits,
        };
        // SAFETY: the kernels were chosen by what the processor has. `address` panics for a node that is not there. A query has
        // the length of a vector of this store.
        unsafe { kernel(query, self, nodes, out) }
    }

    /// The distance of two vectors: 0 for the same direction, 2 for opposite ones.
    pub(super) fn distance(&self, query: &Query<'_>, node: u32) -> f32 {
        let mut out = [0.0];
        self.distances(query, &[node], &mut out);
        out[0]
    }

    /// Puts a vector at a number: the next one, or one that is there.
    pub(super) fn put(&mut self, node: u32, vector: &Prepared) {
        let (page, within) = ((node >> self.page_shift) as usize, node as usize & ((1 << self.page_shift) - 1));
        assert!(node as usize <= self.len, "numbers are given out in order");
        if node as usize == self.len {
            let lines = ((within + 1) * self.stride).div_ceil(64);
            if page == self.pages.len() {
                let whole = ((1 << self.page_shift) * self.stride).div_ceil(64);
                self.pages.push(Vec::with_capacity(if page == 0 { lines } else { whole }));
            }
            self.pages[page].resize(lines, Line([0; 64]));
            self.ranges.push(0.0);
            self.len += 1;
        }
        let stride = self.stride;
        let place = &mut as_bytes_mut(&mut self.pages[page])[within * stride..][..stride];
        place.copy_from_slice(&as_bytes(&vector.lines)[..stride]);
        self.ranges[node as usize] = vector.range;
    }

    /// Bytes of memory. O(1).
    pub(super) fn memory_bytes(&self) -> usize {
        let lines: usize = match self.pages.len() {
            0 => 0,
            1 => self.pages[0].capacity(),
            more => more * ((1 << self.page_shift) * self.stride).div_ceil(64),
        };
        lines * 64 + self.pages.capacity() * size_of::<Vec<Line>>() + self.ranges.memory_bytes()
    }

    /// Normalises and quantises a vector of as many components as those of the store.
    pub(super) fn prepare(&self, vector: &[f32]) -> Prepared {
        assert_eq!(vector.len(), self.dim, "a vector of the index's dimension");
        let mut unit = vector.to_vec();
        let l2 = normalize(&mut unit);
        let mut prepared = Prepared { lines: vec![Line([0; 64]); self.stride.div_ceil(64)], range: 0.0, l2 };
        let bytes = as_bytes_mut(&mut prepared.lines);
        match self.quantization {
            Quantization::None => {
                for (place, value) in bytes.chunks_exact_mut(4).zip(&unit) {
                    place.copy_from_slice(&value.to_ne_bytes());
                }
            }
            Quantization::Q8 => prepared.range = quantize_q8(&unit, bytes),
            Quantization::Bin => quantize_bits(&unit, bytes),
        }
        prepared
    }

    /// A vector from its stored form; `None` if the bytes are too many or too few.
    pub(super) fn restore(&self, stored: &[u8], range: f32, l2: f32) -> Option<Prepared> {
        if stored.len() != self.quantization.bytes(self.dim) {
            return None;
        }
        let mut lines = vec![Line([0; 64]); self.stride.div_ceil(64)];
        as_bytes_mut(&mut lines)[..stored.len()].copy_from_slice(stored);
        let range = if self.quantization == Quantization::Q8 { range } else { 0.0 };
        Some(Prepared { lines, range, l2 })
    }

    /// The components of a vector, as close to those that were stored as the quantisation lets them be.
    pub(super) fn components(&self, node: u32, l2: f32) -> Vec<f32> {
        let query = self.query(node);
        match self.quantization {
            Quantization::None => query.floats().iter().map(|x| x * l2).collect(),
            Quantization::Q8 => query.int8s().iter().map(|&x| f32::from(x) * query.range / 127.0 * l2).collect(),
            Quantization::Bin => {
                let bit = |at: usize| query.words()[at / 64] >> (at % 64) & 1;
                (0..self.dim).map(|at| if bit(at) == 1 { 1.0 } else { -1.0 }).collect()
            }
        }
    }
}

impl<'a> Query<'a> {
    #[inline(always)]
    pub(super) fn padded(&self) -> &'a [u8] {
        self.bytes
    }

    #[inline(always)]
    pub(super) fn floats(&self) -> &'a [f32] {
        let bytes = &self.bytes[..self.dim * 4];
        // SAFETY: so many bytes are there; a vector begins at a multiple of 32 bytes, and any bytes are floats.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), self.dim) }
    }

    #[inline(always)]
    pub(super) fn int8s(&self) -> &'a [i8] {
        let bytes = &self.bytes[..self.dim];
        // SAFETY: so many bytes are there, and any byte is an integer.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), self.dim) }
    }

    #[inline(always)]
    pub(super) fn words(&self) -> &'a [u64] {
        let words = self.dim.div_ceil(64);
        let bytes = &self.bytes[..words * 8];
        // SAFETY: so many bytes are there; a vector begins at a multiple of 32 bytes, and any bytes are integers.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), words) }
    }
}

impl Prepared {
    /// The largest magnitude among the components of the normalised vector, where it is quantised to eight bits.
    pub fn range(&self) -> f32 {
        self.range
    }

    /// The length that the vector had.
    pub fn l2(&self) -> f32 {
        self.l2
    }
}

/// Makes a vector's length one; returns what it was. A vector of zeros stays, and is said to have been of length one.
fn normalize(vector: &mut [f32]) -> f32 {
    // Four squares at a time: the order of the additions decides the last bit, and the reference's is this.
    let mut chunks = vector.chunks_exact(4);
    let mut square = 0.0f32;
    for x in &mut chunks {
        square += x[0] * x[0] + x[1] * x[1] + x[2] * x[2] + x[3] * x[3];
    }
    for x in chunks.remainder() {
        square += x * x;
    }
    if square == 0.0 {
        return 1.0;
    }
    let l2 = square.sqrt();
    for x in vector {
        *x /= l2;
    }
    l2
}

fn quantize_q8(vector: &[f32], out: &mut [u8]) -> f32 {
    let range = vector.iter().fold(0.0f32, |max, x| if x.abs() > max { x.abs() } else { max });
    if range == 0.0 {
        return 0.0;
    }
    let scale = 127.0 / range;
    for (out, x) in out.iter_mut().zip(vector) {
        *out = (x * scale).round() as i8 as u8;
    }
    range
}

fn quantize_bits(vector: &[f32], out: &mut [u8]) {
    for (out, chunk) in out.chunks_exact_mut(8).zip(vector.chunks(64)) {
        let word = chunk.iter().enumerate().fold(0u64, |word, (bit, x)| word | u64::from(*x > 0.0) << bit);
        out.copy_from_slice(&word.to_ne_bytes());
    }
}
