//! The kernels: one file each operator or family, named as in `varflow_ops::defs`, and one line each in [`KERNELS`].

use crate::compute::{Reduction, Unary};
use broadcast::Arithmetic;
use dtype::{Make, by_float};
use varflow_ops::{DType, DeviceKind, Error, Provider};

mod activation;
mod add_n;
mod broadcast;
mod cast;
mod columns;
mod concat;
mod convolution;
mod dot;
mod dropout;
mod dtype;
mod fill;
mod fully_connected;
mod labels;
mod local;
mod pair;
mod par;
mod pooling;
mod random;
mod reduce;
mod repeat;
mod repeated;
mod reshape;
mod scalar;
mod sgd;
mod shape_of;
mod slice;
mod softmax;
mod softmax_output;
mod transpose;
mod unary;
mod upsampling;

/// A kernel that is generic over [`dtype::Real`], and perhaps one of a family.
macro_rules! floats {
    ($file:ident::$make:ident) => {
        |call| by_float(call, $file::$make::<f32>, $file::$make::<f64>)
    };
    ($file:ident::$make:ident, $of:expr) => {
        |call| by_float(call, |call| $file::$make::<f32>(call, $of), |call| $file::$make::<f64>(call, $of))
    };
}

/// A kernel that is generic over [`varflow_ops::Element`].
macro_rules! elements {
    ($file:ident::$make:ident) => {
        |call| match dtype::working_dtype(call)? {
            DType::F32 => $file::$make::<f32>(call),
            DType::F64 => $file::$make::<f64>(call),
            DType::F16 => $file::$make::<half::f16>(call),
            DType::BF16 => $file::$make::<half::bf16>(call),
            DType::U8 => $file::$make::<u8>(call),
            DType::I8 => $file::$make::<i8>(call),
            DType::U16 => $file::$make::<u16>(call),
            DType::I16 => $file::$make::<i16>(call),
            DType::U32 => $file::$make::<u32>(call),
            DType::I32 => $file::$make::<i32>(call),
            DType::U64 => $file::$make::<u64>(call),
            DType::I64 => $file::$make::<i64>(call),
            DType::Bool => Err(Error::DType("data holds bool, wanted numbers".to_string())),
        }
    };
}

/// Operators, and how their kernels are made.
const KERNELS: &[(&str, Make)] = &[
    ("Activation", floats!(activation::forward)),
    ("_backward_Activation", floats!(activation::backward)),
    ("add_n", floats!(add_n::forward)),
    ("Convolution", floats!(convolution::forward)),
    ("_backward_Convolution", floats!(convolution::backward)),
    ("Dropout", floats!(dropout::forward)),
    ("_backward_Dropout", floats!(dropout::backward)),
    ("Flatten", elements!(reshape::copy)),
    ("FullyConnected", floats!(fully_connected::forward)),
    ("_backward_FullyConnected", floats!(fully_connected::backward)),
    ("Pooling", floats!(pooling::forward)),
    ("_backward_Pooling", floats!(pooling::backward)),
    ("Reshape", elements!(reshape::copy)),
    ("_backward_reshape", elements!(reshape::copy)),
    ("sgd_mom_update", floats!(sgd::momentum_update)),
    ("sgd_update", floats!(sgd::update)),
    ("softmax", floats!(softmax::forward)),
    ("_backward_softmax", floats!(softmax::backward)),
    ("log_softmax", floats!(softmax::log_forward)),
    ("_backward_log_softmax", floats!(softmax::log_backward)),
    ("SoftmaxOutput", floats!(softmax_output::forward)),
    ("_backward_SoftmaxOutput", floats!(softmax_output::backward)),
    ("_grad_add", floats!(broadcast::forward, Arithmetic::Add)),
    ("_copy", elements!(reshape::copy)),
    ("BlockGrad", elements!(reshape::copy)),
    ("_backward_abs", floats!(unary::backward, Unary::Abs)),
    ("_backward_broadcast_add", floats!(broadcast::backward, Arithmetic::Add)),
    ("_backward_broadcast_div", floats!(broadcast::backward, Arithmetic::Div)),
    ("_backward_broadcast_mul", floats!(broadcast::backward, Arithmetic::Mul)),
    ("_backward_broadcast_sub", floats!(broadcast::backward, Arithmetic::Sub)),
    ("_backward_cast", elements!(cast::forward)),
    ("_backward_dot", floats!(dot::backward)),
    ("_backward_maximum_scalar", floats!(scalar::maximum_backward)),
    ("_backward_mean", floats!(reduce::mean_backward)),
    ("_backward_minimum_scalar", floats!(scalar::minimum_backward)),
    ("_backward_power_scalar", floats!(scalar::power_backward)),
    ("_backward_rdiv_scalar", floats!(scalar::div_into_backward)),
    ("_backward_sqrt", floats!(unary::backward, Unary::Sqrt)),
    ("_backward_square", floats!(unary::backward, Unary::Square)),
    ("_backward_sum", floats!(reduce::sum_backward)),
    ("_div_scalar", floats!(scalar::div)),
    ("_maximum_scalar", floats!(scalar::maximum)),
    ("_minimum_scalar", floats!(scalar::minimum)),
    ("_minus_scalar", floats!(scalar::minus)),
    ("_mul_scalar", floats!(scalar::mul)),
    ("_ones", elements!(fill::ones)),
    ("_plus_scalar", floats!(scalar::plus)),
    ("_power_scalar", floats!(scalar::power)),
    ("_random_normal", floats!(random::normal)),
    ("_random_uniform", floats!(random::uniform)),
    ("_rdiv_scalar", floats!(scalar::div_into)),
    ("_rminus_scalar", floats!(scalar::minus_from)),
    ("_zeros", elements!(fill::zeros)),
    ("Cast", elements!(cast::forward)),
    ("abs", floats!(unary::forward, Unary::Abs)),
    ("broadcast_add", floats!(broadcast::forward, Arithmetic::Add)),
    ("broadcast_div", floats!(broadcast::forward, Arithmetic::Div)),
    ("broadcast_mul", floats!(broadcast::forward, Arithmetic::Mul)),
    ("broadcast_sub", floats!(broadcast::forward, Arithmetic::Sub)),
    ("dot", floats!(dot::forward)),
    ("elemwise_add", floats!(broadcast::forward, Arithmetic::Add)),
    ("elemwise_div", floats!(broadcast::forward, Arithmetic::Div)),
    ("elemwise_mul", floats!(broadcast::forward, Arithmetic::Mul)),
    ("elemwise_sub", floats!(broadcast::forward, Arithmetic::Sub)),
    ("exp", floats!(unary::forward, Unary::Exp)),
    ("log", floats!(unary::forward, Unary::Log)),
    ("mean", floats!(reduce::forward, Reduction::Mean)),
    ("negative", floats!(unary::forward, Unary::Negate)),
    ("ones_like", elements!(fill::ones)),
    ("sqrt", floats!(unary::forward, Unary::Sqrt)),
    ("square", floats!(unary::forward, Unary::Square)),
    ("sum", floats!(reduce::forward, Reduction::Sum)),
    ("transpose", elements!(transpose::forward)),
    ("zeros_like", elements!(fill::zeros)),
    ("Concat", elements!(concat::forward)),
    ("_backward_Concat", elements!(concat::backward)),
    ("stack", elements!(concat::forward)),
    ("_backward_stack", elements!(concat::backward)),
    ("SliceChannel", elements!(concat::slice_channel)),
    ("_backward_SliceChannel", elements!(concat::slice_channel_backward)),
    ("slice", elements!(slice::slice)),
    ("_backward_slice", floats!(slice::slice_backward)),
    ("slice_axis", elements!(slice::slice)),
    ("_backward_slice_axis", floats!(slice::slice_backward)),
    ("slice_like", elements!(slice::slice_like)),
    ("_backward_slice_like", floats!(slice::slice_like_backward)),
    ("Crop", elements!(slice::crop)),
    ("_backward_Crop", floats!(slice::crop_backward)),
    ("Pad", elements!(slice::pad)),
    ("_backward_Pad", floats!(slice::pad_backward)),
    ("reverse", elements!(slice::reverse)),
    ("expand_dims", elements!(reshape::copy)),
    ("squeeze", elements!(reshape::copy)),
    ("reshape_like", elements!(reshape::copy)),
    ("_identity_with_attr_like_rhs", elements!(reshape::copy)),
    ("tile", elements!(repeated::tile)),
    ("_backward_tile", floats!(repeated::tile_backward)),
    ("repeat", elements!(repeated::repeat)),
    ("_backward_repeat", floats!(repeated::repeat_backward)),
    ("broadcast_to", elements!(repeated::broadcast)),
    ("_backward_broadcast_to", floats!(repeated::broadcast_backward)),
    ("broadcast_axis", elements!(repeated::broadcast)),
    ("_backward_broadcast_axis", floats!(repeated::broadcast_backward)),
    ("broadcast_like", elements!(repeated::broadcast)),
    ("_backward_broadcast_like", floats!(repeated::broadcast_backward)),
    ("SwapAxis", elements!(transpose::swap_axis)),
    ("depth_to_space", elements!(transpose::depth_to_space)),
    ("space_to_depth", elements!(transpose::space_to_depth)),
    ("shape_array", shape_of::shape),
    ("size_array", shape_of::size),
    ("UpSampling", floats!(upsampling::forward)),
    ("_backward_UpSampling", floats!(upsampling::backward)),
];

/// CPU kernels of all built-in operators, and the reduction `local`.
#[must_use]
pub fn provider() -> Provider {
    let provider = Provider::new("cpu").reduction(local::Local);
    KERNELS.iter().fold(provider, |provider, (op, make)| provider.kernel(op, DeviceKind::Cpu, *make))
}
