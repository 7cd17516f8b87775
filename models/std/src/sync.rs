//! Mutexes and atomics of loom that, unlike loom's own, can be made in constants and statics.

use std::sync::OnceLock;

pub use loom::sync::{Arc, MutexGuard};
pub use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

/// loom's mutex, made at its first use.
pub struct Mutex<T> {
    initial: std::sync::Mutex<Option<T>>,
    real: OnceLock<loom::sync::Mutex<T>>,
}

impl<T> Mutex<T> {
    /// Unlocked.
    pub const fn new(data: T) -> Self {
        Mutex { initial: std::sync::Mutex::new(Some(data)), real: OnceLock::new() }
    }

    fn real(&self) -> &loom::sync::Mutex<T> {
        self.real.get_or_init(|| {
            let data = self.initial.lock().expect("not poisoned").take().expect("taken once");
            loom::sync::Mutex::new(data)
        })
    }

    /// As `std`'s.
    ///
    /// # Errors
    /// Poisoned.
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        self.real().lock()
    }

    /// As `std`'s.
    ///
    /// # Errors
    /// Locked, or poisoned.
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        self.real().try_lock()
    }
}

pub mod atomic {
    //! As `std::sync::atomic`.

    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};

    use loom::sync::atomic::AtomicUsize as Real;
    pub use loom::sync::atomic::Ordering;

    loom::lazy_static! {
        /// The atomics of one execution, by address: a static has the same address in all of them, and must start afresh.
        static ref ALL: Mutex<HashMap<usize, Arc<Real>>> = Mutex::new(HashMap::new());
    }

    macro_rules! atomic {
        ($name:ident, $value:ty, $to:expr, $from:expr) => {
            /// loom's atomic, made at its first use; it must not move after that.
            #[derive(Debug)]
            pub struct $name($value);

            impl $name {
                /// Holds `value`.
                pub const fn new(value: $value) -> Self {
                    $name(value)
                }

                fn real(&self) -> Arc<Real> {
                    let mut all = ALL.lock().expect("not poisoned");
                    let new = || Arc::new(Real::new($to(self.0)));
                    all.entry(std::ptr::from_ref(self).addr()).or_insert_with(new).clone()
                }

                /// As `std`'s.
                pub fn load(&self, order: Ordering) -> $value {
                    $from(self.real().load(order))
                }

                /// As `std`'s.
                pub fn store(&self, value: $value, order: Ordering) {
                    self.real().store($to(value), order);
                }

                /// As `std`'s.
                pub fn swap(&self, value: $value, order: Ordering) -> $value {
                    $from(self.real().swap($to(value), order))
                }

                /// As `std`'s.
                ///
                /// # Errors
                /// The value, when it is another one than `current`.
                pub fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    let outcome = self.real().compare_exchange($to(current), $to(new), success, failure);
                    outcome.map($from).map_err($from)
                }
            }

            impl Drop for $name {
                fn drop(&mut self) {
                    // Another one may come to lie at the address.
                    let address = std::ptr::from_ref(self).addr();
                    let gone = ALL.lock().expect("not poisoned").remove(&address);
                    drop(gone);
                }
            }
        };
    }

    atomic!(AtomicUsize, usize, |value: usize| value, |value: usize| value);
    atomic!(AtomicU8, u8, usize::from, |value: usize| value as u8);
    atomic!(AtomicBool, bool, usize::from, |value: usize| value != 0);
}
