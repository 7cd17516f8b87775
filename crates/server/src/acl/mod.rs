//! Users, and what they may do.
//!
//! ```text
//!  ACL SETUSER, DELUSER, LOAD ─┐                      ┌─ session: its user, the version it knows
//!  user lines, aclfile ────────┼──> Users (a snapshot │
//!  requirepass ────────────────┘    with a version) ──┴─ admit, EXEC, scripts, waits: check
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `rules` | why a rule is refused; selectors spread over several words |
//! | `catalog` | commands and categories by the names in rules |
//! | `patterns` | key patterns, prepared for matching |
//! | `selector` | commands, keys and channels that go together; the text they are shown as |
//! | `user` | passwords and selectors |
//! | `users` | all users at one moment |
//! | `check` | a request against a user |
//! | `enforce` | where requests are checked, and what becomes of a refusal |
//! | `log` | `ACL LOG` |
//! | `file` | the file of users |
//! | `start` | the users of the configuration |
//!
//! # Changes
//! Users are never changed in place: a change makes another snapshot with a higher version. A connection knows its user and the
//! version at which it last looked; each request compares that number with the newest one, and looks again if they differ. So
//! once a change is acknowledged, whatever is admitted from then on, by whichever thread, is admitted under it. Connections
//! whose user is gone are closed, and those that listen to channels they may not listen to any more.
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

use arc_swap::ArcSwap;
use check::Reason;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use users::Users;

/// Users, and what was refused to them.
pub struct Acl {
    users: ArcSwap<Users>,
    /// That of `users`, to be looked at in each request.
    version: AtomicU64,
    /// Changes come one after the other.
    turn: Mutex<()>,
    /// What was refused lately.
    pub log: log::Log,
    /// How much was refused since the start, by reason.
    refused: [AtomicU64; 4],
}

impl Default for Acl {
    /// The default user alone, who may do everything.
    fn default() -> Acl {
        let users = Users::default();
        Acl {
            version: AtomicU64::new(users.version),
            users: ArcSwap::from_pointee(users),
            turn: Mutex::default(),
            log: log::Log::default(),
            refused: Default::default(),
        }
    }
}

impl Acl {
    /// The number of the newest snapshot.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The newest snapshot.
    pub fn users(&self) -> Arc<Users> {
        self.users.load_full()
    }

    /// Begins a change: what [`Acl::users`] says stays the newest until [`Change::publish`].
    pub fn change(&self) -> Change<'_> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.users();
        Change { acl: self, users: Users::clone(&old), old, _turn: turn }
    }

    /// How often something was refused for this reason.
    pub fn refusals(&self, reason: Reason) -> u64 {
        self.refused[reason as usize].load(Ordering::Relaxed)
    }

    fn count(&self, reason: Reason) {
        self.refused[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Starts counting again from 0 (`CONFIG RESETSTAT`).
    pub fn reset_stats(&self) {
        self.refused.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    }
}

/// A change under way; given up unless it is published.
pub struct Change<'a> {
    acl: &'a Acl,
    /// The users as they are.
    pub old: Arc<Users>,
    /// The users as they will be.
    pub users: Users,
    _turn: MutexGuard<'a, ()>,
}

impl Change<'_> {
    /// From here on this is how it is; the users as they were, and as they are.
    pub fn publish(mut self) -> (Arc<Users>, Arc<Users>) {
        self.users.version += 1;
        let version = self.users.version;
        let users = Arc::new(self.users);
        self.acl.users.store(users.clone());
        // After the snapshot: who sees the number finds at least that.
        self.acl.version.store(version, Ordering::Release);
        (self.old, users)
    }
}
