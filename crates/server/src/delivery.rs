//! From a reactor's inbox into the outputs of its connections.
//!
//! Messages of all connections of a turn are delivered together: those in a row that go to the same subscribers are put together
//! first and copied into each output at once, and each output goes to the engine once. A connection that takes messages itself is
//! served before and after each of its commands that has caused some, so that it finds them where it would expect them: behind
//! the reply of the command.

use crate::clients::ClientInfo;
use crate::connection::Connection;
use crate::exec::OUTPUT_PIECE;
use crate::journal::units::Open;
use crate::pubsub::inbox::Post;
use crate::pubsub::message::PUSH;
use crate::pubsub::seats::{Seat, Seats};
use crate::reactor::Reactor;
use crate::tracking;
use kinovar_command::Protocol;
use kinovar_io::clock;
use kinovar_io::engine::{ConnId, Net};
use std::sync::atomic::Ordering::Relaxed;

/// Messages are put together up to about this size, bytes.
const TOGETHER: usize = 16 << 10;

/// What a reactor needs to deliver messages, reused from one time to the next.
#[derive(Default)]
pub struct Delivery {
    posts: Vec<Post>,
    together: Together,
    /// Connections that were sent something and whose output the engine does not have yet.
    dirty: Vec<u32>,
    /// The position in the journal that messages depend on: they may be about changes.
    position: u64,
    /// They may be about these, too.
    unclear: Option<Open>,
}

impl Delivery {
    /// A connection is sent some of the messages.
    #[inline]
    fn mark(&self, conn: &mut Connection) {
        conn.session.position = conn.session.position.max(self.position);
        if self.unclear.is_some() {
            conn.unclear.clone_from(&self.unclear);
        }
    }
}

/// Several messages as one.
#[derive(Default)]
struct Together {
    resp2: Vec<u8>,
    /// The same for RESP3; empty as long as nobody needs it.
    resp3: Vec<u8>,
    /// Where each begins.
    starts: Vec<usize>,
}

impl Together {
    fn clear(&mut self) {
        self.resp2.clear();
        self.resp3.clear();
        self.starts.clear();
    }

    fn add(&mut self, parts: &[&[u8]]) {
        self.starts.push(self.resp2.len());
        parts.iter().for_each(|part| self.resp2.extend_from_slice(part));
    }

    fn in_protocol(&mut self, protocol: Protocol) -> &[u8] {
        if protocol == Protocol::Resp2 {
            return &self.resp2;
        }
        if self.resp3.is_empty() {
            self.resp3.extend_from_slice(&self.resp2);
            self.starts.iter().for_each(|&start| self.resp3[start] = PUSH);
        }
        &self.resp3
    }
}

impl Reactor {
    /// Delivers what is in the inbox with numbers below `until`. `current` is the connection that is being served and therefore
    /// not in its place.
    pub(crate) fn deliver(&mut self, net: &mut Net, mut current: Option<&mut Connection>, until: u64) {
        let server = self.server;
        let inbox = server.pubsub.inbox(self.index);
        if let Some(conn) = &mut current {
            conn.session.has_mail = false;
        }
        while inbox.waiting() > 0 {
            let mut posts = std::mem::take(&mut self.delivery.posts);
            let first = inbox.take(&mut posts, until);
            let is_all = posts.is_empty();
            // In this order, and after they were taken: see `journal::units`.
            self.delivery.unclear = server.journal.open_units();
            self.delivery.position = if server.journal.is_always() { server.journal.recorded() } else { 0 };
            let mut seats = server.pubsub.seats(self.index);
            let mut together = std::mem::take(&mut self.delivery.together);
            let (mut at, is_left) = (0, seats.any_leaving());
            while at < posts.len() {
                let number = first + at as u64;
                together.clear();
                if is_left {
                    self.fill_leaving(net, &mut current, &seats, &posts[at], number);
                }
                match &posts[at] {
                    Post::Message(message, Some(place), patterns) if patterns.is_empty() => {
                        together.add(&[message.bytes()]);
                        let seat = seats.at(*place);
                        // Only if all of them are for all subscribers.
                        while !is_left
                            && seat.all_since(number)
                            && together.resp2.len() < TOGETHER
                            && let Some(Post::Message(next, Some(next_place), patterns)) = posts.get(at + 1)
                            && next_place == place
                            && patterns.is_empty()
                        {
                            together.add(&[next.bytes()]);
                            at += 1;
                        }
                        self.fill(net, &mut current, seat, number, &mut together);
                    }
                    Post::Message(message, place, patterns) => {
                        if let Some(place) = place {
                            together.add(&[message.bytes()]);
                            self.fill(net, &mut current, seats.at(*place), number, &mut together);
                        }
                        for place in patterns {
                            let seat = seats.at(*place);
                            together.clear();
                            together.add(&[&seat.head, message.tail()]);
                            self.fill(net, &mut current, seat, number, &mut together);
                        }
                    }
                    Post::Bytes { conn, client, bytes } => {
                        let index = ConnId::from_bits(*conn).index();
                        self.append(net, &mut current, index, |conn| {
                            if conn.session.info.id == *client {
                                conn.output.extend_from_slice(bytes);
                            }
                        });
                    }
                    Post::Invalidation { to, keys, redirected } => {
                        let told = self.append_to(net, &mut current, to, |conn| {
                            let (session, out) = (&conn.session, &mut conn.output);
                            tracking::write_invalidation(session, out, keys, redirected.is_some());
                        });
                        if let Some(reader) = redirected
                            && !told
                        {
                            server.redirect_is_broken(reader);
                        }
                    }
                    Post::RedirectBroken { to, redirect } => {
                        self.append_to(net, &mut current, to, |conn| {
                            tracking::write_redirect_broken(&conn.session, &mut conn.output, *redirect);
                        });
                    }
                }
                at += 1;
            }
            if is_left {
                seats.delivered(first + posts.len() as u64);
            }
            drop(seats);
            posts.clear();
            (self.delivery.posts, self.delivery.together) = (posts, together);
            if is_all {
                break;
            }
        }
    }

    /// Copies messages into the outputs of those subscribers for whom the post with this number is.
    fn fill(
        &mut self,
        net: &mut Net,
        current: &mut Option<&mut Connection>,
        seat: &Seat,
        number: u64,
        together: &mut Together,
    ) {
        for subscriber in seat.subscribers() {
            if subscriber.since <= number {
                self.append(net, current, subscriber.conn as usize, |conn| {
                    conn.output.extend_from_slice(together.in_protocol(conn.session.protocol));
                });
            }
        }
    }

    /// Copies a message into the outputs of those who have unsubscribed since it was published.
    #[cold]
    fn fill_leaving(
        &mut self,
        net: &mut Net,
        current: &mut Option<&mut Connection>,
        seats: &Seats,
        post: &Post,
        number: u64,
    ) {
        let Post::Message(message, place, patterns) = post else { return };
        let mut together = Together::default();
        for place in place.iter().chain(patterns) {
            for (leaving, subscriber) in seats.leaving(*place, number) {
                together.clear();
                if leaving.head.is_empty() {
                    together.add(&[message.bytes()]);
                } else {
                    together.add(&[&leaving.head, message.tail()]);
                }
                self.append(net, current, subscriber.conn as usize, |conn| {
                    conn.output.extend_from_slice(together.in_protocol(conn.session.protocol));
                });
            }
        }
    }

    /// Lets `write` append to the output of a connection, if it is there.
    #[inline]
    fn append(
        &mut self,
        net: &mut Net,
        current: &mut Option<&mut Connection>,
        index: usize,
        write: impl FnOnce(&mut Connection),
    ) {
        if let Some(conn) = current
            && conn.id.index() == index
        {
            self.delivery.mark(conn);
            write(conn);
            if conn.output.len() >= OUTPUT_PIECE {
                self.send_output(net, conn, clock::unix_ms());
            }
            return;
        }
        let Some(Some(conn)) = self.connections.get_mut(index) else { return };
        if conn.output.capacity() == 0 {
            conn.output = self.spare.pop().unwrap_or_default();
        }
        self.delivery.mark(conn);
        write(conn);
        if !conn.dirty {
            conn.dirty = true;
            self.delivery.dirty.push(index as u32);
        }
        if conn.output.len() >= OUTPUT_PIECE {
            self.send_index(net, index);
        }
    }

    /// The same for a client; whether it is there.
    fn append_to(
        &mut self,
        net: &mut Net,
        current: &mut Option<&mut Connection>,
        client: &ClientInfo,
        write: impl FnOnce(&mut Connection),
    ) -> bool {
        let index = ConnId::from_bits(client.conn.load(Relaxed)).index();
        let mut told = false;
        self.append(net, current, index, |conn| {
            if conn.session.info.id == client.id {
                write(conn);
                told = true;
            }
        });
        told
    }

    /// Delivers what is in the inbox and hands all outputs to the engine.
    pub(crate) fn deliver_and_send(&mut self, net: &mut Net) {
        self.deliver(net, None, u64::MAX);
        while let Some(index) = self.delivery.dirty.pop() {
            if let Some(Some(conn)) = self.connections.get_mut(index as usize) {
                conn.dirty = false;
            }
            self.send_index(net, index as usize);
        }
    }

    fn send_index(&mut self, net: &mut Net, index: usize) {
        let Some(slot) = self.connections.get_mut(index) else { return };
        if let Some(mut conn) = slot.take() {
            if !conn.output.is_empty() {
                self.send_output(net, &mut conn, clock::unix_ms());
            }
            self.connections[index] = Some(conn);
        }
    }
}
