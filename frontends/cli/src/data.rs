//! Data sets: fetched when absent, and cut into batches.

use crate::args::{DataArgs, DataCommand};
use crate::failure::{Failure, say};
use crate::progress::bytes_bar;
use clap::ValueEnum;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use varflow::engine::Engine;
use varflow::io::{
    Array, ArrayIter, ArrayIterBuilder, FetchEvent, Image, Split, default_data_dir, fetch, has_mnist_like,
    load_mnist_like, read_idx, read_npy,
};
use varflow::{Error, Result};

/// The data sets: ten classes of grey pictures of 28×28.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dataset {
    /// Zalando's articles of clothing, 60,000 and 10,000.
    FashionMnist,
    /// Handwritten digits, 60,000 and 10,000.
    Mnist,
}

impl Dataset {
    /// The name, as on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Dataset::FashionMnist => "fashion-mnist",
            Dataset::Mnist => "mnist",
        }
    }

    /// What a class is called.
    pub(crate) fn class_name(self, class: usize) -> String {
        const CLOTHES: [&str; 10] =
            ["t-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];
        match (self, CLOTHES.get(class)) {
            (Dataset::FashionMnist, Some(name)) => (*name).to_string(),
            _ => class.to_string(),
        }
    }

    fn dir(self, given: Option<&Path>) -> Result<PathBuf> {
        given.map_or_else(|| default_data_dir(self.name()), |dir| Ok(dir.to_path_buf()))
    }
}

/// The command `data`.
pub(crate) fn run(args: &DataArgs) -> std::result::Result<(), Failure> {
    let DataCommand::Fetch { dataset, data_dir } = &args.command;
    let dir = dataset.dir(data_dir.as_deref())?;
    fetch_telling(*dataset, &dir)?;
    say(&format!("{} is in {}", dataset.name(), dir.display()))
}

fn fetch_telling(dataset: Dataset, dir: &Path) -> Result<()> {
    let bar = bytes_bar();
    let fetched = fetch(dataset.name(), dir, &mut |event| match event {
        FetchEvent::Trying { source } => bar.suspend(|| eprintln!("fetching {} from {source}", dataset.name())),
        FetchEvent::Failed { source, reason } => bar.suspend(|| eprintln!("{source} does not deliver: {reason}")),
        FetchEvent::Arrived { len_bytes, total_bytes } => {
            bar.set_length(total_bytes);
            bar.set_position(len_bytes);
        }
        FetchEvent::Present | FetchEvent::Installed { .. } => {}
    });
    bar.finish_and_clear();
    fetched
}

/// Reads a data set; fetches it first if it is absent. In a folder that the user names, files are taken as they are
/// unless there are none.
pub(crate) fn load(dataset: Dataset, data_dir: Option<&Path>) -> Result<varflow::io::Dataset> {
    let dir = dataset.dir(data_dir)?;
    let is_absent = match data_dir {
        Some(dir) => std::fs::read_dir(dir).map_or(true, |mut files| files.next().is_none()),
        None => !has_mnist_like(&dir),
    };
    if is_absent {
        fetch_telling(dataset, &dir)?;
    }
    load_mnist_like(&dir)
}

/// Batches of pictures, brought into 0 to 1, and labels.
pub(crate) fn labelled(engine: &Engine, part: &Split, batch_size: usize) -> ArrayIterBuilder {
    pictures(engine, "data", &part.images, batch_size).label("softmax_label", part.labels.clone())
}

/// Batches of pictures without labels, for this input of a network.
pub(crate) fn pictures(engine: &Engine, input: &str, images: &Arc<Array>, batch_size: usize) -> ArrayIterBuilder {
    let scale = if images.dtype() == varflow::ops::DType::U8 { 1.0 / 255.0 } else { 1.0 };
    ArrayIter::builder(engine).scaled_data(input, images.clone(), scale).batch_size(batch_size)
}

/// Reads an array from an idx or `.npy` file, or a picture, in grey, from a PNG or JPEG file, told apart by their first
/// bytes.
pub(crate) fn read_array(path: &Path) -> Result<Array> {
    let head = read_head(path)?;
    match &head[..] {
        b"\x93NUMPY" => read_npy(path),
        head if Image::is_known(head) => Image::read(path)?.into_grey().into_array(),
        [0, 0, ..] | [0x1f, 0x8b, ..] => read_idx(path),
        _ => Err(Error::Data(format!(
            "{} begins with the bytes {head:02x?}: wanted an idx file (plain or gzipped), .npy, PNG or JPEG",
            path.display()
        ))),
    }
}

/// Whether a file holds a picture, PNG or JPEG.
pub(crate) fn is_picture(path: &Path) -> Result<bool> {
    Ok(Image::is_known(&read_head(path)?))
}

/// The first bytes of a file.
fn read_head(path: &Path) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    let failed = |e| Error::io(format!("cannot read {}", path.display()), e);
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(6).read_to_end(&mut head).map_err(failed)?;
    Ok(head)
}

/// Reads pictures: (height, width) is one, (samples, height, width) are several of one channel, four axes are
/// taken as they are.
pub(crate) fn read_pictures(path: &Path) -> Result<Array> {
    let array = read_array(path)?;
    let dims = array.shape().dims().to_vec();
    match dims[..] {
        [height, width] => array.reshape([1, 1, height, width]),
        [samples, height, width] => array.reshape([samples, 1, height, width]),
        [_, _, _, _] => Ok(array),
        _ => {
            let shape = array.shape();
            let wanted = "(height, width), (samples, height, width) or (samples, channels, height, width)";
            Err(Error::Shape(format!("{} holds an array of shape {shape}, wanted {wanted}", path.display())))
        }
    }
}
