//! What a disk that fails does to a writer.

use super::*;
use std::sync::{Arc, Mutex};

/// A file that fails on demand.
#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    synced: usize,
    /// How much it still takes; then there is no room.
    room: Option<usize>,
    fails_to_cut: bool,
    fails_to_sync: bool,
    fails_to_write: bool,
}

struct Fake(Arc<Mutex<State>>);

impl Disk for Fake {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        if state.fails_to_write {
            return Err(io::Error::from_raw_os_error(5));
        }
        // A few bytes at a time, as a system may do.
        let count = bytes.len().min(7).min(state.room.unwrap_or(usize::MAX));
        if count == 0 {
            return Err(io::Error::from_raw_os_error(28));
        }
        state.room = state.room.map(|room| room - count);
        state.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if state.fails_to_sync {
            return Err(io::Error::from_raw_os_error(5));
        }
        state.synced = state.bytes.len();
        Ok(())
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if state.fails_to_cut {
            return Err(io::Error::from_raw_os_error(30));
        }
        state.bytes.truncate(bytes as usize);
        Ok(())
    }
}

fn begun() -> (Arc<Mutex<State>>, Writer) {
    let state = Arc::new(Mutex::new(State::default()));
    let mut writer = Writer::default();
    writer.add(begin(&state, None));
    (state, writer)
}

fn begin(state: &Arc<Mutex<State>>, name: Option<Box<dyn FnOnce() -> bool + Send>>) -> VecDeque<Piece> {
    VecDeque::from([Piece::Begin(Begin { disk: Box::new(Fake(state.clone())), bytes: 0, name })])
}

fn bytes(text: &str) -> VecDeque<Piece> {
    VecDeque::from([Piece::Bytes(text.as_bytes().to_vec())])
}

fn content(state: &Mutex<State>) -> String {
    String::from_utf8(state.lock().unwrap().bytes.clone()).unwrap()
}

#[test]
fn pieces_are_written_in_order_and_synced() {
    let (state, mut writer) = begun();
    writer.add(bytes("the first piece "));
    writer.add(bytes("the second"));
    writer.write().unwrap();
    assert_eq!(content(&state), "the first piece the second");
    assert_eq!((writer.written(), writer.synced(), writer.bytes()), (26, 0, 26));
    writer.sync().unwrap();
    assert_eq!((writer.synced(), state.lock().unwrap().synced), (26, 26));
}

#[test]
fn a_short_write_is_cut_off_and_tried_again() {
    let (state, mut writer) = begun();
    writer.add(bytes("complete "));
    writer.write().unwrap();
    state.lock().unwrap().room = Some(10);
    writer.add(bytes("does not fit in there"));
    let Err(Trouble::Short { written: 10, wanted: 21, stays: None }) = writer.write() else { panic!() };
    assert_eq!(content(&state), "complete ");
    assert_eq!(writer.written(), 9);
    let Err(trouble @ Trouble::Write(_)) = writer.write() else { panic!() };
    assert_eq!(trouble.error().raw_os_error(), Some(28));
    state.lock().unwrap().room = None;
    writer.add(bytes(" and more"));
    writer.write().unwrap();
    assert_eq!(content(&state), "complete does not fit in there and more");
    assert_eq!(writer.written(), content(&state).len() as u64);
}

#[test]
fn what_cannot_be_cut_off_is_gone_on_with() {
    let (state, mut writer) = begun();
    {
        let mut state = state.lock().unwrap();
        state.room = Some(10);
        state.fails_to_cut = true;
    }
    writer.add(bytes("does not fit in there"));
    let Err(Trouble::Short { written: 10, stays: Some(_), .. }) = writer.write() else { panic!() };
    assert_eq!((writer.written(), writer.bytes()), (10, 10));
    state.lock().unwrap().room = Some(4);
    let Err(Trouble::Short { written: 4, .. }) = writer.write() else { panic!() };
    state.lock().unwrap().room = None;
    writer.write().unwrap();
    assert_eq!(content(&state), "does not fit in there");
    assert_eq!(writer.written(), 21);
}

#[test]
fn what_is_not_synced_does_not_count_as_such() {
    let (state, mut writer) = begun();
    state.lock().unwrap().fails_to_sync = true;
    writer.add(bytes("piece"));
    writer.write().unwrap();
    let Err(trouble) = writer.sync() else { panic!() };
    assert!(trouble.is_sync());
    assert_eq!((trouble.error().raw_os_error(), writer.synced()), (Some(5), 0));
    state.lock().unwrap().fails_to_sync = false;
    writer.sync().unwrap();
    assert_eq!(writer.synced(), 5);
}

#[test]
fn nothing_goes_to_the_next_file_before_the_last_one_is_synced() {
    let (first, mut writer) = begun();
    writer.add(bytes("old"));
    writer.write().unwrap();
    first.lock().unwrap().fails_to_sync = true;
    let second = Arc::new(Mutex::new(State::default()));
    let (before, after) = (first.clone(), second.clone());
    let name = move || {
        assert_eq!((before.lock().unwrap().synced, content(&after).as_str()), (3, ""));
        true
    };
    writer.add(begin(&second, Some(Box::new(name))));
    writer.add(bytes("new"));
    assert!(writer.write().is_err());
    assert_eq!(content(&second), "");
    first.lock().unwrap().fails_to_sync = false;
    writer.write().unwrap();
    assert_eq!((content(&first).as_str(), content(&second).as_str()), ("old", "new"));
    assert_eq!((first.lock().unwrap().synced, writer.synced(), writer.written()), (3, 3, 6));
    assert_eq!(writer.bytes(), 3);
}

#[test]
fn a_file_that_cannot_be_named_is_not_written_to() {
    let (first, mut writer) = begun();
    writer.add(bytes("old "));
    let second = Arc::new(Mutex::new(State::default()));
    writer.add(begin(&second, Some(Box::new(|| false))));
    writer.add(bytes("new"));
    writer.write().unwrap();
    assert_eq!((content(&first).as_str(), content(&second).as_str()), ("old new", ""));
    assert_eq!((writer.written(), writer.bytes()), (7, 7));
}

#[test]
fn what_nobody_wants_need_not_be_written() {
    let (first, mut writer) = begun();
    {
        let mut state = first.lock().unwrap();
        state.room = Some(2);
        state.fails_to_cut = true;
    }
    writer.add(bytes("old"));
    assert!(writer.write().is_err());
    writer.forget_ended();
    assert_eq!(writer.written(), 2, "it is still wanted");
    writer.add(VecDeque::from([Piece::End]));
    let second = Arc::new(Mutex::new(State::default()));
    writer.add(begin(&second, None));
    writer.add(bytes("new"));
    writer.forget_ended();
    assert_eq!((writer.written(), writer.synced()), (3, 3));
    writer.write().unwrap();
    assert_eq!((content(&first).as_str(), content(&second).as_str()), ("ol", "new"));
    assert_eq!((writer.written(), writer.synced()), (6, 3));
}

#[test]
fn without_a_file_everything_is_written_at_once() {
    let (state, mut writer) = begun();
    writer.add(VecDeque::from([Piece::End]));
    writer.add(bytes("late"));
    writer.write().unwrap();
    writer.sync().unwrap();
    assert_eq!((content(&state).as_str(), writer.synced()), ("", 4));
}

#[test]
fn an_error_leaves_everything_to_be_written() {
    let (state, mut writer) = begun();
    state.lock().unwrap().fails_to_write = true;
    writer.add(bytes("piece"));
    let Err(trouble) = writer.write() else { panic!() };
    assert_eq!(trouble.error().raw_os_error(), Some(5));
    state.lock().unwrap().fails_to_write = false;
    writer.write().unwrap();
    assert_eq!(content(&state), "piece");
}
