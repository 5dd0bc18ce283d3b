//! The kernels: one file each operator or family, named as in `varflow_ops::defs`, and one line each in [`KERNELS`].

use crate::compute::{Binary, Function, Reduction};
use dtype::{Make, by_float, by_float_of};
use regression_output::Regression;
use varflow_ops::{DType, DeviceKind, Error, KernelCall, Provider};

mod activation;
mod add_n;
mod batch_dot;
mod batch_norm;
mod bilinear_sampler;
mod broadcast;
mod cast;
mod clip;
mod columns;
mod concat;
mod convolution;
mod deconvolution;
mod dot;
mod dropout;
mod dtype;
mod fill;
mod fully_connected;
mod function;
mod fused_elementwise;
mod gather_nd;
mod grid_generator;
mod group_norm;
mod instance_norm;
mod l2_normalization;
mod labels;
mod layer_norm;
mod leaky_relu;
mod local;
mod lrn;
mod make_loss;
mod norm;
mod order;
mod pair;
mod par;
mod pick;
mod places;
mod planes;
mod pooling;
mod random;
mod range;
mod reduce;
mod regression_output;
mod repeat;
mod repeated;
mod reshape;
mod rnn;
mod roi_pooling;
mod scalar;
mod scratch;
mod select;
mod sequence;
mod sgd;
mod shape_of;
mod slice;
mod smooth;
mod softmax;
mod softmax_activation;
mod softmax_cross_entropy;
mod softmax_output;
mod svm_output;
mod take;
mod transpose;
mod unary;
mod upsampling;

/// A kernel that is generic over [`dtype::Real`], that of an input if one is said, and perhaps one of a family.
macro_rules! floats {
    (input $i:literal: $file:ident::$make:ident) => {
        |call| by_float_of(call, $i, $file::$make::<f32>, $file::$make::<f64>)
    };
    ($file:ident::$make:ident) => {
        |call| by_float(call, $file::$make::<f32>, $file::$make::<f64>)
    };
    ($file:ident::$make:ident, $of:expr) => {
        |call| by_float(call, |call| $file::$make::<f32>(call, $of), |call| $file::$make::<f64>(call, $of))
    };
}

/// A kernel that is generic over element types, those of an input or output if one is said, and perhaps one of a family.
macro_rules! numbers {
    (input $i:literal: $($make:tt)*) => {
        |call| numbers!(of call.inputs[$i].dtype, call, $($make)*)
    };
    (output $o:literal: $($make:tt)*) => {
        |call| numbers!(of call.outputs[$o].dtype, call, $($make)*)
    };
    (of $dtype:expr, $call:ident, $file:ident::$make:ident $(, $of:expr)*) => {
        match $dtype {
            DType::F32 => $file::$make::<f32>($call $(, $of)*),
            DType::F64 => $file::$make::<f64>($call $(, $of)*),
            DType::F16 => $file::$make::<half::f16>($call $(, $of)*),
            DType::BF16 => $file::$make::<half::bf16>($call $(, $of)*),
            DType::U8 => $file::$make::<u8>($call $(, $of)*),
            DType::I8 => $file::$make::<i8>($call $(, $of)*),
            DType::U16 => $file::$make::<u16>($call $(, $of)*),
            DType::I16 => $file::$make::<i16>($call $(, $of)*),
            DType::U32 => $file::$make::<u32>($call $(, $of)*),
            DType::I32 => $file::$make::<i32>($call $(, $of)*),
            DType::U64 => $file::$make::<u64>($call $(, $of)*),
            DType::I64 => $file::$make::<i64>($call $(, $of)*),
            DType::Bool => Err(Error::DType("data holds bool, wanted numbers".to_string())),
        }
    };
    ($($make:tt)*) => {
        |call| numbers!(of dtype::working_dtype(call)?, call, $($make)*)
    };
}

/// Operators, and how their kernels are made.
const KERNELS: &[(&str, Make)] = &[
    ("Activation", floats!(activation::forward)),
    ("_backward_Activation", floats!(activation::backward)),
    ("add_n", floats!(add_n::forward)),
    ("BatchNorm", floats!(batch_norm::forward)),
    ("_backward_BatchNorm", floats!(batch_norm::backward)),
    ("Convolution", floats!(convolution::forward)),
    ("_backward_Convolution", floats!(convolution::backward)),
    ("Deconvolution", floats!(deconvolution::forward)),
    ("_backward_Deconvolution", floats!(deconvolution::backward)),
    ("LeakyReLU", floats!(leaky_relu::forward)),
    ("_backward_LeakyReLU", floats!(leaky_relu::backward)),
    ("InstanceNorm", floats!(instance_norm::forward)),
    ("_backward_InstanceNorm", floats!(instance_norm::backward)),
    ("LRN", floats!(lrn::forward)),
    ("_backward_LRN", floats!(lrn::backward)),
    ("GroupNorm", floats!(group_norm::forward)),
    ("_backward_GroupNorm", floats!(group_norm::backward)),
    ("L2Normalization", floats!(l2_normalization::forward)),
    ("_backward_L2Normalization", floats!(l2_normalization::backward)),
    ("LayerNorm", floats!(layer_norm::forward)),
    ("_backward_LayerNorm", floats!(layer_norm::backward)),
    ("RNN", floats!(rnn::forward)),
    ("_backward_RNN", floats!(rnn::backward)),
    ("SVMOutput", floats!(svm_output::forward)),
    ("_backward_SVMOutput", floats!(svm_output::backward)),
    ("SoftmaxActivation", floats!(softmax_activation::forward)),
    ("_backward_SoftmaxActivation", floats!(softmax_activation::backward)),
    ("hard_sigmoid", floats!(smooth::hard_sigmoid)),
    ("_backward_hard_sigmoid", floats!(smooth::hard_sigmoid_backward)),
    ("make_loss", numbers!(reshape::copy)),
    ("smooth_l1", floats!(smooth::smooth_l1)),
    ("_backward_smooth_l1", floats!(smooth::smooth_l1_backward)),
    ("softmax_cross_entropy", floats!(softmax_cross_entropy::forward)),
    ("_backward_softmax_cross_entropy", floats!(softmax_cross_entropy::backward)),
    ("softmin", floats!(softmax::min_forward)),
    ("_backward_softmin", floats!(softmax::min_backward)),
    ("LinearRegressionOutput", floats!(regression_output::forward, Regression::Linear)),
    ("_backward_LinearRegressionOutput", floats!(regression_output::backward, Regression::Linear)),
    ("LogisticRegressionOutput", floats!(regression_output::forward, Regression::Logistic)),
    ("_backward_LogisticRegressionOutput", floats!(regression_output::backward, Regression::Logistic)),
    ("MAERegressionOutput", floats!(regression_output::forward, Regression::Absolute)),
    ("_backward_MAERegressionOutput", floats!(regression_output::backward, Regression::Absolute)),
    ("MakeLoss", floats!(make_loss::forward)),
    ("_backward_MakeLoss", floats!(make_loss::backward)),
    ("Dropout", floats!(dropout::forward)),
    ("_backward_Dropout", floats!(dropout::backward)),
    ("Flatten", numbers!(reshape::copy)),
    ("_FusedElementwise", floats!(fused_elementwise::forward)),
    ("FullyConnected", floats!(fully_connected::forward)),
    ("_backward_FullyConnected", floats!(fully_connected::backward)),
    ("Pooling", floats!(pooling::forward)),
    ("_backward_Pooling", floats!(pooling::backward)),
    ("Reshape", numbers!(reshape::copy)),
    ("_backward_reshape", numbers!(reshape::copy)),
    ("sgd_mom_update", floats!(sgd::momentum_update)),
    ("sgd_update", floats!(sgd::update)),
    ("softmax", floats!(softmax::forward)),
    ("_backward_softmax", floats!(softmax::backward)),
    ("log_softmax", floats!(softmax::log_forward)),
    ("_backward_log_softmax", floats!(softmax::log_backward)),
    ("SoftmaxOutput", floats!(softmax_output::forward)),
    ("_backward_SoftmaxOutput", floats!(softmax_output::backward)),
    ("_copy", numbers!(reshape::copy)),
    ("_CrossDeviceCopy", numbers!(reshape::copy)),
    ("BlockGrad", numbers!(reshape::copy)),
    ("_backward_cast", numbers!(cast::forward)),
    ("_grad_add", numbers!(broadcast::forward, Binary::Add)),
    ("_backward_broadcast_add", floats!(broadcast::backward, Binary::Add)),
    ("_backward_broadcast_div", floats!(broadcast::backward, Binary::Div)),
    ("_backward_broadcast_mul", floats!(broadcast::backward, Binary::Mul)),
    ("_backward_broadcast_sub", floats!(broadcast::backward, Binary::Sub)),
    ("_backward_dot", floats!(dot::backward)),
    ("_backward_maximum_scalar", floats!(scalar::maximum_backward)),
    ("_backward_mean", floats!(reduce::mean_backward)),
    ("_backward_minimum_scalar", floats!(scalar::minimum_backward)),
    ("_backward_power_scalar", floats!(scalar::power_backward)),
    ("_backward_rdiv_scalar", floats!(scalar::div_into_backward)),
    ("_backward_sum", floats!(reduce::sum_backward)),
    ("_ones", numbers!(fill::ones)),
    ("_random_normal", floats!(random::normal)),
    ("_random_uniform", floats!(random::uniform)),
    ("_zeros", numbers!(fill::zeros)),
    ("_plus_scalar", numbers!(scalar::forward, Binary::Add)),
    ("_minus_scalar", numbers!(scalar::forward, Binary::Sub)),
    ("_rminus_scalar", numbers!(scalar::forward, Binary::SubFrom)),
    ("_mul_scalar", numbers!(scalar::forward, Binary::Mul)),
    ("_div_scalar", numbers!(scalar::forward, Binary::Div)),
    ("_rdiv_scalar", numbers!(scalar::forward, Binary::DivInto)),
    ("_mod_scalar", numbers!(scalar::forward, Binary::Mod)),
    ("_rmod_scalar", numbers!(scalar::forward, Binary::ModOf)),
    ("_maximum_scalar", numbers!(scalar::forward, Binary::Maximum)),
    ("_minimum_scalar", numbers!(scalar::forward, Binary::Minimum)),
    ("_power_scalar", numbers!(scalar::forward, Binary::Power)),
    ("_rpower_scalar", numbers!(scalar::forward, Binary::PowerOf)),
    ("_hypot_scalar", numbers!(scalar::forward, Binary::Hypot)),
    ("_equal_scalar", numbers!(scalar::forward, Binary::Equal)),
    ("_not_equal_scalar", numbers!(scalar::forward, Binary::NotEqual)),
    ("_greater_scalar", numbers!(scalar::forward, Binary::Greater)),
    ("_greater_equal_scalar", numbers!(scalar::forward, Binary::GreaterEqual)),
    ("_lesser_scalar", numbers!(scalar::forward, Binary::Lesser)),
    ("_lesser_equal_scalar", numbers!(scalar::forward, Binary::LesserEqual)),
    ("_logical_and_scalar", numbers!(scalar::forward, Binary::LogicalAnd)),
    ("_logical_or_scalar", numbers!(scalar::forward, Binary::LogicalOr)),
    ("_logical_xor_scalar", numbers!(scalar::forward, Binary::LogicalXor)),
    ("_mod", numbers!(broadcast::forward, Binary::Mod)),
    ("broadcast_mod", numbers!(broadcast::forward, Binary::Mod)),
    ("_power", numbers!(broadcast::forward, Binary::Power)),
    ("broadcast_power", numbers!(broadcast::forward, Binary::Power)),
    ("_maximum", numbers!(broadcast::forward, Binary::Maximum)),
    ("broadcast_maximum", numbers!(broadcast::forward, Binary::Maximum)),
    ("_minimum", numbers!(broadcast::forward, Binary::Minimum)),
    ("broadcast_minimum", numbers!(broadcast::forward, Binary::Minimum)),
    ("_hypot", numbers!(broadcast::forward, Binary::Hypot)),
    ("broadcast_hypot", numbers!(broadcast::forward, Binary::Hypot)),
    ("_equal", numbers!(broadcast::forward, Binary::Equal)),
    ("broadcast_equal", numbers!(broadcast::forward, Binary::Equal)),
    ("_not_equal", numbers!(broadcast::forward, Binary::NotEqual)),
    ("broadcast_not_equal", numbers!(broadcast::forward, Binary::NotEqual)),
    ("_greater", numbers!(broadcast::forward, Binary::Greater)),
    ("broadcast_greater", numbers!(broadcast::forward, Binary::Greater)),
    ("_greater_equal", numbers!(broadcast::forward, Binary::GreaterEqual)),
    ("broadcast_greater_equal", numbers!(broadcast::forward, Binary::GreaterEqual)),
    ("_lesser", numbers!(broadcast::forward, Binary::Lesser)),
    ("broadcast_lesser", numbers!(broadcast::forward, Binary::Lesser)),
    ("_lesser_equal", numbers!(broadcast::forward, Binary::LesserEqual)),
    ("broadcast_lesser_equal", numbers!(broadcast::forward, Binary::LesserEqual)),
    ("_logical_and", numbers!(broadcast::forward, Binary::LogicalAnd)),
    ("broadcast_logical_and", numbers!(broadcast::forward, Binary::LogicalAnd)),
    ("_logical_or", numbers!(broadcast::forward, Binary::LogicalOr)),
    ("broadcast_logical_or", numbers!(broadcast::forward, Binary::LogicalOr)),
    ("_logical_xor", numbers!(broadcast::forward, Binary::LogicalXor)),
    ("broadcast_logical_xor", numbers!(broadcast::forward, Binary::LogicalXor)),
    ("_backward_broadcast_mod", floats!(broadcast::backward, Binary::Mod)),
    ("_backward_broadcast_power", floats!(broadcast::backward, Binary::Power)),
    ("_backward_broadcast_maximum", floats!(broadcast::backward, Binary::Maximum)),
    ("_backward_broadcast_minimum", floats!(broadcast::backward, Binary::Minimum)),
    ("_backward_broadcast_hypot", floats!(broadcast::backward, Binary::Hypot)),
    ("_backward_rmod_scalar", floats!(scalar::mod_of_backward)),
    ("_backward_rpower_scalar", floats!(scalar::power_of_backward)),
    ("_backward_hypot_scalar", floats!(scalar::hypot_backward)),
    ("sum", |call| reduce::any(call, Reduction::Sum)),
    ("mean", |call| reduce::any(call, Reduction::Mean)),
    ("prod", |call| reduce::any(call, Reduction::Product)),
    ("max", |call| reduce::any(call, Reduction::Max)),
    ("min", |call| reduce::any(call, Reduction::Min)),
    ("nansum", |call| reduce::any(call, Reduction::NanSum)),
    ("nanprod", |call| reduce::any(call, Reduction::NanProduct)),
    ("norm", floats!(norm::forward)),
    ("_backward_prod", floats!(reduce::product_backward)),
    ("_backward_max", floats!(reduce::extreme_backward)),
    ("_backward_min", floats!(reduce::extreme_backward)),
    ("_backward_nansum", floats!(reduce::nan_sum_backward)),
    ("_backward_nanprod", floats!(reduce::nan_product_backward)),
    ("_backward_norm", floats!(norm::backward)),
    ("clip", numbers!(clip::forward)),
    ("_backward_clip", floats!(clip::backward)),
    ("amp_cast", numbers!(cast::forward)),
    ("batch_dot", floats!(batch_dot::forward)),
    ("_linalg_gemm2", floats!(batch_dot::forward)),
    ("_linalg_gemm", floats!(batch_dot::forward)),
    ("_full", numbers!(fill::full)),
    ("_zeros_without_dtype", numbers!(fill::zeros)),
    ("_arange", numbers!(range::arange)),
    ("_linspace", numbers!(range::linspace)),
    ("_eye", numbers!(range::eye)),
    ("_identity_with_attr_like_rhs", numbers!(reshape::copy)),
    ("Cast", numbers!(cast::forward)),
    ("broadcast_add", numbers!(broadcast::forward, Binary::Add)),
    ("broadcast_div", numbers!(broadcast::forward, Binary::Div)),
    ("broadcast_mul", numbers!(broadcast::forward, Binary::Mul)),
    ("broadcast_sub", numbers!(broadcast::forward, Binary::Sub)),
    ("dot", floats!(dot::forward)),
    ("elemwise_add", numbers!(broadcast::forward, Binary::Add)),
    ("elemwise_div", numbers!(broadcast::forward, Binary::Div)),
    ("elemwise_mul", numbers!(broadcast::forward, Binary::Mul)),
    ("elemwise_sub", numbers!(broadcast::forward, Binary::Sub)),
    ("ones_like", numbers!(fill::ones)),
    ("transpose", numbers!(transpose::forward)),
    ("zeros_like", numbers!(fill::zeros)),
    ("Concat", numbers!(concat::forward)),
    ("_backward_Concat", numbers!(concat::backward)),
    ("stack", numbers!(concat::forward)),
    ("_backward_stack", numbers!(concat::backward)),
    ("SliceChannel", numbers!(concat::slice_channel)),
    ("_backward_SliceChannel", numbers!(concat::slice_channel_backward)),
    ("slice", numbers!(slice::slice)),
    ("_backward_slice", floats!(slice::slice_backward)),
    ("slice_axis", numbers!(slice::slice)),
    ("_backward_slice_axis", floats!(slice::slice_backward)),
    ("slice_like", numbers!(slice::slice_like)),
    ("_backward_slice_like", floats!(slice::slice_like_backward)),
    ("Crop", numbers!(slice::crop)),
    ("_backward_Crop", floats!(slice::crop_backward)),
    ("Pad", numbers!(slice::pad)),
    ("_backward_Pad", floats!(slice::pad_backward)),
    ("reverse", numbers!(slice::reverse)),
    ("expand_dims", numbers!(reshape::copy)),
    ("squeeze", numbers!(reshape::copy)),
    ("reshape_like", numbers!(reshape::copy)),
    ("tile", numbers!(repeated::tile)),
    ("_backward_tile", floats!(repeated::tile_backward)),
    ("repeat", numbers!(repeated::repeat)),
    ("_backward_repeat", floats!(repeated::repeat_backward)),
    ("broadcast_to", numbers!(repeated::broadcast)),
    ("_backward_broadcast_to", floats!(repeated::broadcast_backward)),
    ("broadcast_axis", numbers!(repeated::broadcast)),
    ("_backward_broadcast_axis", floats!(repeated::broadcast_backward)),
    ("broadcast_like", numbers!(repeated::broadcast)),
    ("_backward_broadcast_like", floats!(repeated::broadcast_backward)),
    ("SwapAxis", numbers!(transpose::swap_axis)),
    ("depth_to_space", numbers!(transpose::depth_to_space)),
    ("space_to_depth", numbers!(transpose::space_to_depth)),
    ("shape_array", shape_of::shape),
    ("size_array", shape_of::size),
    ("UpSampling", floats!(upsampling::forward)),
    ("_backward_UpSampling", floats!(upsampling::backward)),
    ("ROIPooling", floats!(roi_pooling::forward)),
    ("_backward_ROIPooling", floats!(roi_pooling::backward)),
    ("BilinearSampler", floats!(bilinear_sampler::forward)),
    ("_backward_BilinearSampler", floats!(bilinear_sampler::backward)),
    ("GridGenerator", floats!(grid_generator::forward)),
    ("_backward_GridGenerator", floats!(grid_generator::backward)),
    ("take", numbers!(take::forward, 0, 1)),
    ("_backward_take", floats!(take::backward)),
    ("Embedding", numbers!(input 1: take::forward, 1, 0)),
    ("_backward_Embedding", floats!(take::backward)),
    ("pick", numbers!(pick::forward)),
    ("_backward_pick", floats!(pick::backward)),
    ("batch_take", numbers!(pick::forward)),
    ("_backward_batch_take", floats!(pick::backward)),
    ("one_hot", numbers!(output 0: pick::one_hot)),
    ("where", numbers!(input 1: select::forward)),
    ("_backward_where", floats!(input 1: select::backward)),
    ("gather_nd", numbers!(gather_nd::forward)),
    ("_backward_gather_nd", floats!(gather_nd::backward)),
    ("scatter_nd", numbers!(gather_nd::scatter)),
    ("argmax", numbers!(order::extreme, true)),
    ("argmin", numbers!(order::extreme, false)),
    ("argmax_channel", numbers!(order::extreme, true)),
    ("topk", numbers!(order::top_k)),
    ("_backward_topk", floats!(order::backward)),
    ("sort", numbers!(order::sort)),
    ("_backward_sort", floats!(order::backward)),
    ("argsort", numbers!(order::arg_sort)),
    ("SequenceMask", numbers!(sequence::mask)),
    ("SequenceLast", numbers!(sequence::last)),
    ("_backward_SequenceLast", floats!(sequence::last_backward)),
    ("SequenceReverse", numbers!(sequence::reverse)),
];

/// CPU kernels of all built-in operators, and the reduction `local`.
#[must_use]
pub fn provider() -> Provider {
    let provider = Provider::new("cpu").reduction(local::Local);
    let provider = KERNELS.iter().fold(provider, |provider, (op, make)| provider.kernel(op, DeviceKind::Cpu, *make));
    Function::all().fold(provider, |provider, of| {
        let provider = provider.kernel(of.name, DeviceKind::Cpu, move |call| numbers!(function::forward, of)(call));
        if !of.has_derivative() {
            return provider;
        }
        let backward = move |call: &KernelCall<'_>| match dtype::working_dtype(call)? {
            DType::F64 => function::backward::<f64>(call, of),
            _ => function::backward::<f32>(call, of),
        };
        provider.kernel(&format!("_backward_{}", of.name), DeviceKind::Cpu, backward)
    })
}
