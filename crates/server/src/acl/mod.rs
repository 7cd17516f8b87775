//! Users, and what they may do.
//!
//! ```text
//!  ACL SETUSER, DELUSER, LOAD ─┐               ┌─ session: its user, the version it knows
//!  user lines, aclfile ────────┼──> Users, ────┤
//!  requirepass ────────────────┘    a version  └─ admit, EXEC, scripts, waits: check
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `rules` | why a rule is refused; selectors spread over several words |
//! | `catalog` | commands and categories by the names in rules |
//! | `patterns` | key patterns, prepared for matching |
//! | `selector` | commands, keys and channels that go together; the text they are shown as |
//! | `user` | passwords and selectors |
//! | `users` | all users |
//! | `check` | a request against a user |
//! | `enforce` | where requests are checked, and what becomes of a refusal |
//! | `log` | `ACL LOG` |
//! | `file` | the file of users |
//! | `start` | the users of the configuration |
//!
//! # Changes
//! A user is never changed in place: a change puts another [`User`] with the same number into his place and raises the version.
//! A connection has its user and knows the version at which it last looked; each request compares that number with the newest
//! one, and looks again if they differ. So once a change is acknowledged, whatever is admitted from then on, by whichever
//! thread, is admitted under it. Connections whose user is gone are closed, and those that listen to channels they may not
//! listen to any more.
//!
//! # Cost
//! A connection whose user may do everything is not checked: it is [plain](crate::session::Session::is_plain), as without users,
//! and pays for the comparison of versions. For others a command is a bit; patterns of keys are compared by their first bytes.

pub mod catalog;
pub mod check;
pub mod enforce;
pub mod file;
pub mod log;
pub mod patterns;
pub mod rules;
pub mod selector;
pub mod start;
pub mod user;
pub mod users;

pub use start::Declared;
pub use user::User;

use check::Reason;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use users::Users;

/// Users, and what was refused to them.
#[derive(Default)]
pub struct Acl {
    users: RwLock<Users>,
    /// That of `users`, to be looked at in each request.
    version: AtomicU64,
    /// Changes come one after the other.
    turn: Mutex<()>,
    /// What was refused lately.
    pub log: log::Log,
    /// How much was refused since the start, by reason.
    refused: [AtomicU64; 4],
}

impl Acl {
    /// The number of the newest change.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The users as they are; they stay so until the guard is gone.
    pub fn users(&self) -> RwLockReadGuard<'_, Users> {
        self.users.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a change: nobody else changes anything before it is over.
    pub fn change(&self) -> Change<'_> {
        Change { acl: self, _turn: self.turn.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    /// How often something was refused for this reason since the start: `CONFIG RESETSTAT` leaves that alone.
    pub fn refusals(&self, reason: Reason) -> u64 {
        self.refused[reason as usize].load(Ordering::Relaxed)
    }

    fn count(&self, reason: Reason) {
        self.refused[reason as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// A change under way.
pub struct Change<'a> {
    acl: &'a Acl,
    _turn: MutexGuard<'a, ()>,
}

impl Change<'_> {
    /// The users as they are.
    pub fn users(&self) -> RwLockReadGuard<'_, Users> {
        self.acl.users()
    }

    /// Changes them, and says what `change` says; from here on that is how it is.
    pub fn make<R>(&self, change: impl FnOnce(&mut Users) -> R) -> R {
        let mut users = self.acl.users.write().unwrap_or_else(PoisonError::into_inner);
        let outcome = change(&mut users);
        users.version += 1;
        // Whoever sees the number waits for the lock, and finds what it stands for.
        self.acl.version.store(users.version, Ordering::Release);
        outcome
    }
}

/// What has become of a user: as he was, and as he is now, unless he is gone.
pub type Changed = (Arc<User>, Option<Arc<User>>);
