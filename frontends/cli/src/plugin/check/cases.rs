//! Uses of an operator to check it by: parameters, shapes, and values of inputs.

use std::sync::Arc;
use varflow::ops::plugin::OperatorTable;
use varflow::ops::{Attrs, DType, DTypes, Operator, Params, PartialShape, Philox, Schema, Shape, Shapes, TensorDesc};

/// One use of an operator.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) op: Arc<dyn Operator>,
    pub(crate) params: Params,
    pub(crate) inputs: Vec<TensorDesc>,
    pub(crate) outputs: Vec<TensorDesc>,
}

impl Case {
    /// `forward of Swish on float32 (2, 3)`.
    pub(crate) fn text(&self, what: &str) -> String {
        let inputs: Vec<_> = self.inputs.iter().map(|d| format!("{} {}", d.dtype, d.shape)).collect();
        let attrs: Vec<_> = self.params.to_attrs().iter().map(|(n, v)| format!(", {n}={v}")).collect();
        format!(
            "{what} of {} on {}{}",
            self.op.name().trim_start_matches("_backward_"),
            inputs.join(", "),
            attrs.concat()
        )
    }

    /// Completes the shapes and dtypes of a use of which some shapes of inputs are known; the first input has this dtype.
    ///
    /// # Errors
    /// What inference says, or what it left open.
    pub(crate) fn infer(
        op: &Arc<dyn Operator>,
        params: &Params,
        known: &[Option<Shape>],
        dtype: DType,
    ) -> Result<Case, String> {
        let mut inputs = op.inputs(params);
        inputs.extend(op.auxiliaries(params));
        let outputs = op.outputs(params);
        let partial =
            |i: usize| known.get(i).and_then(Option::as_ref).map_or(PartialShape::unknown(), PartialShape::from);
        let mut shapes: Vec<PartialShape> = (0..inputs.len()).map(partial).collect();
        loop {
            let named = inputs.iter().cloned().zip(shapes.iter().cloned()).collect();
            let unknown = outputs.iter().map(|n| (n.clone(), PartialShape::unknown())).collect();
            let mut rule = Shapes::new(named, unknown);
            op.infer_shape(params, &mut rule).map_err(|e| e.to_string())?;
            let (ins, outs) = rule.into_parts();
            let open = ins.iter().position(|s| s.known().is_none());
            if let Some(i) = open {
                // What the rule leaves open is tried to be of the first input's shape.
                let Some(first) = ins.iter().find_map(PartialShape::known) else {
                    return Err(format!("{} is not known", inputs[i]));
                };
                shapes = ins;
                shapes[i] = PartialShape::from(&first);
                continue;
            }
            let dtypes = inputs.iter().cloned().enumerate().map(|(i, n)| (n, (i == 0).then_some(dtype))).collect();
            let first_out = |o: usize| (inputs.is_empty() && o == 0).then_some(dtype);
            let mut dtypes =
                DTypes::new(dtypes, outputs.iter().cloned().enumerate().map(|(o, n)| (n, first_out(o))).collect());
            op.infer_dtype(params, &mut dtypes).map_err(|e| e.to_string())?;
            let (in_types, out_types) = dtypes.into_parts();
            let desc = |s: &PartialShape, d: Option<DType>, name: &String| {
                let shape = s.known().ok_or_else(|| format!("inference leaves {name} {s}, wanted a whole shape"))?;
                let fits = shape.checked_len().is_some_and(|n| n < 1 << 24);
                if !fits {
                    return Err(format!("inference gives {name} the shape {shape}, which is absurd"));
                }
                Ok(TensorDesc::new(shape, d.unwrap_or(dtype)))
            };
            let descs = |shapes: &[PartialShape], types: Vec<Option<DType>>, names: &[String]| {
                shapes.iter().zip(types).zip(names).map(|((s, d), n)| desc(s, d, n)).collect::<Result<Vec<_>, String>>()
            };
            return Ok(Case {
                op: op.clone(),
                params: params.clone(),
                inputs: descs(&ins, in_types, &inputs)?,
                outputs: descs(&outs, out_types, &outputs)?,
            });
        }
    }

    /// Infers from the outputs alone, as a network does that knows those first.
    ///
    /// # Errors
    /// A rule that refuses its own outputs, or says other inputs than it had them from.
    pub(crate) fn infer_back(&self) -> Result<(), String> {
        let (op, params) = (&self.op, &self.params);
        let mut names = op.inputs(params);
        names.extend(op.auxiliaries(params));
        let unknown = names.iter().cloned().map(|n| (n, PartialShape::unknown())).collect();
        let outputs = op.outputs(params).into_iter().zip(self.outputs.iter().map(|d| PartialShape::from(&d.shape)));
        let mut rule = Shapes::new(unknown, outputs.collect());
        op.infer_shape(params, &mut rule).map_err(|e| format!("from its outputs alone, inference says: {e}"))?;
        for ((mut inferred, desc), name) in rule.into_parts().0.into_iter().zip(&self.inputs).zip(&names) {
            let text =
                format!("from its outputs alone, inference says that {name} is {inferred}, and it is {}", desc.shape);
            inferred.merge(&PartialShape::from(&desc.shape)).map_err(|_| text)?;
        }
        Ok(())
    }

    /// Values of all inputs: uniform between -2 and 2, of integers between 0 and 2.
    pub(crate) fn values(&self, draw: u64) -> Vec<Vec<u8>> {
        self.values_between(draw, -2.0, 2.0)
    }

    /// The same between other bounds.
    pub(crate) fn values_between(&self, draw: u64, least: f64, most: f64) -> Vec<Vec<u8>> {
        let of = |(i, d): (usize, &TensorDesc)| {
            let stream = Philox::new(draw, i as u64, 0);
            let values: Vec<f64> = (0..d.shape.len() as u64)
                .map(|k| {
                    if d.dtype.is_float() {
                        least + (most - least) * stream.uniform2(k)[0]
                    } else {
                        stream.below(k, 3) as f64
                    }
                })
                .collect();
            encode(d.dtype, &values)
        };
        self.inputs.iter().enumerate().map(of).collect()
    }
}

/// The slope of the outputs' product with `heads` between two points, over the elements that are finite at both. `None` where
/// there is no such element.
pub(crate) fn slope(above: &[Vec<f64>], below: &[Vec<f64>], heads: &[Vec<f64>], distance: f64) -> Option<f64> {
    let mut sum = None;
    for ((above, below), head) in above.iter().zip(below).zip(heads) {
        for ((a, b), h) in above.iter().zip(below).zip(head).filter(|((a, b), _)| a.is_finite() && b.is_finite()) {
            *sum.get_or_insert(0.0) += h * (a - b);
        }
    }
    sum.map(|sum| sum / distance)
}

/// Uses to check an operator by, and what was refused while they were sought.
pub(crate) fn cases(op: &Arc<dyn Operator>, table: &OperatorTable, dtype: DType) -> Result<Vec<Case>, String> {
    let mut uses: Vec<(Attrs, Vec<(String, Shape)>)> = vec![(Attrs::new(), Vec::new())];
    for example in &table.examples {
        uses.push(read_example(op.schema(), example)?);
    }
    let (mut found, mut refused) = (Vec::new(), String::new());
    for (attrs, shapes) in uses {
        let params = match op.schema().parse(&attrs).and_then(|p| op.check(&p).map(|()| p)) {
            Ok(params) => params,
            // The defaults need not do where there are examples.
            Err(_) if attrs.is_empty() && !table.examples.is_empty() => continue,
            Err(e) => return Err(format!("{e}; give examples where the defaults do not do")),
        };
        let names = op.inputs(&params);
        if let Some((name, _)) = shapes.iter().find(|(name, _)| !names.contains(name)) {
            let (params, inputs) =
                (op.schema().params().iter().map(|p| p.name.as_str()), names.iter().map(String::as_str));
            let known: Vec<&str> = params.chain(inputs).collect();
            return Err(format!(
                "an example names \"{name}\", which is neither parameter nor input: wanted one of {}",
                known.join(", ")
            ));
        }
        let given: Vec<_> =
            names.iter().map(|n| shapes.iter().find(|(name, _)| name == n).map(|(_, s)| s.clone())).collect();
        let dims: &[&[usize]] = &[&[16], &[7], &[4, 16], &[3, 5], &[2, 3, 4], &[2, 3, 5, 7], &[0, 3]];
        let tried: Vec<Vec<Option<Shape>>> =
            if shapes.is_empty() { dims.iter().map(|d| vec![Some(Shape::new(d))]).collect() } else { vec![given] };
        for known in tried {
            match Case::infer(op, &params, &known, dtype) {
                Ok(case) => found.push(case),
                // An example is what its author has chosen.
                Err(e) if !shapes.is_empty() => return Err(format!("an example does not fit: {e}")),
                Err(e) => refused = e,
            }
        }
    }
    if found.is_empty() {
        return Err(format!("no shapes were found that it accepts: {refused}; give examples such as \"data=(2, 3)\""));
    }
    Ok(found)
}

fn read_example(schema: &Schema, example: &str) -> Result<(Attrs, Vec<(String, Shape)>), String> {
    let (mut attrs, mut shapes) = (Attrs::new(), Vec::new());
    for part in example.split(';').map(str::trim).filter(|p| !p.is_empty()) {
        let refuse = || format!("example \"{example}\" has \"{part}\", wanted name=value or input=(2, 3)");
        let (name, value) = part.split_once('=').ok_or_else(refuse)?;
        let (name, value) = (name.trim(), value.trim());
        if schema.has(name) {
            attrs.insert(name.to_string(), value.to_string());
            continue;
        }
        let inner = value.strip_prefix('(').and_then(|v| v.strip_suffix(')')).ok_or_else(refuse)?;
        let dims = inner.split(',').map(str::trim).filter(|d| !d.is_empty()).map(str::parse::<usize>);
        shapes.push((name.to_string(), Shape::from(dims.collect::<Result<Vec<_>, _>>().map_err(|_| refuse())?)));
    }
    Ok((attrs, shapes))
}

/// Numbers as elements of a float type of 32 or 64 bits, or of an integer type; zeroes of the others.
pub(crate) fn encode(dtype: DType, values: &[f64]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() * dtype.size_bytes());
    for v in values {
        match dtype {
            DType::F32 => bytes.extend((*v as f32).to_ne_bytes()),
            DType::F64 => bytes.extend(v.to_ne_bytes()),
            DType::F16 | DType::BF16 => bytes.extend([0_u8; 2]),
            _ => bytes.extend(&(*v as u64).to_le_bytes()[..dtype.size_bytes()]),
        }
    }
    bytes
}

/// The numbers of a tensor of a float type of 32 or 64 bits.
pub(crate) fn decode(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    match dtype {
        DType::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_ne_bytes(*b))).collect(),
        DType::F64 => bytes.as_chunks::<8>().0.iter().map(|b| f64::from_ne_bytes(*b)).collect(),
        _ => Vec::new(),
    }
}
