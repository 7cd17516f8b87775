//! Distances between vectors, by the instructions that the processor has.
//!
//! Each kernel computes the distances of one vector to several others of a [`Store`], so that the choice of the kernel is paid
//! once and the next vectors are on their way while one is computed. The sums of products of eight-bit numbers are exact, so all
//! kernels of that kind agree; those of floats differ in the order of their additions.

use super::vectors::{Query, Store};

/// Writes the distance of the query to each of the nodes.
///
/// # Safety
/// The processor has the features of the kernel; the nodes are in the store.
pub(super) type Kernel = unsafe fn(&Query<'_>, &Store, &[u32], &mut [f32]);

/// The kernels for the three ways in which a vector is stored.
#[derive(Clone, Copy)]
pub(super) struct Kernels {
    pub(super) float: Kernel,
    pub(super) int8: Kernel,
    pub(super) bits: Kernel,
}

impl Kernels {
    /// The best ones that this processor can run.
    pub(super) fn detect() -> Kernels {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let vnni = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vnni");
            let mut kernels = Kernels::portable();
            if avx2 {
                kernels.float = x86::float_avx2;
                kernels.int8 = x86::int8_avx2;
            }
            if vnni {
                kernels.int8 = x86::int8_vnni;
            }
            if is_x86_feature_detected!("popcnt") {
                kernels.bits = x86::bits_popcnt;
            }
            kernels
        }
        #[cfg(not(target_arch = "x86_64"))]
        Kernels::portable()
    }

    /// Those that any processor can run.
    pub(super) const fn portable() -> Kernels {
        Kernels { float: float_portable, int8: int8_portable, bits: bits_portable }
    }

    /// Every set of kernels that this processor can run.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Kernels> {
        #[allow(unused_mut, reason = "elsewhere there is only one")]
        let mut all = vec![Kernels::portable(), Kernels::detect()];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            all.push(Kernels { float: x86::float_avx2, int8: x86::int8_avx2, ..Kernels::portable() });
        }
        all
    }
}

/// Bytes of a cache line.
const LINE: usize = 64;
/// So much of a vector is asked for ahead of time; what follows the processor finds by itself.
const AHEAD: usize = 8 * LINE;
/// How many vectors ahead of the one that is computed.
const DISTANCE: usize = 4;

/// Starts loading the beginning of a vector.
#[inline(always)]
fn prefetch(store: &Store, node: u32) {
    let (at, len) = (store.address(node), store.stride().min(AHEAD));
    for offset in (0..len).step_by(LINE) {
        crate::entry::prefetch(at.wrapping_add(offset));
    }
}

/// Runs `distance` over the nodes.
#[inline(always)]
fn each(store: &Store, nodes: &[u32], out: &mut [f32], mut distance: impl FnMut(*const u8) -> f32) {
    for &node in nodes.iter().take(DISTANCE) {
        prefetch(store, node);
    }
    for (index, (&node, out)) in nodes.iter().zip(out).enumerate() {
        if let Some(&next) = nodes.get(index + DISTANCE) {
            prefetch(store, next);
        }
        *out = distance(store.address(node));
    }
}

/// From the dot product of two vectors of length one: 0 is the same direction, 2 the opposite one.
#[inline(always)]
fn from_dot(dot: f32) -> f32 {
    1.0 - dot
}

/// The same for vectors that were divided by `range / 127` each. A vector of zeros is at a right angle to all others.
#[inline(always)]
fn from_products(sum: i32, range: f32, other: f32) -> f32 {
    if range == 0.0 || other == 0.0 {
        return 1.0;
    }
    (1.0 - sum as f32 * ((range / 127.0) * (other / 127.0))).clamp(0.0, 2.0)
}

/// From the number of signs that differ.
#[inline(always)]
fn from_opposites(opposites: u32, dim: usize) -> f32 {
    opposites as f32 * 2.0 / dim as f32
}

/// The dot product with two sums, each of four products at a time: in this order the reference adds them where it has no
/// wider instructions for so few.
#[inline(always)]
fn dot_in_order(a: &[f32], b: &[f32]) -> f32 {
    let (mut low, mut high) = (0.0f32, 0.0f32);
    let (a_rest, b_rest) = (a.chunks_exact(8).remainder(), b.chunks_exact(8).remainder());
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        low += a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
        high += a[4] * b[4] + a[5] * b[5] + a[6] * b[6] + a[7] * b[7];
    }
    for (a, b) in a_rest.iter().zip(b_rest) {
        low += a * b;
    }
    low + high
}

unsafe fn float_portable(query: &Query<'_>, store: &Store, nodes: &[u32], out: &mut [f32]) {
    let a = query.floats();
    each(store, nodes, out, |at| {
        // SAFETY: a vector of the store, which is aligned and whole.
        let b = unsafe { std::slice::from_raw_parts(at.cast::<f32>(), a.len()) };
        from_dot(dot_in_order(a, b))
    });
}

unsafe fn int8_portable(query: &Query<'_>, store: &Store, nodes: &[u32], out: &mut [f32]) {
    let a = query.int8s();
    let mut ranges = nodes.iter().map(|&node| store.range(node));
    each(store, nodes, out, |at| {
        // SAFETY: a vector of the store.
        let b = unsafe { std::slice::from_raw_parts(at.cast::<i8>(), a.len()) };
        let sum = a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).fold(0, i32::wrapping_add);
        from_products(sum, query.range, ranges.next().unwrap_or(0.0))
    });
}

#[inline(always)]
unsafe fn opposites(a: &[u64], at: *const u8) -> u32 {
    // SAFETY: a vector of the store, which is aligned and whole.
    let b = unsafe { std::slice::from_raw_parts(at.cast::<u64>(), a.len()) };
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

unsafe fn bits_portable(query: &Query<'_>, store: &Store, nodes: &[u32], out: &mut [f32]) {
    let a = query.words();
    // SAFETY: the nodes are in the store.
    each(store, nodes, out, |at| from_opposites(unsafe { opposites(a, at) }, store.dim()));
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Query, Store, dot_in_order, each, from_dot, from_opposites, from_products, opposites};
    use std::arch::x86_64::*;

    #[target_feature(enable = "popcnt")]
    pub(super) unsafe fn bits_popcnt(query: &Query<'_>, store: &Store, nodes: &[u32], out: &mut [f32]) {
        let a = query.words();
        // SAFETY: the nodes are in the store.
        each(store, nodes, out, |at| from_opposites(unsafe { opposites(a, at) }, store.dim()));
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn float_avx2(query: &Query<'_>, store: &Store, nodes: &[u32], out: &mut [f32]) {
        let a = query.floats();
        each(store, nodes, out, |at| {
            // SAFETY: a vector of the store, which is aligned and whole.
            let b = unsafe { std::slice::from_raw_parts(at.cast::<f32>(), a.len()) };
            from_dot(if a.len() < 16 { dot_in_order(a, b) } else { dot_avx2(a, b) })
        });
    }

    /// Two sums of eight lanes; in this order the reference adds them.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn dot_avx2(a: &[f32], b: &[f32]) -> f32 {
        let (mut first, mut second) = (_mm256_setzero_ps(), _mm256_setzero_ps());
        let whole = a.len() / 16 * 16;
        debug_assert_eq!(a.len(), b.len());
        for at in (0..whole).step_by(16) {
            // SAFETY: sixteen floats from here on are in both slices, which have one length.
            unsafe {
                let (a, b) = (a.as_ptr().add(at), b.as_ptr().add(at));
                first = _mm256_fmadd_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b), first);
                second = _mm256_fmadd_ps(_mm256_loadu_ps(a.add(8)), _mm256_loadu_ps(b.add(8)), second);
            }
        }
        let sum = _mm256_add_ps(first, second);
        let sum = _mm_add_ps(_mm256_extractf128_ps(sum, 1), _mm256_castps256_ps128(sum));
        let sum = _mm_hadd_ps(sum, sum);
        let mut dot = _mm_cvtss_f32(_mm_hadd_ps(sum, sum));
        for (a, b) in a[whole..].iter().zip(&b[whole..]) {
            dot += a * b;
        }
        dot
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn sum_of_lanes(sum: __m256i) -> i32 {
        let sum = _mm_add_epi32(_mm256_extracti128_si256(sum, 1), _mm256_castsi256_si128(sum));
        let sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0b00_00_11_10));
        _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0b00_00_00_01)))
    }

    /// Vectors of the store and queries end with zeros up to a multiple of 32 bytes, so whole steps do.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn int8_avx2(query: &Query<'_>, store: &Store, nodes: &[u32], out: &mut [f32]) {
        let a = query.padded();
        debug_assert!(a.len().is_multiple_of(32) && a.len() <= store.stride());
        let mut ranges = nodes.iter().map(|&node| store.range(node));
        each(store, nodes, out, |b| {
            let mut sum = _mm256_setzero_si256();
            for at in (0..a.len()).step_by(32) {
                // SAFETY: 32 bytes from here on are in the query and in the vector.
                unsafe {
                    let (a, b) = (a.as_ptr().add(at).cast::<__m128i>(), b.add(at).cast::<__m128i>());
                    let low = (_mm256_cvtepi8_epi16(_mm_loadu_si128(a)), _mm256_cvtepi8_epi16(_mm_loadu_si128(b)));
                    let (a, b) = (a.add(1), b.add(1));
                    let high = (_mm256_cvtepi8_epi16(_mm_loadu_si128(a)), _mm256_cvtepi8_epi16(_mm_loadu_si128(b)));
                    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(low.0, low.1));
                    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(high.0, high.1));
                }
            }
            from_products(sum_of_lanes(sum), query.range, ranges.next().unwrap_or(0.0))
        });
    }

    /// The instruction multiplies unsigned by signed bytes. A vector's bytes are made unsigned by adding 128 to each, which makes the
    /// sum too large by 128 times the sum of the query's.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
    pub(super) unsafe fn int8_vnni(query: &Query<'_>, store: &Store, nodes: &[u32], out: &mut [f32]) {
        let a = query.padded();
        debug_assert!(a.len().is_multiple_of(32) && a.len() <= store.stride());
        let mut ranges = nodes.iter().map(|&node| store.range(node));
        let flip = _mm512_set1_epi8(-128);
        let whole = a.len() / 64 * 64;
        // SAFETY: the last 32 bytes of the query, where it has an odd number of 32.
        let rest = (a.len() > whole)
            .then(|| unsafe { _mm512_zextsi256_si512(_mm256_loadu_si256(a.as_ptr().add(whole).cast())) });
        let mut bias = _mm512_setzero_si512();
        let ones = _mm512_set1_epi8(1);
        for at in (0..whole).step_by(64) {
            // SAFETY: 64 bytes from here on are in the query.
            let a = unsafe { _mm512_loadu_si512(a.as_ptr().add(at).cast()) };
            bias = _mm512_dpbusd_epi32(bias, ones, a);
        }
        if let Some(rest) = rest {
            bias = _mm512_dpbusd_epi32(bias, ones, rest);
        }
        let bias = _mm512_reduce_add_epi32(bias).wrapping_mul(128);
        each(store, nodes, out, |b| {
            let mut sum = _mm512_setzero_si512();
            for at in (0..whole).step_by(64) {
                // SAFETY: 64 bytes from here on are in the query and in the vector.
                unsafe {
                    let a = _mm512_loadu_si512(a.as_ptr().add(at).cast());
                    let b = _mm512_loadu_si512(b.add(at).cast());
                    sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(b, flip), a);
                }
            }
            if let Some(rest) = rest {
                // SAFETY: 32 bytes from here on are in the vector.
                let b = unsafe { _mm512_zextsi256_si512(_mm256_loadu_si256(b.add(whole).cast())) };
                sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(b, flip), rest);
            }
            let sum = _mm512_reduce_add_epi32(sum).wrapping_sub(bias);
            from_products(sum, query.range, ranges.next().unwrap_or(0.0))
        });
    }
}
