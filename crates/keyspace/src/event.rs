//! What a change is called, for those who want to be told.

/// Classes of keyspace events; one letter each in `notify-keyspace-events`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventClass {
    /// `g`: commands that are not about a type, such as DEL, EXPIRE, RENAME.
    Generic,
    /// `$`
    String,
    /// `l`
    List,
    /// `s`
    Set,
    /// `h`
    Hash,
    /// `z`
    SortedSet,
    /// `t`
    Stream,
    /// `x`: a key expired.
    Expired,
    /// `e`: a key was evicted.
    Evicted,
    /// `n`: a key was created.
    New,
    /// `o`: a key was overwritten.
    Overwritten,
    /// `c`: the type of a key changed.
    TypeChanged,
    /// `m`: a key that is not there was read.
    KeyMiss,
}

/// A named change to a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// Its class.
    pub class: EventClass,
    /// Its name on the wire, such as `lpush`.
    pub name: &'static str,
}

impl Event {
    /// An event of class [`EventClass::Generic`].
    pub const fn generic(name: &'static str) -> Event {
        Event { class: EventClass::Generic, name }
    }

    /// A key was deleted.
    pub const DEL: Event = Event::generic("del");
    /// A key expired.
    pub const EXPIRED: Event = Event { class: EventClass::Expired, name: "expired" };
    /// A key was evicted.
    pub const EVICTED: Event = Event { class: EventClass::Evicted, name: "evicted" };
    /// A key was created.
    pub const NEW: Event = Event { class: EventClass::New, name: "new" };
    /// A key was overwritten.
    pub const OVERWRITTEN: Event = Event { class: EventClass::Overwritten, name: "overwritten" };
    /// A key holds another type now.
    pub const TYPE_CHANGED: Event = Event { class: EventClass::TypeChanged, name: "type_changed" };
    /// A key that is not there was read.
    pub const KEY_MISS: Event = Event { class: EventClass::KeyMiss, name: "keymiss" };
}

/// Told of every change, while the key's partition is locked: must be quick and must not reach into the keyspace.
pub trait Observer {
    /// `key` of database `db` changed.
    fn changed(&self, db: u32, key: &[u8], event: Event);
}
