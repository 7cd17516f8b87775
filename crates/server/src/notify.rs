//! Keyspace notifications: changes to keys as messages (`notify-keyspace-events`).
//!
//! The write door tells of each change while the key's partition is locked, so that the messages about a key come in the order
//! of its changes. Here the change is published, to `__keyspace@DB__:KEY` and to `__keyevent@DB__:EVENT`.

use crate::config::{Config, events};
use crate::server::Server;
use kinovar_command::keyspace::{Event, EventClass, Observer};
use std::cell::RefCell;

/// Publishes the changes that the configuration names.
pub struct Notifier<'a> {
    server: &'a Server,
    flags: u32,
}

impl<'a> Notifier<'a> {
    /// One for the parameters of `config`; none when they do not ask for messages. Two tests when they do not.
    #[inline]
    pub fn new(server: &'a Server, config: &Config) -> Option<Notifier<'a>> {
        let flags = config.notify_keyspace_events;
        (flags & (events::KEYSPACE | events::KEYEVENT) != 0).then_some(Notifier { server, flags })
    }
}

/// The flag of a class in `notify-keyspace-events`.
fn flag(class: EventClass) -> u32 {
    match class {
        EventClass::Generic => events::GENERIC,
        EventClass::String => events::STRING,
        EventClass::List => events::LIST,
        EventClass::Set => events::SET,
        EventClass::Hash => events::HASH,
        EventClass::SortedSet => events::ZSET,
        EventClass::Stream => events::STREAM,
        EventClass::Expired => events::EXPIRED,
        EventClass::Evicted => events::EVICTED,
        EventClass::New => events::NEW,
        EventClass::Overwritten => events::OVERWRITTEN,
        EventClass::TypeChanged => events::TYPE_CHANGED,
        EventClass::KeyMiss => events::KEY_MISS,
    }
}

thread_local! {
    /// Where the names of channels are put together.
    static CHANNEL: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Observer for Notifier<'_> {
    fn changed(&self, db: u32, key: &[u8], event: Event) {
        /// Room for so long a name is kept from one message to the next, bytes.
        const KEPT: usize = 4096;
        if self.flags & flag(event.class) == 0 || !self.server.pubsub.any() {
            return;
        }
        CHANNEL.with_borrow_mut(|channel| {
            let mut publish = |kind: &str, name: &[u8], message: &[u8]| {
                channel.clear();
                channel.extend_from_slice(b"__");
                channel.extend_from_slice(kind.as_bytes());
                channel.push(b'@');
                kinovar_command::number::push_i64(channel, i64::from(db));
                channel.extend_from_slice(b"__:");
                channel.extend_from_slice(name);
                self.server.publish(false, channel, message);
            };
            if self.flags & events::KEYSPACE != 0 {
                publish("keyspace", key, event.name.as_bytes());
            }
            if self.flags & events::KEYEVENT != 0 {
                publish("keyevent", event.name.as_bytes(), key);
            }
            channel.shrink_to(KEPT);
        });
    }
}
