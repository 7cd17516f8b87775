//! All users.

use super::Changed;
use super::file::ByName;
use super::user::User;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the user is called whom connections begin with.
pub const DEFAULT: &[u8] = b"default";

/// All users.
pub struct Users {
    /// Rising with each change.
    pub version: u64,
    by_name: BTreeMap<Box<[u8]>, Arc<User>>,
    default: Arc<User>,
}

impl Default for Users {
    /// The default user alone, who may do everything.
    fn default() -> Users {
        let default = Arc::new(User::default_user());
        Users { version: 0, by_name: BTreeMap::from([(DEFAULT.into(), default.clone())]), default }
    }
}

impl Users {
    /// The user of this name.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    /// A user as he is now, unless he is gone.
    pub fn now(&self, user: &User) -> Option<&Arc<User>> {
        self.get(&user.name).filter(|now| now.id == user.id)
    }

    /// The user whom connections begin with.
    pub fn default_user(&self) -> &Arc<User> {
        &self.default
    }

    /// Whether connections begin with nothing but the right to authenticate.
    pub fn must_authenticate(&self) -> bool {
        !self.default.needs_no_password() || !self.default.is_on()
    }

    /// All of them, by name.
    pub fn all(&self) -> impl ExactSizeIterator<Item = &Arc<User>> {
        self.by_name.values()
    }

    /// Adds a user, or puts him in the place of the one with the same name: he who was changed.
    pub fn put(&mut self, user: User) -> Option<Changed> {
        let user = Arc::new(user);
        if *user.name == *DEFAULT {
            self.default = user.clone();
        }
        let old = self.by_name.insert(user.name.clone(), user.clone())?;
        let now = Some(user).filter(|user| user.id == old.id);
        Some((old, now))
    }

    /// Removes a user, who must not be the default one: he who is gone.
    pub fn remove(&mut self, name: &[u8]) -> Option<Changed> {
        assert!(name != DEFAULT, "there is always a default user");
        self.by_name.remove(name).map(|old| (old, None))
    }

    /// Puts these in the place of all; what has become of those who were there. Those whose names stay are still the same; the
    /// default user is always there.
    pub fn replace(&mut self, users: ByName) -> Vec<Changed> {
        let old = std::mem::take(&mut self.by_name);
        for mut user in users.into_values() {
            if let Some(old) = old.get(&user.name) {
                user.id = old.id;
            }
            self.put(user);
        }
        if !self.by_name.contains_key(DEFAULT) {
            let mut user = User::default_user();
            user.id = self.default.id;
            self.put(user);
        }
        old.into_values().map(|old| (old.clone(), self.now(&old).cloned())).collect()
    }
}
