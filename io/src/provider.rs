//! The iterators that are found by name: one file each, and one line each here.

use crate::mnist_iter::MnistIter;
use crate::nd_array_iter::NdArrayIter;
use varflow_ops::Provider;

/// The iterators of this crate, under MXNet's names.
///
/// ```
/// let mut registry = varflow_ops::Registry::new();
/// registry.install(varflow_io::provider())?;
/// let kind = registry.iterator("MNISTIter")?;
/// assert_eq!(kind.schema().params()[0].name, "image");
/// # Ok::<(), varflow_ops::Error>(())
/// ```
#[must_use]
pub fn provider() -> Provider {
    Provider::new("io").iterator(MnistIter).iterator(NdArrayIter)
}

#[cfg(test)]
mod tests {
    use crate::{Array, write_idx, write_npy};
    use varflow_engine::Engine;
    use varflow_ops::{Attrs, DataIter, Part, Registry, Result};

    fn open(name: &str, params: &[(&str, String)], part: Part) -> Result<Box<dyn DataIter>> {
        let mut registry = Registry::new();
        registry.install(super::provider())?;
        let kind = registry.iterator(name)?;
        let attrs: Attrs = params.iter().map(|(name, value)| ((*name).to_string(), value.clone())).collect();
        kind.open(&Engine::serial(), &kind.schema().parse(&attrs)?, part)
    }

    fn rows(mut iter: Box<dyn DataIter>) -> Vec<(Vec<u64>, Vec<f32>)> {
        let batches = std::iter::from_fn(|| iter.next().unwrap());
        batches.map(|b| (b.index, b.label.first().map(|l| l.to_vec().unwrap()).unwrap_or_default())).collect()
    }

    #[test]
    fn pictures_come_from_idx_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let images = Array::new([10, 2, 3], (0..60).map(|i| i as u8).collect()).unwrap();
        write_idx(path("images"), &images).unwrap();
        write_idx(path("labels"), &Array::new([10], (0..10).collect::<Vec<u8>>()).unwrap()).unwrap();
        let with = |more: &[(&'static str, &str)]| {
            let mut params =
                vec![("image", path("images")), ("label", path("labels")), ("batch_size", "4".to_string())];
            params.extend(more.iter().map(|(name, value)| (*name, (*value).to_string())));
            params
        };
        let mut plain = open("MNISTIter", &with(&[("shuffle", "False")]), Part::default()).unwrap();
        assert_eq!(plain.provide_data()[0].shape.dims(), [4, 1, 2, 3]);
        assert_eq!((&plain.provide_data()[0].name[..], &plain.provide_label()[0].name[..]), ("data", "softmax_label"));
        let first = plain.next().unwrap().unwrap();
        assert_eq!(first.data[0].to_vec::<f32>().unwrap()[5], 5.0 / 255.0);
        assert_eq!(first.label[0].to_vec::<f32>().unwrap(), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(rows(plain).len(), 1, "two samples fill no batch");
        let flat = open("MNISTIter", &with(&[("flat", "True")]), Part::default()).unwrap();
        assert_eq!(flat.provide_data()[0].shape.dims(), [4, 6]);
        // The seeds add up.
        let part = |seed| Part { seed, ..Part::default() };
        let order = |seed, own: &str| rows(open("MNISTIter", &with(&[("seed", own)]), part(seed)).unwrap());
        assert_eq!(order(3, "1"), order(1, "3"));
        assert!(order(3, "1") != order(3, "0"));
        let half = |index| open("MNISTIter", &with(&[]), Part { index, num_parts: 2, seed: 0 }).unwrap();
        assert!(rows(half(0)).iter().all(|b| b.0.iter().all(|i| *i < 5)));
        assert!(rows(half(1)).iter().all(|b| b.0.iter().all(|i| *i >= 5)));

        let refuse = |params: &[(&str, String)]| open("MNISTIter", params, Part::default()).err().unwrap().to_string();
        assert!(refuse(&[("image", path("none"))]).contains("none"), "{}", refuse(&[("image", path("none"))]));
        let swapped = [("image", path("labels")), ("label", path("images"))];
        assert!(refuse(&swapped).contains("wanted uint8 of shape (samples, height, width)"), "{}", refuse(&swapped));
        assert!(refuse(&with(&[("batch_size", "11")])).contains("10 samples in batches of 11"));
    }

    #[test]
    fn arrays_come_from_npy_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        write_npy(path("x"), &Array::new([5, 2], (0..10).map(f64::from).collect()).unwrap()).unwrap();
        write_npy(path("y"), &Array::new([5], vec![4_i32, 3, 2, 1, 0]).unwrap()).unwrap();
        let of = |more: &[(&str, String)]| {
            let params = [&[("data", path("x")), ("batch_size", "2".to_string())], more].concat();
            open("NDArrayIter", &params, Part::default())
        };
        let handled = |how: &str| rows(of(&[("label", path("y")), ("last_batch_handle", how.to_string())]).unwrap());
        assert_eq!(handled("pad")[2], (vec![4, 0], vec![0.0, 4.0]));
        assert_eq!(handled("discard").len(), 2);
        let bare = of(&[("data_name", "x".to_string())]).unwrap();
        assert_eq!((&bare.provide_data()[0].name[..], bare.provide_label().len()), ("x", 0));
        assert!(of(&[("last_batch_handle", "keep".to_string())]).err().unwrap().to_string().contains("pad, discard"));
        assert!(of(&[("label", path("none"))]).err().unwrap().to_string().contains("none"));
        let missing = open("NDArrayIter", &[], Part::default()).err().unwrap().to_string();
        assert!(missing.contains("parameter \"data\" is missing"), "{missing}");
    }
}
