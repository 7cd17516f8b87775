//! What rules have in common: why one is refused, and words that belong together.

use kinovar_command::until_nul;
use std::borrow::Cow;

/// Why a rule is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleError {
    /// Not a rule, or one with blanks where there must be none.
    Syntax,
    /// No such command or category.
    Unknown,
    /// A key pattern where every key is allowed.
    KeysBesideAll,
    /// A channel pattern where every channel is allowed.
    ChannelsBesideAll,
    /// A password to be removed that is not there.
    NoSuchPassword,
    /// Not a digest in hexadecimal digits.
    BadDigest,
    /// A first argument of a subcommand.
    ArgumentOfSubcommand,
    /// A second declaration of a user in the configuration.
    DuplicateUser,
    /// A selector that does not end, in the configuration.
    OpenSelector,
}

impl RuleError {
    /// As clients and logs are told.
    pub fn text(self) -> &'static str {
        match self {
            RuleError::Syntax => "Syntax error",
            RuleError::Unknown => "Unknown command or category name in ACL",
            RuleError::KeysBesideAll => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try \
                 'resetkeys' to start with an empty list of patterns"
            }
            RuleError::ChannelsBesideAll => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. \
                 Try 'resetchannels' to start with an empty list of channels"
            }
            RuleError::NoSuchPassword => "The password you are trying to remove from the user does not exist",
            RuleError::BadDigest => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
            }
            RuleError::ArgumentOfSubcommand => "Allowing first-arg of a subcommand is not supported",
            RuleError::DuplicateUser => "Duplicate user found. A user can only be defined once in config files",
            RuleError::OpenSelector => "Wrong format",
        }
    }
}

/// Whether blanks, or a zero byte, are in a word that must be one.
pub fn has_blanks(word: &[u8]) -> bool {
    word.iter().any(|byte| matches!(byte, b' ' | b'\t'..=b'\r' | 0))
}

/// Joins the words of each selector in parentheses; the others stay as they are.
///
/// # Errors
/// The index of a word that opens a selector which nothing closes.
pub fn join_selectors<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Cow<'a, [u8]>>, usize> {
    let mut rules: Vec<Cow<'a, [u8]>> = Vec::new();
    let mut open: Option<(usize, Vec<u8>)> = None;
    for (index, word) in words.into_iter().enumerate() {
        match &mut open {
            None if word.starts_with(b"(") && !word.ends_with(b")") => open = Some((index, word.to_vec())),
            None => rules.push(Cow::Borrowed(word)),
            Some((_, selector)) => {
                selector.push(b' ');
                selector.extend_from_slice(until_nul(word));
                if word.ends_with(b")")
                    && let Some((_, selector)) = open.take()
                {
                    rules.push(Cow::Owned(selector));
                }
            }
        }
    }
    match open {
        Some((index, _)) => Err(index),
        None => Ok(rules),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_joined() {
        let joined = |words: &[&str]| {
            let rules = join_selectors(words.iter().map(|word| word.as_bytes()));
            rules.map(|rules| rules.iter().map(|rule| String::from_utf8_lossy(rule).into_owned()).collect::<Vec<_>>())
        };
        let expect = |rules: &[&str]| Ok(rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>());
        assert_eq!(joined(&["on", "(a", "b", "c)", "~x", "(y)"]), expect(&["on", "(a b c)", "~x", "(y)"]));
        assert_eq!(joined(&["on", "(a", "(b", "", "c)"]), expect(&["on", "(a (b  c)"]));
        assert_eq!(joined(&["x)", ")", ""]), expect(&["x)", ")", ""]));
        assert_eq!(joined(&["on", "("]), Err(1));
        assert_eq!(joined(&["(a)", "(a", "b"]), Err(1));
    }

    #[test]
    fn blanks() {
        for word in [" ", "a b", "a\t", "\n", "\x0b", "\x0c", "\r", "\0"] {
            assert!(has_blanks(word.as_bytes()), "{word:?}");
        }
        assert!(!has_blanks(b"a~*\xff"));
    }
}
