//! The 24 bits in which a key remembers how it is used.
//!
//! With an LRU policy: the clock (seconds, modulo 2^24) of the last access. With an LFU policy: 16 bits of the minute in
//! which the counter last decayed, then 8 bits of a logarithmic access counter, as described for `maxmemory-policy`.

use crate::Settings;

/// Largest clock value.
const CLOCK_MASK: u64 = 0xFF_FFFF;
/// A new key's counter: high enough not to be evicted before it had a chance.
const LFU_INITIAL: u32 = 5;

/// The clock for a time, in seconds.
#[inline]
pub fn lru_clock(now_ms: u64) -> u32 {
    ((now_ms / 1000) & CLOCK_MASK) as u32
}

/// Bits for a key that is created now.
#[inline]
pub fn initial(now_ms: u64, settings: &Settings) -> u32 {
    if settings.lfu { minute(now_ms) << 8 | LFU_INITIAL } else { lru_clock(now_ms) }
}

/// Bits after an access now; `random` is uniform in [0, 1).
#[inline]
pub fn touched(bits: u32, now_ms: u64, settings: &Settings, random: impl FnOnce() -> f64) -> u32 {
    if !settings.lfu {
        return lru_clock(now_ms);
    }
    let counter = decayed(bits, now_ms, settings);
    let above = counter.saturating_sub(LFU_INITIAL);
    let chance = 1.0 / (f64::from(above) * f64::from(settings.lfu_log_factor) + 1.0);
    let counter = if counter < 255 && random() < chance { counter + 1 } else { counter };
    minute(now_ms) << 8 | counter
}

/// Bits for a key that was used last so many seconds ago, under an LRU policy. Times beyond what the clock can tell come out as
/// the reference's arithmetic has them.
pub fn with_idle(idle_s: i64, now_ms: u64) -> u32 {
    // The reference counts in ms, which wraps, and takes the clock modulo one less than its values.
    const REFERENCE_MODULUS: i64 = CLOCK_MASK as i64;
    let now_s = i64::from(lru_clock(now_ms));
    let at_s = now_s.wrapping_sub(idle_s.wrapping_mul(1000) / 1000);
    let at_s = if at_s < 0 { at_s + REFERENCE_MODULUS } else { at_s } & CLOCK_MASK as i64;
    let idle_s = if at_s <= now_s { now_s - at_s } else { now_s + REFERENCE_MODULUS - at_s };
    ((now_s - idle_s) & CLOCK_MASK as i64) as u32
}

/// Bits for a key with this access counter, under an LFU policy.
pub fn with_freq(freq: u8, now_ms: u64) -> u32 {
    minute(now_ms) << 8 | u32::from(freq)
}

/// Seconds since the last access, under an LRU policy.
pub fn idle_s(bits: u32, now_ms: u64) -> u64 {
    (u64::from(lru_clock(now_ms)) + CLOCK_MASK + 1 - u64::from(bits)) & CLOCK_MASK
}

/// The access counter as of now, under an LFU policy: one less for each decay period that has passed.
pub fn decayed(bits: u32, now_ms: u64, settings: &Settings) -> u32 {
    let counter = bits & 0xFF;
    if settings.lfu_decay_time_min == 0 {
        return counter;
    }
    counter.saturating_sub(minutes_since(bits, now_ms) / settings.lfu_decay_time_min)
}

/// Minutes since the counter was last changed, under an LFU policy; at most 65535.
fn minutes_since(bits: u32, now_ms: u64) -> u32 {
    minute(now_ms).wrapping_sub(bits >> 8) & 0xFFFF
}

fn minute(now_ms: u64) -> u32 {
    ((now_ms / 60_000) & 0xFFFF) as u32
}
