//! Commands that took longer than `slowlog-log-slower-than`, newest first.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// One slow command.
#[derive(Clone, Debug)]
pub struct SlowCommand {
    /// Unique for the life of the server, from 0 on.
    pub id: u64,
    /// When it ended, Unix seconds.
    pub at_s: u64,
    /// How long it took, us.
    pub us: u64,
    /// Its arguments, shortened.
    pub args: Vec<Vec<u8>>,
    /// Who sent it.
    pub addr: String,
    /// What they call themselves.
    pub name: Vec<u8>,
}

/// A bounded log of them.
#[derive(Default)]
pub struct SlowLog {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next_id: u64,
    entries: VecDeque<SlowCommand>,
}

/// Most arguments, and bytes of an argument, that are kept.
const ARGS_MAX: usize = 32;
const ARG_BYTES_MAX: usize = 128;

impl SlowLog {
    /// Adds a command; forgets the oldest beyond `len_max`.
    pub fn push<'a>(
        &self,
        us: u64,
        args: impl ExactSizeIterator<Item = &'a [u8]>,
        addr: &str,
        name: Vec<u8>,
        len_max: usize,
    ) {
        let args = shorten(args);
        let at_s = kinovar_io::clock::unix_ms() / 1000;
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let id = inner.next_id;
        inner.next_id += 1;
        inner.entries.push_front(SlowCommand { id, at_s, us, args, addr: addr.to_owned(), name });
        inner.entries.truncate(len_max);
    }

    /// The newest `count`.
    pub fn newest(&self, count: usize) -> Vec<SlowCommand> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).entries.iter().take(count).cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).entries.clear();
    }
}

fn shorten<'a>(args: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let count = args.len();
    // The last kept place says how many more there were.
    let keep = if count > ARGS_MAX { ARGS_MAX - 1 } else { count };
    let mut kept: Vec<Vec<u8>> = args.take(keep).map(shorten_one).collect();
    if count > keep {
        kept.push(format!("... ({} more arguments)", count - keep).into_bytes());
    }
    kept
}

fn shorten_one(arg: &[u8]) -> Vec<u8> {
    if arg.len() <= ARG_BYTES_MAX {
        return arg.to_vec();
    }
    let mut kept = arg[..ARG_BYTES_MAX].to_vec();
    kept.extend_from_slice(format!("... ({} more bytes)", arg.len() - ARG_BYTES_MAX).as_bytes());
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_commands_are_shortened() {
        let log = SlowLog::default();
        let args: Vec<Vec<u8>> = (0..40).map(|n| vec![b'x'; n * 10]).collect();
        log.push(5, args.iter().map(Vec::as_slice), "a:1", Vec::new(), 2);
        for _ in 0..3 {
            log.push(6, [&b"PING"[..]].into_iter(), "a:1", Vec::new(), 2);
        }
        assert_eq!(log.len(), 2);
        assert_eq!(log.newest(9)[0].id, 3);
        let kept = shorten(args.iter().map(Vec::as_slice));
        assert_eq!(kept.len(), 32);
        assert_eq!(kept[31], b"... (9 more arguments)");
        assert!(kept[30].ends_with(b"... (172 more bytes)"));
    }
}
