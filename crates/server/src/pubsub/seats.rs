//! A reactor's own subscribers. A channel or pattern that any of its connections listens to has a *seat*: a place in a list,
//! which messages name, so that delivering them needs no lookup.

use std::collections::HashMap;

/// From so many subscribers of a seat on their positions are indexed.
const INDEXED: usize = 32;

/// The subscribers of one reactor.
#[derive(Default)]
pub struct Seats {
    seats: Vec<Seat>,
    vacant: Vec<u32>,
}

/// Those of one channel or pattern.
#[derive(Default)]
pub struct Seat {
    /// What stands in front of a message: [`pattern_head`](super::message::pattern_head), nothing for a channel.
    pub head: Box<[u8]>,
    subscribers: Vec<Subscriber>,
    /// Where each connection is among them, once there are many.
    positions: Option<HashMap<u32, u32>>,
    /// The largest number in `subscribers`.
    latest: u64,
}

/// One connection, and the number of the first post that is for it.
#[derive(Clone, Copy)]
pub struct Subscriber {
    /// Index of the connection.
    pub conn: u32,
    /// Number of the first post that is for it.
    pub since: u64,
}

impl Seats {
    /// A seat without subscribers; its place.
    pub fn take(&mut self, head: Box<[u8]>) -> u32 {
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.seats.push(Seat::default());
            self.seats.len() as u32 - 1
        });
        self.seats[place as usize] = Seat { head, ..Seat::default() };
        place
    }

    /// Gives up a seat that nobody has any more.
    pub fn give_up(&mut self, place: u32) {
        debug_assert!(self.seats[place as usize].subscribers.is_empty());
        self.seats[place as usize] = Seat::default();
        self.vacant.push(place);
    }

    /// The seat at a place.
    #[inline]
    pub fn at(&self, place: u32) -> &Seat {
        &self.seats[place as usize]
    }

    /// Adds a connection that is not there yet.
    pub fn add(&mut self, place: u32, subscriber: Subscriber) {
        self.seats[place as usize].add(subscriber);
    }

    /// Takes a connection out that is there.
    pub fn remove(&mut self, place: u32, conn: u32) {
        self.seats[place as usize].remove(conn);
    }
}

impl Seat {
    fn add(&mut self, subscriber: Subscriber) {
        let position = self.subscribers.len() as u32;
        self.subscribers.push(subscriber);
        self.latest = self.latest.max(subscriber.since);
        match &mut self.positions {
            Some(positions) => {
                positions.insert(subscriber.conn, position);
            }
            None if self.subscribers.len() >= INDEXED => {
                let all = self.subscribers.iter().zip(0..).map(|(subscriber, position)| (subscriber.conn, position));
                self.positions = Some(all.collect());
            }
            None => {}
        }
    }

    fn remove(&mut self, conn: u32) {
        let position = match &mut self.positions {
            Some(positions) => positions.remove(&conn).map(|position| position as usize),
            None => self.subscribers.iter().position(|subscriber| subscriber.conn == conn),
        };
        let position = position.expect("a connection is where it has subscribed");
        self.subscribers.swap_remove(position);
        if let Some(moved) = self.subscribers.get(position)
            && let Some(positions) = &mut self.positions
        {
            positions.insert(moved.conn, position as u32);
        }
    }

    /// All subscribers.
    #[inline]
    pub fn subscribers(&self) -> &[Subscriber] {
        &self.subscribers
    }

    /// Whether the posts from this number on are for every subscriber.
    #[inline]
    pub fn all_since(&self, number: u64) -> bool {
        self.latest <= number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscribers_are_found_again_however_many() {
        for count in [1, INDEXED as u32 - 1, INDEXED as u32, 200] {
            let mut seats = Seats::default();
            let place = seats.take(Box::default());
            (0..count).for_each(|conn| seats.add(place, Subscriber { conn, since: u64::from(conn) }));
            assert!(seats.at(place).all_since(u64::from(count) - 1) && (count < 2 || !seats.at(place).all_since(0)));
            let mut left: Vec<u32> = (0..count).collect();
            while !left.is_empty() {
                let conn = left.swap_remove(left.len() / 3);
                seats.remove(place, conn);
                let mut there: Vec<u32> = seats.at(place).subscribers().iter().map(|one| one.conn).collect();
                there.sort_unstable();
                let mut expected = left.clone();
                expected.sort_unstable();
                assert_eq!(there, expected);
            }
            seats.give_up(place);
            assert_eq!(seats.take(Box::default()), place, "a vacant seat is used again");
        }
    }
}
