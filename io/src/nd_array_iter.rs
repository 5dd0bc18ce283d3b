//! The iterator `NDArrayIter`.

use crate::array_iter::ArrayIter;
use crate::npy::read_npy;
use crate::order::LastBatch;
use std::path::Path;
use std::sync::LazyLock;
use varflow_engine::Engine;
use varflow_ops::{DataIter, DataIterKind, Kind, Params, Part, Result, Schema, Value};

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let text = |text: &str| Some(Value::Text(text.to_string()));
    let last = "Samples at the end that do not fill a batch: filled up from the start of the epoch, left out, or first in the \
                next epoch.";
    Schema::new()
        .param("data", Kind::Text, None, "File of data, .npy, of shape (samples, …).")
        .param("label", Kind::Text, Some(Value::None), "File of labels, .npy, of shape (samples, …).")
        .int("batch_size", 1..=i64::MAX, Some(1), "Samples a batch.")
        .bool("shuffle", Some(false), "Give the samples of each epoch in an order of its own.")
        .choice("last_batch_handle", &["pad", "discard", "roll_over"], Some("pad"), last)
        .param("data_name", Kind::Text, text("data"), "The name of the data.")
        .param("label_name", Kind::Text, text("softmax_label"), "The name of the labels.")
});

/// Arrays from `.npy` files.
pub(crate) struct NdArrayIter;

impl DataIterKind for NdArrayIter {
    fn name(&self) -> &str {
        "NDArrayIter"
    }

    fn doc(&self) -> &str {
        "Samples from a .npy file, and labels from another, as float32. Both are held in memory."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn open(&self, engine: &Engine, params: &Params, part: Part) -> Result<Box<dyn DataIter>> {
        let mut iter = ArrayIter::builder(engine)
            .data(params.text("data_name"), read_npy(Path::new(params.text("data")))?)
            .batch_size(params.usize("batch_size"))
            .last_batch(match params.text("last_batch_handle") {
                "discard" => LastBatch::Discard,
                "roll_over" => LastBatch::RollOver,
                _ => LastBatch::Pad,
            })
            .part(part.index, part.num_parts);
        if let Value::Text(label) = params.value("label") {
            iter = iter.label(params.text("label_name"), read_npy(Path::new(label))?);
        }
        if params.bool("shuffle") {
            iter = iter.shuffle(part.seed);
        }
        Ok(Box::new(iter.build()?))
    }
}
