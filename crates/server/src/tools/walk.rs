//! Going through the commands of an append-only file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

/// Longest line with a number.
const NUMBER_LINE_MAX: usize = 127;
/// Longest note.
pub const NOTE_MAX: usize = 1023;
/// So much of a word is looked at at once.
const STEP: usize = 64 << 10;

/// What a command is for the whole.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It begins a transaction.
    Multi,
    /// It ends one.
    Exec,
    /// Any other.
    Other,
}

/// A place in a file, and what is wrong there.
pub struct Walk<'f> {
    input: BufReader<&'f File>,
    /// Where it is.
    pub at: u64,
    /// Lines seen.
    pub lines: u64,
    /// Where the last thing read began.
    pub last: u64,
    /// Where the last first word of a command began.
    pub last_word: u64,
    /// What is wrong, and where if that is to be said.
    pub error: Option<(String, Option<u64>)>,
    /// What the last line with a number has left behind: the reference shows it where a line is cut off.
    stale: [u8; NUMBER_LINE_MAX + 2],
}

impl<'f> Walk<'f> {
    /// A walk that begins at `start`; so many lines were seen before.
    ///
    /// # Errors
    /// The system's.
    pub fn begin(file: &'f File, start: u64, lines: u64) -> io::Result<Walk<'f>> {
        let mut input = BufReader::with_capacity(STEP, file);
        input.seek(SeekFrom::Start(start))?;
        Ok(Walk {
            input,
            at: start,
            lines,
            last: start,
            last_word: start,
            error: None,
            stale: [0; NUMBER_LINE_MAX + 2],
        })
    }

    /// The next byte.
    ///
    /// # Errors
    /// The system's.
    pub fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.input.fill_buf()?.first().copied())
    }

    /// A line with its end, or as much of it as there is, at most so many bytes.
    ///
    /// # Errors
    /// The system's.
    pub fn line(&mut self, max: usize) -> io::Result<Vec<u8>> {
        self.last = self.at;
        let mut line = Vec::new();
        (&mut self.input).take(max as u64).read_until(b'\n', &mut line)?;
        self.at += line.len() as u64;
        Ok(line)
    }

    /// Whether a note is whole: one that is cut off would swallow what is written behind it.
    pub fn is_whole(&mut self, line: &[u8], at: u64) -> bool {
        let is_whole = line.ends_with(b"\n");
        if !is_whole {
            self.error = Some(("Expected the end of an annotation".into(), Some(at)));
        }
        is_whole
    }

    /// The number in a line that begins with `mark`; `None` if there is none, which `error` may tell more of.
    fn number(&mut self, mark: u8) -> io::Result<Option<i64>> {
        let line = self.line(NUMBER_LINE_MAX)?;
        let Some(&first) = line.first() else { return Ok(None) };
        self.stale[..line.len()].copy_from_slice(&line);
        self.stale[line.len()] = 0;
        if first != mark {
            let (mark, first) = (char::from(mark), char::from(first));
            self.fail(format!("Expected prefix '{mark}', got: '{first}'"));
            return Ok(None);
        }
        let (number, end) = leading_number(&line[1..]);
        if !self.end_of_line(1 + end) {
            return Ok(None);
        }
        Ok(Some(number))
    }

    /// Whether the line that was read last ends after so many bytes.
    fn end_of_line(&mut self, at: usize) -> bool {
        let (a, b) = (self.stale[at], self.stale[at + 1]);
        let is_right = (a, b) == (b'\r', b'\n');
        if is_right {
            self.lines += 1;
        } else {
            self.fail(format!("Expected \\r\\n, got: {a:02x}{b:02x}"));
        }
        is_right
    }

    fn fail(&mut self, text: String) {
        self.error = Some((text, Some(self.last)));
    }

    /// A command; `None` if there is none, which `error` may tell more of.
    ///
    /// # Errors
    /// The system's.
    pub fn command(&mut self) -> io::Result<Option<Word>> {
        let Some(count) = self.number(b'*')? else { return Ok(None) };
        if count < 1 {
            // The reference's program lets this pass, and the server does not load it.
            self.fail(format!("Expected a command of one word at least, got {count}"));
            return Ok(None);
        }
        let mut word = Word::Other;
        for index in 0..count {
            let Some(len) = self.number(b'$')? else { return Ok(None) };
            let Some(text) = self.string(len)? else { return Ok(None) };
            if index == 0 {
                self.last_word = self.last;
                word = match text.to_ascii_lowercase().as_slice() {
                    b"multi" => Word::Multi,
                    b"exec" => Word::Exec,
                    _ => Word::Other,
                };
            }
        }
        Ok(Some(word))
    }

    /// The beginning of a word of so many bytes, which is passed.
    fn string(&mut self, len: i64) -> io::Result<Option<Vec<u8>>> {
        /// So much of it matters.
        const KEPT: usize = 16;
        if !(0..i64::MAX - 2).contains(&len) {
            self.fail(format!("Expected to read string of {len} bytes, which is not in the suitable range"));
            return Ok(None);
        }
        self.last = self.at;
        let wanted = len as u64 + 2;
        let (mut left, mut kept, mut end) = (wanted, Vec::new(), [0u8; 2]);
        while left > 0 {
            let chunk = self.input.fill_buf()?;
            if chunk.is_empty() {
                let got = wanted - left;
                self.at += got;
                self.fail(format!("Expected to read {wanted} bytes, got {got} bytes"));
                return Ok(None);
            }
            let step = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            for (index, &byte) in chunk[..step].iter().enumerate().skip(step.saturating_sub(2)) {
                // What comes last stays.
                if left - index as u64 <= 2 {
                    end[2 - (left - index as u64) as usize] = byte;
                }
            }
            let room = KEPT.min(len as usize).saturating_sub(kept.len());
            kept.extend_from_slice(&chunk[..step.min(room)]);
            self.input.consume(step);
            left -= step as u64;
        }
        self.at += wanted;
        if end != *b"\r\n" {
            self.fail(format!("Expected \\r\\n, got: {:02x}{:02x}", end[0], end[1]));
            return Ok(None);
        }
        self.lines += 1;
        // A longer word is none of those that matter.
        if len as usize > KEPT {
            kept.clear();
        }
        Ok(Some(kept))
    }
}

/// The number at the beginning, as far as it can be represented, and where it ends.
pub fn leading_number(text: &[u8]) -> (i64, usize) {
    let spaces = text.iter().take_while(|byte| b" \t\r\n\x0b\x0c".contains(byte)).count();
    let sign = usize::from(text.get(spaces).is_some_and(|byte| b"+-".contains(byte)));
    let negative = sign == 1 && text[spaces] == b'-';
    let digits = text[spaces + sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return (0, 0);
    }
    let end = spaces + sign + digits;
    let number = text[spaces + sign..end].iter().fold(0i64, |number, &digit| {
        let digit = i64::from(digit - b'0');
        number.saturating_mul(10).saturating_add(if negative { -digit } else { digit })
    });
    (number, end)
}
