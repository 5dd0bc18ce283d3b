//! A plug-in's reduction as one of the registry's.
#![expect(unsafe_code, reason = "calls the functions of a plug-in's reduction")]

use super::call::{Place, c_text};
use super::library::Source;
use super::run::{self, Draws};
use super::tables::ReductionTable;
use super::tensors::Tensors;
use crate::async_run::AsyncRun;
use crate::kernel::RawView;
use crate::reduction::{Direction, Reduction};
use crate::{Error, KernelCtx, Result};
use std::ffi::CString;
use std::sync::Arc;
use varflow_abi as abi;

/// A reduction of a plug-in.
pub(super) struct PluginReduction {
    table: ReductionTable,
    place: Place,
}

/// What one call is prepared with.
struct Prepared {
    key: CString,
    tensors: Tensors,
}

impl Prepared {
    fn new(key: &str, ctx: &KernelCtx<'_>) -> Result<Prepared> {
        let key = c_text("the key", key)?;
        let outputs = ctx.output_views().flatten().map(RawView::desc);
        let tensors = Tensors::new(abi::device::CPU, ctx.input_views().map(RawView::desc), outputs)?;
        Ok(Prepared { key, tensors })
    }
}

impl PluginReduction {
    pub(super) fn new(source: Arc<Source>, table: ReductionTable) -> Self {
        let place = Place { source, what: format!("reduction {}", table.name) };
        PluginReduction { table, place }
    }

    fn place(&self, key: &str) -> Place {
        Place { source: self.place.source.clone(), what: format!("{} of key \"{key}\"", self.place.what) }
    }

    fn run(&self, direction: Direction, key: &str, ctx: &KernelCtx<'_>) -> Result<()> {
        let table = &self.table.table;
        let function = match direction {
            Direction::Reduce => table.reduce,
            Direction::Broadcast => table.broadcast,
        };
        let Some(function) = function else {
            return Err(Error::Contract("is asynchronous, and is run".to_string()));
        };
        let prepared = Prepared::new(key, ctx)?;
        // SAFETY: a function of the table, called as the header says: the task of `ctx` holds the tensors until it returns.
        run::run(&prepared.tensors, ctx, Draws::Allowed, |run, message| unsafe {
            function(table.context, prepared.key.as_ptr(), run, message)
        })
    }
}

impl Reduction for PluginReduction {
    fn name(&self) -> &str {
        &self.table.name
    }

    fn doc(&self) -> &str {
        &self.table.doc
    }

    fn ordering_key(&self, key: &str) -> Option<u64> {
        let function = self.table.table.ordering_key?;
        let key = CString::new(key).ok()?;
        // SAFETY: a function of the table, called as the header says.
        Some(unsafe { function(self.table.table.context, key.as_ptr()) })
    }

    fn reduce(&self, key: &str, ctx: &mut KernelCtx<'_>) -> Result<()> {
        self.run(Direction::Reduce, key, ctx).map_err(|e| e.at(self.place(key).to_string()))
    }

    fn broadcast(&self, key: &str, ctx: &mut KernelCtx<'_>) -> Result<()> {
        self.run(Direction::Broadcast, key, ctx).map_err(|e| e.at(self.place(key).to_string()))
    }

    fn is_async(&self, direction: Direction) -> bool {
        let table = &self.table.table;
        match direction {
            Direction::Reduce => table.reduce_async.is_some(),
            Direction::Broadcast => table.broadcast_async.is_some(),
        }
    }

    fn start(&self, direction: Direction, key: &str, mut run: AsyncRun) {
        let table = &self.table.table;
        let place = self.place(key);
        let function = match direction {
            Direction::Reduce => table.reduce_async,
            Direction::Broadcast => table.broadcast_async,
        };
        let function = function.ok_or_else(|| Error::Contract("is synchronous, and is started".to_string()));
        let made = function.and_then(|f| Ok((f, Arc::new(Prepared::new(key, &run.ctx())?))));
        let (function, prepared) = match made {
            Ok(made) => made,
            Err(e) => return run.complete(Err(e.at(place.to_string()))),
        };
        // SAFETY: a function of the table, called as the header says: `run` holds the tensors until it is completed, and with it
        // is kept what is prepared, the key included.
        run::start(&prepared.tensors, prepared.clone(), run, &place, Draws::Allowed, |run, done, message| unsafe {
            function(table.context, prepared.key.as_ptr(), run, done, message)
        });
    }
}
