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
    /// Those who have left a seat while messages for it were on their way.
    leaving: Vec<Leaving>,
}

/// A connection that has left a seat, but is still to have what was posted before.
pub struct Leaving {
    /// The place of the seat, which may be another's now.
    place: u32,
    /// As the seat's.
    pub head: Box<[u8]>,
    subscriber: Subscriber,
    /// Number of the first post that is not for it.
    until: u64,
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

    /// Takes a connection out that is there. It still gets what was posted with a number below `until`.
    pub fn remove(&mut self, place: u32, conn: u32, until: Option<u64>) {
        let seat = &mut self.seats[place as usize];
        let subscriber = seat.remove(conn);
        if let Some(until) = until {
            self.leaving.push(Leaving { place, head: seat.head.clone(), subscriber, until });
        }
    }

    /// Those who have left the seat at `place`, and are to have the post with this number nevertheless.
    pub fn leaving(&self, place: u32, number: u64) -> impl Iterator<Item = (&Leaving, Subscriber)> {
        let concerned = move |leaving: &&Leaving| {
            leaving.place == place && (leaving.subscriber.since..leaving.until).contains(&number)
        };
        self.leaving.iter().filter(concerned).map(|leaving| (leaving, leaving.subscriber))
    }

    /// Whether anybody is leaving.
    pub fn any_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// All posts below this number were delivered.
    pub fn delivered(&mut self, number: u64) {
        self.leaving.retain(|leaving| leaving.until > number);
    }

    /// A connection is gone.
    pub fn forget(&mut self, conn: u32) {
        self.leaving.retain(|leaving| leaving.subscriber.conn != conn);
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

    fn remove(&mut self, conn: u32) -> Subscriber {
        let position = match &mut self.positions {
            Some(positions) => positions.remove(&conn).map(|position| position as usize),
            None => self.subscribers.iter().position(|subscriber| subscriber.conn == conn),
        };
        let position = position.expect("a connection is where it has subscribed");
        let removed = self.subscribers.swap_remove(position);
        if let Some(moved) = self.subscribers.get(position)
            && let Some(positions) = &mut self.positions
        {
            positions.insert(moved.conn, position as u32);
        }
        removed
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
                seats.remove(place, conn, None);
                let mut there: Vec<u32> = seats.at(place).subscribers().iter().map(|one| one.conn).collect();
                there.sort_unstable();
                let mut expected = left.clone();
                expected.sort_unstable();
                assert_eq!(there, expected);
            }
            assert!(!seats.any_leaving());
            seats.give_up(place);
            assert_eq!(seats.take(Box::default()), place, "a vacant seat is used again");
        }
    }

    #[test]
    fn who_leaves_gets_what_was_on_its_way() {
        let mut seats = Seats::default();
        let place = seats.take((*b"head").into());
        seats.add(place, Subscriber { conn: 1, since: 3 });
        seats.add(place, Subscriber { conn: 2, since: 3 });
        seats.remove(place, 1, Some(5));
        seats.remove(place, 2, Some(6));
        seats.give_up(place);
        let who = |seats: &Seats, number| -> Vec<u32> {
            seats.leaving(place, number).map(|(leaving, one)| one.conn + leaving.head.len() as u32).collect()
        };
        assert_eq!([2, 3, 4, 5, 6].map(|number| who(&seats, number).len()), [0, 2, 2, 1, 0]);
        assert_eq!(who(&seats, 5), [2 + 4]);
        seats.delivered(5);
        assert_eq!(who(&seats, 4), [2 + 4]);
        seats.forget(2);
        assert!(!seats.any_leaving());
    }
}
