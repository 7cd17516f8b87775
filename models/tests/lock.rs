//! `PartitionLock`: one holder at a time, and one mode for all.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kinovar_models::lock::{PartitionLock, is_single_threaded, set_single_threaded};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A partition whose data complains when two threads are at it.
type Lock = Arc<PartitionLock<UnsafeCell<u32>>>;

fn new_lock() -> Lock {
    Arc::new(PartitionLock::new(UnsafeCell::new(0)))
}

fn increment(lock: &Lock) {
    // SAFETY: the guard is the only one; loom checks it.
    lock.lock().with_mut(|count| unsafe { *count += 1 });
}

fn read(lock: &Lock) -> u32 {
    // SAFETY: as above.
    lock.lock().with(|count| unsafe { *count })
}

#[test]
fn no_two_threads_are_under_a_lock() {
    // Three threads: not more than this many switches of one that could have gone on, or it takes minutes.
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let lock = new_lock();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let lock = lock.clone();
                thread::spawn(move || increment(&lock))
            })
            .collect();
        increment(&lock);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(read(&lock), 3);
    });
}

#[test]
fn trying_is_no_way_around() {
    loom::model(|| {
        let lock = new_lock();
        let other = {
            let lock = lock.clone();
            thread::spawn(move || match lock.try_lock() {
                // SAFETY: the guard is the only one; loom checks it.
                Some(guard) => guard.with_mut(|count| unsafe { *count += 1 }),
                None => increment(&lock),
            })
        };
        increment(&lock);
        other.join().unwrap();
        assert_eq!(read(&lock), 2);
    });
}

#[test]
fn two_locks_in_ascending_order_never_wait_for_ever() {
    loom::model(|| {
        let locks = [new_lock(), new_lock()];
        let both = |locks: &[Lock; 2]| {
            let (first, second) = (locks[0].lock(), locks[1].lock());
            // SAFETY: both guards are the only ones; loom checks it.
            first.with_mut(|a| second.with_mut(|b| unsafe { (*a, *b) = (*a + 1, *b + 1) }));
        };
        let other = {
            let locks = locks.clone();
            thread::spawn(move || both(&locks))
        };
        both(&locks);
        other.join().unwrap();
        assert_eq!((read(&locks[0]), read(&locks[1])), (2, 2));
    });
}

/// One thread asks for single mode while another takes a lock: either the second one gets the mode that lets both in, or it
/// panics before it reaches the data.
#[test]
fn the_mode_is_decided_once() {
    std::panic::set_hook(Box::new(|_| {}));
    loom::model(|| {
        let lock = new_lock();
        let other = {
            let lock = lock.clone();
            thread::spawn(move || catch_unwind(AssertUnwindSafe(|| increment(&lock))).is_ok())
        };
        let single = set_single_threaded(true);
        increment(&lock);
        let was_let_in = other.join().unwrap();
        assert_eq!(was_let_in, !single, "both modes, or none");
        assert_eq!((is_single_threaded(), set_single_threaded(!single)), (single, false));
        assert_eq!(read(&lock), 1 + u32::from(was_let_in));
    });
    let _ = std::panic::take_hook();
}
