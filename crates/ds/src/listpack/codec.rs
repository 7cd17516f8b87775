//! Entries of a listpack as bytes: encoding, decoding, back lengths and the search loop.

use std::mem::MaybeUninit;

/// Longest decimal form of an i64, sign included.
const DECIMAL_MAX: usize = 20;

/// One element: stored either as text or as an integer that stands for its decimal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// Bytes stored as they are.
    Str(&'a [u8]),
    /// An integer; clients see its decimal form.
    Int(i64),
}

impl<'a> Item<'a> {
    /// Appends the bytes a client sees.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        match *self {
            Item::Str(bytes) => out.extend_from_slice(bytes),
            Item::Int(value) => out.extend_from_slice(decimal(value, &mut [0; DECIMAL_MAX])),
        }
    }

    /// The bytes a client sees, with `buffer` as the place for an integer's digits.
    pub fn bytes<'b>(&self, buffer: &'b mut [u8; DECIMAL_MAX]) -> &'b [u8]
    where
        'a: 'b,
    {
        match *self {
            Item::Str(bytes) => bytes,
            Item::Int(value) => decimal(value, buffer),
        }
    }

    /// The bytes a client sees, owned.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len());
        self.write_to(&mut out);
        out
    }

    /// Length in bytes of what a client sees.
    #[allow(clippy::len_without_is_empty, reason = "an element is not a collection, and nobody asks")]
    pub fn len(&self) -> usize {
        match *self {
            Item::Str(bytes) => bytes.len(),
            Item::Int(value) => {
                let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
                digits + usize::from(value < 0)
            }
        }
    }

    /// Bytes that an entry with this element takes in a listpack.
    #[inline]
    pub fn encoded_size(&self) -> usize {
        let size = match *self {
            Item::Int(0..=127) => 1,
            Item::Int(-4096..=4095) => 2,
            Item::Int(-0x8000..=0x7fff) => 3,
            Item::Int(-0x80_0000..=0x7f_ffff) => 4,
            Item::Int(-0x8000_0000..=0x7fff_ffff) => 5,
            Item::Int(_) => 9,
            Item::Str(bytes) => match bytes.len() {
                len @ ..64 => 1 + len,
                len @ ..4096 => 2 + len,
                len => 5 + len,
            },
        };
        size + backlen_size(size)
    }

    /// Whether a client would see exactly `other`.
    pub fn eq_bytes(&self, other: &[u8]) -> bool {
        match *self {
            Item::Str(bytes) => bytes == other,
            Item::Int(value) => parse_integer(other) == Some(value),
        }
    }

    /// The value as an integer, if it is a canonical decimal i64.
    pub fn as_int(&self) -> Option<i64> {
        match *self {
            Item::Str(bytes) => parse_integer(bytes),
            Item::Int(value) => Some(value),
        }
    }
}

/// Bytes to compare many elements with: parsed as an integer once, not once an element.
#[derive(Clone, Copy, Debug)]
pub struct Needle<'a> {
    bytes: &'a [u8],
    integer: Option<i64>,
}

impl<'a> Needle<'a> {
    /// Prepares `bytes` for comparing.
    pub fn new(bytes: &'a [u8]) -> Needle<'a> {
        Needle { bytes, integer: parse_integer(bytes) }
    }

    /// Whether a client would see `item` as exactly these bytes.
    #[inline]
    pub fn matches(&self, item: &Item<'_>) -> bool {
        match *item {
            Item::Str(bytes) => bytes == self.bytes,
            Item::Int(value) => self.integer == Some(value),
        }
    }
}

fn decimal(value: i64, buffer: &mut [u8; DECIMAL_MAX]) -> &[u8] {
    let mut rest = value.unsigned_abs();
    let mut at = DECIMAL_MAX;
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        buffer[at] = b'-';
    }
    &buffer[at..]
}

/// Parses a canonical decimal i64: no sign but a minus, no leading zero, no blank, no `-0`. This is the form that Redis
/// stores as an integer, since only it can be printed back unchanged.
#[inline]
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    // Nineteen digits stay below 2^64, so only the sign's range needs a check.
    let mut value = 0u64;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// An entry about to be written: head, the caller's bytes, and the back length.
pub(super) struct Encoded<'a> {
    head: [u8; 9],
    head_len: u8,
    payload: &'a [u8],
    tail: [u8; 5],
    tail_len: u8,
}

impl<'a> Encoded<'a> {
    #[inline]
    pub(super) fn new(value: &'a [u8]) -> Encoded<'a> {
        match parse_integer(value) {
            Some(integer) => Encoded::from_int(integer),
            None => Encoded::from_text(value),
        }
    }

    pub(super) fn from_int(value: i64) -> Encoded<'static> {
        let mut head = [0; 9];
        let le = value.to_le_bytes();
        let width = match value {
            0..=127 => {
                head[0] = value as u8;
                return Encoded::assemble(head, 1, &[]);
            }
            -4096..=4095 => {
                head[0] = 0xc0 | ((value >> 8) as u8 & 0x1f);
                head[1] = value as u8;
                return Encoded::assemble(head, 2, &[]);
            }
            -0x8000..=0x7fff => 2,
            -0x80_0000..=0x7f_ffff => 3,
            -0x8000_0000..=0x7fff_ffff => 4,
            _ => 8,
        };
        head[0] = match width {
            8 => 0xf4,
            width => 0xf1 + (width as u8 - 2),
        };
        head[1..1 + width].copy_from_slice(&le[..width]);
        Encoded::assemble(head, 1 + width as u8, &[])
    }

    fn from_text(value: &'a [u8]) -> Encoded<'a> {
        let mut head = [0; 9];
        let len = u32::try_from(value.len()).expect("callers ask fits() before they store a long element");
        let head_len = match len {
            0..64 => {
                head[0] = 0x80 | len as u8;
                1
            }
            64..4096 => {
                head[0] = 0xe0 | (len >> 8) as u8;
                head[1] = len as u8;
                2
            }
            _ => {
                head[0] = 0xf0;
                head[1..5].copy_from_slice(&len.to_le_bytes());
                5
            }
        };
        Encoded::assemble(head, head_len, value)
    }

    #[inline]
    fn assemble(head: [u8; 9], head_len: u8, payload: &'a [u8]) -> Encoded<'a> {
        let size = head_len as usize + payload.len();
        if size <= 127 {
            return Encoded { head, head_len, payload, tail: [size as u8, 0, 0, 0, 0], tail_len: 1 };
        }
        let tail_len = backlen_size(size);
        let mut tail = [0; 5];
        // Seven bits a byte, the high ones first; every byte but the first says that one more stands before it.
        for (back, slot) in tail[..tail_len].iter_mut().rev().enumerate() {
            let more = if back + 1 < tail_len { 0x80 } else { 0 };
            *slot = (size >> (7 * back)) as u8 & 0x7f | more;
        }
        Encoded { head, head_len, payload, tail, tail_len: tail_len as u8 }
    }

    /// Bytes of the entry.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.head_len as usize + self.payload.len() + self.tail_len as usize
    }

    /// Writes the entry to the start of `gap` and returns what is left of it. Panics if the gap is shorter than
    /// [`Encoded::len`].
    #[inline]
    pub(super) fn write_to<'g>(&self, gap: &'g mut [MaybeUninit<u8>]) -> &'g mut [MaybeUninit<u8>] {
        let (head, rest) = gap.split_at_mut(self.head_len as usize);
        let (payload, rest) = rest.split_at_mut(self.payload.len());
        let (tail, rest) = rest.split_at_mut(self.tail_len as usize);
        write_short(head, &self.head);
        if !payload.is_empty() {
            payload.write_copy_of_slice(self.payload);
        }
        write_short(tail, &self.tail);
        rest
    }
}

/// Appends an entry with this element.
#[inline]
pub(super) fn append_entry(out: &mut Vec<u8>, item: Item<'_>) {
    let entry = match item {
        Item::Int(value) => Encoded::from_int(value),
        Item::Str(bytes) => Encoded::from_text(bytes),
    };
    out.extend_from_slice(&entry.head[..entry.head_len as usize]);
    out.extend_from_slice(entry.payload);
    out.extend_from_slice(&entry.tail[..entry.tail_len as usize]);
}

/// Fills `gap` with the first bytes of `bytes`. Mostly that is a single one, for which no copying function is called.
#[inline(always)]
fn write_short(gap: &mut [MaybeUninit<u8>], bytes: &[u8]) {
    match gap {
        [only] => {
            only.write(bytes[0]);
        }
        gap => {
            gap.write_copy_of_slice(&bytes[..gap.len()]);
        }
    }
}

/// Bytes of the back length of an entry whose head and payload take `size`. The odd upper bounds (one less than seven
/// bits a byte would allow) are the reference's, and part of the format.
#[inline(always)]
pub(super) fn backlen_size(size: usize) -> usize {
    match size {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// Bytes of the head and of the payload of the entry that starts with `at`.
#[inline(always)]
fn sizes(at: &[u8]) -> (usize, usize) {
    match at[0] {
        0..=0x7f => (1, 0),
        byte @ 0x80..=0xbf => (1, (byte & 0x3f) as usize),
        0xc0..=0xdf => (2, 0),
        byte @ 0xe0..=0xef => (2, (byte as usize & 0x0f) << 8 | at[1] as usize),
        0xf0 => (5, u32::from_le_bytes([at[1], at[2], at[3], at[4]]) as usize),
        0xf1 => (3, 0),
        0xf2 => (4, 0),
        0xf3 => (5, 0),
        0xf4 => (9, 0),
        byte => panic!("no listpack entry starts with {byte:#x}"),
    }
}

/// The integer at `at`, whose first byte is that of an integer encoding.
#[inline(always)]
fn integer(at: &[u8]) -> i64 {
    match at[0] {
        byte @ 0..=0x7f => byte as i64,
        byte @ 0xc0..=0xdf => i64::from(i16::from_be_bytes([byte << 3 | at[1] >> 5, at[1] << 3]) >> 3),
        0xf1 => i64::from(i16::from_le_bytes([at[1], at[2]])),
        0xf2 => i64::from(i32::from_le_bytes([0, at[1], at[2], at[3]]) >> 8),
        0xf3 => i64::from(i32::from_le_bytes([at[1], at[2], at[3], at[4]])),
        _ => i64::from_le_bytes([at[1], at[2], at[3], at[4], at[5], at[6], at[7], at[8]]),
    }
}

#[inline(always)]
fn is_text(first: u8) -> bool {
    matches!(first, 0x80..=0xbf | 0xe0..=0xf0)
}

/// The element at `pos` and the size of its head and payload.
#[inline(always)]
pub(super) fn decode(bytes: &[u8], pos: usize) -> (Item<'_>, usize) {
    let at = &bytes[pos..];
    let (head, payload) = sizes(at);
    let item = if is_text(at[0]) { Item::Str(&at[head..head + payload]) } else { Item::Int(integer(at)) };
    (item, head + payload)
}

/// Offset behind the entry at `pos`, back length included.
#[inline(always)]
pub(super) fn entry_end(bytes: &[u8], pos: usize) -> usize {
    let (head, payload) = sizes(&bytes[pos..]);
    let size = head + payload;
    pos + size + backlen_size(size)
}

/// Offset of the entry that ends right before `pos`.
#[inline]
pub(super) fn previous(bytes: &[u8], pos: usize) -> usize {
    let (size, width) = read_backlen(&bytes[..pos]).expect("positions come from a valid listpack");
    pos - width - size
}

/// The back length at the end of `bytes`, and how many bytes it takes.
#[inline]
fn read_backlen(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut size = 0usize;
    for width in 1..=5 {
        let byte = *bytes.get(bytes.len().checked_sub(width)?)?;
        size |= ((byte & 0x7f) as usize) << (7 * (width - 1));
        if byte & 0x80 == 0 {
            return Some((size, width));
        }
    }
    None
}

/// As [`entry_end`], for bytes nobody has checked.
pub(super) fn checked_entry_end(bytes: &[u8], pos: usize) -> Option<usize> {
    let at = bytes.get(pos..)?;
    let head_len = match *at.first()? {
        0xf5.. => return None,
        0xf4 => 9,
        0xf0 | 0xf3 => 5,
        0xf2 => 4,
        0xf1 => 3,
        0xc0..=0xef => 2,
        _ => 1,
    };
    if at.len() < head_len {
        return None;
    }
    let (head, payload) = sizes(at);
    let size = head.checked_add(payload)?;
    let end = size.checked_add(backlen_size(size))?;
    let entry = at.get(..end)?;
    (read_backlen(entry) == Some((size, backlen_size(size)))).then_some(pos + end)
}

/// Position of the first entry equal to `needle` among every `skip + 1`-th from `pos` on. Text is compared by length
/// before content; the needle is parsed as an integer at most once, when the first integer entry is met.
pub(super) fn find(bytes: &[u8], mut pos: usize, needle: &[u8], skip: usize) -> Option<usize> {
    let mut needle_integer = None;
    while pos < bytes.len() {
        let at = &bytes[pos..];
        let (head, payload) = sizes(at);
        let size = head + payload;
        if is_text(at[0]) {
            if payload == needle.len() && at[head..size] == *needle {
                return Some(pos);
            }
        } else if let Some(wanted) = *needle_integer.get_or_insert_with(|| parse_integer(needle))
            && wanted == integer(at)
        {
            return Some(pos);
        }
        pos += size + backlen_size(size);
        for _ in 0..skip {
            if pos >= bytes.len() {
                return None;
            }
            pos = entry_end(bytes, pos);
        }
    }
    None
}
