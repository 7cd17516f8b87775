//! Lua values as MessagePack, each in its shortest form.

use crate::values::{Reader, Value};

/// Appends `value`. What MessagePack has no form for is nil.
pub(super) fn value(value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::String(text) => string(text, out),
        Value::Number(number) => double(number, out),
        Value::Boolean(truth) => out.push(if truth { 0xC3 } else { 0xC2 }),
        Value::Table(entries) => table(entries, out),
        Value::Nil | Value::Null | Value::Other(_) | Value::Deep => out.push(0xC0),
    }
}

/// The head of what has `len` parts: in one byte, or behind a byte for each width.
fn head(out: &mut Vec<u8>, len: usize, short: (u8, usize), wide: [u8; 2]) {
    if len < short.1 {
        out.push(short.0 | len as u8);
    } else if let Ok(len) = u16::try_from(len) {
        out.push(wide[0]);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(wide[1]);
        out.extend_from_slice(&(len as u32).to_be_bytes());
    }
}

fn string(text: &[u8], out: &mut Vec<u8>) {
    match text.len() {
        len @ 32..256 => out.extend_from_slice(&[0xD9, len as u8]),
        len => head(out, len, (0xA0, 32), [0xDA, 0xDB]),
    }
    out.extend_from_slice(text);
}

fn double(number: f64, out: &mut Vec<u8>) {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if number.fract() == 0.0 && (-LIMIT..LIMIT).contains(&number) {
        return integer(number as i64, out);
    }
    let single = number as f32;
    if f64::from(single) == number {
        out.push(0xCA);
        out.extend_from_slice(&single.to_be_bytes());
    } else {
        out.push(0xCB);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn integer(number: i64, out: &mut Vec<u8>) {
    match number {
        0..=0x7F => out.push(number as u8),
        0x80..=0xFF => out.extend_from_slice(&[0xCC, number as u8]),
        0x100..=0xFFFF => prefixed(out, 0xCD, (number as u16).to_be_bytes()),
        0x1_0000..=0xFFFF_FFFF => prefixed(out, 0xCE, (number as u32).to_be_bytes()),
        0x1_0000_0000.. => prefixed(out, 0xCF, number.to_be_bytes()),
        -32..0 => out.push(number as u8),
        -0x80..-32 => out.extend_from_slice(&[0xD0, number as u8]),
        -0x8000..-0x80 => prefixed(out, 0xD1, (number as i16).to_be_bytes()),
        -0x8000_0000..-0x8000 => prefixed(out, 0xD2, (number as i32).to_be_bytes()),
        _ => prefixed(out, 0xD3, number.to_be_bytes()),
    }
}

fn prefixed<const N: usize>(out: &mut Vec<u8>, mark: u8, bytes: [u8; N]) {
    out.push(mark);
    out.extend_from_slice(&bytes);
}

fn table(entries: Reader<'_>, out: &mut Vec<u8>) {
    let (mut count, mut last, mut is_array, mut in_order) = (0usize, 0f64, true, true);
    let mut rest = entries;
    while let Some((key, _)) = rest.entry() {
        count += 1;
        match key {
            Value::Number(index) if index > 0.0 && index.fract() == 0.0 && index <= f64::from(i32::MAX) => {
                in_order &= index == count as f64;
                last = last.max(index);
            }
            _ => is_array = false,
        }
    }
    let mut rest = entries;
    if !is_array || last != count as f64 {
        head(out, count, (0x80, 16), [0xDE, 0xDF]);
        while let Some((key, element)) = rest.entry() {
            value(key, out);
            value(element, out);
        }
        return;
    }
    head(out, count, (0x90, 16), [0xDC, 0xDD]);
    if in_order {
        while let Some((_, element)) = rest.entry() {
            value(element, out);
        }
        return;
    }
    let mut elements = vec![Value::Nil; count];
    while let Some((key, element)) = rest.entry() {
        if let Value::Number(index) = key {
            elements[index as usize - 1] = element;
        }
    }
    elements.into_iter().for_each(|element| value(element, out));
}
