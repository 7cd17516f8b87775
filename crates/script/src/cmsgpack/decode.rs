//! MessagePack as Lua values. Byte strings and extension types of later versions are not known.

use crate::native::{Answer, Raise};
use crate::values::Writer;

/// Nesting that the interpreter has room for.
const DEPTH_MAX: u32 = 3990;

/// What is said of more values, or deeper maps, than the interpreter has room for.
pub(super) const TOO_MANY: &str =
    "stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)";

pub(super) struct Decoder<'a, 'w> {
    rest: &'a [u8],
    depth: u32,
    out: &'w mut Writer,
}

impl<'a, 'w> Decoder<'a, 'w> {
    pub(super) fn new(bytes: &'a [u8], out: &'w mut Writer) -> Decoder<'a, 'w> {
        Decoder { rest: bytes, depth: 0, out }
    }

    /// Bytes that have not been read.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    fn take(&mut self, len: usize) -> Answer<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(|| Raise::text("Missing bytes in input."))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Answer<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many bytes as were asked for"))
    }

    /// A length in `N` bytes.
    fn len<const N: usize>(&mut self) -> Answer<usize> {
        Ok(self.array::<N>()?.iter().fold(0, |len, &byte| len << 8 | usize::from(byte)))
    }

    /// Writes the next value.
    pub(super) fn value(&mut self) -> Answer<()> {
        let [mark] = self.array()?;
        match mark {
            0..0x80 => self.out.number(f64::from(mark)),
            0xE0.. => self.out.number(f64::from(mark as i8)),
            0x80..0x90 => self.map(usize::from(mark & 15))?,
            0x90..0xA0 => self.list(usize::from(mark & 15))?,
            0xA0..0xC0 => self.string(usize::from(mark & 31))?,
            0xC0 => self.out.nil(),
            0xC2 => self.out.boolean(false),
            0xC3 => self.out.boolean(true),
            0xCA => {
                let single = f32::from_be_bytes(self.array()?);
                self.out.number(f64::from(single));
            }
            0xCB => {
                let double = f64::from_be_bytes(self.array()?);
                self.out.number(double);
            }
            0xCC => {
                let number = u8::from_be_bytes(self.array()?);
                self.out.number(f64::from(number));
            }
            0xCD => {
                let number = u16::from_be_bytes(self.array()?);
                self.out.number(f64::from(number));
            }
            0xCE => {
                let number = u32::from_be_bytes(self.array()?);
                self.out.number(f64::from(number));
            }
            0xD0 => {
                let number = i8::from_be_bytes(self.array()?);
                self.out.number(f64::from(number));
            }
            0xD1 => {
                let number = i16::from_be_bytes(self.array()?);
                self.out.number(f64::from(number));
            }
            0xD2 => {
                let number = i32::from_be_bytes(self.array()?);
                self.out.number(f64::from(number));
            }
            // The upper half of the unsigned ones comes out negative, as in the reference.
            0xCF | 0xD3 => {
                let number = i64::from_be_bytes(self.array()?);
                self.out.number(number as f64);
            }
            0xD9 => {
                let len = self.len::<1>()?;
                self.string(len)?;
            }
            0xDA => {
                let len = self.len::<2>()?;
                self.string(len)?;
            }
            0xDB => {
                let len = self.len::<4>()?;
                self.string(len)?;
            }
            0xDC => {
                let len = self.len::<2>()?;
                self.list(len)?;
            }
            0xDD => {
                let len = self.len::<4>()?;
                self.list(len)?;
            }
            0xDE => {
                let len = self.len::<2>()?;
                self.map(len)?;
            }
            0xDF => {
                let len = self.len::<4>()?;
                self.map(len)?;
            }
            0xC1 | 0xC4..=0xC9 | 0xD4..=0xD8 => return Err(Raise::text("Bad data format in input.")),
        }
        Ok(())
    }

    fn string(&mut self, len: usize) -> Answer<()> {
        let text = self.take(len)?;
        self.out.string(text);
        Ok(())
    }

    fn descend(&mut self, text: &'static str) -> Answer<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(Raise::text(text)) } else { Ok(()) }
    }

    fn list(&mut self, len: usize) -> Answer<()> {
        self.descend("stack overflow (in function mp_decode_to_lua_array)")?;
        self.out.list(len);
        (0..len).try_for_each(|_| self.value())?;
        self.depth -= 1;
        Ok(())
    }

    fn map(&mut self, len: usize) -> Answer<()> {
        self.descend(TOO_MANY)?;
        self.out.table(0, 0);
        for _ in 0..len {
            self.value()?;
            self.value()?;
        }
        self.out.end();
        self.depth -= 1;
        Ok(())
    }
}
