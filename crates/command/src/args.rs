//! The cursor a handler parses its arguments with.

use crate::{CommandError, Key, number};
use kinovar_resp::Span;

/// What the reference sees of a word that it treats as a text of C: the bytes before the first NUL.
#[inline]
pub fn until_nul(word: &[u8]) -> &[u8] {
    let end = word.iter().position(|&byte| byte == 0);
    &word[..end.unwrap_or(word.len())]
}

/// The arguments of a command, its name (and its container's) already passed.
///
/// Arguments are ranges of the request buffer: taking one copies nothing. Indexes count from the command's name, as in
/// [`crate::KeySpec`].
#[derive(Clone, Copy)]
pub struct Args<'a> {
    buf: &'a [u8],
    spans: &'a [Span],
    at: usize,
    /// Keys that the dispatcher has hashed already, by ascending index.
    hashed: &'a [HashedKey],
}

/// What the dispatcher has computed of a key before the command runs.
#[derive(Clone, Copy, Debug)]
pub struct HashedKey {
    /// Which argument it is, counted from the command's name.
    pub index: u32,
    /// Its slot.
    pub slot: u16,
    /// Its hash.
    pub hash: u64,
}

impl HashedKey {
    /// Hashes the argument at `index`.
    #[inline]
    pub fn new(args: &Args<'_>, index: u32) -> Self {
        let Key { hash, slot, .. } = Key::new(args.at(index as usize));
        HashedKey { index, slot, hash }
    }

    /// The key, in the arguments that it was hashed from.
    #[inline]
    pub fn of<'a>(&self, args: &Args<'a>) -> Key<'a> {
        Key { name: args.at(self.index as usize), hash: self.hash, slot: self.slot }
    }
}

impl<'a> Args<'a> {
    /// All arguments, name included, as `spans` of `buf`; the cursor stands after the first `passed`.
    #[inline]
    pub fn new(buf: &'a [u8], spans: &'a [Span], passed: usize) -> Self {
        Args { buf, spans, at: passed, hashed: &[] }
    }

    /// The same arguments, the cursor after the first `passed`.
    #[inline]
    pub fn skipping(args: Args<'a>, passed: usize) -> Self {
        Args { at: passed, ..args }
    }

    /// The arguments that are left, as a call of their own: the first of them is the name.
    pub fn tail(self) -> Args<'a> {
        Args { spans: &self.spans[self.at..], at: 1, hashed: &[], ..self }
    }

    /// With keys that are hashed already, by ascending index.
    #[inline]
    pub fn with_hashed(self, hashed: &'a [HashedKey]) -> Self {
        Args { hashed, ..self }
    }

    /// The keys that are hashed already: all keys of the command, or none.
    #[inline]
    pub fn hashed(&self) -> &'a [HashedKey] {
        self.hashed
    }

    /// Number of arguments, the name included.
    #[inline]
    pub fn argc(&self) -> usize {
        self.spans.len()
    }

    /// The argument at `index`, counted from the name.
    #[inline]
    pub fn at(&self, index: usize) -> &'a [u8] {
        self.spans[index].of(self.buf)
    }

    /// The key at `index`, counted from the name.
    #[inline]
    pub fn key_at(&self, index: usize) -> Key<'a> {
        match self.hashed {
            [] => Key::new(self.at(index)),
            [only] if only.index as usize == index => only.of(self),
            hashed => self.search(hashed, index),
        }
    }

    fn search(&self, hashed: &[HashedKey], index: usize) -> Key<'a> {
        match hashed.binary_search_by_key(&index, |key| key.index as usize) {
            Ok(found) => hashed[found].of(self),
            Err(_) => Key::new(self.at(index)),
        }
    }

    /// Index of the next argument.
    #[inline]
    pub fn index(&self) -> usize {
        self.at
    }

    /// How many are left.
    #[inline]
    pub fn left(&self) -> usize {
        self.spans.len() - self.at
    }

    /// Whether none is left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.at == self.spans.len()
    }

    /// The next argument, not taken.
    #[inline]
    pub fn peek(&self) -> Option<&'a [u8]> {
        self.spans.get(self.at).map(|span| span.of(self.buf))
    }

    /// Takes the next argument; a syntax error when none is left.
    #[inline]
    pub fn take(&mut self) -> Result<&'a [u8], CommandError> {
        let arg = self.peek().ok_or(CommandError::Syntax)?;
        self.at += 1;
        Ok(arg)
    }

    /// Takes the next argument as a key.
    #[inline]
    pub fn key(&mut self) -> Result<Key<'a>, CommandError> {
        if self.is_empty() {
            return Err(CommandError::Syntax);
        }
        let key = self.key_at(self.at);
        self.at += 1;
        Ok(key)
    }

    /// Takes the next argument as an integer; [`CommandError::NotInteger`] when it is not one.
    #[inline]
    pub fn integer(&mut self) -> Result<i64, CommandError> {
        number::parse_i64(self.take()?).ok_or(CommandError::NotInteger)
    }

    /// Takes the next argument as a double; [`CommandError::NotFloat`] when it is not one, or is beyond the range of one.
    pub fn double(&mut self) -> Result<f64, CommandError> {
        let text = self.take()?;
        let value = number::parse_f64(text).filter(|value| !number::is_underflow(text, *value));
        value.ok_or(CommandError::NotFloat)
    }

    /// Takes the next argument if it is `word`, in any case.
    #[inline]
    pub fn accept(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
        self.at += usize::from(found);
        found
    }

    /// A syntax error when an argument is left.
    #[inline]
    pub fn finish(&self) -> Result<(), CommandError> {
        if self.is_empty() { Ok(()) } else { Err(CommandError::Syntax) }
    }

    /// The arguments that are left, in order.
    #[inline]
    pub fn rest(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + Clone + use<'a> {
        let buf = self.buf;
        self.spans[self.at..].iter().map(move |span| span.of(buf))
    }

    /// Takes the next argument, if there is one.
    ///
    /// Not an iterator's: an iterator has a `take` of its own, which would hide [`Args::take`].
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "see above")]
    pub fn next(&mut self) -> Option<&'a [u8]> {
        let arg = self.peek()?;
        self.at += 1;
        Some(arg)
    }
}
