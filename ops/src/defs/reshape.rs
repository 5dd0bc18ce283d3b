//! `Reshape`: the same elements under another shape.

use super::dims::product;
use super::elementwise::NO_PARAMS;
use crate::{Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes, TensorDesc};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .tuple(
            "shape",
            Some(&[]),
            "The shape. 0: as in data; -1: what is left; -2: all further axes of data; -3: the product of the next two axes of \
             data; -4: cut the next axis of data into the two numbers that follow, of which one may be -1.",
        )
        .bool("reverse", Some(false), "Match shape and data from the last axis.")
        .tuple("target_shape", Some(&[]), "An older form of shape: 0 is what is left.")
        .bool("keep_highest", Some(false), "With target_shape: the first axis is as in data.")
});

/// The elements of data in the same order, under another shape.
pub(super) struct Reshape;

impl Operator for Reshape {
    fn name(&self) -> &str {
        "Reshape"
    }

    fn aliases(&self) -> &[&str] {
        &["reshape"]
    }

    fn doc(&self) -> &str {
        "The elements of data in the same order, under another shape of as many elements."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        let (shape, target) = (params.tuple("shape"), params.tuple("target_shape"));
        if shape.is_empty() && target.is_empty() {
            return Err(Error::Param("parameter \"shape\" is (), wanted a shape".to_string()));
        }
        if target.iter().any(|d| *d < 0) || target.iter().filter(|d| **d == 0).count() > 1 {
            let target = params.value("target_shape");
            return Err(Error::Param(format!(
                "parameter \"target_shape\" is {target}, wanted sizes, of which one may be 0"
            )));
        }
        check_codes(params)
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let why = format!("from data {} and parameter shape", s.input(0));
        let out = reshaped(params, s.input(0))?;
        s.set_output(0, out, &why)?;
        leave_first(params, s)?;
        fill_one(s)
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }

    fn view(&self, _: &Params, _: &TensorDesc, _: &TensorDesc) -> Option<usize> {
        Some(0)
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        gradient(grad)
    }
}

/// The gradient of an operator that moves no element.
pub(super) fn gradient(grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
    let inputs = [grad.out_grad(0)?];
    let name = format!("{}_backward", grad.node);
    Ok(vec![Some(grad.graph.add("_backward_reshape", &name, crate::Attrs::new(), &inputs)?)])
}

fn wrong(params: &Params, what: &str) -> Error {
    Error::Param(format!("parameter \"shape\" is {}, {what}", params.value("shape")))
}

fn check_codes(params: &Params) -> Result<()> {
    let codes = params.tuple("shape");
    let mut rest = codes;
    let mut unknown = 0;
    while let [code, tail @ ..] = rest {
        rest = tail;
        match code {
            0.. | -2 | -3 => {}
            -1 => unknown += 1,
            -4 => match tail {
                [-1, -1, ..] => return Err(wrong(params, "wanted no more than one -1 after -4")),
                [a, b, tail @ ..] if [a, b].iter().all(|d| **d == -1 || **d > 0) => rest = tail,
                _ => return Err(wrong(params, "wanted two numbers after -4")),
            },
            _ => return Err(wrong(params, "wanted no number below -4")),
        }
    }
    if unknown > 1 {
        return Err(wrong(params, "wanted no more than one -1"));
    }
    Ok(())
}

/// The output's shape as far as data determines it.
fn reshaped(params: &Params, data: &PartialShape) -> Result<PartialShape> {
    let codes = params.tuple("shape");
    if codes.is_empty() {
        return Ok(reshaped_by_target(params, data));
    }
    let Some(dims) = data.dims() else {
        // Without data's rank only plain numbers say anything.
        let plain = codes.iter().all(|c| *c >= -1);
        let known = codes.iter().map(|c| usize::try_from(*c).ok().filter(|c| *c > 0));
        return Ok(if plain { PartialShape::new(known) } else { PartialShape::unknown() });
    };
    let (mut dims, mut codes) = (dims.to_vec(), codes.to_vec());
    let reverse = params.bool("reverse");
    if reverse {
        dims.reverse();
        reverse_codes(&mut codes);
    }
    let (mut out, unknown) = decode(params, &codes, &dims)?;
    if let Some(axis) = unknown {
        out[axis] = left_over(&dims, &out, axis);
    }
    if reverse {
        out.reverse();
    }
    Ok(PartialShape::new(out))
}

/// Turns the codes round, but for a -4, which stays before its two numbers.
fn reverse_codes(codes: &mut Vec<i64>) {
    let mut groups: Vec<Vec<i64>> = Vec::new();
    let mut rest = codes.as_slice();
    while let [code, tail @ ..] = rest {
        match (code, tail) {
            (-4, [a, b, tail @ ..]) => {
                groups.push(vec![-4, *b, *a]);
                rest = tail;
            }
            _ => {
                groups.push(vec![*code]);
                rest = tail;
            }
        }
    }
    *codes = groups.into_iter().rev().flatten().collect();
}

type Dims = Vec<Option<usize>>;

/// Applies the codes to data's axes; also the axis that a -1 stands for.
fn decode(params: &Params, codes: &[i64], dims: &[Option<usize>]) -> Result<(Dims, Option<usize>)> {
    let short = || wrong(params, &format!("which names more axes than the {} of data", dims.len()));
    let mut out: Dims = Vec::new();
    let (mut next, mut unknown, mut rest) = (0, None, codes);
    while let [code, tail @ ..] = rest {
        rest = tail;
        match (code, tail) {
            (-1, _) => {
                unknown = Some(out.len());
                out.push(None);
                next += 1;
            }
            (-2, _) => {
                out.extend(dims.iter().skip(next));
                next = dims.len();
            }
            (-3, _) => {
                let (a, b) = (dims.get(next).ok_or_else(short)?, dims.get(next + 1).ok_or_else(short)?);
                out.push(a.zip(*b).and_then(|(a, b)| a.checked_mul(b)));
                next += 2;
            }
            (-4, [a, b, tail @ ..]) => {
                out.extend(split(params, *dims.get(next).ok_or_else(short)?, *a, *b)?);
                rest = tail;
                next += 1;
            }
            (0, _) => {
                out.push(*dims.get(next).ok_or_else(short)?);
                next += 1;
            }
            (d, _) => {
                out.push(usize::try_from(*d).ok());
                next += 1;
            }
        }
    }
    Ok((out, unknown))
}

fn split(params: &Params, whole: Option<usize>, a: i64, b: i64) -> Result<[Option<usize>; 2]> {
    let (a, b) = (usize::try_from(a).ok(), usize::try_from(b).ok());
    let Some(whole) = whole else { return Ok([a, b]) };
    let other = |d: Option<usize>| d.filter(|d| whole.is_multiple_of(*d)).map(|d| whole / d);
    let (a, b) = (a.or_else(|| other(b)), b.or_else(|| other(a)));
    match (a, b) {
        (Some(x), Some(y)) if x.checked_mul(y) == Some(whole) => Ok([a, b]),
        _ => Err(wrong(params, &format!("which cuts an axis of {whole} where it does not divide"))),
    }
}

/// What one axis must be for `out` to have as many elements as `dims`.
fn left_over(dims: &[Option<usize>], out: &[Option<usize>], axis: usize) -> Option<usize> {
    let all = product(dims.iter().copied())?;
    let others = product(out.iter().enumerate().filter(|(a, _)| *a != axis).map(|(_, d)| *d))?;
    (others > 0 && all.is_multiple_of(others)).then(|| all / others)
}

fn reshaped_by_target(params: &Params, data: &PartialShape) -> PartialShape {
    let target = params.tuple("target_shape");
    let mut out: Dims = target.iter().map(|d| usize::try_from(*d).ok().filter(|d| *d > 0)).collect();
    if let Some(first) = out.first_mut().filter(|_| params.bool("keep_highest")) {
        *first = data.dim(0);
    }
    PartialShape::new(out)
}

/// Tells data of the first axes, if they are as in data.
fn leave_first(params: &Params, s: &mut Shapes) -> Result<()> {
    let Some(rank) = s.input(0).rank().filter(|_| !params.bool("reverse")) else { return Ok(()) };
    let n = params.tuple("shape").iter().take_while(|code| **code == 0).count();
    let dims: Dims = (0..rank).map(|a| s.output(0).dim(a).filter(|_| a < n)).collect();
    s.set_input(0, PartialShape::new(dims), &format!("from output {}", s.output(0)))
}

/// Checks that data and output have as many elements, and finds the one length of the two that is not known.
fn fill_one(s: &mut Shapes) -> Result<()> {
    let (data, out) = (s.input(0).clone(), s.output(0).clone());
    let (Some(from), Some(to)) = (data.dims(), out.dims()) else { return Ok(()) };
    let unknown = |dims: &[Option<usize>]| dims.iter().filter(|d| d.is_none()).count();
    let refuse = || Error::Shape(format!("data has shape {data}, wanted as many elements as in output {out}"));
    match (unknown(from), unknown(to)) {
        (0, 0) if product(from.iter().copied()) != product(to.iter().copied()) => Err(refuse()),
        (0, 1) => s.set_output(0, filled(to, from).ok_or_else(refuse)?, &format!("from data {data}")),
        (1, 0) => s.set_input(0, filled(from, to).ok_or_else(refuse)?, &format!("from output {out}")),
        _ => Ok(()),
    }
}

/// `dims` with the length that is not known such that there are as many elements as in `of`.
fn filled(dims: &[Option<usize>], of: &[Option<usize>]) -> Option<PartialShape> {
    let axis = dims.iter().position(Option::is_none)?;
    let found = left_over(of, dims, axis)?;
    Some(PartialShape::new(dims.iter().map(|d| d.or(Some(found)))))
}

/// Gradient of [`Reshape`] and `Flatten`: the shape follows from what it is the gradient of.
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_reshape"
    }

    fn doc(&self) -> &str {
        "d_data = the elements of out_grad under the shape of data."
    }

    fn schema(&self) -> &Schema {
        &NO_PARAMS
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        vec!["out_grad".to_string()]
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        match (s.known(0), s.output(0).known()) {
            (Some(from), Some(to)) if from.checked_len() != to.checked_len() => {
                Err(Error::Shape(format!("out_grad has shape {from}, wanted as many elements as d_data {to}")))
            }
            _ => Ok(()),
        }
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }

    fn view(&self, _: &Params, _: &TensorDesc, _: &TensorDesc) -> Option<usize> {
        Some(0)
    }
}
