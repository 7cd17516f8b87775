//! Whether a user may do what a request asks for, and in which words it is refused.
//!
//! One selector has to allow all of it: the command, every key and every channel. Where none does, the refusal is about what
//! came nearest: a channel rather than a key, a key rather than the command.

use super::selector::Selector;
use super::user::User;
use kinovar_command::registry::Entry;
use kinovar_command::{Access, Args, Begin, Channels, CommandError, KeyAt, until_nul};
use std::cell::RefCell;

/// What is refused. The order is that in which selectors are compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reason {
    /// The command.
    Command,
    /// A key.
    Key,
    /// To come in.
    Auth,
    /// A channel.
    Channel,
}

/// A refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Denial {
    /// What is refused.
    pub reason: Reason,
    /// Which of the words it is about; 0 for the command.
    pub at: usize,
}

thread_local! {
    /// Keys of the request that is checked.
    static KEYS: RefCell<Vec<KeyAt>> = const { RefCell::new(Vec::new()) };
}

/// Whether the user may do this. `args` is all words of the request.
///
/// # Errors
/// He may not.
pub fn check(user: &User, entry: &Entry, args: &Args<'_>) -> Result<(), Denial> {
    let mut nearest = Denial { reason: Reason::Command, at: 0 };
    for selector in user.selectors() {
        match check_one(selector, entry, args) {
            Ok(()) => return Ok(()),
            Err(denial) if (denial.reason, denial.at) > (nearest.reason, nearest.at) => nearest = denial,
            Err(_) => {}
        }
    }
    Err(nearest)
}

/// Whether the user may do this, and what the command does to keys, to any key.
pub fn reaches_every_key(user: &User, entry: &Entry, args: &Args<'_>) -> bool {
    let allows = |selector: &Selector| {
        check_one(selector, entry, args).is_ok() && selector.allows_every_key(Access::NONE.access())
    };
    user.selectors().iter().any(allows)
}

/// Whether a command may read keys besides those that can be found among its words.
#[inline]
pub fn names_keys_by_pattern(entry: &Entry) -> bool {
    entry.command.keys.iter().any(|spec| matches!(spec.begin, Begin::Unknown))
}

fn check_one(selector: &Selector, entry: &Entry, args: &Args<'_>) -> Result<(), Denial> {
    if !selector.allows_command(entry, args) {
        return Err(Denial { reason: Reason::Command, at: 0 });
    }
    if !selector.has_all_keys() {
        check_keys(selector, entry, args)?;
    }
    if !selector.has_all_channels() && entry.command.channels != Channels::None {
        check_channels(selector, entry, args)?;
    }
    Ok(())
}

fn check_keys(selector: &Selector, entry: &Entry, args: &Args<'_>) -> Result<(), Denial> {
    let allow = |at: usize, access: Access| match selector.allows_key(args.at(at), access) {
        true => Ok(()),
        false => Err(Denial { reason: Reason::Key, at }),
    };
    match entry.single_key() {
        Some((at, access)) if !access.has(Access::VARIABLE_FLAGS) => {
            if at < args.argc() {
                allow(at, access)?;
            }
            Ok(())
        }
        None if !entry.has_keys() => Ok(()),
        _ => KEYS.with_borrow_mut(|keys| {
            keys.clear();
            entry.guarded_keys(*args, keys);
            keys.iter().try_for_each(|key| allow(key.index as usize, key.access))
        }),
    }
}

fn check_channels(selector: &Selector, entry: &Entry, args: &Args<'_>) -> Result<(), Denial> {
    let (first, end, is_pattern) = match entry.command.channels {
        Channels::None => return Ok(()),
        Channels::First => (1, 2.min(args.argc()), false),
        Channels::All => (1, args.argc(), false),
        Channels::Patterns => (1, args.argc(), true),
    };
    for at in first..end {
        if !selector.allows_channel(args.at(at), is_pattern) {
            return Err(Denial { reason: Reason::Channel, at });
        }
    }
    Ok(())
}

impl Denial {
    /// The error of a command that is refused.
    pub fn error(self, user: &User, entry: &Entry) -> CommandError {
        CommandError::Bytes([b"NOPERM ", &*self.text(user, entry)].concat())
    }

    /// In words that name no key and no channel.
    pub fn text(self, user: &User, entry: &Entry) -> Vec<u8> {
        match self.reason {
            Reason::Key => b"No permissions to access a key".to_vec(),
            Reason::Channel => b"No permissions to access a channel".to_vec(),
            Reason::Command | Reason::Auth => {
                let head: &[u8] = b"User ";
                let tail = format!(" has no permissions to run the '{}' command", entry.full_name);
                [head, &*user.name, tail.as_bytes()].concat()
            }
        }
    }

    /// In words for somebody who may know.
    pub fn full_text(self, user: &User, entry: &Entry, args: &Args<'_>) -> Vec<u8> {
        let kind = match self.reason {
            Reason::Key => "key",
            Reason::Channel => "channel",
            Reason::Command | Reason::Auth => return self.text(user, entry),
        };
        let (head, middle): (&[u8], &[u8]) = (b"User ", b" has no permissions to access the '");
        [head, &*user.name, middle, args.at(self.at), b"' ", kind.as_bytes()].concat()
    }

    /// The error of a queued command that was allowed when it was queued.
    pub fn error_in_transaction(self) -> CommandError {
        let reason = match self.reason {
            Reason::Command => "no permission to execute the command or subcommand",
            Reason::Key => "no permission to touch the specified keys",
            Reason::Channel => "no permission to access one of the channels used as arguments",
            Reason::Auth => "no permission",
        };
        CommandError::owned(format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is \
             no longer allowed for the following reason: {reason}"
        ))
    }

    /// What the log shows as its object.
    pub fn object<'a>(self, entry: &'a Entry, args: &Args<'a>) -> &'a [u8] {
        match self.reason {
            Reason::Command | Reason::Auth => until_nul(entry.full_name.as_bytes()),
            Reason::Key | Reason::Channel => args.at(self.at),
        }
    }
}
