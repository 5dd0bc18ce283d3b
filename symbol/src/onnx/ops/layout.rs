//! What moves elements: shapes, axes, parts.

use super::numbers::bounded;
use super::{Translate, one};
use crate::onnx::import::Op;
use crate::onnx::node::Use;
use crate::onnx::value::{Numbers, Tensor, Value};
use crate::onnx::window;
use varflow_ops::{Error, Result};

pub(super) const ALL: &[(&str, Translate)] = &[
    ("Concat", concat),
    ("DepthToSpace", depth_to_space),
    ("Flatten", flatten),
    ("Gather", gather),
    ("Pad", pad),
    ("Reshape", reshape),
    ("Resize", resize),
    ("Slice", slice),
    ("Split", split),
    ("Squeeze", squeeze),
    ("Tile", tile),
    ("Transpose", transpose),
    ("Unsqueeze", unsqueeze),
    ("Upsample", resize),
];

fn concat(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let n = node.counts().0;
    let numbers: Option<Vec<Numbers>> = (0..n).map(|i| node.as_numbers(i)).collect::<Result<_>>()?;
    if let Some(parts) = numbers.filter(|parts| parts.iter().all(|p| !p.is_scalar)) {
        let values = parts.into_iter().flat_map(|p| p.values).take(Numbers::MOST + 1).collect();
        return bounded(Numbers { is_scalar: false, values });
    }
    let inputs = (0..n).map(|i| node.tensor(i, "inputs")).collect::<Result<Vec<_>>>()?;
    let Some(first) = inputs.first() else {
        return Err(Error::Data("has no inputs, wanted one or more".to_string()));
    };
    let axis = node.axis(node.int("axis", 1)?, first)?;
    one(node.emit(Op::new("Concat").set("dim", axis).set("num_args", n), &inputs)?)
}

fn flatten(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let data = node.tensor(0, "input")?;
    let rank = node.rank(&data)?;
    let axis = match node.int("axis", 1)? {
        axis if usize::try_from(axis) == Ok(rank) => rank,
        axis => node.axis(axis, &data)?,
    };
    if axis == 1 {
        return one(node.emit(Op::new("Flatten"), &[data])?);
    }
    let dims = data.shape.dims().unwrap_or_default();
    let product = |dims: &[Option<usize>]| {
        let product = dims.iter().try_fold(1_usize, |n, d| n.checked_mul((*d)?));
        product.and_then(|n| i64::try_from(n).ok())
    };
    let shape = match (product(&dims[..axis]), product(&dims[axis..])) {
        (Some(rows), _) => [rows, -1],
        (None, Some(columns)) => [-1, columns],
        (None, None) => {
            let what = format!("input has shape {}", data.shape);
            return Err(Error::Data(format!("{what}, wanted known extents before or from axis {axis} on")));
        }
    };
    one(node.emit(Op::new("Reshape").set("shape", shape), &[data])?)
}

fn reshape(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let wanted = match node.ints("shape")? {
        Some(shape) => Numbers { is_scalar: false, values: shape.into_iter().map(Some).collect() },
        None => {
            let shape = node.numbers(1, "shape")?;
            shape.ok_or_else(|| Error::Data("has no input 1, wanted shape".to_string()))?
        }
    };
    if let Some(data) = node.as_numbers(0)? {
        match wanted.known().as_deref() {
            Some([]) if data.values.len() == 1 => return bounded(Numbers { is_scalar: true, ..data }),
            Some([_]) => return bounded(Numbers { is_scalar: false, ..data }),
            _ => {}
        }
    }
    let allows_zero = node.flag("allowzero", false)?;
    let data = node.tensor(0, "data")?;
    let open = wanted.values.iter().filter(|v| v.is_none()).count();
    let has_rest = wanted.values.contains(&Some(-1));
    let code = |(axis, value): (usize, &Option<i64>)| match *value {
        Some(0) if allows_zero => Err(Error::Data("shape has an extent of 0, wanted extents above 0".to_string())),
        Some(n) if n >= -1 => Ok(n),
        Some(n) => Err(Error::Data(format!("shape has an extent of {n}, wanted -1 or more"))),
        // An extent that is open here and there is the batch, which passes through; a single one is what is left.
        None if data.shape.dims().is_some_and(|dims| dims.get(axis) == Some(&None)) => Ok(0),
        None if open == 1 && !has_rest => Ok(-1),
        None => {
            let what = format!("shape has an open extent at axis {axis}, for data of shape {}", data.shape);
            Err(Error::Data(format!("{what}: give the inputs' shapes")))
        }
    };
    let codes = wanted.values.iter().enumerate().map(code).collect::<Result<Vec<_>>>()?;
    // There are no tensors of rank 0 here: a scalar is one element along one axis.
    let codes = if codes.is_empty() { vec![1] } else { codes };
    one(node.emit(Op::new("Reshape").set("shape", codes), &[data])?)
}

fn transpose(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let data = node.value(0, "data")?;
    let order = node.ints("perm")?.unwrap_or_default();
    if let (Value::Weight(id), [] | [1, 0]) = (&data, &order[..])
        && node.importer.array(*id).desc.shape.rank() == 2
    {
        return Ok(vec![Value::Weight(node.importer.transposed(*id)?)]);
    }
    let data = node.tensor(0, "data")?;
    one(node.emit(Op::new("transpose").set("axes", order), &[data])?)
}

fn squeeze(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let axes = node.list("axes", 1)?;
    if let Some(numbers) = node.as_numbers(0)?.filter(|n| n.values.len() == 1) {
        return bounded(Numbers { is_scalar: true, ..numbers });
    }
    let data = node.tensor(0, "data")?;
    let op = Op::new("squeeze");
    let op = match axes {
        Some(axes) => op.set("axis", axes.into_iter().map(|a| node.axis(a, &data)).collect::<Result<Vec<_>>>()?),
        None => op,
    };
    one(node.emit(op, &[data])?)
}

fn unsqueeze(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let axes = node.list("axes", 1)?.unwrap_or_default();
    if let (Some(numbers), [0 | -1]) = (node.as_numbers(0)?.filter(|n| n.is_scalar), &axes[..]) {
        return bounded(Numbers { is_scalar: false, ..numbers });
    }
    let mut data = node.tensor(0, "data")?;
    let rank = i64::try_from(node.rank(&data)? + axes.len()).unwrap_or(i64::MAX);
    let mut axes: Vec<i64> = axes.into_iter().map(|a| if a < 0 { a.saturating_add(rank) } else { a }).collect();
    axes.sort_unstable();
    if axes.is_empty() {
        return one(data);
    }
    for axis in axes {
        data = node.emit(Op::new("expand_dims").set("axis", axis), &[data])?;
    }
    one(data)
}

fn tile(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let reps = node.known(1, "repeats")?.unwrap_or_default();
    let data = node.tensor(0, "input")?;
    one(node.emit(Op::new("tile").set("reps", reps), &[data])?)
}

fn depth_to_space(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    match node.text("mode", "DCR")? {
        "DCR" => {}
        other => return Err(node.refuse("mode", other, "DCR")),
    }
    let data = node.tensor(0, "input")?;
    one(node.emit(Op::new("depth_to_space").set("block_size", node.int("blocksize", 1)?), &[data])?)
}

/// Equal parts, or parts of given lengths.
fn split(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let n = node.counts().1;
    let data = node.tensor(0, "input")?;
    let axis = node.axis(node.int("axis", 0)?, &data)?;
    let len = data.shape.dim(axis);
    let parts = match node.list("split", 1)? {
        Some(parts) if parts.len() == n => parts,
        Some(parts) => return Err(Error::Data(format!("has {} parts for {n} outputs, wanted as many", parts.len()))),
        None if len.is_none_or(|len| len % n.max(1) == 0) => Vec::new(),
        None => {
            let len = len.unwrap_or(0);
            let each = len.div_ceil(n.max(1));
            (0..n).map(|i| i64::try_from(len.saturating_sub(i * each).min(each)).unwrap_or(0)).collect()
        }
    };
    if parts.windows(2).all(|p| p[0] == p[1]) && (parts.is_empty() || len.is_some()) {
        return node.emit_all(Op::new("SliceChannel").set("axis", axis).set("num_outputs", n), &[data]);
    }
    let mut begin = 0_i64;
    let mut outputs = Vec::new();
    for part in parts {
        let end = begin.checked_add(part).filter(|_| part >= 0);
        let end = end.ok_or_else(|| Error::Data(format!("has a part of {part}, wanted at least 0")))?;
        let op = Op::new("slice_axis").set("axis", axis).set("begin", begin).set("end", end);
        outputs.push(Value::Tensor(node.emit(op, std::slice::from_ref(&data))?));
        begin = end;
    }
    Ok(outputs)
}

fn slice(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let refuse = |what: &str| Error::Data(format!("has no {what}, wanted one"));
    let begins = node.list("starts", 1)?.ok_or_else(|| refuse("starts"))?;
    let ends = node.list("ends", 2)?.ok_or_else(|| refuse("ends"))?;
    let axes = match node.list("axes", 3)? {
        Some(axes) => axes,
        None => (0..).take(begins.len()).collect(),
    };
    let steps = node.known(4, "steps")?.unwrap_or_else(|| vec![1; begins.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|n| *n != begins.len()) {
        let lens = format!("{}, {}, {} and {}", begins.len(), ends.len(), axes.len(), steps.len());
        return Err(Error::Data(format!("has starts, ends, axes and steps of lengths {lens}, wanted equal ones")));
    }
    if let Some(numbers) = node.as_numbers(0)?.filter(|n| !n.is_scalar)
        && let (&[begin], &[end], &[step]) = (&begins[..], &ends[..], &steps[..])
    {
        return slice_numbers(&numbers, begin, end, step);
    }
    let data = node.tensor(0, "data")?;
    let rank = node.rank(&data)?;
    let mut places = vec![["None".to_string(), "None".to_string(), "None".to_string()]; rank];
    for (i, axis) in axes.into_iter().enumerate() {
        let axis = node.axis(axis, &data)?;
        // Places beyond the ends stand for the ends, and exporters write the largest numbers for them.
        let (begin, end, step) = (begins[i], ends[i], steps[i]);
        let n = data.shape.dim(axis).and_then(|n| i64::try_from(n).ok());
        places[axis] = span(begin, end, step, n)?;
    }
    let list = |i: usize| {
        let texts: Vec<_> = places.iter().map(|p| p[i].as_str()).collect();
        format!("({},)", texts.join(", "))
    };
    let op = Op::new("slice").set("begin", list(0)).set("end", list(1)).set("step", list(2));
    one(node.emit(op, &[data])?)
}

/// Begin, end and step as `slice` takes them, for an axis of `n` elements where that is known.
fn span(begin: i64, end: i64, step: i64, n: Option<i64>) -> Result<[String; 3]> {
    if step == 0 {
        return Err(Error::Data("has a step of 0, wanted another".to_string()));
    }
    let far = i64::from(i32::MAX);
    let none = || "None".to_string();
    if n == Some(0) {
        // Nothing has no places: all of it is what any part of it is.
        return Ok([none(), none(), none()]);
    }
    let begin = match n {
        Some(n) => begin.clamp(-n, if step > 0 { n } else { n - 1 }).to_string(),
        None if begin <= -far || (step < 0 && begin >= far) => none(),
        None => begin.to_string(),
    };
    let end = match n {
        Some(n) if step > 0 => end.clamp(-n, n).to_string(),
        Some(n) if end < -n => none(),
        None if end >= far || end <= -far => none(),
        _ => end.to_string(),
    };
    Ok([begin, end, step.to_string()])
}

fn slice_numbers(numbers: &Numbers, begin: i64, end: i64, step: i64) -> Result<Vec<Value>> {
    if step != 1 {
        return Err(Error::Data(format!("has a step of {step} on a shape, wanted 1")));
    }
    let n = i64::try_from(numbers.values.len()).unwrap_or(i64::MAX);
    let place = |p: i64| usize::try_from((if p < 0 { p.saturating_add(n) } else { p }).clamp(0, n)).unwrap_or(0);
    let values = numbers.values.get(place(begin)..place(end)).unwrap_or_default().to_vec();
    bounded(Numbers { is_scalar: false, values })
}

fn gather(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let axis = node.int("axis", 0)?;
    let places = node.as_numbers(1)?;
    if let (Some(data), Some(places)) = (node.as_numbers(0)?.filter(|d| !d.is_scalar), &places) {
        let n = i64::try_from(data.values.len()).unwrap_or(i64::MAX);
        let value = |place: &Option<i64>| {
            let at = place.map(|p| if p < 0 { p.saturating_add(n) } else { p });
            let value = at.and_then(|p| usize::try_from(p).ok()).and_then(|p| data.values.get(p));
            value.copied().ok_or_else(|| Error::Data(format!("takes a number that is not one of {n}")))
        };
        let values = places.values.iter().map(value).collect::<Result<_>>()?;
        return bounded(Numbers { is_scalar: places.is_scalar, values });
    }
    let data = node.tensor(0, "data")?;
    let axis = node.axis(axis, &data)?;
    if let Some(&[Some(place)]) = places.as_ref().filter(|p| p.is_scalar).map(|p| &p.values[..]) {
        // One place: the axis goes.
        let end = if place == -1 { "None".to_string() } else { place.saturating_add(1).to_string() };
        let op = Op::new("slice_axis").set("axis", axis).set("begin", place).set("end", end);
        let part = node.emit_part("part", op, &[data])?;
        return one(node.emit(Op::new("squeeze").set("axis", [axis]), &[part])?);
    }
    if let Some(list) = places.as_ref().and_then(Numbers::known)
        && list.iter().any(|p| *p < 0)
    {
        return Err(Error::Data("input indices has negative ones, wanted them counted from the front".to_string()));
    }
    let indices = node.tensor(1, "indices")?;
    one(node.emit(Op::new("take").set("axis", axis).set("mode", "clip"), &[data, indices])?)
}

fn pad(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let mode = match node.text("mode", "constant")? {
        mode @ ("constant" | "edge" | "reflect") => mode,
        other => return Err(node.refuse("mode", other, "constant, edge or reflect")),
    };
    let data = node.tensor(0, "data")?;
    let rank = node.rank(&data)?;
    let list = node.list("pads", 1)?.ok_or_else(|| Error::Data("has no pads, wanted them".to_string()))?;
    let value = match node.number(2, "constant_value")? {
        Some(value) => value,
        None => f64::from(node.float("value", 0.0)?),
    };
    let axes = match node.known(3, "axes")? {
        Some(axes) => axes.into_iter().map(|a| node.axis(a, &data)).collect::<Result<Vec<_>>>()?,
        None => (0..rank).collect(),
    };
    if list.len() != 2 * axes.len() {
        return Err(Error::Data(format!("pads has {} numbers, wanted {}", list.len(), 2 * axes.len())));
    }
    let mut pads = vec![(0, 0); rank];
    let width = |n: i64| {
        let width = i32::try_from(n).ok().and_then(|n| usize::try_from(n).ok());
        width.ok_or_else(|| Error::Data(format!("pads has {n}, wanted a number from 0 to below 2^31")))
    };
    for (i, axis) in axes.iter().enumerate() {
        pads[*axis] = (width(list[i])?, width(list[i + axes.len()])?);
    }
    one(window::pad(node, data, &pads, mode, value)?)
}

/// Enlarging by whole factors, to the nearest element.
fn resize(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let data = node.tensor(0, "X")?;
    match node.text("mode", "nearest")? {
        "nearest" => {}
        other => return Err(node.refuse("mode", other, "nearest")),
    }
    let transformation = node.text("coordinate_transformation_mode", "half_pixel")?;
    let rounding = node.text("nearest_mode", "round_prefer_floor")?;
    let is_plain = node.op() == "Upsample" || node.opset() < 11;
    // With whole factors these all repeat each element.
    let repeats = matches!(
        (transformation, rounding),
        ("asymmetric" | "tf_half_pixel_for_nn", "floor")
            | (
                "half_pixel" | "half_pixel_symmetric" | "pytorch_half_pixel",
                "round_prefer_floor" | "round_prefer_ceil"
            )
    );
    if !is_plain && !repeats {
        let has = format!("{transformation} with nearest_mode {rounding}");
        let wanted = "asymmetric with floor, or half_pixel with round_prefer_floor";
        return Err(node.refuse("coordinate_transformation_mode", has, wanted));
    }
    let factors = factors(node, &data)?;
    let rank = node.rank(&data)?;
    if factors.len() != rank {
        return Err(Error::Data(format!("has {} factors for {rank} axes, wanted as many", factors.len())));
    }
    if let &[1, 1, high, wide] = &factors[..]
        && high == wide
    {
        let op = Op::new("UpSampling").set("scale", high).set("sample_type", "nearest").set("num_args", 1);
        return one(node.emit(op, &[data])?);
    }
    let mut data = data;
    for (axis, factor) in factors.into_iter().enumerate().filter(|(_, factor)| *factor != 1) {
        data = node.emit(Op::new("repeat").set("repeats", factor).set("axis", axis), &[data])?;
    }
    one(data)
}

/// From `scales` or `sizes`.
fn factors(node: &mut Use<'_, '_>, data: &Tensor) -> Result<Vec<usize>> {
    let is_upsample = node.op() == "Upsample";
    let input = if is_upsample || node.opset() < 11 { 1 } else { 2 };
    if let Some(Value::Weight(id)) = node.optional(input)? {
        let scales = node.importer.array(id).to_vec::<f32>().map_err(|e| e.at("input scales"))?;
        if !scales.is_empty() {
            return scales.into_iter().map(whole).collect();
        }
    }
    if input == 1 {
        return Err(Error::Data("has no constant input scales, wanted it".to_string()));
    }
    let sizes = node.known(3, "sizes")?.ok_or_else(|| Error::Data("has neither scales nor sizes".to_string()))?;
    let extents = data.shape.dims().unwrap_or_default();
    if sizes.len() != extents.len() {
        return Err(Error::Data(format!("sizes has {} numbers, wanted {}", sizes.len(), extents.len())));
    }
    let factor = |(size, extent): (&i64, &Option<usize>)| {
        let size = usize::try_from(*size).ok();
        match (size, extent) {
            (Some(size), Some(n)) if *n > 0 && size > 0 && size % n == 0 => Ok(size / n),
            _ => {
                let what = format!("sizes are {sizes:?} for data of shape {}", data.shape);
                Err(Error::Data(format!("{what}, wanted whole multiples of known extents")))
            }
        }
    };
    sizes.iter().zip(extents).map(factor).collect()
}

fn whole(scale: f32) -> Result<usize> {
    if scale.fract() == 0.0 && (1.0..=1000.0).contains(&scale) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number from 1 to 1000")]
        return Ok(scale as usize);
    }
    Err(Error::Data(format!("has a scale of {scale}, wanted a whole number from 1 to 1000")))
}
