//! `PartitionLock`: the mutex around a partition, which with one thread costs no atomic read-modify-write.
//!
//! An uncontended lock and unlock of an ordinary mutex are two locked instructions, some ten nanoseconds: a tenth of a GET.
//! A server with a single data thread does not need them. So the process decides once, before the first lock is taken:
//!
//! - **Shared** (the default): a [`std::sync::Mutex`] (a futex: one compare-exchange, a short spin, then sleep).
//! - **Single**: a flag per lock, read and written with plain moves, which still catches re-entry.
//!
//! # Why this is sound
//! The mode lives in one word: undecided, shared, or the identity of the only thread that may lock. It changes at most once,
//! by compare-exchange, from undecided. [`PartitionLock::lock`] compares it with the caller's identity:
//! - In single mode only the owning thread passes; any other panics before it touches the data. One thread alone needs no
//!   atomicity, and program order makes its flag exact, so no two guards of one lock exist.
//! - In shared mode everyone uses the mutex; no lock was ever taken the other way, because the mode was undecided before
//!   (the first `lock` decides it, so nothing is locked in the undecided state).
//!
//! A thread's identity is the address of a thread-local byte, unique among live threads. After the owner has ended another
//! thread may get the address; it then is the only one that may lock, and it got that memory through the allocator's
//! synchronisation, after all that the owner did.

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

const UNDECIDED: usize = 0;
const SHARED: usize = 1;

/// `UNDECIDED`, `SHARED`, or the identity of the one thread that locks.
static MODE: AtomicUsize = AtomicUsize::new(UNDECIDED);

thread_local! {
    static IDENTITY: u8 = const { 0 };
}

#[inline(always)]
fn thread_identity() -> usize {
    // Two bytes of different threads are apart; the address of a thread-local is never 0, and it is not 1 either, as the
    // first page is never mapped.
    IDENTITY.with(|byte| std::ptr::from_ref(byte).addr())
}

/// Decides for the whole process whether only the calling thread will ever take partition locks (`true`), or any thread may
/// (`false`). Call it once, before the first lock is taken. Returns whether the process is in the mode asked for: `false` means
/// that it had been decided otherwise (the first lock decides for `false`), and that nothing has changed.
#[must_use]
pub fn set_single_threaded(single: bool) -> bool {
    let wanted = if single { thread_identity() } else { SHARED };
    match MODE.compare_exchange(UNDECIDED, wanted, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => true,
        Err(decided) => decided == wanted,
    }
}

/// Whether the process is in single-threaded mode.
pub fn is_single_threaded() -> bool {
    !matches!(MODE.load(Ordering::Relaxed), UNDECIDED | SHARED)
}

/// A mutex around a partition, on cache lines of its own (two, since processors fetch them in pairs).
#[repr(align(128))]
pub struct PartitionLock<T> {
    shared: Mutex<()>,
    /// Single mode only: whether a guard exists.
    held: AtomicBool,
    data: UnsafeCell<T>,
}

// SAFETY: the lock hands out `&mut T` to one thread at a time (see the module's page), which is a move of T between threads as
// far as T can tell.
unsafe impl<T: Send> Sync for PartitionLock<T> {}

/// Access to a locked partition; unlocks when dropped. Stays on the thread that locked.
pub struct PartitionGuard<'a, T> {
    lock: &'a PartitionLock<T>,
    /// `None` in single mode. Makes the guard `!Send`.
    shared: Option<MutexGuard<'a, ()>>,
    /// `Sync` only if T is, like a reference.
    borrows: PhantomData<&'a mut T>,
}

impl<T> PartitionLock<T> {
    /// An unlocked partition.
    pub const fn new(data: T) -> Self {
        Self {
            shared: Mutex::new(()),
            held: AtomicBool::new(false),
            data: UnsafeCell::new(data),
        }
    }

    /// Waits until the lock is free and takes it. Panics in single mode if the lock is held already or the thread is not the
    /// one that chose the mode; a thread locking twice in shared mode waits for ever.
    #[inline]
    pub fn lock(&self) -> PartitionGuard<'_, T> {
        if MODE.load(Ordering::Relaxed) == thread_identity() {
            if self.held.load(Ordering::Relaxed) {
                locked_twice();
            }
            self.held.store(true, Ordering::Relaxed);
            return self.guard(None);
        }
        check_shared();
        // A panic under the lock (tests only: the server aborts) leaves the data as valid as a panic elsewhere does.
        self.guard(Some(
            self.shared.lock().unwrap_or_else(PoisonError::into_inner),
        ))
    }

    /// Takes the lock if it is free. Panics in single mode if the thread is not the one that chose the mode.
    #[inline]
    pub fn try_lock(&self) -> Option<PartitionGuard<'_, T>> {
        if MODE.load(Ordering::Relaxed) == thread_identity() {
            if self.held.load(Ordering::Relaxed) {
                return None;
            }
            self.held.store(true, Ordering::Relaxed);
            return Some(self.guard(None));
        }
        check_shared();
        match self.shared.try_lock() {
            Ok(guard) => Some(self.guard(Some(guard))),
            Err(TryLockError::Poisoned(poisoned)) => Some(self.guard(Some(poisoned.into_inner()))),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    #[inline(always)]
    fn guard<'a>(&'a self, shared: Option<MutexGuard<'a, ()>>) -> PartitionGuard<'a, T> {
        PartitionGuard {
            lock: self,
            shared,
            borrows: PhantomData,
        }
    }

    /// The data, which `&mut self` proves to be nobody else's.
    pub fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }

    /// The data.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

/// Lets a thread pass that may use the mutex, deciding for shared mode if nothing was decided.
#[inline(always)]
fn check_shared() {
    if MODE.load(Ordering::Relaxed) != SHARED {
        decide_shared();
    }
}

#[cold]
#[inline(never)]
fn decide_shared() {
    assert!(
        set_single_threaded(false),
        "a second thread takes a partition lock in single-threaded mode"
    );
}

#[cold]
#[inline(never)]
fn locked_twice() -> ! {
    panic!("the partition is locked already by this thread");
}

impl<T> Deref for PartitionGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: at most one guard of a lock exists (see the module's page), and it is borrowed.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> DerefMut for PartitionGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: at most one guard of a lock exists, and it is borrowed mutably.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T> Drop for PartitionGuard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        // In shared mode the mutex's own guard, dropped after this, unlocks.
        if self.shared.is_none() {
            self.lock.held.store(false, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_threads_never_meet_under_a_lock() {
        let locks: Vec<PartitionLock<(u64, u64)>> =
            (0..4).map(|_| PartitionLock::new((0, 0))).collect();
        let rounds = if cfg!(miri) { 50 } else { 20_000 };
        std::thread::scope(|scope| {
            for thread in 0..4usize {
                let locks = &locks;
                scope.spawn(move || {
                    for round in 0..rounds {
                        // Two locks at once, in ascending order, as commands of several keys take them.
                        let first = (thread + round) % 3;
                        let mut a = locks[first].lock();
                        let mut b = locks[first + 1].lock();
                        let (before_a, before_b) = (a.0, b.0);
                        a.0 += 1;
                        b.0 += 1;
                        std::hint::black_box((&mut *a, &mut *b));
                        a.1 = before_a + 1;
                        b.1 = before_b + 1;
                        assert!(a.0 == a.1 && b.0 == b.1);
                    }
                });
            }
        });
        let total: u64 = locks.into_iter().map(|lock| lock.into_inner().0).sum();
        assert_eq!(total, 4 * rounds as u64 * 2);
    }

    #[test]
    fn try_lock_fails_only_while_locked() {
        let lock = PartitionLock::new(1);
        let guard = lock.lock();
        assert!(lock.try_lock().is_none());
        drop(guard);
        *lock.try_lock().expect("free") += 1;
        assert_eq!(*lock.lock(), 2);
        assert!(!set_single_threaded(true), "decided by the first lock");
        assert!(set_single_threaded(false) && !is_single_threaded());
    }

    /// The mode is the process's: run the single-threaded half in a process of its own.
    #[test]
    #[cfg_attr(miri, ignore = "starts a process")]
    fn single_mode_catches_reentry_and_other_threads() {
        if std::env::var_os("KINOVAR_TEST_SINGLE").is_none() {
            let status = std::process::Command::new(std::env::current_exe().expect("our path"))
                .args([
                    "--exact",
                    "lock::tests::single_mode_catches_reentry_and_other_threads",
                ])
                .env("KINOVAR_TEST_SINGLE", "1")
                .output()
                .expect("starts");
            assert!(
                status.status.success(),
                "{}",
                String::from_utf8_lossy(&status.stdout)
            );
            return;
        }
        assert!(set_single_threaded(true));
        assert!(set_single_threaded(true) && !set_single_threaded(false) && is_single_threaded());
        let lock = PartitionLock::new(0);
        for _ in 0..3 {
            *lock.lock() += 1;
        }
        let guard = lock.lock();
        assert!(lock.try_lock().is_none());
        let reentry = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(lock.lock())));
        assert!(reentry.is_err());
        assert_eq!(*guard, 3);
        drop(guard);
        let foreign = std::thread::scope(|scope| scope.spawn(|| *lock.lock()).join().is_err());
        assert!(foreign, "another thread was let in");
        assert_eq!(*lock.lock(), 3);
    }
}
