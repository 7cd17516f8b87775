//! What Redis 8.2.3 answered.

use super::*;

/// A group's state before a trim of the entries 1 to 12.
fn prepare(stream: &mut Stream, state: &str) {
    stream.create_group(b"g", StreamId::MIN, None);
    let (read, acknowledged): (usize, &[u64]) = match state {
        "none" => (0, &[]),
        "read" => (12, &[]),
        "ack" => (12, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        _ => (8, &[1, 2, 4, 5, 7, 8]),
    };
    let consumer = stream.group_mut(b"g").unwrap().create_consumer(b"c", 0).0;
    stream.read_new(b"g", consumer, read, false, 0, &mut |_| {});
    for ms in acknowledged {
        assert!(stream.group_mut(b"g").unwrap().acknowledge(id(*ms)));
    }
}

/// `MAXLEN ~ 3 LIMIT 8 ACKED`
fn trim_of(words: &str) -> Trim {
    let words: Vec<&str> = words.split(' ').collect();
    let approximate = words[1] == "~";
    let number = words[1 + usize::from(approximate)].parse().unwrap();
    let by = if words[0] == "MAXLEN" { TrimBy::MaxLen(number) } else { TrimBy::MinId(id(number)) };
    let limit = words.iter().position(|word| *word == "LIMIT").map_or(0, |at| words[at + 1].parse().unwrap());
    let references = match words[words.len() - 1] {
        "KEEPREF" => References::Keep,
        "DELREF" => References::Delete,
        _ => References::Acked,
    };
    Trim { by, approximate, limit, references }
}

/// Trims of twelve entries in blocks of four: the trim, what the group did before, how many went, blocks and entries that
/// are left, what is pending.
#[test]
fn trimming() {
    type Row = (&'static str, &'static str, usize, usize, &'static [u64], &'static [u64]);
    let rows: &[Row] = &[
        ("MAXLEN 5 KEEPREF", "read", 7, 2, &[8, 9, 10, 11, 12], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        ("MAXLEN 5 KEEPREF", "some", 7, 2, &[8, 9, 10, 11, 12], &[3, 6]),
        ("MAXLEN ~ 5 KEEPREF", "read", 4, 2, &[5, 6, 7, 8, 9, 10, 11, 12], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        ("MAXLEN ~ 5 KEEPREF", "some", 4, 2, &[5, 6, 7, 8, 9, 10, 11, 12], &[3, 6]),
        ("MINID 6 KEEPREF", "read", 5, 2, &[6, 7, 8, 9, 10, 11, 12], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        ("MINID 6 KEEPREF", "some", 5, 2, &[6, 7, 8, 9, 10, 11, 12], &[3, 6]),
        ("MINID ~ 6 KEEPREF", "read", 4, 2, &[5, 6, 7, 8, 9, 10, 11, 12], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        ("MINID ~ 6 KEEPREF", "some", 4, 2, &[5, 6, 7, 8, 9, 10, 11, 12], &[3, 6]),
        ("MAXLEN ~ 3 LIMIT 8 KEEPREF", "read", 8, 1, &[9, 10, 11, 12], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        ("MAXLEN ~ 3 LIMIT 8 KEEPREF", "some", 8, 1, &[9, 10, 11, 12], &[3, 6]),
        ("MAXLEN 5 DELREF", "none", 7, 2, &[8, 9, 10, 11, 12], &[]),
        ("MAXLEN 5 DELREF", "read", 7, 2, &[8, 9, 10, 11, 12], &[8, 9, 10, 11, 12]),
        ("MAXLEN 5 DELREF", "ack", 7, 2, &[8, 9, 10, 11, 12], &[]),
        ("MAXLEN 5 DELREF", "some", 7, 2, &[8, 9, 10, 11, 12], &[]),
        ("MAXLEN ~ 5 DELREF", "none", 0, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[]),
        (
            "MAXLEN ~ 5 DELREF",
            "read",
            0,
            3,
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        ),
        ("MAXLEN ~ 5 DELREF", "ack", 0, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[]),
        ("MAXLEN ~ 5 DELREF", "some", 0, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[3, 6]),
        ("MINID 6 DELREF", "none", 5, 2, &[6, 7, 8, 9, 10, 11, 12], &[]),
        ("MINID 6 DELREF", "read", 5, 2, &[6, 7, 8, 9, 10, 11, 12], &[6, 7, 8, 9, 10, 11, 12]),
        ("MINID 6 DELREF", "ack", 5, 2, &[6, 7, 8, 9, 10, 11, 12], &[]),
        ("MINID 6 DELREF", "some", 5, 2, &[6, 7, 8, 9, 10, 11, 12], &[6]),
        ("MINID ~ 6 DELREF", "none", 0, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[]),
        (
            "MINID ~ 6 DELREF",
            "read",
            0,
            3,
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        ),
        ("MINID ~ 6 DELREF", "ack", 0, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[]),
        ("MINID ~ 6 DELREF", "some", 0, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[3, 6]),
        ("MAXLEN ~ 3 LIMIT 8 DELREF", "none", 0, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[]),
        (
            "MAXLEN ~ 3 LIMIT 8 DELREF",
            "read",
            0,
            3,
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        ),
        ("MAXLEN ~ 3 LIMIT 8 DELREF", "ack", 0, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[]),
        ("MAXLEN ~ 3 LIMIT 8 DELREF", "some", 0, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[3, 6]),
        ("MAXLEN 5 ACKED", "none", 0, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[]),
        (
            "MAXLEN 5 ACKED",
            "read",
            0,
            3,
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        ),
        ("MAXLEN 5 ACKED", "ack", 7, 2, &[8, 9, 10, 11, 12], &[]),
        ("MAXLEN 5 ACKED", "some", 6, 3, &[3, 6, 9, 10, 11, 12], &[3, 6]),
        ("MAXLEN ~ 5 ACKED", "none", 0, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[]),
        (
            "MAXLEN ~ 5 ACKED",
            "read",
            0,
            3,
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        ),
        ("MAXLEN ~ 5 ACKED", "ack", 0, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[]),
        ("MAXLEN ~ 5 ACKED", "some", 0, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[3, 6]),
        ("MINID 6 ACKED", "none", 0, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[]),
        (
            "MINID 6 ACKED",
            "read",
            0,
            3,
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        ),
        ("MINID 6 ACKED", "ack", 5, 2, &[6, 7, 8, 9, 10, 11, 12], &[]),
        ("MINID 6 ACKED", "some", 4, 3, &[3, 6, 7, 8, 9, 10, 11, 12], &[3, 6]),
        ("MINID ~ 6 ACKED", "none", 0, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[]),
        (
            "MINID ~ 6 ACKED",
            "read",
            0,
            3,
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        ),
        ("MINID ~ 6 ACKED", "ack", 0, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[]),
        ("MINID ~ 6 ACKED", "some", 0, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[3, 6]),
        ("MAXLEN ~ 3 LIMIT 8 ACKED", "none", 0, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[]),
        (
            "MAXLEN ~ 3 LIMIT 8 ACKED",
            "read",
            0,
            3,
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        ),
        ("MAXLEN ~ 3 LIMIT 8 ACKED", "ack", 0, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[]),
        ("MAXLEN ~ 3 LIMIT 8 ACKED", "some", 0, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[3, 6]),
    ];
    for (trim, state, dropped, blocks, left, pending) in rows {
        let mut stream = stream_of(12, 4);
        prepare(&mut stream, state);
        assert_eq!(stream.trim(&trim_of(trim)), *dropped, "{trim} {state}");
        assert_eq!((all_ids(&stream), stream.block_count()), (left.to_vec(), *blocks), "{trim} {state}");
        assert_eq!(stream.recorded_first_id(), id(left[0]), "{trim} {state}");
        let group = stream.group(b"g").unwrap();
        let found: Vec<u64> = group.pending_range(StreamId::MIN, StreamId::MAX).map(|p| p.id.ms).collect();
        assert_eq!(found, *pending, "{trim} {state}");
        assert_eq!((stream.last_id(), stream.max_deleted_id()), (id(12), StreamId::MIN), "trimming is no deleting");
    }
}

/// A block whose last entries were deleted before stays, even without any others.
#[test]
fn trimming_can_leave_a_block_without_entries() {
    for references in [References::Keep, References::Delete, References::Acked] {
        let mut stream = stream_of(6, 3);
        stream.delete(id(3));
        let trim = Trim { by: TrimBy::MinId(id(3)), approximate: false, limit: 0, references };
        assert_eq!((stream.trim(&trim), stream.block_count()), (2, 2));
        assert_eq!((all_ids(&stream), stream.recorded_first_id()), (vec![4, 5, 6], id(4)));
        let trim = Trim { by: TrimBy::MinId(id(4)), ..trim };
        assert_eq!((stream.trim(&trim), stream.block_count()), (0, 1));
    }
}

#[test]
fn the_limit_of_approximate_trims() {
    let limit = |entries| Trim::default_limit(&blocks_of(entries));
    assert_eq!((limit(100), limit(0), limit(1_000_000), limit(usize::MAX)), (10_000, 10_000, 1_000_000, 10_000));
}

/// Steps with one group over the entries 1 to 6: what was done, `entries-read` and `lag`.
#[test]
fn counters_of_a_group() {
    type Step = (&'static str, u64, Option<i64>, Option<i64>);
    let rows: &[&[Step]] = &[
        &[("from", 0, None, Some(6)), ("read", 2, Some(2), Some(4)), ("read", 9, Some(6), Some(0))],
        &[("from", 3, None, None), ("read", 1, None, None), ("read", 2, Some(6), Some(0))],
        &[("from", 1, None, Some(5)), ("read", 1, None, None)],
        &[("from", 6, None, Some(0))],
        &[("from", 7, None, None)],
        &[
            ("told", 3, Some(3), Some(3)),
            ("read", 1, Some(4), Some(2)),
            ("delete", 6, Some(4), None),
            ("read", 1, None, None),
        ],
        &[
            ("from", 0, None, Some(6)),
            ("read", 2, Some(2), Some(4)),
            ("delete", 4, Some(2), None),
            ("read", 1, None, None),
            ("read", 1, None, None),
            ("read", 1, Some(6), Some(0)),
        ],
        &[("from", 0, None, Some(6)), ("delete", 1, None, Some(5)), ("read", 1, Some(2), Some(4))],
        &[
            ("from", 0, None, Some(6)),
            ("read", 3, Some(3), Some(3)),
            ("trim", 2, Some(3), Some(2)),
            ("read", 1, Some(5), Some(1)),
        ],
        &[
            ("from", 0, None, Some(6)),
            ("trim", 0, None, Some(0)),
            ("add", 7, None, Some(1)),
            ("read", 1, Some(7), Some(0)),
        ],
        &[("told", 50, Some(6), Some(0))],
    ];
    for row in rows {
        let mut stream = stream_of(6, 100);
        for (step, number, entries_read, lag) in *row {
            match *step {
                "from" => assert!(stream.create_group(b"g", id(*number), None)),
                "told" => assert!(stream.create_group(b"g", id(3), Some(*number as i64))),
                "delete" => assert!(stream.delete(id(*number))),
                "add" => add(&mut stream, *number, &blocks_of(100)),
                "trim" => {
                    let by = TrimBy::MaxLen(*number);
                    stream.trim(&Trim { by, approximate: false, limit: 0, references: References::Keep });
                }
                _ => {
                    let consumer = stream.group_mut(b"g").unwrap().create_consumer(b"c", 0).0;
                    stream.read_new(b"g", consumer, *number as usize, false, 0, &mut |_| {});
                }
            }
            let group = stream.group(b"g").unwrap();
            assert_eq!((group.entries_read(), stream.lag(group)), (*entries_read, *lag), "{row:?} {step} {number}");
        }
    }
}

/// The id up to which all groups have received everything is remembered, also after the group that was there is gone.
#[test]
fn a_destroyed_group_holds_entries_back() {
    use Deletion::{Deleted, Referenced};
    // The group that is destroyed, where another is, where one is made afterwards, and what becomes of the entry 3.
    let rows = [
        (1, Some(5), None, Referenced),
        (1, None, None, Deleted),
        (1, None, Some(5), Referenced),
        (1, Some(5), Some(7), Referenced),
        (0, Some(5), Some(7), Deleted),
        (0, Some(5), None, Referenced),
    ];
    for (destroyed, other, made, expected) in rows {
        let mut stream = stream_of(9, 100);
        stream.create_group(b"destroyed", id(destroyed), None);
        if let Some(other) = other {
            stream.create_group(b"other", id(other), None);
        }
        assert_eq!(stream.delete_with(id(2), References::Acked), Referenced);
        stream.destroy_group(b"destroyed");
        if let Some(made) = made {
            stream.create_group(b"made", id(made), None);
        }
        assert_eq!(stream.delete_with(id(3), References::Acked), expected, "{destroyed} {other:?} {made:?}");
    }
    // Where it was not known, or the group had moved since, it is found anew.
    let mut stream = stream_of(9, 100);
    stream.create_group(b"g", id(1), None);
    stream.create_group(b"other", id(5), None);
    assert_eq!(stream.delete_with(id(2), References::Acked), Referenced);
    stream.set_group_id(b"g", id(6), None);
    assert_eq!(stream.delete_with(id(3), References::Acked), Deleted);
    stream.set_group_id(b"other", id(1), None);
    stream.destroy_group(b"other");
    assert_eq!(stream.delete_with(id(4), References::Acked), Deleted);
}

/// Deleting with references, for an id that has no entry.
#[test]
fn absent_entries_can_be_referenced() {
    let mut stream = stream_of(5, 100);
    stream.create_group(b"g", StreamId::MIN, None);
    let consumer = stream.group_mut(b"g").unwrap().create_consumer(b"c", 0).0;
    stream.read_new(b"g", consumer, 3, false, 0, &mut |_| {});
    assert!(stream.delete(id(2)));
    assert_eq!(stream.delete_with(id(2), References::Acked), Deletion::Referenced);
    assert_eq!(stream.delete_with(id(9), References::Acked), Deletion::Referenced);
    assert_eq!(stream.delete_with(id(2), References::Keep), Deletion::Absent);
    assert_eq!(stream.delete_with(id(2), References::Delete), Deletion::Absent);
    assert_eq!(stream.group(b"g").unwrap().pending_count(), 2);
    assert_eq!(stream.delete_with(id(2), References::Acked), Deletion::Absent);
}
