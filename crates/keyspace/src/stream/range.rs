//! Entries by turns.

use super::StreamId;
use crate::Text;
use std::marker::PhantomData;

/// An entry of a stream. Nothing is copied: names and values lie in the stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamEntry<'a> {
    /// Its id.
    pub id: StreamId,
    count: u32,
    marker: PhantomData<&'a [u8]>,
}

impl<'a> StreamEntry<'a> {
    /// Number of fields.
    pub fn field_count(&self) -> usize {
        self.count as usize
    }

    /// Names and values by turns: twice [`StreamEntry::field_count`] texts.
    pub fn texts(&self) -> Fields<'a> {
        todo!()
    }
}

/// Names and values by turns.
pub struct Fields<'a> {
    marker: PhantomData<&'a [u8]>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Text<'a>;

    fn next(&mut self) -> Option<Text<'a>> {
        todo!()
    }
}

/// Entries, oldest first.
pub struct Range<'a> {
    marker: PhantomData<&'a [u8]>,
}

impl<'a> Iterator for Range<'a> {
    type Item = StreamEntry<'a>;

    fn next(&mut self) -> Option<StreamEntry<'a>> {
        todo!()
    }
}

/// Entries, newest first.
pub struct RangeRev<'a> {
    marker: PhantomData<&'a [u8]>,
}

impl<'a> Iterator for RangeRev<'a> {
    type Item = StreamEntry<'a>;

    fn next(&mut self) -> Option<StreamEntry<'a>> {
        todo!()
    }
}
