//! A long string in pieces.
//!
//! How long a compressed string has become stands in front of it, so nothing can be written before all is compressed. It is
//! compressed part by part, and the parts are kept until then. What they are put together is a compressed string like any other, as
//! copies reach back only; it is merely a little longer than if they could reach into the part before.

use crate::lzf::Compressor;
use crate::wire::{COMPRESS_GAIN, push_len, push_lzf_head};

/// So much is compressed at a time.
const PART_BYTES: usize = 32 << 10;

/// How far a long string was written.
#[derive(Clone, Debug)]
pub(super) enum LongText {
    /// Up to here it is compressed.
    Packing { at: usize, packed: Packed },
    /// All of it is compressed, and so many of its parts are written.
    Packed { written: usize, packed: Packed },
    /// It stays as it is, and is written up to here.
    Plain(usize),
}

/// Compressed parts.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed {
    parts: Vec<Vec<u8>>,
    /// Bytes in all of them.
    len: usize,
}

impl LongText {
    /// Whether a string is long enough.
    pub(super) fn is_for(text: &[u8]) -> bool {
        text.len() > 2 * PART_BYTES
    }

    /// Begins.
    pub(super) fn new(text: &[u8], compresses: bool, out: &mut Vec<u8>) -> LongText {
        if compresses { LongText::Packing { at: 0, packed: Packed::default() } } else { LongText::plain(text, out) }
    }

    fn plain(text: &[u8], out: &mut Vec<u8>) -> LongText {
        push_len(out, text.len() as u64);
        LongText::Plain(0)
    }

    /// Goes on for about `bytes` bytes of the string or of what is written. `None` when all is written.
    pub(super) fn next(
        self,
        text: &[u8],
        bytes: usize,
        compressor: Option<&mut Compressor>,
        out: &mut Vec<u8>,
    ) -> Option<LongText> {
        match self {
            LongText::Packing { mut at, mut packed } => {
                let end = at.saturating_add(bytes.max(1)).min(text.len());
                let Some(compressor) = compressor else { return Some(LongText::plain(text, out)) };
                while at < end {
                    let part = &text[at..text.len().min(at + PART_BYTES)];
                    at += part.len();
                    packed.push(compressor, part);
                }
                if packed.len > text.len() - COMPRESS_GAIN {
                    return Some(LongText::plain(text, out));
                }
                if at < text.len() {
                    return Some(LongText::Packing { at, packed });
                }
                push_lzf_head(out, packed.len, text.len());
                Some(LongText::Packed { written: 0, packed })
            }
            LongText::Packed { mut written, mut packed } => {
                let limit = out.len().saturating_add(bytes);
                while let Some(part) = packed.parts.get_mut(written) {
                    out.append(part);
                    *part = Vec::new();
                    written += 1;
                    if out.len() >= limit && written < packed.parts.len() {
                        return Some(LongText::Packed { written, packed });
                    }
                }
                None
            }
            LongText::Plain(at) => {
                let end = at.saturating_add(bytes.max(1)).min(text.len());
                out.extend_from_slice(&text[at..end]);
                (end < text.len()).then_some(LongText::Plain(end))
            }
        }
    }
}

impl Packed {
    fn push(&mut self, compressor: &mut Compressor, part: &[u8]) {
        let mut bytes = Vec::new();
        // Where it cannot be made shorter it is a little longer.
        let max = part.len() + part.len() / 16 + 16;
        if compressor.compress(part, max, &mut bytes).is_none() {
            unreachable!("there is room for literals alone");
        }
        bytes.shrink_to_fit();
        self.len += bytes.len();
        self.parts.push(bytes);
    }
}
