//! How much memory is in use, known at any moment at the price of a few loads.
//!
//! The allocator's own figure costs a look at all its arenas. But it tells each thread what that thread has allocated
//! and freed so far, so the figure is taken ten times a second, and in between it moves with what the threads have done
//! since. Each publishes its balance; only what threads do that do not is missing until the next look.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use tikv_jemalloc_ctl::thread::{ThreadLocal, allocatedp, deallocatedp};

/// Changes of a thread's balance that need not be published at once, bytes.
const GRAIN: i64 = 4096;

/// A number that has a cache line to itself: one thread writes it all the time.
#[repr(align(64))]
#[derive(Default)]
struct Balance(AtomicI64);

thread_local! {
    /// Where the allocator counts what this thread does.
    static COUNTERS: Option<(ThreadLocal<u64>, ThreadLocal<u64>)> = counters();
    /// What this thread has published.
    static PUBLISHED: Cell<i64> = const { Cell::new(0) };
}

fn counters() -> Option<(ThreadLocal<u64>, ThreadLocal<u64>)> {
    Some((allocatedp::read().ok()?, deallocatedp::read().ok()?))
}

/// Bytes that this thread has allocated and not freed; negative where it frees what others have allocated.
fn own_balance() -> i64 {
    COUNTERS.with(|counters| counters.as_ref().map_or(0, |(plus, minus)| plus.get().wrapping_sub(minus.get()) as i64))
}

/// Memory in use.
pub struct Meter {
    /// Balances by thread: the reactors, then the thread that frees large values.
    balances: Box<[Balance]>,
    /// What the allocator has counted beyond all balances at the last look.
    beyond: AtomicI64,
    /// What waits to be freed and counts as free, bytes.
    promised: AtomicU64,
}

impl Meter {
    /// One for so many reactors.
    pub fn new(reactors: usize) -> Meter {
        let balances = (0..=reactors).map(|_| Balance::default()).collect();
        Meter { balances, beyond: AtomicI64::new(0), promised: AtomicU64::new(0) }
    }

    /// Publishes the balance of this thread, which is reactor `index`, unless it has hardly changed.
    #[inline]
    pub fn publish(&self, index: usize) {
        let balance = own_balance();
        if (balance - PUBLISHED.get()).abs() >= GRAIN {
            PUBLISHED.set(balance);
            self.balances[index].0.store(balance, Relaxed);
        }
    }

    /// The same for the thread that frees large values, in any case. Returns how many bytes it has freed since the last
    /// time.
    pub fn publish_background(&self) -> u64 {
        let balance = own_balance();
        self.balances[self.balances.len() - 1].0.store(balance, Relaxed);
        u64::try_from(PUBLISHED.replace(balance) - balance).unwrap_or(0)
    }

    /// Takes over what the allocator says is in use.
    pub fn adjust(&self, used: u64) {
        self.beyond.store(used as i64 - self.published(), Relaxed);
    }

    fn published(&self) -> i64 {
        self.balances.iter().map(|balance| balance.0.load(Relaxed)).sum()
    }

    /// Bytes in use, without what waits to be freed.
    #[inline]
    pub fn used(&self) -> i64 {
        self.beyond.load(Relaxed) + self.published() - self.promised() as i64
    }

    /// What waits to be freed and counts as free, bytes.
    pub fn promised(&self) -> u64 {
        self.promised.load(Relaxed)
    }

    /// So much will be freed later.
    pub fn promise(&self, bytes: u64) {
        self.promised.fetch_add(bytes, Relaxed);
    }

    /// So much of what was promised has been freed, or never will.
    pub fn keep_promise(&self, bytes: u64) {
        self.promised.fetch_sub(bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_do_is_seen_at_once() {
        let meter = Meter::new(1);
        meter.publish(0);
        meter.adjust(10_000_000);
        assert_eq!(meter.used(), 10_000_000);
        let held = vec![1u8; 3 << 20];
        meter.publish(0);
        assert!((13_100_000..13_300_000).contains(&meter.used()), "{}", meter.used());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                meter.publish_background();
                drop(held);
                assert!((3 << 20..4 << 20).contains(&meter.publish_background()));
            });
        });
        assert!((9_900_000..10_100_000).contains(&meter.used()), "{}", meter.used());
        meter.promise(1000);
        let before = meter.used();
        meter.keep_promise(1000);
        assert_eq!(meter.used(), before + 1000);
    }
}
