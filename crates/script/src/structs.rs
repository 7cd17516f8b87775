//! The library `struct`: numbers and strings as the bytes of a C structure
//! (<http://www.inf.puc-rio.br/~roberto/struct/>).
//!
//! | option | what it stands for |
//! |---|---|
//! | `>` `<` | big, little endian from here on |
//! | `!n` | alignment of at most n bytes from here on (8) |
//! | `b` `B` | signed, unsigned byte |
//! | `h` `H` | two bytes |
//! | `l` `L` `T` | eight bytes |
//! | `in` `In` | n bytes (4) |
//! | `f` `d` | float, double |
//! | `s` | string with a NUL behind it |
//! | `cn` | n bytes of a string (1); of `c0`, all, and the number before it is the length when unpacking |
//! | `x` | a zero byte |
//! | space | nothing |

use mlua::{Result, Table};

use crate::native::{Answer, Natives, Raise, Switchboard};
use crate::number::to_c_integer;
use crate::options::{as_number, until_nul};
use crate::values::{Reader, Value, Writer};

/// Largest size of an integer.
const INTEGER_MAX: usize = 32;
/// What `!` alone aligns to.
const ALIGNMENT: usize = 8;

/// A table of the library's functions.
pub(crate) fn library(natives: &Natives<'_>, board: &Switchboard) -> Result<Table> {
    let table = natives.lua.create_table()?;
    table.raw_set("pack", natives.ported(board, 0, pack)?)?;
    table.raw_set("unpack", natives.ported(board, 0, unpack)?)?;
    table.raw_set("size", natives.ported(board, 0, size)?)?;
    Ok(table)
}

/// Reads a format, and remembers what it has set.
struct Format<'a> {
    rest: &'a [u8],
    big_endian: bool,
    alignment: usize,
}

/// One option.
#[derive(Clone, Copy)]
struct Field {
    option: u8,
    /// Bytes it takes; 0 if that depends on the value.
    size: usize,
}

impl<'a> Format<'a> {
    fn new(text: &'a [u8]) -> Format<'a> {
        Format { rest: until_nul(text), big_endian: cfg!(target_endian = "big"), alignment: 1 }
    }

    fn field(&mut self) -> Answer<Option<Field>> {
        let Some((&option, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let size = match option {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'f' => 4,
            b'c' => self.number(1)?,
            b'i' | b'I' => {
                let size = self.number(4)?;
                if size > INTEGER_MAX {
                    let text = format!("integral size {size} is larger than limit of {INTEGER_MAX}");
                    return Err(Raise::text(text));
                }
                size
            }
            _ => 0,
        };
        Ok(Some(Field { option, size }))
    }

    fn number(&mut self, default: usize) -> Answer<usize> {
        let len = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if len == 0 {
            return Ok(default);
        }
        let (digits, rest) = self.rest.split_at(len);
        self.rest = rest;
        let value =
            digits.iter().try_fold(0i32, |value, &digit| value.checked_mul(10)?.checked_add(i32::from(digit - b'0')));
        value.map(|value| value as usize).ok_or_else(|| Raise::text("integral size overflow"))
    }

    /// Bytes to skip before `field` at `position`.
    fn padding(&self, position: usize, field: Field) -> usize {
        if field.size == 0 || field.option == b'c' {
            return 0;
        }
        // Sizes that are no power of two are aligned as the original does: by their bits.
        let size = field.size.min(self.alignment);
        size.wrapping_sub(position & (size - 1)) & (size - 1)
    }

    /// An option that stands for no value.
    fn control(&mut self, option: u8) -> Answer<()> {
        match option {
            b' ' => {}
            b'>' => self.big_endian = true,
            b'<' => self.big_endian = false,
            b'!' => {
                let alignment = self.number(ALIGNMENT)?;
                if !alignment.is_power_of_two() {
                    return Err(Raise::text(format!("alignment {alignment} is not a power of 2")));
                }
                self.alignment = alignment;
            }
            _ => return Err(Raise::argument(1, [b"invalid format option '", &[option][..], b"'"].concat())),
        }
        Ok(())
    }
}

/// Arguments by number.
struct Arguments<'a> {
    values: Vec<Value<'a>>,
    /// What is said of one that is missing.
    missing: &'static str,
}

impl<'a> Arguments<'a> {
    fn wrong(&self, number: usize, expected: &str) -> Raise {
        let got = self.values.get(number - 1).map_or(self.missing, Value::type_name);
        Raise::argument(number as u32, format!("{expected} expected, got {got}"))
    }

    fn number(&self, number: usize) -> Answer<f64> {
        self.values.get(number - 1).and_then(|&value| as_number(value)).ok_or_else(|| self.wrong(number, "number"))
    }

    /// `digits` is where a number becomes a text.
    fn text<'b>(&self, number: usize, digits: &'b mut Vec<u8>) -> Answer<&'b [u8]>
    where
        'a: 'b,
    {
        let value = self.values.get(number - 1).copied().unwrap_or(Value::Nil);
        digits.clear();
        crate::redis::text(value, digits).ok_or_else(|| self.wrong(number, "string"))
    }
}

fn pack(args: Reader<'_>, out: &mut Writer) -> Answer<()> {
    let mut args = Arguments { values: args.collect(), missing: "no value" };
    let mut digits = Vec::new();
    let mut format = Format::new(args.text(1, &mut digits)?);
    // The reference has put something behind the arguments by now.
    args.missing = "nil";
    let mut bytes = Vec::new();
    let mut next = 2;
    let mut text = Vec::new();
    while let Some(field) = format.field()? {
        bytes.resize(bytes.len() + format.padding(bytes.len(), field), 0);
        match field.option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let value = integer_bits(args.number(next)?);
                push_integer(&mut bytes, value, field.size, format.big_endian);
                next += 1;
            }
            b'x' => bytes.push(0),
            b'f' => {
                let value = args.number(next)? as f32;
                push_ordered(&mut bytes, value.to_le_bytes(), format.big_endian);
                next += 1;
            }
            b'd' => {
                push_ordered(&mut bytes, args.number(next)?.to_le_bytes(), format.big_endian);
                next += 1;
            }
            b'c' | b's' => {
                let value = args.text(next, &mut text)?;
                next += 1;
                let size = if field.size == 0 { value.len() } else { field.size };
                if value.len() < size {
                    return Err(Raise::argument(next as u32, "string too short"));
                }
                bytes.extend_from_slice(&value[..size]);
                if field.option == b's' {
                    bytes.push(0);
                }
            }
            option => format.control(option)?,
        }
    }
    out.string(&bytes);
    Ok(())
}

/// What the reference's processor makes of a number that it casts to 64 bits.
fn integer_bits(number: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if number >= HALF { (to_c_integer(number - HALF) as u64) ^ (1 << 63) } else { to_c_integer(number) as u64 }
}

fn push_integer(out: &mut Vec<u8>, value: u64, size: usize, big_endian: bool) {
    let byte = |i: usize| if i < 8 { (value >> (8 * i)) as u8 } else { 0 };
    if big_endian {
        out.extend((0..size).rev().map(byte));
    } else {
        out.extend((0..size).map(byte));
    }
}

fn push_ordered<const N: usize>(out: &mut Vec<u8>, mut bytes: [u8; N], big_endian: bool) {
    if big_endian {
        bytes.reverse();
    }
    out.extend_from_slice(&bytes);
}

/// Values that are unpacked, of which the last may turn out to be a length.
enum Unpacked<'a> {
    Number(f64),
    Text(&'a [u8]),
}

fn unpack(args: Reader<'_>, out: &mut Writer) -> Answer<()> {
    let args = Arguments { values: args.collect(), missing: "no value" };
    let (mut digits, mut text) = (Vec::new(), Vec::new());
    let mut format = Format::new(args.text(1, &mut digits)?);
    let data = args.text(2, &mut text)?;
    let start = match args.values.get(2) {
        None | Some(Value::Nil) => 1,
        Some(_) => args.number(3)? as i64,
    };
    if start == 0 {
        return Err(Raise::argument(3, "offset must be 1 or greater"));
    }
    // Before the start is far behind the end.
    let mut position = start as usize - 1;
    let mut values: Vec<Unpacked<'_>> = Vec::new();
    let too_short = || Raise::argument(2, "data string too short");
    while let Some(field) = format.field()? {
        position = position.saturating_add(format.padding(position, field));
        let mut size = field.size;
        let rest = data.get(position..).filter(|rest| size <= rest.len()).ok_or_else(too_short)?;
        if values.len() >= RESULTS_MAX {
            return Err(Raise::text("stack overflow (too many results)"));
        }
        match field.option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let signed = field.option.is_ascii_lowercase();
                values.push(Unpacked::Number(integer(&rest[..size], signed, format.big_endian)));
            }
            b'x' => {}
            b'f' => {
                let bytes = ordered::<4>(rest, format.big_endian);
                values.push(Unpacked::Number(f64::from(f32::from_le_bytes(bytes))));
            }
            b'd' => values.push(Unpacked::Number(f64::from_le_bytes(ordered(rest, format.big_endian)))),
            b'c' => {
                if size == 0 {
                    let length = match values.pop() {
                        Some(Unpacked::Number(number)) => Some(number),
                        Some(Unpacked::Text(text)) => crate::strtod::whole(text),
                        None => None,
                    };
                    let length = length.ok_or_else(|| Raise::text("format 'c0' needs a previous size"))?;
                    size = usize::try_from(integer_bits(length)).unwrap_or(usize::MAX);
                }
                values.push(Unpacked::Text(rest.get(..size).ok_or_else(too_short)?));
            }
            b's' => {
                let end = rest.iter().position(|&byte| byte == 0);
                let end = end.ok_or_else(|| Raise::text("unfinished string in data"))?;
                values.push(Unpacked::Text(&rest[..end]));
                size = end + 1;
            }
            option => format.control(option)?,
        }
        position += size;
    }
    for value in values {
        match value {
            Unpacked::Number(number) => out.number(number),
            Unpacked::Text(text) => out.string(text),
        }
    }
    out.number(position.wrapping_add(1) as i64 as f64);
    Ok(())
}

/// Values that a function can return.
const RESULTS_MAX: usize = 7990;

fn integer(bytes: &[u8], signed: bool, big_endian: bool) -> f64 {
    let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let value = if big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) };
    if !signed {
        return value as f64;
    }
    // Shifts are modulo 64 where the reference runs, which matters for more than eight bytes.
    let sign = u64::MAX.wrapping_shl((bytes.len() as u32 * 8).wrapping_sub(1));
    (if value & sign != 0 { value | sign } else { value }) as i64 as f64
}

fn ordered<const N: usize>(bytes: &[u8], big_endian: bool) -> [u8; N] {
    let mut ordered: [u8; N] = bytes[..N].try_into().expect("the field's size was checked");
    if big_endian {
        ordered.reverse();
    }
    ordered
}

fn size(args: Reader<'_>, out: &mut Writer) -> Answer<()> {
    let args = Arguments { values: args.collect(), missing: "no value" };
    let mut digits = Vec::new();
    let mut format = Format::new(args.text(1, &mut digits)?);
    let mut position = 0usize;
    while let Some(field) = format.field()? {
        position += format.padding(position, field);
        match field.option {
            b's' => return Err(Raise::argument(1, "option 's' has no fixed size")),
            b'c' if field.size == 0 => return Err(Raise::argument(1, "option 'c0' has no fixed size")),
            option if option.is_ascii_alphanumeric() => {}
            option => format.control(option)?,
        }
        position += field.size;
    }
    out.number(position as f64);
    Ok(())
}
