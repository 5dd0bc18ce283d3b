//! Data iterators of plug-ins.

use super::compile::{Built, build};
use super::{attrs, engine};
use std::sync::LazyLock;
use varflow_ops::{DType, DataIter, Part, Registry, Result};

static BUILT: LazyLock<Built> = LazyLock::new(|| build("iterator.c", &[]));

fn open(name: &str, how: &str, part: Part) -> Result<Box<dyn DataIter>> {
    let mut registry = Registry::new();
    registry.load(BUILT.path()).unwrap();
    let kind = registry.iterator(name)?;
    let params = kind.schema().parse(&attrs(&[("how", how)]))?;
    kind.open(&engine(), &params, part)
}

fn told(result: Result<impl Sized>) -> String {
    let text = result.err().unwrap().to_string();
    let place = format!("plug-in \"test\" ({}): iterator CountIter: ", BUILT.path().display());
    text.strip_prefix(&place).unwrap_or_else(|| panic!("{text}\ndoes not begin with {place}")).to_string()
}

#[test]
fn batches_come_in_epochs() {
    let mut it = open("CountIter", "none", Part { index: 1, num_parts: 4, seed: 9 }).unwrap();
    let (data, label) = (it.provide_data(), it.provide_label());
    assert_eq!((&*data[0].name, data[0].shape.dims(), data[0].dtype), ("data", &[2, 3][..], DType::F32));
    assert_eq!((&*label[0].name, label[0].shape.dims(), label[0].dtype), ("softmax_label", &[2][..], DType::I32));
    assert_eq!(it.num_batches(), Some(3));
    for (k, pad) in [(0_u64, 0), (1, 0), (2, 1)] {
        let batch = it.next().unwrap().unwrap();
        let first = 10.0 * k as f32;
        assert_eq!(batch.data[0].to_vec::<f32>().unwrap()[..2], [first, first + 1.0]);
        assert_eq!(batch.label[0].to_vec::<i32>().unwrap(), [1, 1]);
        assert_eq!((batch.pad, batch.index), (pad, vec![2 * k, 2 * k + 1]));
    }
    assert!(it.next().unwrap().is_none());
    it.reset(5).unwrap();
    assert_eq!(it.next().unwrap().unwrap().data[0].to_vec::<f32>().unwrap()[0], 500.0);
}

#[test]
fn its_place_is_saved_and_restored() {
    let mut it = open("CountIter", "none", Part::default()).unwrap();
    it.reset(2).unwrap();
    it.next().unwrap();
    let state = it.save_state().unwrap();
    let mut other = open("CountIter", "none", Part::default()).unwrap();
    other.restore_state(&state).unwrap();
    assert_eq!(other.next().unwrap().unwrap().data[0].to_vec::<f32>().unwrap()[0], 210.0);
    assert_eq!(told(other.restore_state(&state[1..])), "the state has other than 16 bytes");
    let forgetful = open("ForgetfulIter", "none", Part::default()).unwrap();
    assert!(forgetful.save_state().unwrap_err().to_string().ends_with("this iterator cannot save its state"));
}

#[test]
fn what_it_says_of_itself_is_checked() {
    for (how, wanted) in [
        ("axes", "data: has 17 axes, wanted 1 to 16"),
        ("size", "data: has shape [2, -1], wanted positive sizes of a tensor that fits into memory"),
        ("huge", "data: has shape [2, 9223372036854775807], wanted positive sizes of a tensor that fits into memory"),
        ("dtype", "data: {code 2, bits 7, lanes 1} is no dtype; float32, for one, is {code 2, bits 32, lanes 1}"),
        ("twice", "provides data twice"),
        ("none_at_all", "provides 0 data and 0 labels, wanted 1 to 64 of both"),
        ("samples", "provides 2 samples of data and 3 of softmax_label in a batch"),
    ] {
        assert_eq!(told(open("CountIter", how, Part::default())), wanted);
    }
    let part = Part { index: 3, num_parts: 3, seed: 0 };
    assert_eq!(told(open("CountIter", "none", part)), "the part is 3 of 3, wanted less than their number");
    let mut it = open("CountIter", "pad", Part::default()).unwrap();
    assert_eq!(told(it.next()), "says that 2 of 2 samples are padding, wanted less than all");
    let mut it = open("CountIter", "error", Part::default()).unwrap();
    assert_eq!(told(it.next()), "record 7 is cut off");
    let it = open("CountIter", "state", Part::default()).unwrap();
    assert_eq!(told(it.save_state()), "saves more than 268435456 bytes, or bytes that are not there");
}
