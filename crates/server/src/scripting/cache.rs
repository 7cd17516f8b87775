//! Scripts by their digest. All reactors share it.

use kinovar_script::{Flags, sha1, shebang};
use std::collections::HashMap;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, PoisonError, RwLock};

/// Scripts of `EVAL` that are kept; `SCRIPT LOAD` adds to them without limit.
const EVAL_SCRIPTS_MAX: usize = 500;

/// A script's SHA-1.
pub type Digest = [u8; 20];

/// A script that has been compiled once.
pub struct Script {
    /// Its digest.
    pub digest: Digest,
    /// The same in hexadecimal: what errors call it.
    pub name: String,
    /// Its text.
    pub body: Box<[u8]>,
    /// What its first line says; `None` without such a line.
    pub flags: Option<Flags>,
    /// Where its code begins.
    pub code: usize,
    /// When it was used last, by the cache's own count.
    used: AtomicU64,
    /// It stays until everything is flushed.
    is_kept: AtomicBool,
    /// It has been evicted or flushed.
    is_gone: AtomicBool,
}

impl Script {
    /// Reads the first line of a script.
    ///
    /// # Errors
    /// A text for the client.
    pub fn new(digest: Digest, body: &[u8]) -> Result<Script, Vec<u8>> {
        let header = shebang::of_script(body)?;
        Ok(Script {
            digest,
            name: String::from_utf8_lossy(&sha1::hex(&digest)).into_owned(),
            body: body.into(),
            flags: header.flags,
            code: header.code,
            used: AtomicU64::new(0),
            is_kept: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
        })
    }

    /// Whether the cache has forgotten it.
    pub fn is_gone(&self) -> bool {
        self.is_gone.load(Acquire)
    }
}

/// The cache.
#[derive(Default)]
pub struct Cache {
    scripts: RwLock<HashMap<Digest, Arc<Script>>>,
    uses: AtomicU64,
    evicted: AtomicU64,
    flushes: AtomicU64,
    body_bytes: AtomicUsize,
}

impl Cache {
    /// The script with a digest.
    pub fn find(&self, digest: &Digest) -> Option<Arc<Script>> {
        self.scripts.read().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    /// Notes that a script is used.
    #[inline]
    pub fn touch(&self, script: &Script) {
        script.used.store(self.uses.fetch_add(1, Relaxed), Relaxed);
    }

    /// Adds a script, or finds the one that is there. One that is not kept may have to go for it.
    pub fn insert(&self, script: Script, keep: bool) -> Arc<Script> {
        let mut scripts = self.scripts.write().unwrap_or_else(PoisonError::into_inner);
        let script = match scripts.get(&script.digest) {
            Some(known) => known.clone(),
            None => {
                if !keep {
                    self.make_room(&mut scripts);
                }
                self.body_bytes.fetch_add(script.body.len(), Relaxed);
                let script = Arc::new(script);
                scripts.insert(script.digest, script.clone());
                script
            }
        };
        if keep {
            script.is_kept.store(true, Relaxed);
        }
        self.touch(&script);
        script
    }

    fn make_room(&self, scripts: &mut HashMap<Digest, Arc<Script>>) {
        if scripts.len() < EVAL_SCRIPTS_MAX {
            return;
        }
        let passing = || scripts.values().filter(|script| !script.is_kept.load(Relaxed));
        if passing().count() < EVAL_SCRIPTS_MAX {
            return;
        }
        let oldest = passing().min_by_key(|script| script.used.load(Relaxed)).map(|script| script.digest);
        if let Some(script) = oldest.and_then(|digest| scripts.remove(&digest)) {
            script.is_gone.store(true, Release);
            self.body_bytes.fetch_sub(script.body.len(), Relaxed);
            self.evicted.fetch_add(1, Relaxed);
        }
    }

    /// Forgets everything.
    pub fn flush(&self) {
        let scripts = std::mem::take(&mut *self.scripts.write().unwrap_or_else(PoisonError::into_inner));
        scripts.values().for_each(|script| script.is_gone.store(true, Release));
        self.body_bytes.store(0, Relaxed);
        self.flushes.fetch_add(1, AcqRel);
    }

    /// How often it has been flushed.
    #[inline]
    pub fn version(&self) -> u64 {
        self.flushes.load(Acquire)
    }

    /// Number of scripts.
    pub fn len(&self) -> usize {
        self.scripts.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Scripts evicted since the start of the statistics.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Relaxed)
    }

    /// Starts the statistics again.
    pub fn reset_stats(&self) {
        self.evicted.store(0, Relaxed);
    }

    /// Bytes that it takes.
    pub fn memory_bytes(&self) -> usize {
        self.body_bytes.load(Relaxed) + self.len() * (size_of::<Script>() + size_of::<(Digest, Arc<Script>)>() + 56)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Script {
        Script::new(sha1::digest(text.as_bytes()), text.as_bytes()).unwrap()
    }

    #[test]
    fn the_script_used_longest_ago_goes() {
        let cache = Cache::default();
        let text = |i: usize| format!("return {i}");
        let kept = cache.insert(script("kept"), true);
        for i in 0..EVAL_SCRIPTS_MAX {
            cache.insert(script(&text(i)), false);
        }
        assert_eq!((cache.len(), cache.evicted()), (EVAL_SCRIPTS_MAX + 1, 0));
        let first = cache.find(&sha1::digest(text(0).as_bytes())).unwrap();
        cache.touch(&first);
        let second = cache.find(&sha1::digest(text(1).as_bytes())).unwrap();
        cache.insert(script("one more"), false);
        assert_eq!((cache.len(), cache.evicted()), (EVAL_SCRIPTS_MAX + 1, 1));
        assert!(second.is_gone() && !first.is_gone() && !kept.is_gone());
    }

    #[test]
    fn one_that_is_loaded_stays() {
        let cache = Cache::default();
        let passing = cache.insert(script("return 1"), false);
        let same = cache.insert(script("return 1"), true);
        assert!(Arc::ptr_eq(&passing, &same));
        for i in 0..2 * EVAL_SCRIPTS_MAX {
            cache.insert(script(&format!("return 'x{i}'")), false);
        }
        assert!(!passing.is_gone());
        let version = cache.version();
        cache.flush();
        assert!(passing.is_gone() && cache.is_empty() && cache.version() != version);
        assert_eq!(cache.memory_bytes(), 0);
    }
}
