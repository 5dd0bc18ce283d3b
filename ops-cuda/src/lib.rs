//! The CUDA side of varflow. So far it finds out what devices there are; kernels come with the CUDA backend.
//!
//! ```
//! match varflow_cuda::devices() {
//!     Ok(devices) => devices.iter().for_each(|d| println!("gpu({}): {}", d.id, d.name)),
//!     Err(e) => println!("{e}"), // no CUDA device: libcuda.so.1 cannot be loaded: …
//! }
//! ```

mod driver;

pub use driver::{CudaDevice, Error, devices};
