//! From a request to its locks: what every caller of a handler (a connection, a transaction, a script, a test) does first.

use crate::registry::{Entry, Unresolved};
use crate::{Args, CommandError, Ctx, Flags, HashedKey, KeyAt, KeySpec, Lock, Protocol, Registry, Reply, until_nul};
use kinovar_keyspace::{Db, Env, Keyspace, Locked, Unavailable};

/// Memory for finding keys, reused from command to command.
#[derive(Default)]
pub struct KeyScratch {
    keys: Vec<KeyAt>,
    partitions: Vec<usize>,
}

/// Finds the command that `args` calls and checks the number of its arguments.
#[inline]
pub fn resolve<'r>(registry: &'r Registry, args: &Args<'_>) -> Result<&'r Entry, CommandError> {
    let entry = registry.resolve(args).map_err(|unresolved| unknown(registry, args, &unresolved))?;
    entry.check_arity(args.argc())?;
    // A container called without a subcommand: its arity demands one, unless it stands for itself, as COMMAND does.
    Ok(entry)
}

/// Locks what the command needs.
///
/// # Errors
/// A script has it and keeps everybody waiting.
pub fn lock<'k>(
    entry: &Entry,
    args: &Args<'_>,
    keyspace: &'k Keyspace,
    scratch: &mut KeyScratch,
) -> Result<Locked<'k>, Unavailable> {
    let locked = match entry.command.lock {
        Lock::Keys => match entry.single_key() {
            Some((index, _)) if index < args.argc() => {
                keyspace.lock_one_or_give_up(keyspace.partition_of(&args.key_at(index)))
            }
            _ => lock_keys(entry, args, keyspace, scratch),
        },
        Lock::All => keyspace.lock_all_or_give_up(),
        Lock::None | Lock::Walk => Some(Locked::None),
    };
    locked.ok_or(Unavailable)
}

/// Runs one command without connection or server, for tests: resolves it, locks its keys, calls it, and writes the error to
/// `out` if that is what comes of it. The command, if `args` call one. Commands declared by the server crate panic here.
pub fn run_alone<'r>(
    registry: &'r Registry,
    keyspace: &Keyspace,
    db: u32,
    env: Env<'_>,
    protocol: Protocol,
    args: Args<'_>,
    out: &mut Vec<u8>,
) -> Option<&'r Entry> {
    let (entry, outcome) = match resolve(registry, &args) {
        Err(error) => (None, Err(error)),
        Ok(entry) => {
            let args = Args::skipping(args, entry.name_words());
            let locked = lock(entry, &args, keyspace, &mut KeyScratch::default()).expect("no script runs");
            let mut ctx = Ctx {
                db: Db::new(keyspace, locked, db, env),
                reply: Reply::new(out, protocol),
                registry,
                session: &mut (),
                server: &(),
                may_wait: false,
                reaches_every_key: true,
                waiting: None,
            };
            (Some(entry), (entry.command.handler)(&mut ctx, args))
        }
    };
    if let Err(error) = outcome {
        out.clear();
        Reply::new(out, protocol).error(&error.message());
    }
    entry
}

/// The keys of a call, or that its arguments do not say where they are.
pub enum EntryKeys {
    /// A count of keys that is not a number, or not the number of keys there are; or no keys where there must be some.
    Invalid,
    /// Their places.
    Found(Vec<KeyAt>),
}

impl EntryKeys {
    /// Finds the keys of a call of `entry`.
    pub fn of(entry: &Entry, args: &Args<'_>) -> EntryKeys {
        let mut keys = Vec::new();
        // As in the reference, what the specifications say counts here, where it is all there is to say.
        match entry.command.keys {
            specs if specs.iter().all(KeySpec::is_complete) => {
                specs.iter().for_each(|spec| spec.find(*args, &mut keys))
            }
            _ => entry.keys(*args, &mut keys),
        }
        let may_be_none = entry.command.flags.has(Flags::NO_MANDATORY_KEYS);
        let is_valid = entry.counts_are_valid(args) && (may_be_none || !keys.is_empty());
        if is_valid { EntryKeys::Found(keys) } else { EntryKeys::Invalid }
    }
}

fn lock_keys<'k>(
    entry: &Entry,
    args: &Args<'_>,
    keyspace: &'k Keyspace,
    scratch: &mut KeyScratch,
) -> Option<Locked<'k>> {
    if let Some(all) = keyspace.lock_all_if_cheap() {
        return Some(all);
    }
    scratch.partitions.clear();
    if args.hashed().is_empty() {
        scratch.keys.clear();
        entry.keys(*args, &mut scratch.keys);
        let partitions = scratch.keys.iter().map(|key| keyspace.partition_of(&args.key_at(key.index as usize)));
        scratch.partitions.extend(partitions);
    } else {
        scratch.partitions.extend(args.hashed().iter().map(|key| keyspace.partition_of_slot(key.slot)));
    }
    keyspace.lock_many_or_give_up(&mut scratch.partitions)
}

/// Hashes the keys of a call of `entry` to the end of `hashed`, by ascending index.
pub fn hash_keys(entry: &Entry, args: &Args<'_>, scratch: &mut KeyScratch, hashed: &mut Vec<HashedKey>) {
    scratch.keys.clear();
    entry.keys(*args, &mut scratch.keys);
    // Nearly always so: only key finders may go back and forth.
    if !scratch.keys.is_sorted_by_key(|key| key.index) {
        scratch.keys.sort_unstable_by_key(|key| key.index);
    }
    hashed.extend(scratch.keys.iter().map(|key| HashedKey::new(args, key.index)));
}

/// Longest quotation of a client's own words in an error, bytes.
const QUOTED_MAX: usize = 128;

/// At most `max` bytes of a word.
fn printable(word: &[u8], max: usize) -> &[u8] {
    until_nul(&word[..word.len().min(max)])
}

#[cold]
fn unknown(registry: &Registry, args: &Args<'_>, unresolved: &Unresolved) -> CommandError {
    let quote = |word: &[u8]| printable(word, QUOTED_MAX).to_vec();
    let mut text = Vec::new();
    match unresolved {
        Unresolved::Subcommand(container) => {
            text.extend_from_slice(b"ERR unknown subcommand '");
            text.extend_from_slice(&quote(args.at(1)));
            let name = registry.entries()[*container].command.name.to_ascii_uppercase();
            text.extend_from_slice(format!("'. Try {name} HELP.").as_bytes());
        }
        Unresolved::Command => {
            text.extend_from_slice(b"ERR unknown command '");
            text.extend_from_slice(&quote(args.at(0)));
            text.extend_from_slice(b"', with args beginning with: ");
            let mut quoted = 0;
            for index in 1..args.argc() {
                if quoted >= QUOTED_MAX {
                    break;
                }
                let word = args.at(index);
                let word = printable(word, QUOTED_MAX - quoted);
                text.push(b'\'');
                text.extend_from_slice(word);
                text.extend_from_slice(b"' ");
                quoted += word.len() + 3;
            }
        }
    }
    CommandError::Bytes(text)
}
