//! The iterator `MNISTIter`.

use crate::array_iter::ArrayIter;
use crate::dataset::read_split;
use crate::order::LastBatch;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use varflow_engine::Engine;
use varflow_ops::{DataIter, DataIterKind, Kind, Params, Part, Result, Schema, Value};

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let path = |name: &str| Some(Value::Text(format!("./train-{name}-ubyte")));
    Schema::new()
        .param("image", Kind::Text, path("images-idx3"), "File of pictures: idx, gzipped or not.")
        .param("label", Kind::Text, path("labels-idx1"), "File of labels: idx, gzipped or not.")
        .int("batch_size", 1..=i64::MAX, Some(128), "Samples a batch.")
        .bool("shuffle", Some(true), "Give the samples of each epoch in an order of its own.")
        .bool("flat", Some(false), "Give pictures as (samples, height · width), not (samples, 1, height, width).")
        .int("seed", 0..=i64::MAX, Some(0), "Seed of the order of samples, added to that of the run.")
});

/// Labelled pictures from two idx files.
pub(crate) struct MnistIter;

impl DataIterKind for MnistIter {
    fn name(&self) -> &str {
        "MNISTIter"
    }

    fn doc(&self) -> &str {
        "Labelled pictures from two idx files, as MNIST and Fashion-MNIST come. It gives data, from 0 to 1, and softmax_label. \
         As in MXNet, samples at the end that do not fill a batch are left out."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn open(&self, engine: &Engine, params: &Params, part: Part) -> Result<Box<dyn DataIter>> {
        let split = read_split(Path::new(params.text("image")), Path::new(params.text("label")))?;
        let images = if params.bool("flat") {
            let images = Arc::unwrap_or_clone(split.images);
            let dims = images.shape().dims().to_vec();
            Arc::new(images.reshape([dims[0], dims[1..].iter().product()])?)
        } else {
            split.images
        };
        let mut iter = ArrayIter::builder(engine)
            .scaled_data("data", images, 1.0 / 255.0)
            .label("softmax_label", split.labels)
            .batch_size(params.usize("batch_size"))
            .last_batch(LastBatch::Discard)
            .part(part.index, part.num_parts);
        if params.bool("shuffle") {
            iter = iter.shuffle(part.seed.wrapping_add(params.int("seed").unsigned_abs()));
        }
        Ok(Box::new(iter.build()?))
    }
}
