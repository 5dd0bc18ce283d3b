//! An asynchronous dependency engine: push tasks that name the state they read and write, and they run side by side
//! wherever that gives the result of running them one by one in push order.
//!
//! The engine knows no tensors, files or devices. See [`Engine`] for a first program, and [`Engine::observe`] for what can
//! be told of the tasks that it runs.

mod access;
mod bounds;
mod builder;
mod cancel;
pub mod conformance;
mod data;
mod dice;
mod ending;
mod engine;
mod error;
mod fence;
mod foreign;
mod idle;
mod lane;
mod lanes;
mod name;
mod node;
mod observe;
mod parker;
mod queue;
mod recorded;
mod recorder;
pub mod refused;
mod slab;
mod sync;
mod task;
mod var;
mod waiting;

pub use access::Mode;
pub use bounds::{Room, RoomFuture};
pub use builder::{RawTask, TaskBuilder};
pub use cancel::{CancelToken, Cancelled};
pub use data::{Data, Fetch, Read, Write};
pub use engine::{Engine, EngineBuilder, LaneHandle, OnDrop};
pub use error::{BoxError, Cause, Error, Failure, TaskId};
pub use fence::{Fence, Signal};
pub use idle::IdleFuture;
pub use lane::Lane;
pub use lanes::{Pool, Serial, Shuffled};
#[cfg(not(any(loom, shuttle)))]
pub use lanes::{SimDevice, SimEvent, SimQueue};
pub use name::Name;
pub use observe::{Ending, Event, EventKind, Release, Role, TaskNumber, Trace, Watch, WatchOptions};
pub use queue::{VarQueue, WaitList};
pub use recorder::{Recorder, Schedule};
pub use task::{Completion, Outcome, ReadyTask, TaskCtx};
pub use var::Var;
pub use waiting::VarFuture;
