//! Payloads of `DUMP` and `RESTORE`.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | code of the type |
//! | … | the value |
//! | 2 | version of the format, little endian |
//! | 8 | CRC-64 of all that is before it, little endian |

use crate::decode::{self, NewValue};
use crate::encode::{self, Encoder};
use crate::error::{Error, ErrorKind};
use crate::wire::{CRC64, Reader, VERSION};
use kinovar_keyspace::{Entry, Settings};
use std::fmt;

/// Bytes behind the value.
const FOOTER_BYTES: usize = 10;

/// The payload of an entry's value.
pub fn payload(entry: &Entry, encoder: &mut Encoder) -> Vec<u8> {
    let mut out = Vec::new();
    encode::typed_value(entry, encoder, &mut out);
    seal(&mut out);
    out
}

/// Appends version and checksum to a value.
pub fn seal(value: &mut Vec<u8>) {
    value.extend_from_slice(&(VERSION as u16).to_le_bytes());
    let checksum = CRC64.checksum(value);
    value.extend_from_slice(&checksum.to_le_bytes());
}

/// Why a payload is refused.
#[derive(Debug)]
pub enum Refusal {
    /// It is too short, of a later version, or its checksum is wrong.
    Seal,
    /// Its value cannot be read.
    Value(Error),
}

impl fmt::Display for Refusal {
    /// The reference's error replies.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Seal => "ERR DUMP payload version or checksum are wrong",
            Refusal::Value(_) => "ERR Bad data format",
        })
    }
}

impl std::error::Error for Refusal {}

/// The bytes between nothing and the version, if version and checksum are right.
pub fn open(payload: &[u8]) -> Option<&[u8]> {
    let split = payload.len().checked_sub(FOOTER_BYTES)?;
    let (value, footer) = payload.split_at(split);
    let version = u16::from_le_bytes([footer[0], footer[1]]);
    let known = u32::from(version) <= VERSION;
    (known && CRC64.checksum(&payload[..split + 2]).to_le_bytes() == footer[2..]).then_some(value)
}

/// The value of a payload. What may follow it is not looked at, as in the reference.
pub fn parse<'a>(payload: &'a [u8], settings: &Settings) -> Result<NewValue<'a>, Refusal> {
    let value = open(payload).ok_or(Refusal::Seal)?;
    let Some((&code, rest)) = value.split_first() else {
        return Err(Refusal::Value(ErrorKind::Truncated.at(0)));
    };
    decode::value(code, &mut Reader::new(rest, 1), settings).map_err(Refusal::Value)
}
