//! A user: whether he may come in, by which passwords, and what he may do.

use super::rules::{RuleError, join_selectors};
use super::selector::Selector;
use crate::config::quote_into;
use kinovar_command::until_nul;
use sha2::{Digest as _, Sha256};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use subtle::{Choice, ConstantTimeEq};

/// SHA-256 of a password: all that is kept of it.
type Digest = [u8; 32];

/// A user as he is at one moment. A change makes another one with the same [`id`](User::id).
#[derive(Clone, Debug)]
pub struct User {
    /// What he is called.
    pub name: Box<[u8]>,
    /// Whose changes this is one of: a user of the same name that is made after this one was deleted is somebody else.
    pub id: u64,
    is_on: bool,
    needs_no_password: bool,
    /// `skip-sanitize-payload`. Payloads are checked in any case, as it costs next to nothing; so it is only kept and shown.
    skips_sanitizing: bool,
    passwords: Vec<Digest>,
    /// The first is his own.
    selectors: Vec<Selector>,
}

impl User {
    /// A user who may do nothing, but for all channels if `acl-pubsub-default` says so.
    pub fn new(name: &[u8], all_channels: bool) -> User {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        User {
            name: name.into(),
            id: NEXT_ID.fetch_add(1, Relaxed),
            is_on: false,
            needs_no_password: false,
            skips_sanitizing: false,
            passwords: Vec::new(),
            selectors: vec![Selector::new(all_channels)],
        }
    }

    /// The default user of a server where nobody has said anything about users: he may do everything, without a password.
    pub fn default_user() -> User {
        let mut user = User::new(b"default", true);
        for rule in ["on", "nopass", "~*", "&*", "+@all"] {
            user.apply(rule.as_bytes(), true).expect("each of them is a rule");
        }
        user
    }

    /// Applies one rule. `all_channels` is what `acl-pubsub-default` says.
    ///
    /// # Errors
    /// It is none, or does not fit what is there; nothing has changed.
    pub fn apply(&mut self, rule: &[u8], all_channels: bool) -> Result<(), RuleError> {
        let text = until_nul(rule);
        let is = |word: &str| text.eq_ignore_ascii_case(word.as_bytes());
        if rule.is_empty() {
            return Ok(());
        }
        if is("on") {
            self.is_on = true;
        } else if is("off") {
            self.is_on = false;
        } else if is("nopass") {
            self.needs_no_password = true;
            self.passwords.clear();
        } else if is("resetpass") {
            self.needs_no_password = false;
            self.passwords.clear();
        } else if is("skip-sanitize-payload") {
            self.skips_sanitizing = true;
        } else if is("sanitize-payload") {
            self.skips_sanitizing = false;
        } else if is("clearselectors") {
            self.selectors.truncate(1);
        } else if is("reset") {
            *self = User { name: self.name.clone(), id: self.id, ..User::new(b"", all_channels) };
        } else {
            match rule {
                [b'>', password @ ..] => self.add_password(digest_of(password)),
                [b'#', digits @ ..] => self.add_password(parse_digest(digits)?),
                [b'<', password @ ..] => return self.remove_password(digest_of(password)),
                [b'!', digits @ ..] => return self.remove_password(parse_digest(digits)?),
                [b'(', .., b')'] => self.selectors.push(Selector::parse(rule, all_channels)?),
                _ => return self.selectors[0].apply(rule),
            }
        }
        Ok(())
    }

    /// Applies rules in order, those of selectors spread over several words.
    ///
    /// # Errors
    /// What is wrong with the first that cannot be applied, with the words of the error reply.
    pub fn apply_all<'a>(
        &mut self,
        words: impl IntoIterator<Item = &'a [u8], IntoIter: Clone>,
        all_channels: bool,
    ) -> Result<(), Vec<u8>> {
        let mut words = words.into_iter();
        let rules = join_selectors(words.clone()).map_err(|index| {
            let word = words.nth(index).unwrap_or_default();
            [b"Unmatched parenthesis in acl selector starting at '", until_nul(word), b"'."].concat()
        })?;
        for rule in rules {
            self.apply(&rule, all_channels).map_err(|error| {
                [b"Error in ACL SETUSER modifier '", until_nul(&rule), b"': ", error.text().as_bytes()].concat()
            })?;
        }
        Ok(())
    }

    /// What `requirepass` asks for: this one password, or none.
    pub fn require_password(&mut self, password: &[u8]) {
        self.passwords.clear();
        self.needs_no_password = password.is_empty();
        if !password.is_empty() {
            self.add_password(digest_of(password));
        }
    }

    fn add_password(&mut self, digest: Digest) {
        if !self.passwords.contains(&digest) {
            self.passwords.push(digest);
        }
        self.needs_no_password = false;
    }

    fn remove_password(&mut self, digest: Digest) -> Result<(), RuleError> {
        let at = self.passwords.iter().position(|known| *known == digest).ok_or(RuleError::NoSuchPassword)?;
        self.passwords.remove(at);
        Ok(())
    }

    /// Whether he may come in with this password. How long it takes to find out says nothing about the passwords.
    pub fn lets_in(&self, password: &[u8]) -> bool {
        if !self.is_on {
            return false;
        }
        if self.needs_no_password {
            return true;
        }
        let digest = digest_of(password);
        let same = self.passwords.iter().fold(Choice::from(0), |same, known| same | known.ct_eq(&digest));
        same.into()
    }

    /// Whether he is enabled.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether any password is right.
    pub fn needs_no_password(&self) -> bool {
        self.needs_no_password
    }

    /// Whether nothing is forbidden to him.
    pub fn is_unrestricted(&self) -> bool {
        self.selectors.iter().any(Selector::is_unrestricted)
    }

    /// What he may do: his own selector, then the others.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// The words that say whether and how he comes in.
    pub fn flags(&self) -> impl ExactSizeIterator<Item = &'static str> {
        let state = if self.is_on { "on" } else { "off" };
        let payload = if self.skips_sanitizing { "skip-sanitize-payload" } else { "sanitize-payload" };
        let words: Vec<&str> =
            if self.needs_no_password { vec![state, "nopass", payload] } else { vec![state, payload] };
        words.into_iter()
    }

    /// Digests of his passwords in hexadecimal digits.
    pub fn passwords(&self) -> impl ExactSizeIterator<Item = String> {
        self.passwords.iter().map(|digest| hex(digest))
    }

    /// The rules that make him again, beginning with nothing.
    pub fn rules(&self) -> Vec<u8> {
        let mut rules = Vec::new();
        for flag in self.flags() {
            rules.extend_from_slice(flag.as_bytes());
            rules.push(b' ');
        }
        for password in self.passwords() {
            rules.extend_from_slice(format!("#{password} ").as_bytes());
        }
        let (own, others) = self.selectors.split_first().expect("everybody has one of his own");
        rules.extend_from_slice(&own.rules());
        for selector in others {
            rules.extend_from_slice(b" (");
            rules.extend_from_slice(&selector.rules());
            rules.push(b')');
        }
        rules
    }

    /// He as `ACL LIST` shows him.
    pub fn line(&self) -> Vec<u8> {
        [b"user ", &*self.name, b" ", &self.rules()].concat()
    }

    /// The line of a file of users that makes him. The rules of selectors are read with quotes, so those that have some are
    /// quoted themselves; the reference loses these selectors.
    pub fn file_line(&self) -> Vec<u8> {
        let own = User { selectors: self.selectors[..1].to_vec(), ..self.clone() };
        let mut line = own.line();
        for selector in &self.selectors[1..] {
            line.extend_from_slice(b" (");
            line.extend_from_slice(&quoted(&selector.rules(), true));
            line.push(b')');
        }
        line
    }

    /// The line of a configuration that makes him.
    pub fn config_line(&self) -> Vec<u8> {
        quoted(&self.file_line(), false)
    }

    /// The patterns of channels that are left to those who listen, where not all are and something was taken away from what
    /// `old` allowed.
    pub fn channels_left(&self, old: &User) -> Option<Vec<Box<[u8]>>> {
        if self.selectors.iter().any(Selector::has_all_channels) {
            return None;
        }
        let left: Vec<Box<[u8]>> = self.selectors.iter().flat_map(Selector::channels).cloned().collect();
        let loses = |selector: &Selector| {
            selector.has_all_channels() || selector.channels().iter().any(|pattern| !left.contains(pattern))
        };
        old.selectors.iter().any(loses).then_some(left)
    }
}

/// Words with quotes around those that could not be read otherwise; in a selector, one that seems to end it is among them.
fn quoted(line: &[u8], in_selector: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, word) in line.split(|&byte| byte == b' ').enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        let ends_selector = in_selector && word.ends_with(b")");
        if word.is_empty() || ends_selector || word.iter().any(|byte| b"\"'".contains(byte)) {
            quote_into(&mut out, word);
        } else {
            out.extend_from_slice(word);
        }
    }
    out
}

fn digest_of(password: &[u8]) -> Digest {
    Sha256::digest(password).into()
}

/// 64 hexadecimal digits, in lower case.
fn parse_digest(digits: &[u8]) -> Result<Digest, RuleError> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(RuleError::BadDigest),
    };
    if digits.len() != 64 {
        return Err(RuleError::BadDigest);
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(digest)
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "user_tests.rs"]
mod tests;
