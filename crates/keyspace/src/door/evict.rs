//! Keys that go because memory is short.

use super::Site;
use crate::partition::{entry_bytes, is_heavy};
use crate::{Db, Event, Key};
use kinovar_ds::table::Position;

impl Db<'_> {
    /// Removes the key at `place` in this database's part of partition `index`, which is locked. Returns how many bytes
    /// will be free only later, roughly: what is large is freed elsewhere.
    pub(crate) fn evict_at(&mut self, index: usize, hash: u64, place: Position) -> usize {
        let entry = self.locked.partition_mut(index).db_mut(self.index).table.at(place);
        let later = if is_heavy(entry) { entry_bytes(entry) } else { 0 };
        let name = entry.key().to_vec();
        let key = Key { hash, ..Key::new(&name) };
        self.site(&key).evict(&key, place);
        // Each for itself: nothing holds them together.
        self.tell_journal();
        later
    }
}

impl Db<'_> {
    /// Takes an item out of the index of expiries of partition `index`, which is locked, that no key belongs to.
    pub(crate) fn forget_expiry(&mut self, index: usize, at_ms: u64, hash: u64) {
        self.locked.partition_mut(index).db_mut(self.index).expires.remove(at_ms, hash);
    }
}

impl Site<'_> {
    fn evict(&mut self, key: &Key<'_>, place: Position) {
        self.env.stats.evicted_keys.add(1);
        self.give_up(key, place, self.env.settings.word_of_eviction(), Event::EVICTED);
    }
}
