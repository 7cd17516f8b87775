//! A selector: commands, keys and channels that go together. A user has one of his own, and may have more.
//!
//! What it allows is kept twice. A bit for each command is what requests are checked against. Beside it stands the history of
//! rules that led to these bits, because that is what `ACL LIST` prints: later rules replace earlier ones of the same command
//! or category, and the order of the others stays, so that the text makes the same bits again, in a later version with more
//! commands too.

use super::catalog;
use super::patterns::{KeyPatterns, READ, WRITE};
use super::rules::{RuleError, has_blanks};
use crate::config::split_words;
use kinovar_command::registry::Entry;
use kinovar_command::{Access, Args, Flags, glob, until_nul};
use std::collections::{BTreeMap, BTreeSet};

/// Commands, keys and channels that go together.
#[derive(Clone, Debug)]
pub struct Selector {
    /// Every command, those to come included: nothing was taken away since `+@all`.
    all_commands: bool,
    /// Whether commands to come are allowed: the last of `+@all` and `-@all` was the first.
    is_open: bool,
    all_keys: bool,
    all_channels: bool,
    /// A bit for each command by its registry id.
    commands: Box<[u64]>,
    /// First arguments, in lower case, with which a command is allowed that is not allowed otherwise.
    first_args: BTreeMap<usize, BTreeSet<Vec<u8>>>,
    keys: KeyPatterns,
    channels: Vec<Box<[u8]>>,
    /// The same, to find one of many.
    known_channels: BTreeSet<Box<[u8]>>,
    /// The rules about commands since the last of `+@all` and `-@all`: the number of each, and whether it allows something.
    history: BTreeMap<Vec<u8>, (u64, bool)>,
    /// The number of the last of them.
    remembered: u64,
}

impl Selector {
    /// Allows nothing, but for all channels if `acl-pubsub-default` says so.
    pub fn new(all_channels: bool) -> Selector {
        Selector {
            all_commands: false,
            is_open: false,
            all_keys: false,
            all_channels,
            commands: vec![0; catalog::entries().len().div_ceil(64)].into(),
            first_args: BTreeMap::new(),
            keys: KeyPatterns::default(),
            channels: Vec::new(),
            known_channels: BTreeSet::new(),
            history: BTreeMap::new(),
            remembered: 0,
        }
    }

    /// A selector from a rule in parentheses. What is in them has the quotes of a configuration line; where these do not
    /// balance there is nothing in them.
    pub fn parse(rule: &[u8], all_channels: bool) -> Result<Selector, RuleError> {
        let mut selector = Selector::new(all_channels);
        let inner = &rule[1..rule.len().max(2) - 1];
        for word in split_words(inner).unwrap_or_default() {
            selector.apply(&word)?;
        }
        Ok(selector)
    }

    /// Applies a rule about commands, keys or channels.
    ///
    /// # Errors
    /// It is none, or does not fit what is there; nothing has changed.
    pub fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        // Patterns may not have a zero byte; to all other rules the text ends there.
        let text = until_nul(rule);
        let is = |word: &str| text.eq_ignore_ascii_case(word.as_bytes());
        if is("allkeys") || is("~*") {
            self.all_keys = true;
            self.keys.clear();
        } else if is("resetkeys") {
            self.all_keys = false;
            self.keys.clear();
        } else if is("allchannels") || is("&*") {
            self.set_channels(true);
        } else if is("resetchannels") {
            self.set_channels(false);
        } else if is("allcommands") || is("+@all") {
            self.set_all_commands(true);
        } else if is("nocommands") || is("-@all") {
            self.set_all_commands(false);
        } else {
            match text {
                [b'~' | b'%', ..] => return self.add_key_pattern(rule),
                [b'&', ..] => return self.add_channel(&rule[1..]),
                [b'+', b'@', name @ ..] => return self.set_category(name, true),
                [b'-', b'@', name @ ..] => return self.set_category(name, false),
                [b'+', name @ ..] => return self.allow(name),
                [b'-', name @ ..] => {
                    let entry = catalog::command(name).ok_or(RuleError::Unknown)?;
                    self.set_command(entry, false);
                    self.remember(entry.full_name.as_bytes(), false);
                }
                _ => return Err(RuleError::Syntax),
            }
        }
        Ok(())
    }

    /// Forgets the channels, and allows all of them or none.
    pub fn set_channels(&mut self, all: bool) {
        self.all_channels = all;
        self.channels.clear();
        self.known_channels.clear();
    }

    fn set_all_commands(&mut self, all: bool) {
        self.all_commands = all;
        self.is_open = all;
        self.commands.fill(if all { u64::MAX } else { 0 });
        self.first_args.clear();
        self.history.clear();
    }

    fn add_key_pattern(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::KeysBesideAll);
        }
        let (permits, pattern) = match rule {
            [b'%', rest @ ..] => split_permissions(rest).ok_or(RuleError::Syntax)?,
            _ => (READ | WRITE, &rule[1..]),
        };
        if has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        self.keys.add(pattern, permits);
        Ok(())
    }

    fn add_channel(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::ChannelsBesideAll);
        }
        if has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        if self.known_channels.insert(pattern.into()) {
            self.channels.push(pattern.into());
        }
        Ok(())
    }

    fn set_category(&mut self, name: &[u8], allow: bool) -> Result<(), RuleError> {
        let category = catalog::category(name).ok_or(RuleError::Unknown)?;
        self.remember(&[b"@", name].concat(), allow);
        catalog::of_category(category).for_each(|entry| self.set_command(entry, allow));
        Ok(())
    }

    /// Allows a command, or a subcommand, or what is not a subcommand but a first argument.
    fn allow(&mut self, name: &[u8]) -> Result<(), RuleError> {
        let Some(bar) = name.iter().rposition(|&byte| byte == b'|') else {
            let entry = catalog::command(name).ok_or(RuleError::Unknown)?;
            self.set_command(entry, true);
            self.remember(entry.full_name.as_bytes(), true);
            return Ok(());
        };
        let entry = catalog::command(&name[..bar]).ok_or(RuleError::Unknown)?;
        let argument = &name[bar + 1..];
        if entry.container.is_some() {
            return Err(RuleError::ArgumentOfSubcommand);
        }
        // One with blanks could not be read back. (The reference accepts it, and ends when it is to be shown.)
        if argument.is_empty() || has_blanks(argument) {
            return Err(RuleError::Syntax);
        }
        if entry.subcommands.is_empty() {
            self.first_args.entry(entry.id).or_default().insert(argument.to_ascii_lowercase());
        } else {
            self.set_command(catalog::command(name).ok_or(RuleError::Unknown)?, true);
        }
        self.remember(name, true);
        Ok(())
    }

    /// Allows or forbids a command with all of its subcommands, whatever the first argument.
    fn set_command(&mut self, entry: &Entry, allow: bool) {
        self.first_args.remove(&entry.id);
        for id in std::iter::once(entry.id).chain(entry.subcommands.iter().copied()) {
            let bit = 1 << (id % 64);
            if allow {
                self.commands[id / 64] |= bit;
            } else {
                self.commands[id / 64] &= !bit;
            }
        }
        self.all_commands &= allow;
    }

    /// Notes a rule about `name`, in the place of all that it makes void: those of the same name, and of what is part of it.
    fn remember(&mut self, name: &[u8], allow: bool) {
        let name = name.to_ascii_lowercase();
        let part = [&*name, b"|"].concat();
        let parts = self.history.range(part.clone()..).map(|(name, _)| name);
        let void: Vec<Vec<u8>> = parts.take_while(|name| name.starts_with(&part)).cloned().collect();
        void.iter().for_each(|name| {
            self.history.remove(name);
        });
        self.remembered += 1;
        self.history.insert(name, (self.remembered, allow));
    }
}

/// `RW~pattern`: the permissions, each once and in any case, and the pattern.
fn split_permissions(rule: &[u8]) -> Option<(u8, &[u8])> {
    let mut permits = 0;
    for (at, byte) in rule.iter().enumerate() {
        let permission = match byte.to_ascii_uppercase() {
            b'R' => READ,
            b'W' => WRITE,
            b'~' if permits != 0 => return Some((permits, &rule[at + 1..])),
            _ => return None,
        };
        if permits & permission != 0 {
            return None;
        }
        permits |= permission;
    }
    // Without a tilde the pattern is the empty one.
    (permits != 0).then_some((permits, &[]))
}

/// What is done to a key, as patterns permit it.
#[inline]
pub fn permissions_of(access: Access) -> u8 {
    let mut needed = 0;
    if access.has(Access::ACCESS) {
        needed |= READ;
    }
    if access.has(Access::INSERT) || access.has(Access::DELETE) || access.has(Access::UPDATE) {
        needed |= WRITE;
    }
    needed
}

/// What requests are checked against.
impl Selector {
    /// Whether nothing is forbidden.
    pub fn is_unrestricted(&self) -> bool {
        self.all_commands && self.all_keys && self.all_channels
    }

    /// Whether the command may be called. `args` is all of its words.
    #[inline]
    pub fn allows_command(&self, entry: &Entry, args: &Args<'_>) -> bool {
        self.all_commands
            || self.commands[entry.id / 64] >> (entry.id % 64) & 1 == 1
            || entry.command.flags.has(Flags::NO_AUTH)
            || !self.first_args.is_empty() && self.allows_first_arg(entry, args)
    }

    #[cold]
    fn allows_first_arg(&self, entry: &Entry, args: &Args<'_>) -> bool {
        let allowed = self.first_args.get(&entry.id).filter(|_| args.argc() > 1);
        allowed.is_some_and(|allowed| allowed.contains(&until_nul(args.at(1)).to_ascii_lowercase()))
    }

    /// Whether every key is allowed.
    #[inline]
    pub fn has_all_keys(&self) -> bool {
        self.all_keys
    }

    /// Whether this may be done to a key.
    #[inline]
    pub fn allows_key(&self, key: &[u8], access: Access) -> bool {
        self.all_keys || self.keys.permit(key, permissions_of(access))
    }

    /// Whether this may be done to any key.
    pub fn allows_every_key(&self, access: Access) -> bool {
        self.all_keys || self.keys.permit_every_key(permissions_of(access))
    }

    /// Whether every channel is allowed.
    #[inline]
    pub fn has_all_channels(&self) -> bool {
        self.all_channels
    }

    /// Whether a channel is allowed, or, literally, a pattern of channels.
    pub fn allows_channel(&self, name: &[u8], is_pattern: bool) -> bool {
        self.all_channels || is_channel_among(&self.channels, name, is_pattern)
    }

    /// The patterns of channels.
    pub fn channels(&self) -> &[Box<[u8]>] {
        &self.channels
    }
}

/// Whether a channel matches one of the patterns, or a pattern is one of them.
pub fn is_channel_among(patterns: &[Box<[u8]>], name: &[u8], is_pattern: bool) -> bool {
    patterns.iter().any(|allowed| match is_pattern {
        true => until_nul(name) == &**allowed,
        false => glob::matches(allowed, name),
    })
}

/// What is shown of it.
impl Selector {
    /// The rules about commands that make it again.
    pub fn command_rules(&self) -> Vec<u8> {
        let mut rules = if self.is_open { b"+@all".to_vec() } else { b"-@all".to_vec() };
        let mut history: Vec<_> = self.history.iter().map(|(name, (number, allow))| (number, allow, name)).collect();
        history.sort_unstable();
        for (_, allow, name) in history {
            rules.extend_from_slice(if *allow { b" +" } else { b" -" });
            rules.extend_from_slice(name);
        }
        rules
    }

    /// The rules about keys.
    pub fn key_rules(&self) -> Vec<u8> {
        if self.all_keys { b"~*".to_vec() } else { self.keys.rules().collect::<Vec<_>>().join(&b' ') }
    }

    /// The rules about channels.
    pub fn channel_rules(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        self.channels.iter().map(|pattern| [b"&", &**pattern].concat()).collect::<Vec<_>>().join(&b' ')
    }

    /// All rules that make it again, beginning with nothing.
    pub fn rules(&self) -> Vec<u8> {
        let mut rules = self.key_rules();
        let mut add = |more: &[u8]| {
            if !rules.is_empty() {
                rules.push(b' ');
            }
            rules.extend_from_slice(more);
        };
        if !self.all_channels {
            add(b"resetchannels");
        }
        match self.channel_rules() {
            channels if channels.is_empty() => {}
            channels => add(&channels),
        }
        add(&self.command_rules());
        rules
    }
}

#[cfg(test)]
#[path = "selector_tests.rs"]
mod tests;
