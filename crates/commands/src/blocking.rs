//! What all commands share that wait for a key to have something.

use kinovar_command::{Absent, CommandError, Wait, number};
use std::ops::Range;

/// A timeout in seconds as milliseconds, rounded up; 0 waits for ever.
pub(crate) fn timeout_ms(word: &[u8], now_ms: u64) -> Result<u64, CommandError> {
    let seconds = number::parse_f64(word).filter(|seconds| !number::is_underflow(word, *seconds));
    let seconds = seconds.ok_or(CommandError::text("ERR timeout is not a float or out of range"))?;
    let ms = (seconds * 1000.0).ceil();
    if !(ms.is_finite() && ms <= i64::MAX as f64) && ms > 0.0 {
        return Err(CommandError::text("ERR timeout is out of range"));
    }
    if ms < 0.0 {
        return Err(CommandError::text("ERR timeout is negative"));
    }
    let ms = ms as u64;
    if ms > i64::MAX as u64 - now_ms {
        return Err(CommandError::text("ERR timeout is out of range"));
    }
    Ok(ms)
}

/// A wait for the keys at `keys` among the arguments.
pub(crate) fn wait(keys: Range<usize>, timeout_ms: u64, absent: Absent) -> Wait {
    let keys = keys.map(|index| index as u32).collect();
    Wait { keys, timeout_ms, absent, heeds_loss: false, resolved: Vec::new() }
}
