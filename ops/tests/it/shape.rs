//! Shapes and partial shapes.

use proptest::prelude::*;
use varflow_ops::{PartialShape, Shape};

#[test]
fn shapes_are_shown_as_tuples() {
    assert_eq!(Shape::new(&[]).to_string(), "()");
    assert_eq!(Shape::from([3]).to_string(), "(3,)");
    assert_eq!(Shape::from([3, 4]).to_string(), "(3, 4)");
    assert_eq!(PartialShape::unknown().to_string(), "(unknown)");
    assert_eq!(PartialShape::new([Some(2), None]).to_string(), "(2, ?)");
}

#[test]
fn lengths() {
    assert_eq!((Shape::new(&[]).len(), Shape::from([2, 0]).len(), Shape::from([2, 3]).len()), (1, 0, 6));
    assert!(Shape::from([2, 0]).is_empty() && !Shape::new(&[]).is_empty());
    assert_eq!(Shape::from([usize::MAX, 2]).checked_len(), None);
    assert_eq!(Shape::from([1 << 62, 2]).checked_len(), None);
    assert_eq!(Shape::from([1 << 31, 2]).checked_len(), Some(1 << 32));
}

#[test]
fn contradictions_are_shown() {
    let merge = |a: &[Option<usize>], b: &[Option<usize>]| {
        let mut a = PartialShape::new(a.iter().copied());
        a.merge(&PartialShape::new(b.iter().copied())).unwrap_err().to_string()
    };
    assert_eq!(merge(&[Some(2), None], &[Some(3), None]), "has shape (2, ?), wanted (3, ?)");
    assert_eq!(merge(&[Some(2)], &[Some(2), Some(1)]), "has shape (2,), wanted (2, 1)");
}

fn partial() -> impl Strategy<Value = PartialShape> {
    let dims = prop::collection::vec(prop::option::of(1..4_usize), 0..4);
    prop::option::of(dims).prop_map(|d| d.map_or(PartialShape::unknown(), PartialShape::new))
}

/// Whether `shape` is one of those that `partial` allows.
fn allows(partial: &PartialShape, shape: &Shape) -> bool {
    let Some(dims) = partial.dims() else { return true };
    dims.len() == shape.rank() && dims.iter().zip(shape.dims()).all(|(a, b)| a.is_none_or(|a| a == *b))
}

/// All shapes of up to three axes of up to four elements.
fn all_shapes() -> Vec<Shape> {
    let mut shapes = vec![Vec::new()];
    let mut last = shapes.clone();
    for _ in 0..3 {
        last = last.iter().flat_map(|s| (1..4).map(move |d| [s.as_slice(), &[d]].concat())).collect();
        shapes.extend(last.clone());
    }
    shapes.into_iter().map(Shape::from).collect()
}

proptest! {
    /// Merging is intersection of the sets of shapes that are allowed.
    #[test]
    fn merge_is_intersection(a in partial(), b in partial()) {
        let mut both = a.clone();
        let merged = both.merge(&b);
        let (left, right): (Vec<_>, Vec<_>) = all_shapes().into_iter().map(|s| (allows(&a, &s) && allows(&b, &s), s)).unzip();
        match merged {
            Ok(news) => {
                for (wanted, shape) in left.into_iter().zip(right) {
                    prop_assert_eq!(allows(&both, &shape), wanted, "{} {} {}", a, b, shape);
                }
                prop_assert_eq!(news, both != a);
                prop_assert!(!both.merge(&a).unwrap() && !both.merge(&b).unwrap());
                let mut other_way = b.clone();
                other_way.merge(&a).unwrap();
                prop_assert_eq!(other_way, both);
            }
            Err(_) => prop_assert!(left.iter().all(|allowed| !allowed), "{} {}", a, b),
        }
    }

    #[test]
    fn known_is_all_known(a in partial()) {
        let whole = a.dims().is_some_and(|d| d.iter().all(Option::is_some));
        prop_assert_eq!(a.known().is_some(), whole);
        if let Some(shape) = a.known() {
            prop_assert_eq!(PartialShape::from(&shape), a);
        }
    }
}
