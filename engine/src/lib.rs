//! An asynchronous dependency engine: push tasks that name the state they read and write, and they run side by side
//! wherever that gives the result of running them one by one in push order.
//!
//! The engine knows no tensors, files or devices.
//!
//! - State: [`Data`] owns a value and its var; a bare [`Var`] stands for state that you own.
//! - Tasks: [`Engine::task`] describes one over values, [`Engine::raw`] one over bare vars.
//! - Results: [`Data::wait`], [`Var::wait`] and [`Engine::wait_all`]; all of them are futures too. An [`Error`] tells the task
//!   that failed first, and those that were skipped because of it.
//! - Many tasks at once, again and again: [`Recorder`] and [`Schedule`].
//! - Where tasks run: [`Pool`], [`Serial`], [`Shuffled`], [`SimQueue`], or a [`Lane`] of your own, checked by [`conformance`].
//! - Work that ends elsewhere: [`Completion`] and [`Fence`].
//! - How much is pending: [`EngineBuilder::max_pending_tasks`], [`Engine::room`]. What is not wanted any more: [`CancelToken`].
//! - What happened: [`Engine::observe`].
//!
//! `docs/engine.md` in the repository is a page on all of it, with programs; `engine/DESIGN.md` says why the promises hold.
//!
//! ```
//! use varflow_engine::Engine;
//! # fn main() -> Result<(), varflow_engine::Error> {
//! let engine = Engine::builder().cpu_workers(2).build()?;
//! let (x, y) = (engine.data(vec![1.0; 8]), engine.data(vec![2.0; 8]));
//! engine.task("axpy").read(&x).write(&y).run(|x, y| y.iter_mut().zip(x).for_each(|(y, x)| *y += 0.5 * x));
//! let sum = engine.task("sum").read(&y).compute(|y| y.iter().sum::<f64>());
//! assert_eq!(sum.wait()?, 20.0); // or sum.await
//! # Ok(()) }
//! ```

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
mod gate;
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
pub use data::{Data, Fetch, Overwrite, Read, Write};
pub use engine::{Engine, EngineBuilder, LaneHandle, OnDrop};
pub use error::{BoxError, Cause, Error, Failure, TaskId};
pub use fence::{Fence, Signal};
pub use gate::Gate;
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

/// The page on the engine, so that its programs run as tests.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../docs/engine.md")]
    struct EnginePage;
    #[doc = include_str!("../README.md")]
    struct Readme;
}
