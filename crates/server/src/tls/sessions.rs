//! Sessions that clients may resume, as `tls-session-cache-size` and `-timeout` allow.

use kinovar_io::clock;
use rustls::server::StoresServerSessions;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// The cache. Its lock is taken once or twice in a handshake, and never by anything else.
#[derive(Debug)]
pub struct Sessions {
    /// 0: no limit.
    size: usize,
    timeout_ms: u64,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// What was put in, and when, Unix ms.
    sessions: HashMap<Vec<u8>, (u64, Vec<u8>)>,
    /// Keys in the order in which they came, with that time; some may be gone or newer. It is what the size is a limit of.
    order: VecDeque<(u64, Vec<u8>)>,
}

impl Sessions {
    /// At most `size` sessions (0: any number), each for `timeout_s` seconds.
    pub fn new(size: usize, timeout_s: u64) -> Sessions {
        Sessions { size, timeout_ms: timeout_s.saturating_mul(1000), held: Mutex::default() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Held, u64) -> T) -> T {
        let now_ms = clock::unix_ms();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |held: &Held| self.size > 0 && held.order.len() > self.size;
        let done = work(&mut held, now_ms);
        while let Some((at_ms, _)) = held.order.front()
            && (now_ms.saturating_sub(*at_ms) >= self.timeout_ms || is_full(&held))
        {
            let (at_ms, key) = held.order.pop_front().expect("it was looked at a moment ago");
            if held.sessions.get(&key).is_some_and(|(other_ms, _)| *other_ms == at_ms) {
                held.sessions.remove(&key);
            }
        }
        done
    }

    fn is_fresh(&self, at_ms: u64, now_ms: u64) -> bool {
        now_ms.saturating_sub(at_ms) < self.timeout_ms
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.with(|held, now_ms| {
            held.order.push_back((now_ms, key.clone()));
            held.sessions.insert(key, (now_ms, value));
        });
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.with(|held, now_ms| {
            let (at_ms, value) = held.sessions.get(key)?;
            self.is_fresh(*at_ms, now_ms).then(|| value.clone())
        })
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.with(|held, now_ms| {
            let (at_ms, value) = held.sessions.remove(key)?;
            self.is_fresh(at_ms, now_ms).then_some(value)
        })
    }

    fn can_cache(&self) -> bool {
        self.timeout_ms > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(sessions: &Sessions, name: &str) {
        assert!(sessions.put(name.into(), format!("value of {name}").into()));
    }

    #[test]
    fn the_oldest_goes_when_it_is_full() {
        let sessions = Sessions::new(2, 300);
        ["a", "b", "c"].iter().for_each(|name| put(&sessions, name));
        assert_eq!(sessions.get(b"a"), None);
        assert_eq!(sessions.get(b"b"), Some(b"value of b".to_vec()));
        assert_eq!(sessions.take(b"c"), Some(b"value of c".to_vec()));
        assert_eq!(sessions.take(b"c"), None);
    }

    #[test]
    fn sessions_that_were_taken_leave_nothing_behind() {
        let sessions = Sessions::new(4, 300);
        for n in 0..1000 {
            put(&sessions, &n.to_string());
            sessions.take(n.to_string().as_bytes());
        }
        assert_eq!(sessions.held.lock().unwrap().order.len(), 4);
        assert!(sessions.held.lock().unwrap().sessions.is_empty());
    }

    #[test]
    fn no_time_means_no_sessions() {
        let sessions = Sessions::new(0, 0);
        assert!(!sessions.can_cache());
        put(&sessions, "a");
        assert_eq!(sessions.get(b"a"), None);
        assert!(sessions.held.lock().unwrap().sessions.is_empty());
    }
}
