//! Windows of convolutions and poolings, and padding.

use super::import::Op;
use super::node::Use;
use super::value::Tensor;
use varflow_ops::{Error, PartialShape, Result};

/// A window that moves over the axes from the third on.
pub(super) struct Window {
    pub(super) kernel: Vec<usize>,
    pub(super) stride: Vec<usize>,
    pub(super) dilate: Vec<usize>,
    /// Padding before and behind.
    pub(super) begin: Vec<usize>,
    pub(super) end: Vec<usize>,
}

impl Window {
    /// From the attributes. `extents` are those of the data, for padding that depends on them.
    pub(super) fn read(node: &Use<'_, '_>, kernel: Vec<usize>, data: &PartialShape) -> Result<Window> {
        let axes = kernel.len();
        let (stride, dilate) = (sizes(node, "strides", axes, 1)?, sizes(node, "dilations", axes, 1)?);
        if let Some(zero) = kernel.iter().chain(&stride).chain(&dilate).find(|n| **n == 0) {
            return Err(Error::Data(format!("a window has an extent or step of {zero}, wanted at least 1")));
        }
        let mut pads = sizes(node, "pads", 2 * axes, 0)?;
        let end = pads.split_off(axes);
        let mut window = Window { kernel, stride, dilate, begin: pads, end };
        match node.text("auto_pad", "NOTSET")? {
            "NOTSET" | "" => {}
            "VALID" => (window.begin, window.end) = (vec![0; axes], vec![0; axes]),
            "SAME_UPPER" => window.pad_same(data, true)?,
            "SAME_LOWER" => window.pad_same(data, false)?,
            other => return Err(node.refuse("auto_pad", other, "NOTSET, VALID, SAME_UPPER or SAME_LOWER")),
        }
        Ok(window)
    }

    /// Pads so that there is a window for every `stride` elements.
    fn pad_same(&mut self, data: &PartialShape, upper: bool) -> Result<()> {
        for axis in 0..self.kernel.len() {
            let (reach, stride) = (self.reach(axis), self.stride[axis]);
            let total = match data.dim(axis + 2) {
                Some(n) => {
                    let windows = n.div_ceil(stride);
                    (windows.saturating_sub(1).saturating_mul(stride).saturating_add(reach)).saturating_sub(n)
                }
                None if stride == 1 => reach - 1,
                None => {
                    let what = "depends on an extent that the file leaves open: give the inputs' shapes";
                    return Err(Error::Data(format!("attribute auto_pad {what}")));
                }
            };
            let (small, large) = (total / 2, total - total / 2);
            (self.begin[axis], self.end[axis]) = if upper { (small, large) } else { (large, small) };
        }
        Ok(())
    }

    /// Elements from a window's first to behind its last.
    pub(super) fn reach(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1).saturating_mul(self.dilate[axis]).saturating_add(1)
    }

    /// Whether there is as much padding before as behind.
    pub(super) fn is_symmetric(&self) -> bool {
        self.begin == self.end
    }

    /// Moves the padding out of the window, if it is not symmetric: the data, padded with `value`.
    pub(super) fn pad_outside(&mut self, node: &mut Use<'_, '_>, data: Tensor, value: f64) -> Result<Tensor> {
        if self.is_symmetric() {
            return Ok(data);
        }
        let mut pads = vec![(0, 0); 2];
        pads.extend(self.begin.iter().copied().zip(self.end.iter().copied()));
        let padded = pad(node, data, &pads, "constant", value)?;
        let axes = self.kernel.len();
        (self.begin, self.end) = (vec![0; axes], vec![0; axes]);
        Ok(padded)
    }
}

/// A list of sizes, each below 2³¹; `default` for each where there is none.
pub(super) fn sizes(node: &Use<'_, '_>, name: &str, len: usize, default: usize) -> Result<Vec<usize>> {
    let Some(list) = node.ints(name)?.filter(|list| !list.is_empty()) else { return Ok(vec![default; len]) };
    if list.len() != len {
        return Err(node.refuse(name, format!("a list of {}", list.len()), &format!("one of {len}")));
    }
    let size = |n: &i64| i32::try_from(*n).ok().and_then(|n| usize::try_from(n).ok());
    let sizes = list.iter().map(|n| size(n).ok_or_else(|| node.refuse(name, n, "a number from 0 to below 2^31")));
    sizes.collect()
}

/// Pads axes of a tensor. `Pad` knows tensors of four axes or five and pads all but the first two; others are brought into
/// that form and back.
pub(super) fn pad(
    node: &mut Use<'_, '_>,
    data: Tensor,
    pads: &[(usize, usize)],
    mode: &str,
    value: f64,
) -> Result<Tensor> {
    if pads.iter().all(|p| *p == (0, 0)) {
        return Ok(data);
    }
    let rank = pads.len();
    if rank > 5 {
        return Err(Error::Data(format!("pads {rank} axes, wanted at most 5")));
    }
    let mut data = data;
    let lead = 4_usize.saturating_sub(rank);
    for _ in 0..lead {
        data = node.emit_part("lead", Op::new("expand_dims").set("axis", 0), &[data])?;
    }
    let mut all = vec![(0, 0); lead];
    all.extend_from_slice(pads);
    let widths = |pads: &[(usize, usize)]| pads.iter().flat_map(|(b, e)| [*b, *e]).collect::<Vec<_>>();
    let op = |pads: &[(usize, usize)]| {
        Op::new("Pad").set("mode", mode).set("pad_width", widths(pads)).set("constant_value", value)
    };
    if all[2..].iter().any(|p| *p != (0, 0)) {
        let inner: Vec<_> = [(0, 0); 2].into_iter().chain(all[2..].iter().copied()).collect();
        data = node.emit_part("pad", op(&inner), &[data])?;
    }
    if all[..2].iter().any(|p| *p != (0, 0)) {
        // The first two axes change places with the last two.
        let n = all.len();
        let mut order: Vec<usize> = (0..n).collect();
        order.swap(0, n - 2);
        order.swap(1, n - 1);
        let mut outer = vec![(0, 0); n];
        (outer[n - 2], outer[n - 1]) = (all[0], all[1]);
        let turn = || Op::new("transpose").set("axes", order.clone());
        if order.iter().enumerate().any(|(i, a)| order[*a] != i) {
            return Err(Error::Data(format!("pads the first two of {n} axes, wanted 2, 3 or 4 axes")));
        }
        data = node.emit_part("turned", turn(), &[data])?;
        data = node.emit_part("pad", op(&outer), &[data])?;
        data = node.emit_part("pad", turn(), &[data])?;
    }
    if lead > 0 {
        let axes: Vec<usize> = (0..lead).collect();
        data = node.emit_part("pad", Op::new("squeeze").set("axis", axes), &[data])?;
    }
    Ok(data)
}
