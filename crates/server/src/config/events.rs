//! The classes of keyspace events as letters of `notify-keyspace-events`.

/// Event classes that have a letter, in the order in which they are shown.
const CLASSES: [(char, u32); 17] = [
    ('g', GENERIC),
    ('$', STRING),
    ('l', LIST),
    ('s', SET),
    ('h', HASH),
    ('z', ZSET),
    ('x', EXPIRED),
    ('e', EVICTED),
    ('t', STREAM),
    ('d', MODULE),
    ('n', NEW),
    ('o', OVERWRITTEN),
    ('c', TYPE_CHANGED),
    ('K', KEYSPACE),
    ('E', KEYEVENT),
    ('m', KEY_MISS),
    ('A', ALL),
];

/// Events are sent to `__keyspace@N__` channels.
pub const KEYSPACE: u32 = 1 << 0;
/// Events are sent to `__keyevent@N__` channels.
pub const KEYEVENT: u32 = 1 << 1;
/// Commands of any type: DEL, EXPIRE, RENAME …
pub const GENERIC: u32 = 1 << 2;
/// String commands.
pub const STRING: u32 = 1 << 3;
/// List commands.
pub const LIST: u32 = 1 << 4;
/// Set commands.
pub const SET: u32 = 1 << 5;
/// Hash commands.
pub const HASH: u32 = 1 << 6;
/// Sorted set commands.
pub const ZSET: u32 = 1 << 7;
/// A key expired.
pub const EXPIRED: u32 = 1 << 8;
/// A key was evicted.
pub const EVICTED: u32 = 1 << 9;
/// Stream commands.
pub const STREAM: u32 = 1 << 10;
/// A key that does not exist was read; not in [`ALL`].
pub const KEY_MISS: u32 = 1 << 11;
/// Module types.
pub const MODULE: u32 = 1 << 13;
/// A key was created; not in [`ALL`].
pub const NEW: u32 = 1 << 14;
/// A key was overwritten; not in [`ALL`].
pub const OVERWRITTEN: u32 = 1 << 15;
/// A key's type changed; not in [`ALL`].
pub const TYPE_CHANGED: u32 = 1 << 16;
/// What `A` stands for.
pub const ALL: u32 = GENERIC | STRING | LIST | SET | HASH | ZSET | EXPIRED | EVICTED | STREAM | MODULE;

/// The letters as the refusal of an unknown one lists them.
pub const LETTERS: &str = "Ag$lshzxeKEtmdn";

/// The flags that letters stand for, or `None` when one is unknown.
pub fn parse(letters: &str) -> Option<u32> {
    // As in C, a text ends at a zero byte.
    let letters = letters.split('\0').next().unwrap_or_default();
    letters.chars().try_fold(0, |flags, letter| {
        let (_, flag) = CLASSES.iter().find(|(l, _)| *l == letter)?;
        Some(flags | flag)
    })
}

/// The letters of flags, in one fixed order. Like the reference it leaves `n`, `o` and `c` out where it prints `A`.
pub fn show(flags: u32) -> String {
    let all = flags & ALL == ALL;
    let mut out = String::new();
    if all {
        out.push('A');
    }
    for (letter, flag) in CLASSES {
        let covered = all && (ALL | NEW | OVERWRITTEN | TYPE_CHANGED) & flag != 0;
        if letter != 'A' && flags & flag != 0 && !covered {
            out.push(letter);
        }
    }
    out
}
