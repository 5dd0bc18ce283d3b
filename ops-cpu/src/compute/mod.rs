//! Numeric functions on slices.
//!
//! Tensors are row-major slices. Slices whose lengths do not fit the stated shape are refused with a [`Mismatch`].
//!
//! **Determinism.** How work is cut and in which order sums are added depends on the shapes alone, never on
//! [`Par::width`] or on timing.

mod axis_map;
mod broadcast;
mod cast;
mod channels;
mod conv;
mod float;
mod function;
mod gemm;
mod index;
mod join;
mod layer_norm;
mod lrn;
mod map;
mod mismatch;
mod normal;
mod number;
mod order;
mod par;
mod pool;
mod reduce;
mod rnn;
mod roi_pool;
mod sampler;
mod sgd;
mod softmax;
mod special;
mod transpose;
mod unary;

pub use axis_map::{AxisMap, AxisMaps, Piece};
pub(crate) use broadcast::BinaryLoops;
pub use broadcast::{Binary, binary, binary_in_place, binary_with};
pub use cast::{affine_u8, cast};
pub use channels::{Channels, inner_product};
pub use conv::{Addend, Conv, Terms};
pub use float::Float;
pub use function::Function;
pub use gemm::{Matrix, gemm};
pub use index::{Picks, Places, Tables};
pub use join::{join, take_columns};
pub use layer_norm::LayerNorm;
pub use lrn::Lrn;
pub use map::{fill, map, map_in_place, zip, zip_in_place};
pub use mismatch::Mismatch;
pub use normal::normal_cdf;
pub use number::Number;
pub use order::Lanes;
pub use par::{Par, Serial};
pub use pool::{Pool, PoolKind};
pub(crate) use reduce::ReduceLoops;
pub use reduce::{Reduction, reduce};
pub use rnn::{Rnn, RnnCell, RnnGrads, RnnInputs, RnnOutGrads};
pub use roi_pool::RoiPool;
pub use sampler::Sampler;
pub use sgd::{Sgd, sgd_momentum_update, sgd_update};
pub use softmax::{
    CrossEntropy, log_softmax, log_softmax_backward, softmax, softmax_backward, softmax_cross_entropy,
    softmax_cross_entropy_backward, softmax_in_place,
};
pub use transpose::transpose;
pub use unary::{Unary, unary, unary_backward, unary_backward_in_place, unary_in_place};
