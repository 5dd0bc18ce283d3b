//! Plug-ins: dylibs that bring operators, data iterators, kvstore reductions and optimizers' update rules.
//!
//! The contract is the C header of `varflow-abi`. [`Library::open`] loads a dylib and reads its tables into copies that the host
//! owns, checked as far as they can be without calling anything; [`Library::provider`] makes of them the values that built-in
//! operators and iterators are, to be entered by the same [`Registry::install`](crate::Registry::install).
//!
//! A plug-in is code of this process: who loads one trusts it to keep the contract. `varflow plugin check` tells whether it does.

mod backward;
mod call;
mod dlpack;
mod elf;
mod gradient;
mod iterator;
mod kernel;
mod library;
mod operator;
mod planning;
mod provider;
mod read;
mod reduction;
mod run;
mod tables;
mod tensors;

pub use call::Values;
pub use dlpack::{from_dlpack, to_dlpack};
pub use library::Library;
pub use tables::{BackwardTable, IteratorTable, KernelTable, OperatorTable, ReductionTable};
