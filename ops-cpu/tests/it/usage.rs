//! One use of an operator, with values for its inputs.

use super::{attrs, registry};
use std::sync::Arc;
use varflow_engine::Engine;
use varflow_ops::{
    Attrs, BoundOp, BoundTensors, DType, DeviceKind, KernelCall, Operator, Params, Result, Run, Tensor, TensorDesc,
    infer_outputs,
};

/// A tensor's values, whatever its dtype, exactly.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub desc: TensorDesc,
    pub values: Vec<f64>,
}

impl Array {
    pub fn new(shape: &[usize], dtype: DType, values: Vec<f64>) -> Array {
        let desc = TensorDesc::new(shape, dtype);
        assert_eq!(desc.shape.len(), values.len());
        Array { desc, values }
    }

    pub fn f64(shape: &[usize], values: Vec<f64>) -> Array {
        Array::new(shape, DType::F64, values)
    }

    /// The nearest values of another dtype.
    pub fn cast(&self, dtype: DType) -> Array {
        let round = |v: f64| if dtype == DType::F32 { f64::from(v as f32) } else { v };
        let values = self.values.iter().map(|v| round(*v)).collect();
        Array::new(self.desc.shape.dims(), dtype, values)
    }

    fn tensor(&self, engine: &Engine) -> Tensor {
        macro_rules! tensor {
            ($t:ty) => {
                Tensor::from_slice(
                    engine,
                    self.desc.shape.clone(),
                    &self.values.iter().map(|v| *v as $t).collect::<Vec<_>>(),
                )
            };
        }
        match self.desc.dtype {
            DType::F32 => tensor!(f32),
            DType::F64 => tensor!(f64),
            DType::U8 => tensor!(u8),
            DType::I32 => tensor!(i32),
            DType::I64 => tensor!(i64),
            other => panic!("no test array of {other}"),
        }
        .unwrap()
    }

    fn of(tensor: &Tensor) -> Result<Array> {
        macro_rules! values {
            ($t:ty) => {
                tensor.to_vec::<$t>()?.into_iter().map(|v| v as f64).collect()
            };
        }
        let values = match tensor.dtype() {
            DType::F32 => values!(f32),
            DType::F64 => values!(f64),
            DType::U8 => values!(u8),
            DType::I32 => values!(i32),
            DType::I64 => values!(i64),
            other => panic!("no test array of {other}"),
        };
        Ok(Array { desc: tensor.desc().clone(), values })
    }

    /// Values that no kernel writes by accident.
    fn garbage(desc: &TensorDesc) -> Array {
        let value = if desc.dtype.is_float() { f64::NAN } else { 77.0 };
        Array { desc: desc.clone(), values: vec![value; desc.shape.len()] }
    }

    /// The same bits: unlike `==`, equal for NaNs, and not for zeroes of different sign.
    pub fn same_bits(&self, other: &Array) -> bool {
        let bits = |a: &Array| a.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        self.desc == other.desc && bits(self) == bits(other)
    }
}

/// One use of an operator.
#[derive(Clone)]
pub struct Use {
    pub op: Arc<dyn Operator>,
    pub attrs: Attrs,
    pub params: Params,
    pub inputs: Vec<Array>,
    pub outputs: Vec<TensorDesc>,
}

impl std::fmt::Debug for Use {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inputs: Vec<_> = self.inputs.iter().map(|a| &a.desc.shape).collect();
        write!(f, "{}{:?} {:?}", self.op.name(), self.attrs, inputs)
    }
}

/// How a [`Use`] is run.
#[derive(Clone)]
pub struct How<'a> {
    pub engine: &'a Engine,
    /// An input and the output that takes its memory.
    pub inplace: Option<(usize, usize)>,
    /// Outputs that nobody looks at.
    pub unwanted: &'a [usize],
    pub is_train: bool,
    pub run: Run,
}

impl<'a> How<'a> {
    pub fn on(engine: &'a Engine) -> How<'a> {
        How { engine, inplace: None, unwanted: &[], is_train: true, run: Run { seed: 7, step: 3, priority: 0 } }
    }
}

/// What a [`Use`] left behind.
#[derive(Clone, Debug)]
pub struct Ran {
    /// None for unwanted ones.
    pub outputs: Vec<Option<Array>>,
    /// Inputs that the operator declares as changed.
    pub mutated: Vec<Array>,
}

impl Ran {
    /// The only output.
    pub fn output(self) -> Array {
        self.outputs.into_iter().next().flatten().unwrap()
    }

    pub fn same_bits(&self, other: &Ran) -> bool {
        let outputs = self.outputs.iter().zip(&other.outputs);
        let mut wanted = outputs.filter_map(|(a, b)| a.as_ref().zip(b.as_ref()));
        wanted.all(|(a, b)| a.same_bits(b)) && self.mutated.iter().zip(&other.mutated).all(|(a, b)| a.same_bits(b))
    }
}

impl Use {
    /// With outputs as they follow from the inputs.
    pub fn new(op: &str, given: &[(&str, &str)], inputs: Vec<Array>) -> Use {
        let usage = Use::with_outputs(op, given, inputs, Vec::new());
        let descs: Vec<_> = usage.inputs.iter().map(|a| a.desc.clone()).collect();
        let outputs = infer_outputs(&*usage.op, &usage.params, "node", &descs).unwrap();
        Use { outputs, ..usage }
    }

    /// With given outputs, for operators whose inputs do not determine them.
    pub fn with_outputs(op: &str, given: &[(&str, &str)], inputs: Vec<Array>, outputs: Vec<TensorDesc>) -> Use {
        let op = registry().operator(op).unwrap().clone();
        let attrs = attrs(given);
        let params = op.schema().parse(&attrs).unwrap();
        op.check(&params).unwrap();
        Use { op, attrs, params, inputs, outputs }
    }

    /// The same in another floating-point dtype, with rounded values.
    pub fn cast(&self, dtype: DType) -> Use {
        let is_float = |d: DType| d.is_float() && !self.attrs.contains_key("dtype");
        let mut other = self.clone();
        for input in other.inputs.iter_mut().filter(|a| a.desc.dtype.is_float()) {
            *input = input.cast(dtype);
        }
        for output in other.outputs.iter_mut().filter(|d| is_float(d.dtype)) {
            output.dtype = dtype;
        }
        other
    }

    pub fn run(&self, how: &How<'_>) -> Result<Ran> {
        let wanted: Vec<bool> = (0..self.outputs.len()).map(|o| !how.unwanted.contains(&o)).collect();
        let descs: Vec<_> = self.inputs.iter().map(|a| a.desc.clone()).collect();
        let call = KernelCall {
            op: &*self.op,
            node: "node",
            params: &self.params,
            inputs: &descs,
            outputs: &self.outputs,
            wanted: &wanted,
            is_train: how.is_train,
        };
        let kernel = registry().kernel(DeviceKind::Cpu, &call)?;
        let inputs: Vec<_> = self.inputs.iter().map(|a| a.tensor(how.engine)).collect();
        let mut outputs: Vec<_> = self.outputs.iter().map(|d| Array::garbage(d).tensor(how.engine)).collect();
        if let Some((i, o)) = how.inplace {
            outputs[o] = inputs[i].reshape(self.outputs[o].shape.clone())?;
        }
        let outputs: Vec<_> = outputs.into_iter().zip(wanted).map(|(t, wanted)| wanted.then_some(t)).collect();
        let workspace = match kernel.workspace_bytes() {
            0 => None,
            n => Some(Tensor::from_slice(how.engine, [n], &vec![0xff_u8; n])?),
        };
        let tensors = BoundTensors { inputs: inputs.clone(), outputs: outputs.clone(), workspace };
        BoundOp::new(&*self.op, &self.params, "node", kernel, tensors, &[])?.push(how.engine, None, how.run);
        let mutated = self.op.mutates(&self.params).into_iter().map(|i| Array::of(&inputs[i]));
        Ok(Ran {
            outputs: outputs.iter().map(|t| t.as_ref().map(Array::of).transpose()).collect::<Result<_>>()?,
            mutated: mutated.collect::<Result<_>>()?,
        })
    }
}
