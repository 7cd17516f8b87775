//! Vector sets against maps.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[test]
fn a_projection_is_the_same_with_and_without_its_matrix() {
    let regular = Projection::new(5, 3);
    let vector = [1.0, -2.0, 3.5, 0.25, 7.0];
    let mut matrix: Vec<f32> = (0..15).map(|at| regular.at(at)).collect();
    let same = Projection::from_matrix(5, 3, matrix.clone()).expect("it is large enough");
    assert!(same.memory_bytes() == 0 && same.apply(&vector) == regular.apply(&vector));
    matrix[4] = 9.0;
    let other = Projection::from_matrix(5, 3, matrix).expect("it is large enough");
    assert!(other.memory_bytes() == 60 && other.apply(&vector)[0] != regular.apply(&vector)[0]);
    assert_eq!(other.apply(&vector)[1..], regular.apply(&vector)[1..]);
    assert!(Projection::from_matrix(5, 3, vec![0.0; 14]).is_none());
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8, [i8; 2], Option<u8>),
    Remove(u8),
    Attributes(u8, u8),
}

/// A vector and maybe attributes.
type Entry = ([i8; 2], Option<Vec<u8>>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0u8..30, prop::array::uniform2(-9i8..10), prop::option::of(0u8..3))
            .prop_map(|(name, vector, attributes)| Step::Add(name, vector, attributes)),
        1 => (0u8..30).prop_map(Step::Remove),
        1 => (0u8..30, 0u8..3).prop_map(|(name, attributes)| Step::Attributes(name, attributes)),
    ];
    prop::collection::vec(step, 0..120)
}

fn text(number: u8) -> Vec<u8> {
    vec![b'x'; usize::from(number)]
}

proptest! {
    #[test]
    fn any_steps_do_what_a_map_does(steps in steps()) {
        let mut set = VectorSet::new(2, Quantization::None, 4, None);
        let mut model: BTreeMap<Vec<u8>, Entry> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Add(name, vector, attributes) => {
                    let (name, attributes) = (name.to_string().into_bytes(), attributes.map(text));
                    let is_new = set.add(&name, &vector.map(f32::from), 20, attributes.as_deref());
                    prop_assert_eq!(is_new, !model.contains_key(&name));
                    let entry = model.entry(name).or_insert((vector, None));
                    entry.0 = vector;
                    if let Some(attributes) = attributes {
                        entry.1 = (is_new || !attributes.is_empty()).then_some(attributes);
                    }
                }
                Step::Remove(name) => {
                    let name = name.to_string().into_bytes();
                    prop_assert_eq!(set.remove(&name), model.remove(&name).is_some());
                }
                Step::Attributes(name, attributes) => {
                    let name = name.to_string().into_bytes();
                    if let Some(node) = set.find(&name) {
                        set.set_attributes(node, &text(attributes));
                        model.get_mut(&name).unwrap().1 = (attributes > 0).then(|| text(attributes));
                    }
                }
            }
        }
        for set in [&set, &set.deep_copy()] {
            prop_assert_eq!(set.len(), model.len());
            prop_assert_eq!(set.attributes_count(), model.values().filter(|value| value.1.is_some()).count());
            prop_assert_eq!(set.nodes_from(0).count(), model.len());
            for (name, (vector, attributes)) in &model {
                let node = set.find(name).unwrap();
                prop_assert_eq!(set.name(node), &name[..]);
                prop_assert_eq!(set.attributes(node), attributes.as_deref());
                let stored = set.index().vector(node);
                let distance = stored.iter().zip(vector).map(|(a, &b)| (a - f32::from(b)).abs());
                prop_assert!(distance.sum::<f32>() < 1e-4);
            }
        }
        let mut rng = fastrand::Rng::with_seed(1);
        for count in [0, 1, 5, 100] {
            let mut sample = set.sample(count, &mut rng);
            prop_assert_eq!(sample.len(), count.min(model.len()));
            sample.sort_unstable();
            sample.dedup();
            prop_assert_eq!(sample.len(), count.min(model.len()));
            prop_assert!(sample.iter().all(|&node| set.index().has(node)));
        }
    }
}
