//! What operators mean: dtypes, shapes, tensors, parameter schemas, inference, gradients, the registry, and the way from an
//! operator to an engine task. Kernels live in provider crates such as `varflow-cpu`.

mod async_run;
mod atomic;
mod data_iter;
pub mod defs;
mod device;
mod dispatch;
mod dtype;
mod error;
pub mod examples;
mod infer;
mod kernel;
mod operator;
pub mod plugin;
mod reducer;
mod reduction;
mod registry;
mod rng;
mod runtime;
mod schema;
mod shape;
mod storage;
mod tensor;
mod update_rule;

pub use async_run::AsyncRun;
pub use atomic::{StagedFile, save_atomically};
pub use data_iter::{Batch, DataDesc, DataIter, DataIterKind, Part};
pub use device::{Device, DeviceKind, cpu, gpu};
pub use dispatch::{BoundOp, BoundTensors, Run, bind, infer_outputs, invoke};
pub use dtype::{DType, Element};
pub use error::{Error, Result};
pub use infer::{DTypes, Shapes};
pub use kernel::{Kernel, KernelCall, KernelCtx, KernelFactory, Pair, WithWorkspace};
pub use operator::{Entry, Gradient, GraphBuilder, Operator};
pub use reducer::Reducer;
pub use reduction::{Direction, Reduction};
pub use registry::{Provider, Registry};
pub use rng::{Philox, name_hash};
pub use runtime::Runtime;
pub use schema::{Attrs, Kind, Param, Params, Schema, Value};
pub use shape::{PartialShape, Shape};
pub use storage::{ALIGN_BYTES, Storage};
pub use tensor::{Tensor, TensorDesc};
pub use update_rule::UpdateRule;
