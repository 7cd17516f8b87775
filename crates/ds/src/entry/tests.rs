//! Tests of [`super::Entry`]: sizes that other documents promise, and a model run over all transitions.

use std::rc::Rc;

use proptest::prelude::*;

use super::*;

#[test]
fn size_classes_are_those_of_jemalloc() {
    let classes = [
        8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024,
        1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192, 10240, 12288, 14336, 16384, 20480,
        24576, 28672, 32768, 40960,
    ];
    let mut class = 0;
    for n in 1..=40960 {
        if n > classes[class] {
            class += 1;
        }
        assert_eq!(size_class(n), classes[class], "{n}");
    }
    assert_eq!(size_class((1 << 30) + 1), (1 << 30) + (1 << 28));
    assert_eq!(size_class(0), 8);
}

#[test]
fn promised_sizes_hold() {
    let key = b"key:000000000001";
    let size =
        |value: &[u8], expire| Entry::<Box<u8>>::new(key, NewPayload::Bytes(value), expire, Some(1)).allocated_size();
    assert_eq!(size(b"xxx", None), 32);
    assert_eq!(size(b"0123456789", None), 32);
    assert_eq!(size(b"xxx", Some(1)), 40);
    assert_eq!(Entry::<()>::new(b"member", NewPayload::None, None, None).allocated_size(), 8);
    assert_eq!(Entry::<()>::new(b"member-of-14-b", NewPayload::None, None, None).allocated_size(), 16);
    assert_eq!(Entry::<()>::new(key, NewPayload::None, None, None).allocated_size(), 24);
    assert_eq!(Entry::new(key, NewPayload::Object(1.5f64), None, None).allocated_size(), 32);
}

#[test]
fn lengths_around_the_escape_survive() {
    for klen in [0, 1, 7, 8, 253, 254, 255, 256, 70_000] {
        for vlen in [0, 1, 254, 255, 256, 70_000] {
            let (key, value) = (vec![b'k'; klen], vec![b'v'; vlen]);
            let mut entry = Entry::<()>::new(&key, NewPayload::Bytes(&value), Some(9), Some(7));
            assert_eq!(entry.key(), key);
            assert!(entry.key_eq(&key) && !entry.key_eq(b"other"));
            assert_eq!(entry.payload(), Payload::Bytes(&value[..]));
            assert_eq!(entry.bytes_mut().map(|bytes| bytes.len()), Some(vlen));
            assert_eq!((entry.expire_at_ms(), entry.meta()), (Some(9), 7));
        }
    }
}

#[test]
fn bytes_eq_agrees_with_slices() {
    for len in 0..70 {
        let a: Vec<u8> = (0..len).collect();
        assert!(bytes_eq(&a, &a.clone()));
        for at in 0..a.len() {
            let mut b = a.clone();
            b[at] ^= 0x80;
            assert!(!bytes_eq(&a, &b), "length {len}, byte {at}");
        }
        assert!(!bytes_eq(&a, &[a.as_slice(), &[1]].concat()));
    }
}

#[test]
fn an_object_is_mutable_in_place_and_dropped_once() {
    let object = Rc::new(1);
    let mut entry = Entry::new(b"k", NewPayload::Object(object.clone()), None, None);
    assert_eq!(Rc::strong_count(&object), 2);
    *entry.object_mut().expect("an object") = Rc::new(2);
    assert_eq!(Rc::strong_count(&object), 1);
    entry.set_object(object.clone());
    entry.set_expire(Some(5));
    let entry = entry.with_key(&[b'n'; 300]);
    assert_eq!(Rc::strong_count(&object), 2);
    drop(entry);
    assert_eq!(Rc::strong_count(&object), 1);
}

/// What the model knows of an entry.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    None,
    Bytes(Vec<u8>),
    Int(i64),
    Object(u64),
}

#[derive(Clone, Debug)]
enum Step {
    Bytes(Vec<u8>),
    Int(i64),
    Object(u64),
    TakeObject,
    Clear,
    Expire(Option<u64>),
    Rename(Vec<u8>),
    Meta(u32),
    Marks(bool, bool, bool),
    WriteAt(usize, u8),
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..40),
        1 => prop::collection::vec(any::<u8>(), 240..max),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => bytes(600).prop_map(Step::Bytes),
        2 => any::<i64>().prop_map(Step::Int),
        2 => any::<u64>().prop_map(Step::Object),
        1 => Just(Step::TakeObject),
        1 => Just(Step::Clear),
        3 => any::<Option<u64>>().prop_map(Step::Expire),
        2 => bytes(600).prop_map(Step::Rename),
        1 => (0..=META_MAX).prop_map(Step::Meta),
        1 => any::<(bool, bool, bool)>().prop_map(|(a, b, c)| Step::Marks(a, b, c)),
        1 => any::<(usize, u8)>().prop_map(|(at, byte)| Step::WriteAt(at, byte)),
    ]
}

fn value_of(entry: &Entry<Rc<u64>>) -> Value {
    match entry.payload() {
        Payload::None => Value::None,
        Payload::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
        Payload::Int(value) => Value::Int(value),
        Payload::Object(object) => Value::Object(**object),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 12 } else { 400 }, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_transition_keeps_the_rest(
        first_key in bytes(300), has_meta: bool, first_expire: Option<u64>, steps in prop::collection::vec(step(), 0..40),
    ) {
        // Every object is also held here: at the end each must have exactly one owner left.
        let mut objects: Vec<Rc<u64>> = Vec::new();
        let mut new_object = |value| { objects.push(Rc::new(value)); objects[objects.len() - 1].clone() };
        let (mut key, mut value, mut expire) = (first_key, Value::None, first_expire);
        let (mut meta, mut marks) = (if has_meta { 77 } else { 0 }, (false, false, false));
        let mut entry: Entry<Rc<u64>> = Entry::new(&key, NewPayload::None, expire, has_meta.then_some(77));
        for step in steps {
            match step {
                Step::Bytes(bytes) => { entry.set_bytes(&bytes); value = Value::Bytes(bytes) }
                Step::Int(number) => { entry.set_int(number); value = Value::Int(number) }
                Step::Object(number) => { entry.set_object(new_object(number)); value = Value::Object(number) }
                Step::TakeObject => match (entry.take_object(), value.clone()) {
                    (Some(object), Value::Object(number)) => { prop_assert_eq!(*object, number); value = Value::None }
                    (None, Value::Object(_)) | (Some(_), _) => prop_assert!(false, "object lost or invented"),
                    (None, _) => {}
                },
                Step::Clear => { entry.replace_payload(NewPayload::None); value = Value::None }
                Step::Expire(at) => { entry.set_expire(at); expire = at }
                Step::Rename(name) => { entry = entry.with_key(&name); key = name }
                Step::Meta(clock) => { entry.set_meta(clock); if has_meta { meta = clock } }
                Step::Marks(raw, epoch, user) => {
                    entry.set_raw(raw);
                    entry.set_epoch(epoch);
                    entry.set_user_bit(user);
                    marks = (raw, epoch, user);
                }
                Step::WriteAt(at, byte) => if let (Some(bytes), Value::Bytes(model)) = (entry.bytes_mut(), &mut value)
                    && !model.is_empty() {
                    let at = at % model.len();
                    bytes[at] = byte;
                    model[at] = byte;
                },
            }
            prop_assert_eq!(entry.key(), &key[..]);
            prop_assert_eq!(value_of(&entry), value.clone());
            prop_assert_eq!(entry.expire_at_ms(), expire);
            prop_assert_eq!((entry.has_meta(), entry.meta()), (has_meta, meta));
            prop_assert_eq!((entry.raw(), entry.epoch(), entry.user_bit()), marks);
            prop_assert_eq!(entry.hash(), crate::hash::hash(&key));
        }
        drop(entry);
        for object in &objects {
            prop_assert_eq!(Rc::strong_count(object), 1);
        }
    }
}
