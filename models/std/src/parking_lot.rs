//! The mutex of `parking_lot`, which knows no poison.

use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

/// loom's guard.
pub struct MutexGuard<'a, T>(#[allow(dead_code, reason = "it unlocks")] crate::sync::MutexGuard<'a, T>);

impl<T> MutexGuard<'_, T> {
    /// Unlocks. Who is next is tried in every order anyway.
    pub fn unlock_fair(guard: Self) {
        drop(guard);
    }
}

/// loom's mutex.
pub struct Mutex<T>(crate::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// Unlocked.
    pub const fn new(data: T) -> Self {
        Mutex(crate::sync::Mutex::new(data))
    }

    /// Waits for it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes it if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(MutexGuard(guard)),
            Err(TryLockError::Poisoned(poisoned)) => Some(MutexGuard(poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Takes it if it is free: time does not pass in a model.
    pub fn try_lock_for(&self, _: Duration) -> Option<MutexGuard<'_, T>> {
        self.try_lock()
    }
}
