//! The links of one node on one layer, each with its distance.

/// Neighbours and how far they are.
#[derive(Clone, Default)]
pub(super) struct Links {
    /// Room for `n` neighbours, then for the bits of their distances.
    words: Box<[u32]>,
    len: u16,
    /// How many there may be.
    max: u16,
}

/// Room that a node begins with.
const ROOM_MIN: usize = 4;

impl Links {
    /// None yet, up to `max` later.
    pub(super) fn new(max: u16) -> Links {
        Links { words: Box::default(), len: 0, max }
    }

    #[inline(always)]
    fn room(&self) -> usize {
        self.words.len() / 2
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    pub(super) fn max(&self) -> usize {
        usize::from(self.max)
    }

    pub(super) fn is_full(&self) -> bool {
        self.len >= self.max
    }

    /// The neighbours.
    #[inline(always)]
    pub(super) fn ids(&self) -> &[u32] {
        &self.words[..self.len()]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, f32)> {
        let distances = &self.words[self.room()..][..self.len()];
        self.ids().iter().zip(distances).map(|(&id, &bits)| (id, f32::from_bits(bits)))
    }

    pub(super) fn has(&self, id: u32) -> bool {
        self.ids().contains(&id)
    }

    /// Adds a link. Where there is no room the number that there may be grows by one.
    pub(super) fn push(&mut self, id: u32, distance: f32) {
        self.max = self.max.max(self.len + 1);
        if self.len() == self.room() {
            self.grow();
        }
        let (room, len) = (self.room(), self.len());
        self.words[len] = id;
        self.words[room + len] = distance.to_bits();
        self.len += 1;
    }

    fn grow(&mut self) {
        let room = (self.room() * 2).max(ROOM_MIN).min(self.max());
        let mut words = vec![0; room * 2];
        words[..self.len()].copy_from_slice(self.ids());
        words[room..][..self.len()].copy_from_slice(&self.words[self.room()..][..self.len()]);
        self.words = words.into_boxed_slice();
    }

    /// Removes the link to a neighbour; whether there was one.
    pub(super) fn remove(&mut self, id: u32) -> bool {
        let Some(at) = self.ids().iter().position(|&other| other == id) else { return false };
        let (room, last) = (self.room(), self.len() - 1);
        self.words[at] = self.words[last];
        self.words[room + at] = self.words[room + last];
        self.len -= 1;
        true
    }

    /// Sets how many there may be.
    pub(super) fn set_max(&mut self, max: u16) {
        self.max = max;
    }

    /// Sets the distance of a link.
    pub(super) fn set_distance(&mut self, at: usize, distance: f32) {
        assert!(at < self.len(), "one of the links");
        let room = self.room();
        self.words[room + at] = distance.to_bits();
    }

    /// The farthest link: where it is, and how far. `(0, 0)` if there is none.
    pub(super) fn farthest(&self) -> (usize, f32) {
        let farther = |worst: (usize, f32), (at, (_, distance)): (usize, (u32, f32))| {
            if distance > worst.1 { (at, distance) } else { worst }
        };
        self.iter().enumerate().fold((0, 0.0), farther)
    }

    /// Bytes of its own allocation.
    pub(super) fn memory_bytes(&self) -> usize {
        crate::entry::size_class(self.words.len() * 4)
    }
}
