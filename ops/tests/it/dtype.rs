//! Element types.

use varflow_ops::{DType, Element};

#[test]
fn names_and_codes_round_trip() {
    for (code, dtype) in DType::ALL.into_iter().enumerate() {
        assert_eq!(dtype as usize, code);
        assert_eq!(DType::from_code(code as i32), Some(dtype));
        assert_eq!(DType::from_name(dtype.name()).unwrap(), dtype);
        assert_eq!(dtype.to_string(), dtype.name());
    }
    assert_eq!(DType::from_code(-1), None);
    assert_eq!(DType::from_code(13), None);
    let text = DType::from_name("float").unwrap_err().to_string();
    assert!(text.starts_with("there is no dtype \"float\": wanted one of "), "{text}");
}

#[test]
fn elements_have_the_size_of_their_dtype() {
    fn check<T: Element>() {
        assert_eq!(size_of::<T>(), T::DTYPE.size_bytes(), "{}", T::DTYPE);
        assert!(align_of::<T>() <= T::DTYPE.size_bytes());
    }
    check::<f32>();
    check::<f64>();
    check::<u8>();
    check::<i8>();
    check::<u16>();
    check::<i16>();
    check::<u32>();
    check::<i32>();
    check::<u64>();
    check::<i64>();
    assert_eq!((DType::F16.size_bytes(), DType::BF16.size_bytes(), DType::Bool.size_bytes()), (2, 2, 1));
}

#[test]
fn floats() {
    let floats: Vec<_> = DType::ALL.into_iter().filter(|d| d.is_float()).collect();
    assert_eq!(floats, [DType::F32, DType::F64, DType::F16, DType::BF16]);
}
