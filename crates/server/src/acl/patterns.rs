//! Key patterns, prepared so that most of a hundred are dismissed at the price of a comparison each.

use kinovar_command::glob;
use std::collections::BTreeMap;

/// May read.
pub const READ: u8 = 1;
/// May write.
pub const WRITE: u8 = 2;

/// The key patterns of a selector, in the order in which they were added.
#[derive(Clone, Default, Debug)]
pub struct KeyPatterns {
    list: Vec<KeyPattern>,
    /// Where each stands, to find one of many.
    places: BTreeMap<Box<[u8]>, usize>,
}

/// One of them.
#[derive(Clone, Debug)]
struct KeyPattern {
    text: Box<[u8]>,
    /// [`READ`], [`WRITE`] or both.
    permits: u8,
    /// What the first bytes of a key must be, as far as the pattern says so; zeros otherwise.
    head: u64,
    /// Which bits of those count.
    mask: u64,
    shape: Shape,
}

/// How much of a pattern is plain text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    /// All.
    Literal,
    /// All but the star at the end.
    Prefix,
    /// Anything else.
    Glob,
}

impl KeyPattern {
    fn new(text: &[u8], permits: u8) -> KeyPattern {
        let plain = text.iter().position(|byte| b"*?[\\".contains(byte)).unwrap_or(text.len());
        let shape = match &text[plain..] {
            [] => Shape::Literal,
            [b'*'] => Shape::Prefix,
            _ => Shape::Glob,
        };
        let mask = match plain.min(8) {
            0 => 0,
            bytes => u64::MAX >> (64 - 8 * bytes),
        };
        KeyPattern { text: text.into(), permits, head: head_of(text) & mask, mask, shape }
    }

    #[inline]
    fn matches(&self, head: u64, key: &[u8]) -> bool {
        head & self.mask == self.head
            && match self.shape {
                Shape::Literal => *self.text == *key,
                Shape::Prefix => !key.is_empty() && key.starts_with(&self.text[..self.text.len() - 1]),
                Shape::Glob => glob::matches(&self.text, key),
            }
    }
}

/// The first eight bytes, with zeros behind a shorter text.
#[inline]
fn head_of(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => text.iter().rev().fold(0, |head, &byte| head << 8 | u64::from(byte)),
    }
}

impl KeyPatterns {
    /// Adds a pattern, or what it permits to one with the same text.
    pub fn add(&mut self, text: &[u8], permits: u8) {
        match self.places.get(text) {
            Some(&at) => self.list[at].permits |= permits,
            None => {
                self.places.insert(text.into(), self.list.len());
                self.list.push(KeyPattern::new(text, permits));
            }
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.list.clear();
        self.places.clear();
    }

    /// Whether one that permits all of `needed` matches. O(number of patterns).
    #[inline]
    pub fn permit(&self, key: &[u8], needed: u8) -> bool {
        let head = head_of(key);
        self.list.iter().any(|pattern| pattern.permits & needed == needed && pattern.matches(head, key))
    }

    /// Whether one that permits all of `needed` is just a star.
    pub fn permit_every_key(&self, needed: u8) -> bool {
        self.list.iter().any(|pattern| pattern.permits & needed == needed && *pattern.text == *b"*")
    }

    /// Each of them as a rule.
    pub fn rules(&self) -> impl Iterator<Item = Vec<u8>> {
        self.list.iter().map(|pattern| {
            let sign: &[u8] = match pattern.permits {
                READ => b"%R~",
                WRITE => b"%W~",
                _ => b"~",
            };
            [sign, &pattern.text].concat()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prepared_patterns_agree_with_the_matcher() {
        let patterns = [
            "",
            "*",
            "a",
            "a*",
            "ab*",
            "abcdefgh",
            "abcdefghi",
            "abcdefgh*",
            "abcdefghij*",
            "?",
            "a?",
            "*b",
            "a\\*",
            "[ab]*",
            "a[",
            "a*b*",
            "a\0",
            "a\0*",
        ];
        let keys = [
            "",
            "a",
            "ab",
            "abc",
            "b",
            "a*",
            "abcdefg",
            "abcdefgh",
            "abcdefghi",
            "abcdefghij",
            "a\0",
            "a\0b",
            "axb",
            "A",
        ];
        for pattern in patterns {
            let mut list = KeyPatterns::default();
            list.add(pattern.as_bytes(), READ);
            for key in keys {
                let expected = glob::matches(pattern.as_bytes(), key.as_bytes());
                assert_eq!(list.permit(key.as_bytes(), READ), expected, "{pattern:?} {key:?}");
                assert_eq!(list.permit(key.as_bytes(), 0), expected, "{pattern:?} {key:?}");
                assert!(!list.permit(key.as_bytes(), WRITE));
            }
        }
    }

    #[test]
    fn permissions_of_the_same_pattern_add_up() {
        let mut list = KeyPatterns::default();
        list.add(b"*", READ);
        assert!(list.permit_every_key(READ) && !list.permit_every_key(READ | WRITE));
        list.add(b"x", WRITE);
        list.add(b"*", WRITE);
        assert!(list.permit_every_key(READ | WRITE));
        assert_eq!(list.rules().collect::<Vec<_>>(), [b"~*".to_vec(), b"%W~x".to_vec()]);
    }
}
