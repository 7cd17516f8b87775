//! Command lines as redis-cli reads and prints them: quoting, escapes, and the way back.

/// Splits a line into arguments: blanks separate, `"…"` knows `\n \r \t \b \a \\ \" \xHH`, `'…'` only `\'`.
/// `None` when quotes do not match or a closing quote is not followed by a blank.
pub fn split(line: &str) -> Option<Vec<Vec<u8>>> {
    let bytes = line.as_bytes();
    let mut args = Vec::new();
    let mut at = 0;
    loop {
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        if at == bytes.len() {
            return Some(args);
        }
        let (arg, next) = argument(bytes, at)?;
        args.push(arg);
        at = next;
    }
}

fn argument(bytes: &[u8], mut at: usize) -> Option<(Vec<u8>, usize)> {
    let mut arg = Vec::new();
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b if b.is_ascii_whitespace() => break,
            b'"' | b'\'' => {
                at = quoted(bytes, at + 1, byte, &mut arg)?;
                return match bytes.get(at) {
                    Some(b) if !b.is_ascii_whitespace() => None,
                    _ => Some((arg, at)),
                };
            }
            b => arg.push(b),
        }
        at += 1;
    }
    Some((arg, at))
}

/// Reads up to the closing quote; returns the position behind it.
fn quoted(bytes: &[u8], mut at: usize, quote: u8, arg: &mut Vec<u8>) -> Option<usize> {
    loop {
        let byte = *bytes.get(at)?;
        if byte == quote {
            return Some(at + 1);
        }
        if byte != b'\\' || (quote == b'\'' && bytes.get(at + 1) != Some(&b'\'')) {
            arg.push(byte);
            at += 1;
            continue;
        }
        at = escape(bytes, at + 1, arg)?;
    }
}

fn escape(bytes: &[u8], at: usize, arg: &mut Vec<u8>) -> Option<usize> {
    let byte = *bytes.get(at)?;
    if byte == b'x' {
        let hex = bytes.get(at + 1..at + 3).and_then(|h| std::str::from_utf8(h).ok());
        if let Some(value) = hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            arg.push(value);
            return Some(at + 3);
        }
    }
    arg.push(match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    });
    Some(at + 1)
}

/// A string in double quotes with everything unprintable escaped, as redis-cli shows bulk strings.
pub fn quoted_text(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend(['\\', byte as char]),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            7 => out.push_str("\\a"),
            8 => out.push_str("\\b"),
            b if b.is_ascii_graphic() || b == b' ' => out.push(b as char),
            b => out.push_str(&format!("\\x{b:02x}")),
        }
    }
    out.push('"');
    out
}

/// One command line that [`split`] reads back into the same arguments.
pub fn join(args: &[Vec<u8>]) -> String {
    let plain = |b: &u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'\\');
    let word = |arg: &Vec<u8>| {
        if !arg.is_empty() && arg.iter().all(plain) && arg[0] != b'@' && arg[0] != b'#' {
            String::from_utf8_lossy(arg).into_owned()
        } else {
            quoted_text(arg)
        }
    };
    args.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// Arguments of a command written in code: plain words, blanks between, quoting as above.
pub fn words(line: &str) -> Vec<Vec<u8>> {
    split(line).expect("a command line in a test is well quoted")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_split_as_in_redis_cli() {
        assert_eq!(words(r#"SET "a\x00b" 'it\'s' ''"#), [&b"SET"[..], b"a\0b", b"it's", b""]);
        assert_eq!(split(r#"GET "a"#), None);
        assert_eq!(split(r#"GET "a"b"#), None);
    }

    #[test]
    fn joining_and_splitting_give_the_same() {
        let all: Vec<u8> = (0..=255).collect();
        let args = vec![b"SET".to_vec(), all, vec![], b"@x".to_vec(), b"a b".to_vec()];
        assert_eq!(split(&join(&args)), Some(args));
    }
}
