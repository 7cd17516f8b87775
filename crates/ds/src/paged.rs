//! A sequence that grows without ever moving much: pages of equal length.
//!
//! A `Vec` of a million elements is copied when it grows, which takes longer than a lock should be held. Here only the first page is
//! moved while it fills; any later one is allocated at once and stays where it is.

/// Elements of a page, a power of two.
const PAGE: usize = 1024;

/// A sequence of elements in pages.
#[derive(Clone, Debug)]
pub struct Paged<T> {
    pages: Vec<Vec<T>>,
}

impl<T> Default for Paged<T> {
    fn default() -> Self {
        Paged { pages: Vec::new() }
    }
}

impl<T> Paged<T> {
    /// Number of elements. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        self.pages.last().map_or(0, |last| (self.pages.len() - 1) * PAGE + last.len())
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Appends an element; returns its index.
    pub fn push(&mut self, value: T) -> usize {
        let index = self.len();
        if index.is_multiple_of(PAGE) {
            self.pages.push(if index == 0 { Vec::new() } else { Vec::with_capacity(PAGE) });
        }
        self.pages[index / PAGE].push(value);
        index
    }

    /// The element at `index`, if there is one.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        self.pages.get(index / PAGE)?.get(index % PAGE)
    }

    /// All elements in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten()
    }

    /// Bytes of the pages, the elements' own allocations not included. O(1).
    pub fn memory_bytes(&self) -> usize {
        let elements = match self.pages.len() {
            0 => 0,
            1 => self.pages[0].capacity(),
            more => more * PAGE,
        };
        self.pages.capacity() * size_of::<Vec<T>>() + elements * size_of::<T>()
    }
}

impl<T> std::ops::Index<usize> for Paged<T> {
    type Output = T;

    #[inline(always)]
    fn index(&self, index: usize) -> &T {
        &self.pages[index / PAGE][index % PAGE]
    }
}

impl<T> std::ops::IndexMut<usize> for Paged<T> {
    #[inline(always)]
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.pages[index / PAGE][index % PAGE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_stay_at_their_index() {
        let mut paged = Paged::default();
        assert!(paged.is_empty() && paged.get(0).is_none());
        for value in 0..3 * PAGE + 5 {
            assert_eq!(paged.len(), value);
            assert_eq!(paged.push(value), value);
        }
        paged[PAGE] = 7;
        assert_eq!((paged[PAGE - 1], paged[PAGE], paged.get(3 * PAGE + 5)), (PAGE - 1, 7, None));
        assert_eq!(paged.iter().sum::<usize>(), (0..3 * PAGE + 5).sum::<usize>() - PAGE + 7);
    }
}
