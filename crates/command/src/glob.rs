//! Glob patterns as Redis matches them.
//!
//! `*` any run of bytes, `?` one byte, `[abc]` `[a-z]` `[^a]` one byte of (not of) a class, `\` takes the next byte
//! literally. A class may end with the pattern; a range may be given backwards.

/// Patterns with more stars than this in a row of retries are cut off: the work for one match stays bounded.
const STEPS_MAX: usize = 10_000_000;

/// Whether `text` matches `pattern`. Linear in practice: a failed `*` backtracks only to the latest star.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    matches_with(pattern, text, |a, b| a == b)
}

/// Like [`matches`], ASCII case ignored.
pub fn matches_ignore_case(pattern: &[u8], text: &[u8]) -> bool {
    matches_with(pattern, text, |a, b| a.eq_ignore_ascii_case(&b))
}

fn matches_with(pattern: &[u8], text: &[u8], same: impl Fn(u8, u8) -> bool + Copy) -> bool {
    // As in the reference, stars stand for nothing only beside something.
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    // Where to resume after the latest star: pattern position after it, next text position to try.
    let mut star: Option<(usize, usize)> = None;
    for _ in 0..STEPS_MAX {
        if pattern.get(p) == Some(&b'*') {
            while pattern.get(p) == Some(&b'*') {
                p += 1;
            }
            if p == pattern.len() {
                return true;
            }
            star = Some((p, t));
            continue;
        }
        let step = match text.get(t) {
            Some(&byte) => match_one(&pattern[p..], byte, same),
            None => return p == pattern.len(),
        };
        match (step, star) {
            (Some(len), _) => {
                p += len;
                t += 1;
            }
            (None, Some((resume, from))) => {
                p = resume;
                t = from + 1;
                star = Some((resume, from + 1));
            }
            (None, None) => return false,
        }
    }
    false
}

/// Matches one byte against the head of `pattern`, which is not a star; the head's length when it matches.
fn match_one(pattern: &[u8], byte: u8, same: impl Fn(u8, u8) -> bool) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', ..] => {
            let (found, len) = match_class(pattern, byte, same);
            found.then_some(len)
        }
        [b'\\', escaped, ..] => same(*escaped, byte).then_some(2),
        [literal, ..] => same(*literal, byte).then_some(1),
    }
}

/// Matches one byte against the class at the start of `pattern`; the class's length.
fn match_class(pattern: &[u8], byte: u8, same: impl Fn(u8, u8) -> bool) -> (bool, usize) {
    let mut at = 1;
    let negated = pattern.get(at) == Some(&b'^');
    at += usize::from(negated);
    let mut found = false;
    loop {
        match &pattern[at..] {
            // An unclosed class ends with the pattern.
            [] => return (found != negated, at),
            [b']', ..] => return (found != negated, at + 1),
            [b'\\', escaped, ..] => {
                found |= same(*escaped, byte);
                at += 2;
            }
            [from, b'-', to, ..] => {
                let inside = |byte: u8| (*from.min(to)..=*from.max(to)).contains(&byte);
                found |= inside(byte)
                    || (same(b'a', b'A') && (inside(byte.to_ascii_lowercase()) || inside(byte.to_ascii_uppercase())));
                at += 3;
            }
            [literal, ..] => {
                found |= same(*literal, byte);
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let cases: &[(&str, &str, bool)] = &[
            ("*", "", false),
            ("", "", true),
            ("", "a", false),
            ("h?llo", "hello", true),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("a\\*c", "a*c", true),
            ("a\\*c", "abc", false),
            ("[ab", "a", true),
            ("[", "[", false),
            ("*a*b*c", "xxaxxbxxc", true),
            ("*a*b*c", "xxaxxcxxb", false),
            ("a**b", "ab", true),
            ("*?", "", false),
            ("user:*:x", "user:1:x", true),
        ];
        for &(pattern, text, expected) in cases {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
        assert!(matches_ignore_case(b"MAX*", b"maxmemory"));
        assert!(matches_ignore_case(b"[A-C]x", b"bX"));
    }

    #[test]
    fn nested_stars_are_bounded() {
        let pattern = b"*a".repeat(30);
        assert!(!matches(&pattern, &b"a".repeat(29)));
        assert!(matches(&pattern, &b"a".repeat(2000)));
    }
}
