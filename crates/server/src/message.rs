//! tmp
use crate::server::Server;
use std::cell::RefCell;
thread_local! {
    static POSTED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}
/// Remembers that this thread has posted something to a reactor, which [`Server::wake_posted`] will wake.
pub fn note_posted(reactor: usize) {
    POSTED.with_borrow_mut(|posted| {
        if !posted.contains(&reactor) {
            posted.push(reactor);
        }
    });
}
impl Server {
    pub fn wake_posted(&self, own: usize) {
        POSTED.with_borrow_mut(|posted| {
            for reactor in posted.drain(..) {
                if reactor != own {
                    self.mailbox(reactor).wake();
                }
            }
        });
    }
}
