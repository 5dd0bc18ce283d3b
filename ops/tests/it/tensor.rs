//! Tensors in host memory.

use super::engine;
use std::sync::Arc;
use varflow_ops::{ALIGN_BYTES, DType, Error, Shape, Storage, Tensor, TensorDesc};

#[test]
fn values_go_in_and_come_out() {
    let e = engine();
    let t = Tensor::from_slice(&e, [2, 3], &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    assert_eq!(t.to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    t.set(vec![0.5_f32; 6]).unwrap();
    assert_eq!(t.to_vec::<f32>().unwrap(), [0.5; 6]);
    assert_eq!((t.shape(), t.dtype(), t.desc().len_bytes()), (&Shape::from([2, 3]), DType::F32, 24));
    assert_eq!(format!("{t:?}"), "Tensor(float32 (2, 3))");
    let zeros = Tensor::zeros(&e, [3], DType::I64).unwrap();
    assert_eq!(zeros.to_vec::<i64>().unwrap(), [0; 3]);
}

#[test]
fn clones_are_the_same_tensor() {
    let e = engine();
    let a = Tensor::zeros(&e, [4], DType::F32).unwrap();
    let (b, c) = (a.clone(), a.reshape([2, 2]).unwrap());
    b.set(vec![1.0_f32, 2.0, 3.0, 4.0]).unwrap();
    assert_eq!(c.to_vec::<f32>().unwrap(), a.to_vec::<f32>().unwrap());
    assert!(a.overlaps(&c) && a.var().same(c.var()));
}

#[test]
fn empty_and_scalar_tensors_work() {
    let e = engine();
    let empty = Tensor::from_slice::<f32>(&e, [0, 3], &[]).unwrap();
    assert!(empty.to_vec::<f32>().unwrap().is_empty());
    let scalar = Tensor::from_slice(&e, Shape::new(&[]), &[7_i32]).unwrap();
    assert_eq!(scalar.to_vec::<i32>().unwrap(), [7]);
    assert!(!empty.overlaps(&scalar));
}

#[test]
fn misfits_are_named() {
    let e = engine();
    let t = Tensor::zeros(&e, [2, 3], DType::F32).unwrap();
    let text = |e: Error| e.to_string();
    assert_eq!(
        text(Tensor::from_slice(&e, [2, 3], &[1.0_f32]).unwrap_err()),
        "a tensor of shape (2, 3) has 6 elements, not 1"
    );
    assert_eq!(text(t.reshape([4]).unwrap_err()), "a tensor of shape (2, 3) has 6 elements, not 4");
    assert_eq!(text(t.set(vec![1.0_f32; 7]).unwrap_err()), "a tensor of shape (2, 3) has 6 elements, not 7");
    assert_eq!(text(t.set(vec![1.0_f64; 6]).unwrap_err()), "the tensor holds float32, not float64");
    assert_eq!(text(t.to_vec::<i32>().unwrap_err()), "the tensor holds float32, not int32");
    let other = Tensor::zeros(&e, [5], DType::F32).unwrap();
    assert_eq!(text(t.copy_from(&other).unwrap_err()), "a tensor of shape (2, 3) has 6 elements, not 5");
    let huge = Tensor::zeros(&e, [1 << 40, 1 << 40], DType::F32).unwrap_err();
    assert_eq!(text(huge), "a tensor of shape (1099511627776, 1099511627776) is too large");
}

#[test]
fn memory_that_is_not_there_is_an_error() {
    let text = Storage::zeroed(1 << 62).err().unwrap().to_string();
    assert_eq!(text, format!("cannot allocate {} bytes of host memory", 1_u64 << 62));
    let t = Tensor::zeros(&engine(), [1 << 59], DType::F64).unwrap_err().to_string();
    assert!(t.starts_with("cannot allocate "), "{t}");
}

#[test]
fn views_lie_in_their_storage() {
    let e = engine();
    let storage = Arc::new(Storage::zeroed(256).unwrap());
    assert_eq!(storage.len_bytes(), 256);
    let view = |offset, n, dtype| Tensor::in_storage(&e, e.var(), storage.clone(), offset, TensorDesc::new([n], dtype));
    let (a, b, c) = (
        view(0, 16, DType::F32).unwrap(),
        view(ALIGN_BYTES, 16, DType::F32).unwrap(),
        view(32, 16, DType::F32).unwrap(),
    );
    assert!(!a.overlaps(&b) && a.overlaps(&c) && c.overlaps(&b));
    assert_eq!(b.byte_range(), 64..128);
    b.set(vec![2.0_f32; 16]).unwrap();
    a.set(vec![1.0_f32; 16]).unwrap();
    assert_eq!((a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap()), (vec![1.0; 16], vec![2.0; 16]));
    for (offset, n, dtype) in
        [(252, 2, DType::F32), (2, 1, DType::F32), (usize::MAX - 3, 1, DType::F32), (0, usize::MAX, DType::F64)]
    {
        let text = view(offset, n, dtype).unwrap_err().to_string();
        assert!(text.ends_with(&format!("at byte {offset} does not fit into a storage of 256 bytes")), "{text}");
    }
}

#[test]
fn copies_follow_the_order_of_pushes() {
    let e = engine();
    let a = Tensor::from_slice(&e, [3], &[1_i32, 2, 3]).unwrap();
    let b = Tensor::zeros(&e, [3, 1], DType::I32).unwrap();
    b.copy_from(&a).unwrap();
    a.set(vec![9, 9, 9]).unwrap();
    assert_eq!(b.to_vec::<i32>().unwrap(), [1, 2, 3]);
    a.copy_from(&a.clone()).unwrap();
    assert_eq!(a.to_vec::<i32>().unwrap(), [9, 9, 9]);
}

#[test]
fn failures_come_out_of_reads_until_healed() {
    let e = engine();
    let t = Tensor::zeros(&e, [2], DType::F32).unwrap();
    Tensor::push_task(&e, "breaks", &[], &[&t], |_| Err(Error::Data("bad data".to_string())));
    for _ in 0..2 {
        let text = t.to_vec::<f32>().unwrap_err().to_string();
        assert!(text.contains("breaks") && text.contains("bad data"), "{text}");
        assert!(t.wait().is_err());
    }
    t.set(vec![1.0_f32, 2.0]).unwrap();
    assert_eq!(t.to_vec::<f32>().unwrap(), [1.0, 2.0]);
}

#[test]
fn tasks_see_inputs_and_outputs() {
    let e = engine();
    let a = Tensor::from_slice(&e, [2], &[1.0_f32, 2.0]).unwrap();
    let b = Tensor::zeros(&e, [2], DType::F32).unwrap();
    Tensor::push_task(&e, "double", &[&a], &[&b], |ctx| {
        let (from, to) = (ctx.input::<f32>(0)?, ctx.output::<f32>(0)?);
        to.iter_mut().zip(from).for_each(|(t, f)| *t = 2.0 * f);
        Ok(())
    });
    assert_eq!(b.to_vec::<f32>().unwrap(), [2.0, 4.0]);
}
