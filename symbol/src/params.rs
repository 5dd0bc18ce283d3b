//! `.params` files: named arrays, as MXNet has written them since its first release.
//!
//! Little-endian: `u64 0x112, u64 0, u64 n, n × array, u64 m, m × (u64 length, name)` with m = 0 or n. Of arrays there are four
//! forms, told apart by their first four bytes; the newest that MXNet 1.x reads by default, V2, is written. In checkpoints
//! names begin with `arg:` or `aux:`.

mod read;
pub mod safetensors;
mod write;

pub use read::{load, read};
pub use write::{save, write};

/// What the file begins with.
const LIST_MAGIC: u64 = 0x112;
/// Dims are u32 in files older than this one; their arrays begin with the rank itself.
const V1_MAGIC: u32 = 0xF993_FAC8;
/// Arrays have a storage type; rank 0 stands for no array.
const V2_MAGIC: u32 = 0xF993_FAC9;
/// Rank 0 is a scalar, and an unknown shape has rank -1.
const V3_MAGIC: u32 = 0xF993_FACA;
