//! Where data comes from: readers of idx, npy, JPEG and PNG files, data sets that are fetched once and verified, batches cut
//! from arrays in memory, prefetching, and the iterators that are found by name.
//!
//! Readers return an [`Array`] or an error that says which file, which byte, what is there and what was wanted; no
//! input makes them panic or take memory beyond what the file holds.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod array;
mod array_iter;
mod buffers;
mod dataset;
mod fetch;
mod idx;
mod image;
mod input;
mod mnist_iter;
mod nd_array_iter;
mod npy;
mod order;
mod prefetch;
mod provider;

pub use array::Array;
pub use array_iter::{ArrayIter, ArrayIterBuilder};
pub use dataset::{Dataset, NUM_CLASSES, Split, default_data_dir, has_mnist_like, load_mnist_like};
pub use fetch::{DATASETS, FetchEvent, fetch};
pub use idx::{decode_idx, encode_idx, read_idx, write_idx};
pub use image::{Filter, Image, Preprocess, Resize};
pub use npy::{decode_npy, encode_npy, read_npy, write_npy};
pub use order::LastBatch;
pub use prefetch::Prefetch;
pub use provider::provider;
pub use varflow_ops::{Error, Result};
