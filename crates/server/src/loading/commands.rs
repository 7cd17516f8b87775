//! Finding the commands in an append-only file.
//!
//! The file is a sequence of arrays of bulk strings. Between them may be lines that begin with `#`: notes such as `#TS:1700000000`,
//! which say when what follows was written. What is not complete can be the beginning of something: the file was cut off there. That is
//! another matter than bytes that cannot be the beginning of anything.

use kinovar_resp::Span;

/// Longest line, with its end.
const LINE_MAX: usize = 1024;

/// What is at some place of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A command, which ends before this place.
    Command(usize),
    /// A note, which does.
    Note(usize),
    /// The beginning of either.
    Incomplete,
}

/// Neither a command nor a note, nor the beginning of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadFormat;

/// Looks at what is at `at`; the words of a command are added to `spans`. The buffer is smaller than 4 GiB.
///
/// # Errors
/// The bytes cannot be right, whatever follows.
pub fn step(buf: &[u8], at: usize, spans: &mut Vec<Span>) -> Result<Step, BadFormat> {
    match buf.get(at) {
        None => Ok(Step::Incomplete),
        Some(b'#') => Ok(match line_end(buf, at)? {
            Some(end) => Step::Note(end),
            None => Step::Incomplete,
        }),
        Some(b'*') => {
            let first = spans.len();
            let step = command(buf, at, spans);
            if !matches!(step, Ok(Step::Command(_))) {
                spans.truncate(first);
            }
            step
        }
        Some(_) => Err(BadFormat),
    }
}

fn command(buf: &[u8], at: usize, spans: &mut Vec<Span>) -> Result<Step, BadFormat> {
    let Some((count, mut at)) = number_line(buf, at)? else { return Ok(Step::Incomplete) };
    if count < 1 {
        return Err(BadFormat);
    }
    for _ in 0..count {
        match buf.get(at) {
            None => return Ok(Step::Incomplete),
            Some(b'$') => {}
            Some(_) => return Err(BadFormat),
        }
        let Some((len, start)) = number_line(buf, at)? else { return Ok(Step::Incomplete) };
        let left = (buf.len() - start) as u64;
        if left < len {
            return Ok(Step::Incomplete);
        }
        let end = start + len as usize;
        match &buf[end..buf.len().min(end + 2)] {
            b"\r\n" => {}
            b"" | b"\r" => return Ok(Step::Incomplete),
            _ => return Err(BadFormat),
        }
        spans.push(Span { start: start as u32, len: len as u32 });
        at = end + 2;
    }
    Ok(Step::Command(at))
}

/// The number in a line of one mark and digits, and where the next line begins; `None` if the line does not end here.
fn number_line(buf: &[u8], at: usize) -> Result<Option<(u64, usize)>, BadFormat> {
    let mut number: u64 = 0;
    for place in at + 1.. {
        match buf.get(place) {
            None => return Ok(None),
            Some(digit @ b'0'..=b'9') => {
                let digit = u64::from(digit - b'0');
                number = number.checked_mul(10).and_then(|number| number.checked_add(digit)).ok_or(BadFormat)?;
            }
            Some(b'\r') if place > at + 1 => {
                return match buf.get(place + 1) {
                    None => Ok(None),
                    Some(b'\n') => Ok(Some((number, place + 2))),
                    Some(_) => Err(BadFormat),
                };
            }
            Some(_) => return Err(BadFormat),
        }
        if place - at > LINE_MAX {
            return Err(BadFormat);
        }
    }
    Ok(None)
}

/// Where the line ends that begins at `at`; `None` if it does not end here.
fn line_end(buf: &[u8], at: usize) -> Result<Option<usize>, BadFormat> {
    let window = &buf[at..buf.len().min(at + LINE_MAX - 1)];
    match window.iter().position(|&byte| byte == b'\n') {
        Some(len) => Ok(Some(at + len + 1)),
        None if window.len() == LINE_MAX - 1 => Err(BadFormat),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"*2\r\n$3\r\nDEL\r\n$4\r\na\r\nb\r\n#TS:12\r\n*1\r\n$0\r\n\r\n";

    #[test]
    fn commands_and_notes_are_found() {
        let mut spans = Vec::new();
        assert_eq!(step(TEXT, 0, &mut spans), Ok(Step::Command(23)));
        let words: Vec<_> = spans.iter().map(|span| span.of(TEXT)).collect();
        assert_eq!(words, [&b"DEL"[..], b"a\r\nb"]);
        assert_eq!(step(TEXT, 23, &mut spans), Ok(Step::Note(31)));
        assert_eq!(step(TEXT, 31, &mut spans), Ok(Step::Command(TEXT.len())));
        assert_eq!(step(TEXT, TEXT.len(), &mut spans), Ok(Step::Incomplete));
        assert_eq!(spans.len(), 3);
    }

    #[test]
    fn every_beginning_is_the_beginning_of_something() {
        for (from, to) in [(0, 23), (23, 31), (31, TEXT.len())] {
            for end in from..to {
                let mut spans = Vec::new();
                assert_eq!(step(&TEXT[..end], from, &mut spans), Ok(Step::Incomplete), "{end}");
                assert!(spans.is_empty());
            }
        }
        // What is announced need not come, and costs nothing.
        assert_eq!(step(b"*99999999999\r\n$1\r\na\r\n", 0, &mut Vec::new()), Ok(Step::Incomplete));
        assert_eq!(step(b"*1\r\n$18446744073709551615\r\na", 0, &mut Vec::new()), Ok(Step::Incomplete));
    }

    #[test]
    fn other_bytes_are_refused() {
        let long = [b"#", &[b'x'; LINE_MAX][..]].concat();
        for text in [
            &b"SET a b\r\n"[..],
            b"*0\r\n",
            b"*-1\r\n",
            b"*x\r\n",
            b"*\r\n",
            b"*1\n",
            b"*1\rx",
            b"*1\r\n:1\r\n",
            b"*1\r\n$x\r\n",
            b"*1\r\n$-1\r\n",
            b"*1\r\n$1\r\nabc",
            b"*1\r\n$1\r\na\rx",
            b"*1\r\n$99999999999999999999\r\n",
            b"\0",
            &long,
        ] {
            assert_eq!(step(text, 0, &mut Vec::new()), Err(BadFormat), "{}", text.escape_ascii());
        }
    }
}
