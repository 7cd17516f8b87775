//! Foreign bytes as a listpack: refused, or safe to walk and to change, with a vector beside it.
#![no_main]

use kinovar_ds::listpack::Listpack;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// Whether to put the total length, the count and the end mark right, so that more is accepted.
    header: Option<u16>,
    edits: Vec<Edit<'a>>,
    bytes: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum Edit<'a> {
    PushBack(&'a [u8]),
    PushFront(&'a [u8]),
    InsertBefore(u8, &'a [u8]),
    InsertAfter(u8, &'a [u8]),
    Replace(u8, &'a [u8]),
    ReplaceInt(u8, i64),
    Delete(u8, u8),
    DeleteRange(i8, u8),
    DeleteSome(u8),
    Split(u8),
    Find(u8, u8),
}

fuzz_target!(|input: Input<'_>| {
    let mut bytes = input.bytes.to_vec();
    if let Some(count) = input.header {
        let total = bytes.len() as u32 + 7;
        let mut whole = total.to_le_bytes().to_vec();
        whole.extend(count.to_le_bytes());
        whole.append(&mut bytes);
        whole.push(0xff);
        bytes = whole;
    }
    let Ok(mut list) = Listpack::from_bytes(&bytes) else { return };
    // The count of a short list may be "unknown" in foreign bytes; it is known in ours.
    assert_eq!(list.to_bytes()[..4], bytes[..4]);
    assert_eq!(list.to_bytes()[6..], bytes[6..]);
    let mut model: Vec<Vec<u8>> = list.iter().map(|item| item.to_vec()).collect();
    check(&list, &model);
    for edit in &input.edits {
        apply(&mut list, &mut model, edit);
        check(&list, &model);
    }
});

/// The elements from both ends, and bytes that would be accepted again.
fn check(list: &Listpack, model: &[Vec<u8>]) {
    assert!(list.iter().map(|item| item.to_vec()).eq(model.iter().cloned()));
    assert!(list.iter().rev().map(|item| item.to_vec()).eq(model.iter().rev().cloned()));
    assert_eq!((list.len(), list.is_empty()), (model.len(), model.is_empty()));
    let mut pos = list.first();
    for item in model {
        let at = pos.expect("an element");
        assert!(list.get(at).eq_bytes(item) && list.get(at).len() == item.len());
        pos = list.next(at);
    }
    assert_eq!(pos, None);
    let copy = Listpack::from_bytes(&list.to_bytes()).expect("our own bytes");
    assert!(copy == *list && copy.memory_bytes() >= copy.body().len());
}

fn apply(list: &mut Listpack, model: &mut Vec<Vec<u8>>, edit: &Edit<'_>) {
    let place = |at: u8, list: &Listpack, model: &[Vec<u8>]| {
        let index = (!model.is_empty()).then(|| usize::from(at) % model.len())?;
        Some((index, list.seek(index as i64).expect("inside")))
    };
    match *edit {
        Edit::PushBack(value) => {
            list.push_back(value);
            model.push(value.to_vec());
        }
        Edit::PushFront(value) => {
            list.push_front(value);
            model.insert(0, value.to_vec());
        }
        Edit::InsertBefore(at, value) => {
            let Some((index, pos)) = place(at, list, model) else { return };
            list.insert_before(pos, value);
            model.insert(index, value.to_vec());
        }
        Edit::InsertAfter(at, value) => {
            let Some((index, pos)) = place(at, list, model) else { return };
            list.insert_after(pos, value);
            model.insert(index + 1, value.to_vec());
        }
        Edit::Replace(at, value) => {
            let Some((index, pos)) = place(at, list, model) else { return };
            list.replace(pos, value);
            model[index] = value.to_vec();
        }
        Edit::ReplaceInt(at, value) => {
            let Some((index, pos)) = place(at, list, model) else { return };
            list.replace_int(pos, value);
            model[index] = value.to_string().into_bytes();
        }
        Edit::Delete(at, count) => {
            let Some((index, pos)) = place(at, list, model) else { return };
            let end = model.len().min(index + usize::from(count));
            model.drain(index..end);
            assert_eq!(list.delete_at(pos, usize::from(count)).is_some(), index < model.len());
        }
        Edit::DeleteRange(at, count) => {
            let start = if at < 0 { model.len() as i64 + i64::from(at) } else { i64::from(at) };
            let start = usize::try_from(start).unwrap_or(usize::MAX).min(model.len());
            let end = (start + usize::from(count)).min(model.len());
            model.drain(start..end);
            assert_eq!(list.delete_range(i64::from(at), usize::from(count)), end - start);
        }
        Edit::DeleteSome(every) => {
            let every = usize::from(every).max(1);
            let doomed: Vec<usize> =
                (0..model.len()).step_by(every).map(|at| list.seek(at as i64).expect("inside")).collect();
            list.delete_all(&doomed);
            let mut at = 0;
            model.retain(|_| {
                at += 1;
                !(at - 1usize).is_multiple_of(every)
            });
        }
        Edit::Split(at) => {
            let Some((index, pos)) = place(at, list, model) else { return };
            let mut tail = list.split_off(pos);
            check(&tail, &model[index..]);
            tail.append_listpack(list);
            model.rotate_left(index);
            *list = tail;
        }
        Edit::Find(at, skip) => {
            let Some((index, _)) = place(at, list, model) else { return };
            let step = usize::from(skip) + 1;
            let expected = (0..model.len()).step_by(step).find(|&i| model[i] == model[index]);
            assert_eq!(list.find(&model[index], usize::from(skip)), expected.and_then(|i| list.seek(i as i64)));
        }
    }
}
