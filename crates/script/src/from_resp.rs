//! Replies of commands as Lua values.
//!
//! | reply | Lua |
//! |---|---|
//! | `:` integer | number |
//! | `$` bulk string | string |
//! | `+` status | table with `ok` |
//! | `-` error | table with `err` |
//! | `*` array, `>` push | list |
//! | `$-1`, `*-1` | false |
//! | `_` null | nil |
//! | `#` boolean | boolean |
//! | `,` double | table with `double` |
//! | `%` map | table with `map`, itself a table |
//! | `~` set | table with `set`, whose keys are the elements |
//! | `(` big number | table with `big_number` |
//! | `=` verbatim string | table with `verbatim_string`: `format`, `string` |

use kinovar_resp::number::parse_i64;

use crate::values::Writer;

/// A reply that our own commands have not written.
const WELL_FORMED: &str = "replies of commands are complete";

/// The line of an error reply, without its mark.
#[inline]
pub(crate) fn error_line(reply: &[u8]) -> Option<&[u8]> {
    let line = reply.strip_prefix(b"-")?;
    Some(line.strip_suffix(b"\r\n").unwrap_or(line))
}

/// Writes the value of `reply`, the spelling of one reply in RESP2 or RESP3.
pub(crate) fn write(reply: &[u8], out: &mut Writer) {
    let rest = value(reply, out);
    debug_assert!(rest.is_empty(), "a command writes one reply");
}

/// The table that an error becomes. It has been counted as such where it arose.
pub(crate) fn write_error(line: &[u8], out: &mut Writer) {
    out.table(0, 0);
    out.string(b"err");
    out.string(line);
    out.string(b"ignore_error_stats_update");
    out.boolean(true);
    out.end();
}

fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\r').expect(WELL_FORMED);
    (&bytes[..end], &bytes[end + 2..])
}

fn header(bytes: &[u8]) -> (i64, &[u8]) {
    let (digits, rest) = line(bytes);
    (parse_i64(digits).expect(WELL_FORMED), rest)
}

/// Writes the first value of `reply`; returns what follows it.
fn value<'a>(reply: &'a [u8], out: &mut Writer) -> &'a [u8] {
    let (mark, bytes) = reply.split_first().expect(WELL_FORMED);
    match mark {
        b':' => {
            let (number, rest) = header(bytes);
            out.number(number as f64);
            rest
        }
        b'$' => match header(bytes) {
            (..0, rest) => {
                out.boolean(false);
                rest
            }
            (len, rest) => {
                out.string(&rest[..len as usize]);
                &rest[len as usize + 2..]
            }
        },
        b'+' => {
            let (text, rest) = line(bytes);
            field(out, b"ok", |out| out.string(text));
            rest
        }
        b'-' => {
            let (text, rest) = line(bytes);
            write_error(text, out);
            rest
        }
        b'*' | b'>' => match header(bytes) {
            (..0, rest) => {
                out.boolean(false);
                rest
            }
            (count, rest) => {
                out.list(count as usize);
                (0..count).fold(rest, |rest, _| value(rest, out))
            }
        },
        b'_' => {
            out.nil();
            line(bytes).1
        }
        b'#' => {
            let (text, rest) = line(bytes);
            out.boolean(text == b"t");
            rest
        }
        b',' => {
            let (text, rest) = line(bytes);
            field(out, b"double", |out| out.number(double(text)));
            rest
        }
        b'%' => {
            let (count, mut rest) = header(bytes);
            field(out, b"map", |out| {
                out.table(0, count as usize);
                (0..2 * count).for_each(|_| rest = value(rest, out));
                out.end();
            });
            rest
        }
        b'~' => {
            let (count, mut rest) = header(bytes);
            field(out, b"set", |out| {
                out.table(0, count as usize);
                (0..count).for_each(|_| {
                    rest = value(rest, out);
                    out.boolean(true);
                });
                out.end();
            });
            rest
        }
        b'(' => {
            let (text, rest) = line(bytes);
            field(out, b"big_number", |out| out.string(text));
            rest
        }
        b'=' => {
            let (len, rest) = header(bytes);
            let (text, after) = rest.split_at(len as usize);
            field(out, b"verbatim_string", |out| {
                out.table(0, 0);
                out.string(b"string");
                out.string(&text[4..]);
                out.string(b"format");
                out.string(&text[..3]);
                out.end();
            });
            &after[2..]
        }
        _ => unreachable!("{WELL_FORMED}"),
    }
}

/// A table with one field.
fn field(out: &mut Writer, name: &[u8], value: impl FnOnce(&mut Writer)) {
    out.table(0, 0);
    out.string(name);
    value(out);
    out.end();
}

fn double(text: &[u8]) -> f64 {
    match text {
        b"nan" | b"-nan" => f64::NAN,
        text => kinovar_resp::number::parse_f64(text).expect(WELL_FORMED),
    }
}
