//! A plug-in's tables as the host keeps them: the table itself, and copies of the texts and lists that it leads to.
#![expect(unsafe_code, reason = "reads the tables of a plug-in")]

use super::dlpack::{device_kind, from_dlpack};
use super::read;
use crate::device::DeviceKind;
use crate::schema::{Kind, Value};
use crate::{DType, Error, Result, Schema, UpdateRule, check_inplace};
use varflow_abi::{self as abi, flags};

/// The version of the contract since which in-place pairs that cannot be are refused.
const PAIRS_CHECKED_SINCE: u32 = 3;

/// How an operator is computed on one kind of device.
#[derive(Clone)]
pub struct KernelTable {
    /// The functions.
    pub table: abi::Kernel,
    /// The kind of device.
    pub device: DeviceKind,
    /// The dtypes of the first input (or output) that it serves; `None`: all.
    pub dtypes: Option<Vec<DType>>,
}

/// The gradient of an operator as a kernel.
#[derive(Clone)]
pub struct BackwardTable {
    /// The forward inputs that it reads.
    pub inputs: Vec<usize>,
    /// The forward outputs that it reads.
    pub outputs: Vec<usize>,
    /// The forward inputs that have no gradient.
    pub no_gradient: Vec<usize>,
    /// Its in-place pairs (input, output), by its own positions.
    pub inplace: Vec<(usize, usize)>,
    /// How it is computed.
    pub kernels: Vec<KernelTable>,
}

/// An operator.
#[derive(Clone)]
pub struct OperatorTable {
    /// The functions and flags.
    pub table: abi::Operator,
    /// Its name.
    pub name: String,
    /// What it computes.
    pub doc: String,
    /// Other names for it.
    pub aliases: Vec<String>,
    /// The names of its inputs, unless they depend on parameters.
    pub inputs: Vec<String>,
    /// The names of its auxiliary states, likewise.
    pub auxiliaries: Vec<String>,
    /// The names of its outputs, likewise.
    pub outputs: Vec<String>,
    /// Its parameters.
    pub schema: Schema,
    /// Its in-place pairs (input, output), best first.
    pub inplace: Vec<(usize, usize)>,
    /// The inputs that it writes beside its auxiliary states.
    pub mutated: Vec<usize>,
    /// Uses of it for checks.
    pub examples: Vec<String>,
    /// Its gradient, if that is a kernel.
    pub backward: Option<BackwardTable>,
    /// How it is computed.
    pub kernels: Vec<KernelTable>,
}

/// A kind of data iterators.
#[derive(Clone)]
pub struct IteratorTable {
    /// The functions.
    pub table: abi::Iterator,
    /// Its name.
    pub name: String,
    /// What it gives.
    pub doc: String,
    /// Its parameters.
    pub schema: Schema,
    /// Uses of it for checks.
    pub examples: Vec<String>,
}

/// A kvstore reduction.
#[derive(Clone)]
pub struct ReductionTable {
    /// The functions.
    pub table: abi::Reduction,
    /// Its name.
    pub name: String,
    /// What it does.
    pub doc: String,
}

fn refuse<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::Plugin(text.into()))
}

fn require(is_there: bool, what: &str) -> Result<()> {
    if is_there { Ok(()) } else { refuse(format!("has no {what}")) }
}

fn pairs(pairs: &[abi::Pair]) -> Vec<(usize, usize)> {
    pairs.iter().map(|p| (p.input as usize, p.output as usize)).collect()
}

fn positions(positions: &[u32]) -> Vec<usize> {
    positions.iter().map(|p| *p as usize).collect()
}

fn within(what: &str, positions: impl IntoIterator<Item = usize>, n: usize, of: &str) -> Result<()> {
    match positions.into_iter().find(|p| *p >= n) {
        Some(p) => refuse(format!("names {of} {p} in {what}, and has {n} {of}s")),
        None => Ok(()),
    }
}

impl KernelTable {
    /// # Safety
    /// The table's pointers are as the header says.
    unsafe fn read(table: abi::Kernel) -> Result<KernelTable> {
        let device = device_kind(table.device)?;
        require(table.run.is_some() || table.run_async.is_some(), "run and no run_async, wanted one of them")?;
        let dtypes = if table.dtypes.is_null() {
            None
        } else {
            // SAFETY: by the contract.
            let dtypes = unsafe { read::items("dtypes", table.num_dtypes, table.dtypes) }?;
            Some(dtypes.into_iter().map(from_dlpack).collect::<Result<Vec<_>>>()?)
        };
        Ok(KernelTable { table, device, dtypes })
    }

    /// # Safety
    /// The tables' pointers are as the header says.
    unsafe fn read_all(n: usize, kernels: *const *const abi::Kernel) -> Result<Vec<KernelTable>> {
        // SAFETY: by the contract.
        let tables = unsafe { read::tables("kernel", n, kernels) }?;
        let mut kernels: Vec<KernelTable> = Vec::new();
        for (i, table) in tables.into_iter().enumerate() {
            // SAFETY: by the contract.
            let kernel = unsafe { KernelTable::read(table) }.map_err(|e| e.at(format!("kernel number {i}")))?;
            if kernels.iter().any(|k| k.device == kernel.device) {
                return refuse(format!("has two kernels for {}", kernel.device));
            }
            kernels.push(kernel);
        }
        Ok(kernels)
    }
}

impl BackwardTable {
    /// # Safety
    /// The table's pointers are as the header says.
    unsafe fn read(table: *const abi::Backward) -> Result<BackwardTable> {
        // SAFETY: by the contract, here and below.
        unsafe {
            let table = read::table("its table", table)?;
            let kernels = KernelTable::read_all(table.num_kernels, table.kernels)?;
            require(!kernels.is_empty(), "kernels, wanted one at least")?;
            Ok(BackwardTable {
                inputs: positions(&read::items("forward inputs", table.num_inputs, table.inputs)?),
                outputs: positions(&read::items("forward outputs", table.num_outputs, table.outputs)?),
                no_gradient: positions(&read::items(
                    "inputs without gradient",
                    table.num_no_gradient,
                    table.no_gradient,
                )?),
                inplace: pairs(&read::items("in-place pairs", table.num_inplace, table.inplace)?),
                kernels,
            })
        }
    }
}

impl OperatorTable {
    /// # Safety
    /// The table's pointers are as the header says.
    pub(super) unsafe fn read(table: abi::Operator, number: usize) -> Result<OperatorTable> {
        // SAFETY: by the contract.
        let name = unsafe { read::name(&format!("the name of operator number {number}"), table.name) }?;
        // SAFETY: by the contract.
        unsafe { Self::read_named(table, name.clone()) }.map_err(|e| e.at(format!("operator {name}")))
    }

    /// # Safety
    /// As [`read`](Self::read).
    unsafe fn read_named(table: abi::Operator, name: String) -> Result<OperatorTable> {
        // SAFETY: by the contract, for all that the table's pointers lead to.
        let op = unsafe {
            OperatorTable {
                doc: read::text("its doc", table.doc)?,
                aliases: read::names("its aliases", table.aliases)?.unwrap_or_default(),
                inputs: read::names("its inputs", table.inputs)?.unwrap_or_else(|| vec!["data".to_string()]),
                auxiliaries: read::names("its auxiliary states", table.auxiliaries)?.unwrap_or_default(),
                outputs: read::names("its outputs", table.outputs)?.unwrap_or_else(|| vec!["output".to_string()]),
                schema: bounded(read::schema(table.num_params, table.params)?, table.flags),
                inplace: pairs(&read::items("in-place pairs", table.num_inplace, table.inplace)?),
                mutated: positions(&read::items("mutated inputs", table.num_mutated, table.mutated)?),
                examples: read::texts("its examples", table.examples)?.unwrap_or_default(),
                backward: if table.backward.is_null() {
                    None
                } else {
                    Some(BackwardTable::read(table.backward).map_err(|e| e.at("its backward kernel"))?)
                },
                kernels: KernelTable::read_all(table.num_kernels, table.kernels)?,
                table,
                name,
            }
        };
        op.check()?;
        Ok(op)
    }

    fn check(&self) -> Result<()> {
        let flags = self.table.flags;
        let known = flags::VARIADIC | flags::RANDOM | flags::LOSS;
        if flags & !known != 0 {
            return refuse(format!("has flags {flags:#x}, of which this varflow knows {known:#x}"));
        }
        let num_args = self.schema.params().iter().find(|p| p.name == "num_args");
        if self.is_variadic()
            && !num_args.is_some_and(|p| matches!(p.kind, Kind::Int(1.., _)) && p.default != Some(Value::None))
        {
            return refuse("takes any number of inputs, and so must have an integer parameter num_args of at least 1");
        }
        if self.backward.is_some() && self.table.gradient.is_some() {
            return refuse("has a gradient as a kernel and one as nodes, wanted one of them");
        }
        if self.table.names.is_some() || self.is_variadic() {
            return Ok(()); // positions count in lists that depend on parameters
        }
        let (i, o) = (self.inputs.len() + self.auxiliaries.len(), self.outputs.len());
        if self.table.num_hidden_outputs > o {
            return refuse(format!("hides {} outputs, and has {o}", self.table.num_hidden_outputs));
        }
        within("its mutated inputs", self.mutated.iter().copied(), i, "input")?;
        let Some(backward) = &self.backward else { return Ok(()) };
        within("what its backward kernel reads", backward.inputs.iter().copied(), i, "input")?;
        within("what its backward kernel reads", backward.outputs.iter().copied(), o, "output")?;
        within("what has no gradient", backward.no_gradient.iter().copied(), self.inputs.len(), "input")
    }

    /// Checks the in-place pairs. Those that cannot be for other reasons than that an input or output is not there are refused since
    /// version 3 of the contract; of older plug-ins they are not used.
    ///
    /// # Errors
    /// As [`check_inplace`], with the operator.
    pub(super) fn check_pairs(&self, abi_version: u32) -> Result<()> {
        let depends = self.table.names.is_some() || self.is_variadic();
        if abi_version < PAIRS_CHECKED_SINCE {
            let is_there = |p: &&(usize, usize)| depends || self.is_there(p);
            let wrong: Vec<(usize, usize)> = self.inplace.iter().filter(|p| !is_there(p)).copied().take(1).collect();
            return self.refuse_pairs(&wrong, &[]);
        }
        if depends {
            // Positions count in lists that depend on parameters, and so does what is an auxiliary state.
            return check_inplace(&self.inplace, usize::MAX, usize::MAX, &[]).map_err(|e| self.name_of(e));
        }
        let i = self.inputs.len() + self.auxiliaries.len();
        let mutated: Vec<usize> = self.mutated.iter().copied().chain(self.inputs.len()..i).collect();
        self.refuse_pairs(&self.inplace, &mutated)?;
        let Some(backward) = &self.backward else { return Ok(()) };
        let in_grads = (0..self.inputs.len()).filter(|i| !backward.no_gradient.contains(i)).count();
        let hidden = self.table.num_hidden_outputs;
        let read = self.outputs.len() - hidden + backward.inputs.len() + backward.outputs.len();
        let checked = check_inplace(&backward.inplace, read, in_grads, &[]);
        checked.map_err(|e| self.name_of(e.at("its backward kernel")))
    }

    fn is_there(&self, pair: &(usize, usize)) -> bool {
        pair.0 < self.inputs.len() + self.auxiliaries.len() && pair.1 < self.outputs.len()
    }

    fn refuse_pairs(&self, pairs: &[(usize, usize)], mutated: &[usize]) -> Result<()> {
        let inputs = self.inputs.len() + self.auxiliaries.len();
        check_inplace(pairs, inputs, self.outputs.len(), mutated).map_err(|e| self.name_of(e))
    }

    fn name_of(&self, e: Error) -> Error {
        e.at(format!("operator {}", self.name))
    }

    /// Whether it takes any number of inputs.
    #[must_use]
    pub fn is_variadic(&self) -> bool {
        self.table.flags & flags::VARIADIC != 0
    }
}

/// The most inputs of an operator that takes any number of them.
const MOST_INPUTS: i64 = u16::MAX as i64;

/// The same schema, but for a `num_args` that nobody could list.
fn bounded(schema: Schema, flags: u32) -> Schema {
    if flags & flags::VARIADIC == 0 {
        return schema;
    }
    schema.params().iter().fold(Schema::new(), |schema, p| {
        let kind = match &p.kind {
            Kind::Int(least, most) if p.name == "num_args" => Kind::Int(*least, (*most).min(MOST_INPUTS)),
            kind => kind.clone(),
        };
        schema.param(&p.name, kind, p.default.clone(), &p.doc)
    })
}

fn no_flags(flags: u32) -> Result<()> {
    if flags == 0 { Ok(()) } else { refuse(format!("has flags {flags:#x}, of which this varflow knows none")) }
}

impl IteratorTable {
    /// # Safety
    /// The table's pointers are as the header says.
    pub(super) unsafe fn read(table: abi::Iterator, number: usize) -> Result<IteratorTable> {
        // SAFETY: by the contract, for all that the table's pointers lead to.
        unsafe {
            let name = read::name(&format!("the name of iterator number {number}"), table.name)?;
            let place = format!("iterator {name}");
            let read = || -> Result<_> {
                no_flags(table.flags)?;
                require(table.create.is_some(), "create")?;
                require(table.describe.is_some(), "describe")?;
                require(table.next.is_some(), "next")?;
                require(table.reset.is_some(), "reset")?;
                if table.save.is_some() != table.restore.is_some() {
                    return refuse("has one of save and restore, wanted both or neither");
                }
                let doc = read::text("its doc", table.doc)?;
                let schema = read::schema(table.num_params, table.params)?;
                let examples = read::texts("its examples", table.examples)?.unwrap_or_default();
                Ok(IteratorTable { table, name, doc, schema, examples })
            };
            read().map_err(|e| e.at(place))
        }
    }
}

impl ReductionTable {
    /// # Safety
    /// The table's pointers are as the header says.
    pub(super) unsafe fn read(table: abi::Reduction, number: usize) -> Result<ReductionTable> {
        // SAFETY: by the contract, for all that the table's pointers lead to.
        unsafe {
            let name = read::name(&format!("the name of reduction number {number}"), table.name)?;
            let place = format!("reduction {name}");
            let read = || -> Result<_> {
                no_flags(table.flags)?;
                require(table.reduce.is_some() || table.reduce_async.is_some(), "reduce and no reduce_async")?;
                require(
                    table.broadcast.is_some() || table.broadcast_async.is_some(),
                    "broadcast and no broadcast_async",
                )?;
                Ok(ReductionTable { table, name, doc: read::text("its doc", table.doc)? })
            };
            read().map_err(|e| e.at(place))
        }
    }
}

/// # Safety
/// The table's pointers are as the header says.
pub(super) unsafe fn read_update_rule(table: abi::UpdateRule, number: usize) -> Result<UpdateRule> {
    // SAFETY: by the contract, for all that the table's pointers lead to.
    unsafe {
        let name = read::name(&format!("the name of update rule number {number}"), table.name)?;
        let place = format!("update rule {name}");
        let read = || -> Result<_> {
            no_flags(table.flags)?;
            let states = read::names("its states", table.states)?.unwrap_or_default();
            Ok(UpdateRule { name, doc: read::text("its doc", table.doc)?, op: read::name("its op", table.op)?, states })
        };
        read().map_err(|e| e.at(place))
    }
}
