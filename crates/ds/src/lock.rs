//! `PartitionLock`: the mutex around a partition, which with one thread costs no atomic read-modify-write.
//!
//! An uncontended lock and unlock of an ordinary mutex are two locked instructions, some ten nanoseconds: a tenth of a GET.
//! A server with a single data thread does not need them. So the process decides once, before the first lock is taken:
//!
//! - **Shared** (the default): a mutex (one compare-exchange, a short spin, then sleep).
//! - **Single**: a flag per lock, read and written with plain moves, which still catches re-entry.
//!
//! # Giving up
//! A script may run for ever. While it does, the other threads must be able to say so instead of waiting for its locks:
//! [`lock_or_give_up`](PartitionLock::lock_or_give_up) returns without the lock once [`set_giving_up`] has been called.
//!
//! # Why this is sound
//! The mode lives in one word: undecided, shared, or the identity of the only thread that may lock. It changes at most once,
//! by compare-exchange, from undecided. [`PartitionLock::lock`] compares it with the caller's identity:
//! - In single mode only the owning thread passes; any other panics before it touches the data. One thread alone needs no
//!   atomicity, and program order makes its flag exact, so no two guards of one lock exist.
//! - In shared mode everyone uses the mutex; no lock was ever taken the other way, because the mode was undecided before
//!   (the first `lock` decides it, so nothing is locked in the undecided state).
//!
//!
//! [`AllLocked`] stands for the guards of all locks there are, in single mode only, where it costs as much as one: while it
//! exists the mode is another word, so that [`PartitionLock::lock`] finds neither its owner nor shared mode, and panics. It is
//! made only when no guard exists, which a count of the guards tells.
//!
//! A thread's identity is the address of a thread-local byte, unique among live threads. After the owner has ended another
//! thread may get the address; it then is the only one that may lock, and it got that memory through the allocator's
//! synchronisation, after all that the owner did.

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

const UNDECIDED: usize = 0;
const SHARED: usize = 1;
/// Single mode, and an [`AllLocked`] exists.
const ALL_LOCKED: usize = 2;

/// `UNDECIDED`, `SHARED`, `ALL_LOCKED` or the identity of the one thread that locks.
static MODE: AtomicUsize = AtomicUsize::new(UNDECIDED);
/// Single mode only: how many guards exist.
static HELD: AtomicUsize = AtomicUsize::new(0);
/// Whether [`PartitionLock::lock_or_give_up`] gives up.
static GIVING_UP: AtomicBool = AtomicBool::new(false);

/// How long a thread sleeps before it looks whether it should give up.
const PATIENCE: Duration = Duration::from_millis(5);

thread_local! {
    static IDENTITY: u8 = const { 0 };
}

#[inline(always)]
fn thread_identity() -> usize {
    // Two bytes of different threads are apart; the address of a thread-local is never 0, 1 or 2, as the first page is never
    // mapped.
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
        Err(ALL_LOCKED) => locked_twice(),
        Err(decided) => decided == wanted,
    }
}

/// Whether the process is in single-threaded mode.
pub fn is_single_threaded() -> bool {
    !matches!(MODE.load(Ordering::Relaxed), UNDECIDED | SHARED)
}

/// From now on those who would have to wait for a lock give up (`true`), or wait (`false`, as in the beginning). Others may
/// learn of it a few milliseconds later.
pub fn set_giving_up(on: bool) {
    GIVING_UP.store(on, Ordering::Release);
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
        Self { shared: Mutex::new(()), held: AtomicBool::new(false), data: UnsafeCell::new(data) }
    }

    /// Waits until the lock is free and takes it. Panics in single mode if the lock is held already or the thread is not the
    /// one that chose the mode; a thread locking twice in shared mode waits for ever.
    #[inline]
    pub fn lock(&self) -> PartitionGuard<'_, T> {
        if MODE.load(Ordering::Relaxed) == thread_identity() {
            if self.held.load(Ordering::Relaxed) {
                locked_twice();
            }
            return self.single_guard();
        }
        check_shared();
        self.guard(Some(self.shared.lock()))
    }

    /// Like [`lock`](PartitionLock::lock), but `None` when it would have to wait while [`set_giving_up`] is on.
    #[inline]
    pub fn lock_or_give_up(&self) -> Option<PartitionGuard<'_, T>> {
        if MODE.load(Ordering::Relaxed) == thread_identity() {
            if self.held.load(Ordering::Relaxed) {
                return gives_up();
            }
            return Some(self.single_guard());
        }
        if MODE.load(Ordering::Relaxed) == ALL_LOCKED {
            return gives_up();
        }
        check_shared();
        match self.shared.try_lock() {
            Some(guard) => Some(self.guard(Some(guard))),
            None => self.wait_or_give_up(),
        }
    }

    #[cold]
    fn wait_or_give_up(&self) -> Option<PartitionGuard<'_, T>> {
        while !GIVING_UP.load(Ordering::Acquire) {
            if let Some(guard) = self.shared.try_lock_for(PATIENCE) {
                return Some(self.guard(Some(guard)));
            }
        }
        None
    }

    /// Takes the lock if it is free. Panics in single mode if the thread is not the one that chose the mode.
    #[inline]
    pub fn try_lock(&self) -> Option<PartitionGuard<'_, T>> {
        if MODE.load(Ordering::Relaxed) == thread_identity() {
            if self.held.load(Ordering::Relaxed) {
                return None;
            }
            return Some(self.single_guard());
        }
        if MODE.load(Ordering::Relaxed) == ALL_LOCKED {
            return None;
        }
        check_shared();
        self.shared.try_lock().map(|guard| self.guard(Some(guard)))
    }

    #[inline(always)]
    fn single_guard(&self) -> PartitionGuard<'_, T> {
        self.held.store(true, Ordering::Relaxed);
        HELD.store(HELD.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.guard(None)
    }

    #[inline(always)]
    fn guard<'a>(&'a self, shared: Option<MutexGuard<'a, ()>>) -> PartitionGuard<'a, T> {
        PartitionGuard { lock: self, shared, borrows: PhantomData }
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
    assert!(set_single_threaded(false), "a second thread takes a partition lock in single-threaded mode");
}

/// In single mode, when the lock is held: by a script that was left in the middle, or else by mistake.
#[cold]
#[inline(never)]
fn gives_up<G>() -> Option<G> {
    if GIVING_UP.load(Ordering::Relaxed) { None } else { locked_twice() }
}

#[cold]
#[inline(never)]
fn locked_twice() -> ! {
    panic!("the partition is locked already by this thread");
}

impl<T> PartitionGuard<'_, T> {
    /// Unlocks, and hands the lock to whoever sleeps until it is free. For those who take it again and again: otherwise they
    /// nearly always have it back before another one has woken up.
    pub fn unlock_fairly(mut self) {
        if let Some(shared) = self.shared.take() {
            // Without its own guard it would take itself for one of single mode.
            std::mem::forget(self);
            MutexGuard::unlock_fair(shared);
        }
    }
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
            HELD.store(HELD.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
        }
    }
}

/// All locks of the process at once, in single mode.
pub struct AllLocked {
    owner: usize,
    /// Stays on the thread that locked.
    _not_send: PhantomData<*const ()>,
}

impl AllLocked {
    /// Locks everything in O(1), in single mode; `None` in shared mode, where each lock has to be taken.
    ///
    /// # Panics
    /// When a lock is held, or the thread is not the one that chose the mode.
    pub fn lock() -> Option<AllLocked> {
        let owner = MODE.load(Ordering::Relaxed);
        if owner != thread_identity() {
            check_shared();
            return None;
        }
        if HELD.load(Ordering::Relaxed) != 0 {
            locked_twice();
        }
        MODE.store(ALL_LOCKED, Ordering::Relaxed);
        Some(AllLocked { owner, _not_send: PhantomData })
    }

    /// Locks everything in O(1) if that can be done: in single mode, while no lock is held.
    pub fn try_lock() -> Option<AllLocked> {
        let is_free = MODE.load(Ordering::Relaxed) == thread_identity() && HELD.load(Ordering::Relaxed) == 0;
        if is_free { AllLocked::lock() } else { None }
    }

    /// What `lock` protects.
    #[inline]
    pub fn get<'a, T>(&'a self, lock: &'a PartitionLock<T>) -> &'a T {
        // SAFETY: no guard existed when `self` was made, none can be made while it exists (see the module's page), and
        // whoever has a `&mut T` from `get_mut` has borrowed `self` mutably.
        unsafe { &*lock.data.get() }
    }

    /// What `lock` protects, to be changed.
    #[inline]
    pub fn get_mut<'a, T>(&'a mut self, lock: &'a PartitionLock<T>) -> &'a mut T {
        // SAFETY: as in `get`; `self` is borrowed mutably, and there is only one.
        unsafe { &mut *lock.data.get() }
    }
}

impl Drop for AllLocked {
    fn drop(&mut self) {
        MODE.store(self.owner, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_unlocks_fairly_lets_others_in() {
        let lock = PartitionLock::new(0);
        let ended = AtomicBool::new(false);
        let rounds = if cfg!(miri) { 3 } else { 200 };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Has it nearly all the time.
                while !ended.load(Ordering::Relaxed) {
                    let guard = lock.lock();
                    std::hint::black_box(&*guard);
                    guard.unlock_fairly();
                }
            });
            for round in 0..rounds {
                let mut guard = lock.lock();
                assert_eq!(*guard, round);
                *guard += 1;
            }
            ended.store(true, Ordering::Relaxed);
        });
        assert_eq!(lock.into_inner(), rounds);
    }

    #[test]
    fn four_threads_never_meet_under_a_lock() {
        let locks: Vec<PartitionLock<(u64, u64)>> = (0..4).map(|_| PartitionLock::new((0, 0))).collect();
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

    #[test]
    fn nobody_waits_once_all_give_up() {
        let lock = PartitionLock::new(1);
        let guard = lock.lock();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lock.lock_or_give_up().is_none());
            set_giving_up(true);
            assert!(waiting.join().expect("it returns"));
        });
        drop(guard);
        assert!(lock.lock_or_give_up().is_some(), "it is free");
        set_giving_up(false);
        assert!(AllLocked::lock().is_none(), "shared mode");
    }

    /// The mode is the process's: run the single-threaded half in a process of its own.
    #[test]
    #[cfg_attr(miri, ignore = "starts a process")]
    fn single_mode_catches_reentry_and_other_threads() {
        if std::env::var_os("KINOVAR_TEST_SINGLE").is_none() {
            let status = std::process::Command::new(std::env::current_exe().expect("our path"))
                .args(["--exact", "lock::tests::single_mode_catches_reentry_and_other_threads"])
                .env("KINOVAR_TEST_SINGLE", "1")
                .output()
                .expect("starts");
            assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
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
        let all = AllLocked::lock().expect("single mode");
        assert_eq!(*all.get(&lock), 3);
        assert!(lock.try_lock().is_none());
        let reentry = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(lock.lock())));
        assert!(reentry.is_err() && std::panic::catch_unwind(AllLocked::lock).is_err());
        drop(all);
        let guard = lock.lock();
        assert!(std::panic::catch_unwind(AllLocked::lock).is_err(), "a guard exists");
        drop(guard);
        let mut all = AllLocked::lock().expect("single mode");
        *all.get_mut(&lock) += 1;
        *all.get_mut(&lock) -= 1;
        drop(all);
        let foreign = std::thread::scope(|scope| scope.spawn(|| *lock.lock()).join().is_err());
        assert!(foreign, "another thread was let in");
        assert_eq!(*lock.lock(), 3);
    }
}
