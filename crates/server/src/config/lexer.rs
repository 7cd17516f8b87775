//! The words of a configuration line, by the quoting rules that redis.conf files are written in.
//!
//! A word is plain (ends at white space), `"double quoted"` with the escapes `\n \r \t \b \a \\ \" \xHH` (any other escaped
//! character stands for itself), or `'single quoted'` where only `\'` is an escape. A closing quote must be followed by white
//! space or the end, so that `"a"b` is an error rather than a guess.

/// Splits a line into its words, or `None` when the quotes do not balance. O(n).
pub fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start_wide();
        if rest.is_empty() {
            return Some(words);
        }
        let (word, after) = next_word(rest)?;
        words.push(word);
        rest = after;
    }
}

/// Redis counts a vertical tab as white space too, the standard library's ASCII trimming does not.
trait TrimWide {
    fn trim_ascii_start_wide(&self) -> &[u8];
}

impl TrimWide for [u8] {
    fn trim_ascii_start_wide(&self) -> &[u8] {
        let start = self.iter().position(|&b| !is_space(b)).unwrap_or(self.len());
        &self[start..]
    }
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// Reads one word from a text that does not start with white space; a quote may also open in the middle of a word.
fn next_word(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            b'"' => return double_quoted(word, after),
            b'\'' => return single_quoted(word, after),
            b if is_space(b) || b == 0 => break,
            b => word.push(b),
        }
        rest = after;
    }
    // A zero byte ends the whole line, as it does where lines are C strings.
    Some((word, if rest.first() == Some(&0) { &[] } else { rest }))
}

fn double_quoted(mut word: Vec<u8>, mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    loop {
        match rest {
            [b'"', after @ ..] => return ends_word(after).then_some((word, after)),
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                word.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            [b'\\', escaped, after @ ..] => {
                word.push(unescape(*escaped));
                rest = after;
            }
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
}

fn single_quoted(mut word: Vec<u8>, mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    loop {
        match rest {
            [b'\'', after @ ..] => return ends_word(after).then_some((word, after)),
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                rest = after;
            }
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
}

fn ends_word(after_quote: &[u8]) -> bool {
    after_quote.first().is_none_or(|&b| is_space(b))
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

fn unescape(escaped: u8) -> u8 {
    match escaped {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

/// Appends `text` to `out` as a double-quoted word that [`split_words`] reads back to the same bytes.
pub fn quote_into(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'\\' | b'"' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0x07 => out.extend(b"\\a"),
            0x08 => out.extend(b"\\b"),
            0x20..=0x7e => out.push(byte),
            other => out.extend(format!("\\x{other:02x}").bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<&[&str]>) {
        let got = split_words(line.as_bytes());
        let expected = expected.map(|words| words.iter().map(|w| w.as_bytes().to_vec()).collect::<Vec<_>>());
        assert_eq!(got, expected, "line {line:?}");
    }

    #[test]
    fn words_of_a_line() {
        check("", Some(&[]));
        check(" \t ", Some(&[]));
        check("save 900 1", Some(&["save", "900", "1"]));
        check("a\x0bb", Some(&["a", "b"]));
        check(r#"x "" ''"#, Some(&["x", "", ""]));
        check(r#""a\x41\n\q\t\\z""#, Some(&["aA\nq\t\\z"]));
        check(r#""\xg1""#, Some(&["xg1"]));
        check(r"'a\'b\n'", Some(&[r"a'b\n"]));
        check(r#"ab"cd" e"#, Some(&["abcd", "e"]));
        check(r#""a"b"#, None);
        check("'a'b", None);
        check(r#""a"#, None);
        check("'a", None);
        check("a\0b c", Some(&["a"]));
    }

    #[test]
    fn quoting_is_undone_by_splitting() {
        let every: Vec<u8> = (0..=255).collect();
        let mut line = Vec::new();
        quote_into(&mut line, &every);
        assert!(line.is_ascii());
        assert_eq!(split_words(&line), Some(vec![every]));
    }
}
