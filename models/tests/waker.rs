//! The waker and the mailbox: what is sent before a wake-up is seen, and no wake-up is lost. A lost one leaves the reactor
//! asleep for ever, which loom reports as a deadlock.

use kinovar_models::engine::{Waker, new_waker, turn};
use kinovar_models::mailbox::Mailbox;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// All interleavings with at most this many switches of a thread that could have gone on.
const SWITCHES_MAX: usize = 3;

fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(SWITCHES_MAX);
    builder.check(check);
}

/// Turns until woken; the first turn may have something else to do.
fn turn_until_woken(waker: &Waker, busy: bool) {
    if !turn(waker, busy) {
        while !turn(waker, false) {}
    }
}

fn published_data_is_seen(busy: bool) {
    let waker = new_waker();
    let data = Arc::new(UnsafeCell::new(0));
    let sender = {
        let (waker, data) = (waker.clone(), data.clone());
        thread::spawn(move || {
            // SAFETY: the reader looks only after the wake-up; loom checks it.
            data.with_mut(|data| unsafe { *data = 7 });
            waker.wake();
        })
    };
    turn_until_woken(&waker, busy);
    // SAFETY: as above.
    assert_eq!(data.with(|data| unsafe { *data }), 7);
    sender.join().unwrap();
}

#[test]
fn what_was_published_before_a_wake_up_is_seen() {
    loom::model(|| published_data_is_seen(false));
    loom::model(|| published_data_is_seen(true));
}

/// Every message of two senders reaches the reactor, those of one in their order, however it sleeps and wakes.
fn messages_arrive(per_sender: usize) {
    let mailbox = Arc::new({
        let waker = new_waker();
        (Mailbox::new(waker.clone()), waker)
    });
    let senders: Vec<_> = (0..2)
        .map(|sender| {
            let mailbox = mailbox.clone();
            thread::spawn(move || (0..per_sender).for_each(|i| mailbox.0.send(sender * 10 + i)))
        })
        .collect();
    let mut got: Vec<usize> = Vec::new();
    while got.len() < 2 * per_sender {
        if turn(&mailbox.1, false) {
            got.extend(mailbox.0.take());
        }
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    for sender in 0..2 {
        let of_one: Vec<usize> = got.iter().copied().filter(|n| n / 10 == sender).collect();
        assert_eq!(of_one, (0..per_sender).map(|i| sender * 10 + i).collect::<Vec<_>>());
    }
}

#[test]
fn one_message_of_each_sender_arrives() {
    model(|| messages_arrive(1));
}

#[test]
fn messages_of_one_sender_keep_their_order() {
    model(|| messages_arrive(2));
}
