//! Every encoding against a map with the same rules.

use super::{Field, FieldTtl, Hash, IncrementError};
use crate::Settings;
use std::collections::BTreeMap;

const NOW_MS: u64 = 1_700_000_000_000;

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

/// Settings that give, in turn, a listpack for ever, a table at once, and a change on the way.
fn settings() -> [Settings; 3] {
    [512, 0, 8].map(|entries| Settings { hash_max_listpack_entries: entries, ..Settings::default() })
}

fn contents<'a>(fields: impl Iterator<Item = Field<'a>>) -> Model {
    let mut seen = 0;
    let map: Model =
        fields.inspect(|_| seen += 1).map(|f| (f.name.to_vec(), (f.value.to_vec(), f.expire_at_ms))).collect();
    assert_eq!(map.len(), seen, "a field came twice");
    map
}

/// Everything that can be asked of a hash agrees with the model.
#[track_caller]
fn compare(hash: &Hash, model: &Model, now_ms: u64) {
    assert_eq!(contents(hash.iter()), *model);
    assert_eq!(hash.len(), model.len());
    let live: Model = model
        .iter()
        .filter(|(_, (_, at_ms))| at_ms.is_none_or(|at_ms| at_ms >= now_ms))
        .map(|(name, rest)| (name.clone(), rest.clone()))
        .collect();
    assert_eq!(contents(hash.live(now_ms)), live);
    assert_eq!(hash.live_len(now_ms), live.len());
    assert_eq!(hash.next_field_expiry_ms(), model.values().filter_map(|(_, at_ms)| *at_ms).min());
    let (mut scanned, mut cursor) = (Vec::new(), 0);
    loop {
        cursor = hash.scan(cursor, 3, now_ms, &mut |field| scanned.push(field.name.to_vec()));
        if cursor == 0 {
            break;
        }
    }
    scanned.sort();
    assert_eq!(scanned, live.keys().cloned().collect::<Vec<_>>());
}

fn name(rng: &mut fastrand::Rng) -> Vec<u8> {
    let number = rng.u32(..24);
    if number < 12 { number.to_string().into_bytes() } else { format!("field:{number}").into_bytes() }
}

fn value(rng: &mut fastrand::Rng) -> Vec<u8> {
    match rng.u32(..5) {
        0 => rng.i64(..).to_string().into_bytes(),
        1 => rng.i64(-100..100).to_string().into_bytes(),
        2 => Vec::new(),
        3 => b"000000001".to_vec(),
        _ => vec![b'x'; rng.usize(..64)],
    }
}

/// One change to both.
fn step(hash: &mut Hash, model: &mut Model, now_ms: u64, settings: &Settings, rng: &mut fastrand::Rng) {
    let name = name(rng);
    let is_expired = |entry: &(Vec<u8>, Option<u64>)| entry.1.is_some_and(|at_ms| at_ms < now_ms);
    match rng.u32(..10) {
        0..=3 => {
            let value = value(rng);
            let ttl = if rng.bool() { FieldTtl::Keep } else { FieldTtl::Clear };
            let before = model.get(&name).cloned();
            let kept = before.as_ref().and_then(|(_, at_ms)| *at_ms).filter(|_| ttl == FieldTtl::Keep);
            model.insert(name.clone(), (value.clone(), kept));
            assert_eq!(hash.set(&name, &value, ttl, settings), before.is_none());
        }
        4 => assert_eq!(hash.remove(&name), model.remove(&name).is_some()),
        5..=6 => {
            let at_ms = rng.bool().then(|| now_ms - 50 + rng.u64(..200));
            assert_eq!(hash.set_expiry(&name, at_ms), model.contains_key(&name));
            if let Some(entry) = model.get_mut(&name) {
                entry.1 = at_ms;
            }
        }
        7 => {
            let delta = if rng.u32(..4) == 0 { i64::MAX } else { rng.i64(-1000..1000) };
            let live = model.get(&name).filter(|entry| !is_expired(entry)).cloned();
            let (text, at_ms) = live.unwrap_or((b"0".to_vec(), None));
            let expected = kinovar_ds::number::parse_i64(&text)
                .ok_or(IncrementError::NotInteger)
                .and_then(|value| value.checked_add(delta).ok_or(IncrementError::Overflow));
            assert_eq!(hash.increment(&name, delta, now_ms, settings), expected);
            if let Ok(sum) = expected {
                model.insert(name, (sum.to_string().into_bytes(), at_ms));
            }
        }
        8 => {
            let gone = model.get(&name).is_some_and(is_expired);
            assert_eq!(hash.remove_expired(&name, now_ms), gone);
            if gone {
                model.remove(&name);
            }
        }
        _ => {
            let max = rng.usize(..4);
            let mut due: Vec<u64> =
                model.values().filter(|entry| is_expired(entry)).filter_map(|(_, at_ms)| *at_ms).collect();
            due.sort_unstable();
            let removed = hash.expire_fields(now_ms, max, &mut |_| {});
            assert_eq!(removed, max.min(due.len()));
            let left = contents(hash.iter());
            let mut gone: Vec<u64> = model
                .iter()
                .filter(|(name, _)| !left.contains_key(*name))
                .map(|(_, (_, at_ms))| at_ms.expect("only what expires goes"))
                .collect();
            gone.sort_unstable();
            assert_eq!(gone, due[..removed], "the earliest go first");
            *model = left;
        }
    }
}

#[test]
fn every_encoding_agrees_with_a_map() {
    for (seed, settings) in settings().iter().enumerate() {
        let mut rng = fastrand::Rng::with_seed(seed as u64);
        for _ in 0..30 {
            let (mut hash, mut model, mut now_ms) = (Hash::default(), Model::new(), NOW_MS);
            for _ in 0..200 {
                step(&mut hash, &mut model, now_ms, settings, &mut rng);
                now_ms += rng.u64(..3);
                compare(&hash, &model, now_ms);
            }
            compare(&hash.deep_copy(), &model, now_ms);
            assert_eq!(hash.deep_copy().encoding(), hash.encoding());
            // Whatever is left goes when everything with an expiry is due.
            hash.expire_fields(u64::MAX, usize::MAX, &mut |_| {});
            assert_eq!(hash.next_field_expiry_ms(), None);
            assert_eq!(hash.len(), model.values().filter(|(_, at_ms)| at_ms.is_none()).count());
        }
    }
}

#[test]
fn encodings_change_at_their_limits() {
    let settings = &Settings { hash_max_listpack_entries: 4, hash_max_listpack_value: 8, ..Settings::default() };
    let mut hash = Hash::default();
    for name in [b"a", b"b", b"c", b"d"] {
        hash.set(name, b"12345678", FieldTtl::Clear, settings);
    }
    assert_eq!(hash.encoding(), "listpack");
    hash.set_expiry(b"nosuch", Some(NOW_MS));
    hash.set_expiry(b"a", None);
    assert_eq!(hash.encoding(), "listpack");
    hash.expect_expiries();
    assert_eq!(hash.encoding(), "listpackex");
    hash.set(b"a", b"123456789", FieldTtl::Clear, settings);
    assert_eq!((hash.encoding(), hash.len()), ("hashtable", 4));
    let mut hash = Hash::default();
    hash.expect_fields([&b"a"[..], b"1"].repeat(5).into_iter(), settings);
    assert_eq!(hash.encoding(), "hashtable");
    let mut hash = Hash::default();
    hash.expect_fields([&b"a"[..], b"123456789"].into_iter(), settings);
    assert_eq!(hash.encoding(), "hashtable");
}

#[test]
fn expiries_order_a_listpack() {
    let settings = &Settings::default();
    let mut hash = Hash::default();
    for name in [b"a", b"b", b"c", b"d"] {
        hash.set(name, b"1", FieldTtl::Clear, settings);
    }
    let order = |hash: &Hash| hash.iter().flat_map(|field| field.name.to_vec()).map(char::from).collect::<String>();
    for (name, at_ms, expected) in [
        (b"b", Some(20), "bacd"),
        (b"c", Some(10), "cbad"),
        (b"d", Some(20), "cdba"),
        (b"a", Some(30), "cdba"),
        (b"c", None, "dbac"),
        (b"d", Some(40), "badc"),
    ] {
        hash.set_expiry(name, at_ms);
        assert_eq!(order(&hash), expected);
    }
    hash.set(b"b", b"2", FieldTtl::Keep, settings);
    assert_eq!(order(&hash), "badc");
    hash.set(b"b", b"3", FieldTtl::Clear, settings);
    assert_eq!(order(&hash), "adcb");
}

#[test]
fn every_field_is_drawn_about_as_often() {
    for settings in settings() {
        let mut hash = Hash::default();
        for number in 0..40u32 {
            hash.set(number.to_string().as_bytes(), b"x", FieldTtl::Clear, &settings);
        }
        // Half of them have expired.
        for number in 20..40u32 {
            hash.set_expiry(number.to_string().as_bytes(), Some(NOW_MS - 1));
        }
        let rng = &mut fastrand::Rng::with_seed(3);
        let mut drawn = [[0; 20]; 3];
        for _ in 0..2000 {
            let mut count = |kind: usize, field: Field<'_>| {
                drawn[kind][field.name.to_int().expect("named by numbers") as usize] += 1;
            };
            count(0, hash.random(rng, NOW_MS).expect("not empty"));
            hash.draw(2, rng, NOW_MS, &mut |field| count(1, field));
            hash.sample(5, rng, NOW_MS, &mut |field| count(2, field));
        }
        for (counts, expected) in drawn.iter().zip([100, 200, 500]) {
            assert_eq!(counts.iter().sum::<i32>(), expected * 20);
            assert!(counts.iter().all(|count| (expected / 2..expected * 2).contains(count)), "{counts:?}");
        }
    }
}

#[test]
fn samples_have_no_repetitions() {
    let settings = &Settings { hash_max_listpack_entries: 0, ..Settings::default() };
    let mut hash = Hash::default();
    for number in 0..1000u32 {
        hash.set(number.to_string().as_bytes(), b"x", FieldTtl::Clear, settings);
    }
    let rng = &mut fastrand::Rng::with_seed(4);
    for count in [0, 1, 10, 333, 334, 999, 1000, 2000] {
        let mut names = Vec::new();
        hash.sample(count, rng, NOW_MS, &mut |field| names.push(field.name.to_vec()));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count.min(1000));
    }
}

#[test]
fn memory_is_what_the_allocations_take() {
    let mut hash = Hash::default();
    let settings = &Settings::default();
    hash.set(b"a", b"1", FieldTtl::Clear, settings);
    assert!(hash.memory_bytes(0) <= 16);
    for number in 0..100_000u32 {
        hash.set(format!("field:{number:09}").as_bytes(), b"xyz", FieldTtl::Clear, settings);
    }
    let per_field = hash.memory_bytes(0) / hash.len();
    assert!((33..=40).contains(&per_field), "{per_field}");
    assert_eq!(hash.memory_bytes(5) / hash.len(), per_field);
    assert_eq!(hash.free_effort(), hash.len());
}
