//! Messages on their way to a reactor's connections.

use super::message::Encoded;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Something to be delivered.
pub enum Post {
    /// A message, to the subscribers of a channel and to those of patterns, by their places in the reactor's
    /// [`Seats`](super::seats::Seats).
    Message(Arc<Encoded>, Option<u32>, Box<[u32]>),
    /// Bytes to one connection, if it is still the client with this id.
    Bytes {
        /// The engine's id for it, as bits.
        conn: u64,
        /// The client.
        client: u64,
        /// What it is to be sent.
        bytes: Arc<[u8]>,
    },
}

/// The queue of one reactor.
#[derive(Default)]
pub struct Inbox {
    queue: Mutex<Queue>,
    /// Length of the queue.
    waiting: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    posts: Vec<Post>,
    /// How many were taken out before.
    taken: u64,
}

impl Inbox {
    /// Adds a post. The reactor must be woken after that unless it is the one that posts.
    pub fn post(&self, post: Post) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.posts.push(post);
        self.waiting.store(queue.posts.len(), Relaxed);
    }

    /// How many posts there are. The own ones are counted at once, those of others when their wake-up is seen at the latest.
    #[inline]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// How many posts there ever were: the number of the next one.
    pub fn posted(&self) -> u64 {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.taken + queue.posts.len() as u64
    }

    /// Moves the posts with numbers below `until` to `out`, which is empty and whose memory is used again; the number of the
    /// first.
    pub fn take(&self, out: &mut Vec<Post>, until: u64) -> u64 {
        debug_assert!(out.is_empty());
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let first = queue.taken;
        let wanted = until.saturating_sub(first);
        if wanted >= queue.posts.len() as u64 {
            std::mem::swap(&mut queue.posts, out);
        } else {
            out.extend(queue.posts.drain(..wanted as usize));
        }
        queue.taken += out.len() as u64;
        self.waiting.store(queue.posts.len(), Relaxed);
        first
    }
}
