//! Ids as text. What is accepted is recorded from Redis 8.2.3.

use super::*;

#[test]
fn new_ids() {
    let exact = |ms, seq| Some(NewId::Exact(StreamId::new(ms, seq)));
    let cases: &[(&[u8], Option<NewId>)] = &[
        (b"*", Some(NewId::Auto)),
        (b"*\0x", Some(NewId::Auto)),
        (b"5", exact(5, 0)),
        (b"5-3", exact(5, 3)),
        (b"5-*", Some(NewId::AutoSeq(5))),
        (b"5-*x", None),
        (b" 5-3", exact(5, 3)),
        (b"5 -3", None),
        (b"+6-+3", exact(6, 3)),
        (b"007-0009", exact(7, 9)),
        (b"8\0zz-1", exact(8, 0)),
        (b"1- -5", exact(1, u64::MAX - 4)),
        (b"9--1", None),
        (b"-9-1", None),
        (b"9-", None),
        (b"", None),
        (b"-", None),
        (b"+", None),
        (b"-\0", None),
        (b"(5", None),
        (b"a-1", None),
        (b"1-a", None),
        (b"1-2-3", None),
        (b"18446744073709551615-18446744073709551615", exact(u64::MAX, u64::MAX)),
        (b"18446744073709551616-1", None),
    ];
    for (text, expected) in cases {
        assert_eq!(NewId::parse(text), *expected, "{}", text.escape_ascii());
    }
}

#[test]
fn ends_of_ranges() {
    type Bound = Option<(StreamId, bool)>;
    let cases: &[(&[u8], Bound)] = &[
        (b"-", Some((StreamId::MIN, false))),
        (b"+", Some((StreamId::MAX, false))),
        (b"-\0", Some((StreamId::MIN, false))),
        (b"5", Some((StreamId::new(5, 77), false))),
        (b"(5", Some((StreamId::new(5, 77), true))),
        (b"(5-1", Some((StreamId::new(5, 1), true))),
        (b"(", None),
        (b"(-", None),
        (b"(+", None),
        (b"((1", None),
        (b"5-*", None),
        (b"*", None),
        (b"", None),
    ];
    for (text, expected) in cases {
        assert_eq!(StreamId::parse_bound(text, 77), *expected, "{}", text.escape_ascii());
    }
    assert_eq!(StreamId::parse(&[b'0'; 128], 0), None);
    assert_eq!(StreamId::parse(&[b'0'; 127], 0), Some(StreamId::MIN));
}

#[test]
fn neighbours_and_text() {
    let ids = [
        (StreamId::MIN, "0-0"),
        (StreamId::new(1, u64::MAX), "1-18446744073709551615"),
        (StreamId::new(2, 0), "2-0"),
        (StreamId::new(1 << 63, 9_223_372_036_854_775_807), "9223372036854775808-9223372036854775807"),
        (StreamId::MAX, "18446744073709551615-18446744073709551615"),
    ];
    for (id, text) in ids {
        assert_eq!(id.text(&mut [0; STREAM_ID_TEXT_MAX]), text.as_bytes());
        assert_eq!(id.to_string(), text);
        assert_eq!(StreamId::from_bytes(id.to_bytes()), id);
        assert_eq!(StreamId::parse(text.as_bytes(), 0), Some(id));
        assert_eq!(id.next().and_then(StreamId::prev), id.next().map(|_| id));
        assert_eq!(id.prev().and_then(StreamId::next), id.prev().map(|_| id));
    }
    assert_eq!(StreamId::new(1, u64::MAX).next(), Some(StreamId::new(2, 0)));
    assert_eq!((StreamId::MIN.prev(), StreamId::MAX.next()), (None, None));
}

#[test]
fn which_id_comes_next() {
    let mut stream = Stream::new();
    let next = |stream: &Stream, new| stream.next_id(new, 5);
    assert_eq!(next(&stream, NewId::Exact(StreamId::MIN)), Err(AppendError::Zero));
    assert_eq!(next(&stream, NewId::AutoSeq(0)), Ok(StreamId::new(0, 1)));
    assert_eq!(next(&stream, NewId::Auto), Ok(id(5)));
    stream.set_id(StreamId::new(9, 3), None, None);
    assert_eq!(next(&stream, NewId::Auto), Ok(StreamId::new(9, 4)));
    assert_eq!(next(&stream, NewId::AutoSeq(9)), Ok(StreamId::new(9, 4)));
    assert_eq!(next(&stream, NewId::AutoSeq(10)), Ok(id(10)));
    assert_eq!(next(&stream, NewId::AutoSeq(8)), Err(AppendError::NotAbove));
    assert_eq!(next(&stream, NewId::Exact(StreamId::new(9, 3))), Err(AppendError::NotAbove));
    stream.set_id(StreamId::new(9, u64::MAX), None, None);
    assert_eq!(next(&stream, NewId::AutoSeq(9)), Err(AppendError::NotAbove));
    assert_eq!(next(&stream, NewId::Auto), Ok(id(10)));
    stream.set_id(StreamId::MAX, None, None);
    for new in [NewId::Auto, NewId::AutoSeq(u64::MAX), NewId::Exact(id(1))] {
        assert_eq!(next(&stream, new), Err(AppendError::Exhausted));
    }
    assert_eq!(next(&stream, NewId::Exact(StreamId::MIN)), Err(AppendError::Zero));
}
