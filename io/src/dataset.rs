//! Data sets of labelled pictures in four idx files, as MNIST and Fashion-MNIST come.

use crate::array::Array;
use crate::idx::{header_len_bytes, read_idx};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use varflow_ops::{DType, Error, Result};

/// The number of classes of MNIST and Fashion-MNIST: labels are 0 to 9.
pub const NUM_CLASSES: u8 = 10;

pub(crate) const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
pub(crate) const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
pub(crate) const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
pub(crate) const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

/// Labelled pictures.
#[derive(Clone, Debug)]
pub struct Split {
    /// `u8` of shape (samples, 1, height, width), 0 to 255.
    pub images: Arc<Array>,
    /// `u8` of shape (samples,), each below [`NUM_CLASSES`].
    pub labels: Arc<Array>,
}

impl Split {
    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.num_samples()
    }

    /// Whether there are no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `n` samples; all if there are no more.
    #[must_use]
    pub fn first(&self, n: usize) -> Split {
        if n >= self.len() {
            return self.clone();
        }
        let cut = |a: &Arc<Array>| Arc::new(Array::clone(a).first(n));
        Split { images: cut(&self.images), labels: cut(&self.labels) }
    }
}

/// What to learn from and what to judge by. Pictures of both are of one size.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// To learn from.
    pub train: Split,
    /// To judge by.
    pub test: Split,
}

/// Reads the data set in a folder: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
/// `t10k-labels-idx1-ubyte`, each plain or with `.gz`.
///
/// # Errors
/// A file that is missing or malformed (see [`read_idx`]); pictures or labels of another rank or type; fewer or more
/// labels than pictures; no samples; a label out of range; test pictures of another size than the training ones.
pub fn load_mnist_like(dir: impl AsRef<Path>) -> Result<Dataset> {
    let dir = dir.as_ref();
    let train = load_split(dir, TRAIN_IMAGES, TRAIN_LABELS)?;
    let test = load_split(dir, TEST_IMAGES, TEST_LABELS)?;
    let (a, b) = (train.images.shape(), test.images.shape());
    if a.dims()[1..] != b.dims()[1..] {
        let text = format!("{TEST_IMAGES} has pictures of {} by {}", b[2], b[3]);
        let wanted = format!("wanted {} by {} as in {TRAIN_IMAGES}", a[2], a[3]);
        return Err(Error::Data(format!("{}: {text}, {wanted}", dir.display())));
    }
    Ok(Dataset { train, test })
}

/// Where a file of a data set is: as it is named, or with `.gz`.
pub(crate) fn find_file(dir: &Path, name: &str) -> Option<PathBuf> {
    [dir.join(name), dir.join(format!("{name}.gz"))].into_iter().find(|p| p.exists())
}

/// Whether a folder has all the files of [`load_mnist_like`]. It does not look into them.
#[must_use]
pub fn has_mnist_like(dir: impl AsRef<Path>) -> bool {
    let names = [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS];
    names.iter().all(|name| find_file(dir.as_ref(), name).is_some())
}

fn load_split(dir: &Path, images: &str, labels: &str) -> Result<Split> {
    let find = |name: &str| {
        let missing = || Error::Data(format!("{}: there is no file {name}, plain or with .gz", dir.display()));
        find_file(dir, name).ok_or_else(missing)
    };
    read_split(&find(images)?, &find(labels)?)
}

/// Reads pictures and their labels.
pub(crate) fn read_split(images_path: &Path, labels_path: &Path) -> Result<Split> {
    let (images, labels) = (read_idx(images_path)?, read_idx(labels_path)?);
    check_form(images_path, &images, 3, "(samples, height, width)")?;
    check_form(labels_path, &labels, 1, "(samples,)")?;
    let n = images.num_samples();
    if n != labels.num_samples() || n == 0 {
        let found = format!("{} has {n} pictures and {}", images_path.display(), labels_path.display());
        let text = format!("{found} {} labels, wanted as many of both, and one at least", labels.num_samples());
        return Err(Error::Data(text));
    }
    if let Some(i) = labels.as_slice::<u8>()?.iter().position(|l| *l >= NUM_CLASSES) {
        let (at, label) = (header_len_bytes(1) + i as u64, labels.as_slice::<u8>()?[i]);
        let text = format!("found label {label} of sample {i}, wanted 0 to {}", NUM_CLASSES - 1);
        return Err(Error::Data(format!("{}: at byte {at} of its contents: {text}", labels_path.display())));
    }
    let dims = images.shape().clone();
    let images = images.reshape([n, 1, dims[1], dims[2]])?;
    Ok(Split { images: Arc::new(images), labels: Arc::new(labels) })
}

fn check_form(path: &Path, array: &Array, rank: usize, wanted: &str) -> Result<()> {
    let (dtype, shape) = (array.dtype(), array.shape());
    if dtype == DType::U8 && shape.rank() == rank {
        return Ok(());
    }
    Err(Error::Data(format!("{} holds {dtype} of shape {shape}, wanted uint8 of shape {wanted}", path.display())))
}

/// The folder in which a data set is kept unless told otherwise: `NAME` inside `$VARFLOW_CACHE`, else inside
/// `$XDG_CACHE_HOME/varflow`, else inside `~/.cache/varflow`.
///
/// # Errors
/// When none of the variables and no `HOME` is set.
pub fn default_data_dir(dataset: &str) -> Result<PathBuf> {
    let cache = cache_dir(|name| std::env::var_os(name));
    let cache = cache.ok_or_else(|| {
        let wanted = "wanted VARFLOW_CACHE, XDG_CACHE_HOME or HOME in the environment";
        Error::Data(format!("there is no place to keep data set \"{dataset}\": {wanted}"))
    })?;
    Ok(cache.join(dataset))
}

fn cache_dir(var: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let var = |name: &str| var(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    // The XDG base directory specification has relative paths ignored.
    let xdg = || var("XDG_CACHE_HOME").filter(|p| p.is_absolute()).map(|p| p.join("varflow"));
    var("VARFLOW_CACHE").or_else(xdg).or_else(|| Some(var("HOME")?.join(".cache").join("varflow")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write_idx;

    /// Writes a data set of `n` training and 2 test pictures of 2 by 3.
    fn write(dir: &Path, n: usize) {
        let images = |n: usize| Array::new([n, 2, 3], (0..n * 6).map(|i| i as u8).collect()).unwrap();
        let labels = |n: usize| Array::new([n], (0..n).map(|i| (i % 10) as u8).collect()).unwrap();
        write_idx(dir.join(TRAIN_IMAGES), &images(n)).unwrap();
        write_idx(dir.join(TRAIN_LABELS), &labels(n)).unwrap();
        write_idx(dir.join(TEST_IMAGES), &images(2)).unwrap();
        write_idx(dir.join(TEST_LABELS), &labels(2)).unwrap();
    }

    #[test]
    fn loads_four_files() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!has_mnist_like(dir.path()));
        write(dir.path(), 12);
        assert!(has_mnist_like(dir.path()));
        let set = load_mnist_like(dir.path()).unwrap();
        assert_eq!(set.train.images.shape().dims(), [12, 1, 2, 3]);
        assert_eq!(set.train.images.as_slice::<u8>().unwrap()[70], 70);
        assert_eq!((set.train.len(), set.test.len()), (12, 2));
        let first = set.train.first(5);
        assert_eq!((first.images.shape().dims(), first.labels.shape().dims()), (&[5, 1, 2, 3][..], &[5][..]));
        assert_eq!(set.train.first(99).len(), 12);
    }

    #[test]
    fn says_what_does_not_fit() {
        let dir = tempfile::tempdir().unwrap();
        let refuse = || load_mnist_like(dir.path()).unwrap_err().to_string();
        let put = |name: &str, a: Array| write_idx(dir.path().join(name), &a).unwrap();
        let shown = dir.path().display();
        assert_eq!(refuse(), format!("{shown}: there is no file train-images-idx3-ubyte, plain or with .gz"));
        write(dir.path(), 12);
        put(TRAIN_LABELS, Array::new([12], [0_u8, 1, 2, 3, 4, 10, 0, 0, 0, 0, 0, 0].to_vec()).unwrap());
        let wanted = "at byte 13 of its contents: found label 10 of sample 5, wanted 0 to 9";
        assert_eq!(refuse(), format!("{shown}/train-labels-idx1-ubyte: {wanted}"));
        put(TRAIN_LABELS, Array::new([11], vec![0_u8; 11]).unwrap());
        assert!(refuse().contains("has 12 pictures and") && refuse().contains("11 labels"), "{}", refuse());
        put(TRAIN_LABELS, Array::new([12], vec![0_f32; 12]).unwrap());
        assert!(refuse().ends_with("holds float32 of shape (12,), wanted uint8 of shape (samples,)"), "{}", refuse());
        write(dir.path(), 12);
        put(TEST_IMAGES, Array::new([2, 3, 3], vec![0_u8; 18]).unwrap());
        assert!(
            refuse().ends_with("has pictures of 3 by 3, wanted 2 by 3 as in train-images-idx3-ubyte"),
            "{}",
            refuse()
        );
        write(dir.path(), 0);
        assert!(refuse().ends_with("0 labels, wanted as many of both, and one at least"), "{}", refuse());
    }

    #[test]
    fn cache_follows_the_environment() {
        let of = |vars: &[(&str, &str)]| {
            let vars: Vec<(String, OsString)> = vars.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
            cache_dir(|name| vars.iter().find(|v| v.0 == name).map(|v| v.1.clone()))
        };
        let is = |path: &str| Some(PathBuf::from(path));
        let all = [("VARFLOW_CACHE", "/v"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(of(&all), is("/v"));
        assert_eq!(of(&all[1..]), is("/x/varflow"));
        assert_eq!(of(&all[2..]), is("/h/.cache/varflow"));
        assert_eq!(of(&[("VARFLOW_CACHE", ""), ("XDG_CACHE_HOME", "here"), ("HOME", "/h")]), is("/h/.cache/varflow"));
        assert_eq!(of(&[]), None);
    }
}
