//! `ACL LOG`: what was refused lately, newest first. What is refused again and again takes one entry.

use super::check::Reason;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Where something was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Context {
    /// A request.
    TopLevel,
    /// A request while a transaction is open, or a queued command.
    Multi,
    /// A command of a script or a function.
    Lua,
}

/// Something that was refused.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What it was about.
    pub reason: Reason,
    /// Where.
    pub context: Context,
    /// The command, key or channel.
    pub object: Vec<u8>,
    /// To whom.
    pub user: Vec<u8>,
    /// His connection, as `CLIENT LIST` shows it.
    pub client: Vec<u8>,
}

/// One entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What was refused.
    pub refused: Refused,
    /// How often.
    pub count: u64,
    /// Unique for the life of the server, rising.
    pub id: u64,
    /// When it was first refused, Unix ms.
    pub created_ms: u64,
    /// When it was last refused, Unix ms.
    pub updated_ms: u64,
}

/// A bounded log of them.
#[derive(Default)]
pub struct Log {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next_id: u64,
    entries: VecDeque<Entry>,
}

/// How many of the newest entries a refusal may be added to.
const ALIKE_AMONG: usize = 10;
/// How much later it may be, ms.
const ALIKE_WITHIN_MS: u64 = 60_000;

impl Entry {
    fn is_like(&self, refused: &Refused, now_ms: u64) -> bool {
        self.refused.reason == refused.reason
            && self.refused.context == refused.context
            && now_ms.abs_diff(self.updated_ms) <= ALIKE_WITHIN_MS
            && self.refused.object == refused.object
            && self.refused.user == refused.user
    }
}

impl Log {
    /// Adds a refusal; forgets the oldest entries beyond `len_max`.
    pub fn add(&self, refused: Refused, now_ms: u64, len_max: usize) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if len_max > 0 {
            let alike = inner.entries.iter().take(ALIKE_AMONG).position(|entry| entry.is_like(&refused, now_ms));
            if let Some(mut entry) = alike.and_then(|at| inner.entries.remove(at)) {
                entry.refused.client = refused.client;
                entry.updated_ms = now_ms;
                entry.count += 1;
                inner.entries.push_front(entry);
                return;
            }
            let id = inner.next_id;
            inner.next_id += 1;
            inner.entries.push_front(Entry { refused, count: 1, id, created_ms: now_ms, updated_ms: now_ms });
        }
        inner.entries.truncate(len_max);
    }

    /// The newest `count`.
    pub fn newest(&self, count: usize) -> Vec<Entry> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).entries.iter().take(count).cloned().collect()
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(object: &str) -> Refused {
        let (reason, context) = (Reason::Key, Context::TopLevel);
        Refused { reason, context, object: object.into(), user: b"u".to_vec(), client: b"c".to_vec() }
    }

    fn shown(log: &Log) -> Vec<(String, u64, u64)> {
        let shown =
            |entry: &Entry| (String::from_utf8_lossy(&entry.refused.object).into_owned(), entry.count, entry.id);
        log.newest(usize::MAX).iter().map(shown).collect()
    }

    #[test]
    fn the_same_again_is_one_entry() {
        let log = Log::default();
        log.add(refused("a"), 1000, 128);
        log.add(refused("b"), 1001, 128);
        log.add(refused("a"), 61_000, 128);
        assert_eq!(shown(&log), [("a".into(), 2, 0), ("b".into(), 1, 1)]);
        assert_eq!(log.newest(1)[0].updated_ms, 61_000);
        // Each time counts from the last one; too late is another entry.
        log.add(refused("a"), 121_001, 128);
        assert_eq!(shown(&log)[0], ("a".into(), 1, 2));
        log.add(Refused { context: Context::Lua, ..refused("a") }, 121_001, 128);
        log.add(Refused { reason: Reason::Channel, ..refused("a") }, 121_001, 128);
        log.add(Refused { user: b"v".to_vec(), ..refused("a") }, 121_001, 128);
        assert_eq!(log.newest(usize::MAX).len(), 6);
        // Only the newest are compared.
        (0..10).for_each(|n| log.add(refused(&n.to_string()), 121_002, 128));
        log.add(refused("a"), 121_003, 128);
        assert_eq!(shown(&log)[0].1, 1);
    }

    #[test]
    fn it_is_bounded() {
        let log = Log::default();
        (0..20).for_each(|n| log.add(refused(&n.to_string()), 0, 5));
        assert_eq!(shown(&log).iter().map(|entry| entry.2).collect::<Vec<_>>(), [19, 18, 17, 16, 15]);
        log.add(refused("x"), 0, 0);
        assert!(shown(&log).is_empty());
        log.add(refused("x"), 0, 5);
        assert_eq!(shown(&log)[0].2, 20);
        log.clear();
        assert!(shown(&log).is_empty());
    }
}
