//! A plug-in's operator as one of the registry's.
#![expect(unsafe_code, reason = "calls the functions of a plug-in's operator")]

use super::backward::Backward;
use super::call::{Values, call};
use super::dlpack::{from_dlpack, to_dlpack};
use super::gradient;
use super::library::Source;
use super::read;
use super::tables::OperatorTable;
use crate::infer::{DTypes, Shapes};
use crate::kernel::KernelCall;
use crate::operator::{Entry, Gradient, Operator};
use crate::schema::{Params, Schema};
use crate::{ALIGN_BYTES, Error, PartialShape, Result, TensorDesc};
use std::sync::{Arc, Mutex, PoisonError};
use varflow_abi::{self as abi, DLDataType, MAX_NDIM, flags};

/// An operator of a plug-in.
pub(super) struct PluginOperator {
    pub(super) source: Arc<Source>,
    pub(super) table: OperatorTable,
    aliases: Vec<&'static str>,
    /// The names that were told for parameters so far: the first answer counts, so that a position in one list is that in
    /// another, whatever the plug-in says later.
    told: Mutex<Vec<(Params, Names)>>,
}

/// The names of inputs, auxiliary states and outputs.
#[derive(Clone)]
pub(super) struct Names {
    pub(super) inputs: Vec<String>,
    pub(super) auxiliaries: Vec<String>,
    pub(super) outputs: Vec<String>,
}

impl PluginOperator {
    pub(super) fn new(source: Arc<Source>, table: OperatorTable) -> PluginOperator {
        // For good, as the plug-in itself.
        let aliases = table.aliases.iter().map(|a| &*a.clone().leak()).collect();
        PluginOperator { source, table, aliases, told: Mutex::default() }
    }

    /// The operator that its gradient is a node of, if that is a kernel.
    pub(super) fn backward(self: &Arc<Self>) -> Option<Backward> {
        let table = self.table.backward.clone()?;
        Some(Backward::new(self.clone(), table))
    }

    pub(super) fn values<'p>(&self, params: &'p Params) -> Result<Values<'p>> {
        Values::new(&self.table.schema, params)
    }

    /// The names of the table; the inputs of a variadic operator are counted by its parameter.
    fn static_names(&self, params: &Params) -> Names {
        let table = &self.table;
        let inputs = if table.is_variadic() {
            (0..params.usize("num_args")).map(|i| format!("arg{i}")).collect()
        } else {
            table.inputs.clone()
        };
        Names { inputs, auxiliaries: table.auxiliaries.clone(), outputs: table.outputs.clone() }
    }

    /// The names for these parameters.
    fn try_names(&self, params: &Params) -> Result<Names> {
        let mut names = self.static_names(params);
        let Some(function) = self.table.table.names else { return Ok(names) };
        let values = self.values(params)?;
        let table = &self.table.table;
        let mut told = abi::Names {
            struct_size: size_of::<abi::Names>() as u32,
            reserved: 0,
            inputs: table.inputs,
            auxiliaries: table.auxiliaries,
            outputs: table.outputs,
        };
        // SAFETY: a function of the table, called as the header says; it writes lists as the header says.
        unsafe {
            call(|message| function(table.context, values.as_ptr(), &raw mut told, message))?;
            if let Some(inputs) = read::names("its inputs", told.inputs)?.filter(|_| !self.table.is_variadic()) {
                names.inputs = inputs;
            }
            names.auxiliaries = read::names("its auxiliary states", told.auxiliaries)?.unwrap_or_default();
            if let Some(outputs) = read::names("its outputs", told.outputs)? {
                names.outputs = outputs;
            }
        }
        if self.table.table.num_hidden_outputs > names.outputs.len() {
            let (hidden, outputs) = (self.table.table.num_hidden_outputs, names.outputs.len());
            return Err(Error::Plugin(format!("hides {hidden} outputs, and has {outputs}")));
        }
        Ok(names)
    }

    /// The names for parameters that [`check`](Operator::check) has let through.
    pub(super) fn names(&self, params: &Params) -> Names {
        if self.table.table.names.is_none() {
            return self.static_names(params);
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, names)) = told.iter().find(|(of, _)| of == params) {
            return names.clone();
        }
        let names = self.try_names(params).unwrap_or_else(|_| self.static_names(params));
        told.push((params.clone(), names.clone()));
        names
    }

    fn at_source<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|e| e.at(self.source.to_string()))
    }

    fn try_check(&self, params: &Params) -> Result<()> {
        if let Some(function) = self.table.table.check {
            let values = self.values(params)?;
            // SAFETY: a function of the table, called as the header says.
            call(|message| unsafe { function(self.table.table.context, values.as_ptr(), message) })?;
        }
        self.try_names(params).map(|_| ())
    }

    fn try_infer_shape(&self, params: &Params, shapes: &mut Shapes) -> Result<()> {
        let (num_inputs, num_outputs) = (shapes.num_inputs(), shapes.num_outputs());
        let Some(function) = self.table.table.infer_shape else {
            let (i, o): (Vec<_>, Vec<_>) = ((0..num_inputs).collect(), (0..num_outputs).collect());
            return shapes.same(&i, &o);
        };
        let values = self.values(params)?;
        let mut inputs = (0..num_inputs).map(|i| to_abi(shapes.input(i))).collect::<Result<Vec<_>>>()?;
        let mut outputs = (0..num_outputs).map(|o| to_abi(shapes.output(o))).collect::<Result<Vec<_>>>()?;
        let mut told = abi::Shapes {
            struct_size: size_of::<abi::Shapes>() as u32,
            reserved: 0,
            num_inputs,
            num_outputs,
            inputs: inputs.as_mut_ptr(),
            outputs: outputs.as_mut_ptr(),
        };
        // SAFETY: a function of the table, called as the header says.
        call(|message| unsafe { function(self.table.table.context, values.as_ptr(), &raw mut told, message) })?;
        for (i, shape) in inputs.iter().enumerate() {
            shapes.set_input(i, from_abi(shape).map_err(|e| e.at(format!("input {i}")))?, WHY)?;
            check_size(shapes.input(i)).map_err(|e| e.at(format!("input {i}")))?;
        }
        for (o, shape) in outputs.iter().enumerate() {
            shapes.set_output(o, from_abi(shape).map_err(|e| e.at(format!("output {o}")))?, WHY)?;
            check_size(shapes.output(o)).map_err(|e| e.at(format!("output {o}")))?;
        }
        Ok(())
    }

    fn try_infer_dtype(&self, params: &Params, dtypes: &mut DTypes) -> Result<()> {
        let Some(function) = self.table.table.infer_dtype else { return dtypes.all_same() };
        let values = self.values(params)?;
        let unknown = DLDataType { code: 0, bits: 0, lanes: 0 };
        let (num_inputs, num_outputs) = (dtypes.num_inputs(), dtypes.num_outputs());
        let mut inputs: Vec<_> = (0..num_inputs).map(|i| dtypes.input(i).map_or(unknown, to_dlpack)).collect();
        let mut outputs: Vec<_> = (0..num_outputs).map(|o| dtypes.output(o).map_or(unknown, to_dlpack)).collect();
        let mut told = abi::DTypes {
            struct_size: size_of::<abi::DTypes>() as u32,
            reserved: 0,
            num_inputs,
            num_outputs,
            inputs: inputs.as_mut_ptr(),
            outputs: outputs.as_mut_ptr(),
        };
        // SAFETY: a function of the table, called as the header says.
        call(|message| unsafe { function(self.table.table.context, values.as_ptr(), &raw mut told, message) })?;
        for (i, dtype) in inputs.into_iter().enumerate().filter(|(_, d)| d.bits != 0) {
            dtypes.set_input(i, from_dlpack(dtype).map_err(|e| e.at(format!("input {i}")))?)?;
        }
        for (o, dtype) in outputs.into_iter().enumerate().filter(|(_, d)| d.bits != 0) {
            dtypes.set_output(o, from_dlpack(dtype).map_err(|e| e.at(format!("output {o}")))?)?;
        }
        Ok(())
    }
}

/// The bytes of the largest element.
const LARGEST_BYTES: usize = 8;

/// What a shape that a plug-in adds follows from.
const WHY: &str = "by the plug-in's rule";

fn to_abi(shape: &PartialShape) -> Result<abi::Shape> {
    let mut to = abi::Shape { ndim: -1, reserved: 0, dims: [-1; MAX_NDIM] };
    let Some(dims) = shape.dims() else { return Ok(to) };
    if dims.len() > MAX_NDIM {
        let rank = dims.len();
        return Err(Error::Shape(format!("shape {shape} has {rank} axes, and plug-ins take at most {MAX_NDIM}")));
    }
    to.ndim = dims.len() as i32;
    for (to, dim) in to.dims.iter_mut().zip(dims) {
        let too_large = |_| Error::Shape(format!("shape {shape} is too large for a plug-in"));
        *to = dim.map_or(Ok(-1), i64::try_from).map_err(too_large)?;
    }
    Ok(to)
}

fn from_abi(shape: &abi::Shape) -> Result<PartialShape> {
    if shape.ndim == -1 {
        return Ok(PartialShape::unknown());
    }
    let ndim = usize::try_from(shape.ndim).ok().filter(|n| *n <= MAX_NDIM);
    let ndim = ndim.ok_or_else(|| {
        Error::Plugin(format!("its rule says that there are {} axes, wanted -1 to {MAX_NDIM}", shape.ndim))
    })?;
    let dims = shape.dims[..ndim].iter().map(|d| match d {
        -1 => Ok(None),
        d => usize::try_from(*d).map(Some).map_err(|_| {
            Error::Plugin(format!("its rule says that an axis has {d} elements, wanted -1 for unknown, or 0 and more"))
        }),
    });
    Ok(PartialShape::new(dims.collect::<Result<Vec<_>>>()?))
}

/// Shapes that are known are multiplied out without further checks.
fn check_size(shape: &PartialShape) -> Result<()> {
    let is_too_large = |s: crate::Shape| s.checked_len().and_then(|n| n.checked_mul(LARGEST_BYTES)).is_none();
    if shape.known().is_some_and(is_too_large) {
        return Err(Error::Plugin(format!(
            "its rule says that the shape is {shape}, which is too large for any tensor"
        )));
    }
    Ok(())
}

impl Operator for PluginOperator {
    fn name(&self) -> &str {
        &self.table.name
    }

    fn aliases(&self) -> &[&str] {
        &self.aliases
    }

    fn doc(&self) -> &str {
        &self.table.doc
    }

    fn schema(&self) -> &Schema {
        &self.table.schema
    }

    fn check(&self, params: &Params) -> Result<()> {
        self.at_source(self.try_check(params))
    }

    fn inputs(&self, params: &Params) -> Vec<String> {
        self.names(params).inputs
    }

    fn auxiliaries(&self, params: &Params) -> Vec<String> {
        self.names(params).auxiliaries
    }

    fn outputs(&self, params: &Params) -> Vec<String> {
        self.names(params).outputs
    }

    fn num_visible_outputs(&self, params: &Params) -> usize {
        self.outputs(params).len().saturating_sub(self.table.table.num_hidden_outputs)
    }

    fn is_variadic(&self) -> bool {
        self.table.is_variadic()
    }

    fn infer_shape(&self, params: &Params, shapes: &mut Shapes) -> Result<()> {
        self.at_source(self.try_infer_shape(params, shapes))
    }

    fn infer_dtype(&self, params: &Params, dtypes: &mut DTypes) -> Result<()> {
        self.at_source(self.try_infer_dtype(params, dtypes))
    }

    fn inplace(&self, params: &Params) -> Vec<(usize, usize)> {
        let names = self.names(params);
        let (i, o) = (names.inputs.len() + names.auxiliaries.len(), names.outputs.len());
        let mutated = self.mutates(params);
        let mut pairs = Vec::with_capacity(self.table.inplace.len());
        for pair in &self.table.inplace {
            if pair.0 < i && pair.1 < o && !mutated.contains(&pair.0) && !pairs.contains(pair) {
                pairs.push(*pair);
            }
        }
        pairs
    }

    fn mutates(&self, params: &Params) -> Vec<usize> {
        let names = self.names(params);
        let (i, n) = (names.inputs.len(), names.inputs.len() + names.auxiliaries.len());
        self.table.mutated.iter().copied().filter(|k| *k < i).chain(i..n).collect()
    }

    fn is_deterministic(&self) -> bool {
        self.table.table.flags & flags::RANDOM == 0
    }

    fn is_loss(&self, _: &Params) -> bool {
        self.table.table.flags & flags::LOSS != 0
    }

    fn flops(&self, of: &KernelCall<'_>) -> Option<f64> {
        let function = self.table.table.flops?;
        // SAFETY: a function of the table, called as the header says.
        self.ask(of, |about| unsafe { function(self.table.table.context, about) })
    }

    fn align_bytes(&self) -> usize {
        ALIGN_BYTES
    }

    fn is_cheap(&self, params: &Params) -> bool {
        self.says_is_cheap(params)
    }

    fn per_sample(&self, params: &Params, inputs: &[TensorDesc]) -> Option<Vec<usize>> {
        self.says_per_sample(params, inputs)
    }

    fn view(&self, params: &Params, input: &TensorDesc, output: &TensorDesc) -> Option<usize> {
        self.says_view(params, input, output)
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        if let Some(backward) = &self.table.backward {
            return super::backward::gradient(self, backward, grad);
        }
        let Some(function) = self.table.table.gradient else {
            return Err(Error::Contract(format!("{} \"{}\" has no gradient", self.name(), grad.node)));
        };
        let place = format!("{}: the gradient of {} \"{}\"", self.source, self.name(), grad.node);
        let context = self.table.table.context;
        let built = self.values(grad.params).and_then(|values| {
            // SAFETY: a function of the table, called as the header says.
            gradient::build(grad, |told, message| unsafe { function(context, values.as_ptr(), told, message) })
        });
        built.map_err(|e| e.at(place))
    }
}
