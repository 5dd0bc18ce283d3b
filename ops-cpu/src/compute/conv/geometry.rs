//! The shape of a convolution.

use crate::compute::mismatch::Mismatch;

/// The geometry of a convolution. Spatial lists are `(depth, height, width)`; axes that do not exist have length 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv {
    pub(super) samples: usize,
    pub(super) groups: usize,
    /// Channels of the data in a group.
    pub(super) channels: usize,
    /// Filters in a group.
    pub(super) filters: usize,
    pub(super) input: [usize; 3],
    pub(super) kernel: [usize; 3],
    pub(super) stride: [usize; 3],
    pub(super) dilate: [usize; 3],
    pub(super) pad: [usize; 3],
    pub(super) output: [usize; 3],
}

impl Conv {
    /// `channels` and `filters` are totals over all `groups`; the lists name one to three spatial axes.
    ///
    /// Errors: lists of other lengths than `input`; a zero kernel, stride, dilation or group count; channels or filters
    /// that are zero or no multiple of `groups`; a dilated kernel longer than the padded input.
    #[expect(clippy::too_many_arguments, reason = "they are the parameters of the operator")]
    pub fn new(
        samples: usize,
        channels: usize,
        input: &[usize],
        filters: usize,
        kernel: &[usize],
        stride: &[usize],
        dilate: &[usize],
        pad: &[usize],
        groups: usize,
    ) -> Result<Conv, Mismatch> {
        let wrong = |argument, got, wanted| Err(Mismatch { function: "Conv", argument, got, wanted });
        if !(1..=3).contains(&input.len()) {
            return wrong("number of spatial axes", input.len(), 3);
        }
        Mismatch::check("Conv", "number of kernel lengths", kernel.len(), input.len())?;
        Mismatch::check("Conv", "number of strides", stride.len(), input.len())?;
        Mismatch::check("Conv", "number of dilations", dilate.len(), input.len())?;
        Mismatch::check("Conv", "number of paddings", pad.len(), input.len())?;
        if groups == 0 {
            return wrong("number of groups", groups, 1);
        }
        for (argument, count) in [("number of channels", channels), ("number of filters", filters)] {
            if count == 0 || count % groups != 0 {
                return wrong(argument, count, count.div_ceil(groups).max(1) * groups);
            }
        }
        let mut conv = Conv {
            samples,
            groups,
            channels: channels / groups,
            filters: filters / groups,
            input: [1; 3],
            kernel: [1; 3],
            stride: [1; 3],
            dilate: [1; 3],
            pad: [0; 3],
            output: [1; 3],
        };
        let skip = 3 - input.len();
        for axis in 0..input.len() {
            let (x, k, s, d, p) = (input[axis], kernel[axis], stride[axis], dilate[axis], pad[axis]);
            if k == 0 || s == 0 || d == 0 {
                return wrong("kernel, stride or dilation", 0, 1);
            }
            let reach = d * (k - 1) + 1;
            if x + 2 * p < reach {
                return wrong("padded input", x + 2 * p, reach);
            }
            let to = skip + axis;
            (conv.input[to], conv.kernel[to], conv.stride[to]) = (x, k, s);
            (conv.dilate[to], conv.pad[to]) = (d, p);
            conv.output[to] = (x + 2 * p - reach) / s + 1;
        }
        conv.flatten_pointwise();
        Ok(conv)
    }

    /// Where every kernel length is 1 and nothing is skipped or padded, a plane is one long row.
    fn flatten_pointwise(&mut self) {
        if self.kernel == [1; 3] && self.stride == [1; 3] && self.pad == [0; 3] {
            self.input = [1, 1, self.input.iter().product()];
            self.dilate = [1; 3];
            self.output = self.input;
        }
    }

    /// Samples in the batch.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Filters of all groups: channels of the output.
    pub fn filters(&self) -> usize {
        self.groups * self.filters
    }

    /// Whether the output may be written over the data, and the gradient of the data over that of the output: samples
    /// have the same place in both, and padding makes copies of them anyway.
    pub fn can_be_in_place(&self) -> bool {
        self.is_padded() && self.input_len() == self.output_len()
    }

    /// Output positions `(depth, height, width)`; a pointwise convolution sees its plane as one row.
    pub fn output(&self) -> [usize; 3] {
        self.output
    }

    /// Numbers of data in a sample.
    pub fn input_len(&self) -> usize {
        self.groups * self.channels * self.input.iter().product::<usize>()
    }

    /// Numbers of output in a sample.
    pub fn output_len(&self) -> usize {
        self.filters() * self.positions()
    }

    /// Numbers in the weight.
    pub fn weight_len(&self) -> usize {
        self.filters() * self.depth()
    }

    /// Outputs of one filter in one sample.
    pub(super) fn positions(&self) -> usize {
        self.output.iter().product()
    }

    /// Weights of one channel of one filter.
    pub(super) fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Weights of one filter: the length of the sum behind one output.
    pub(super) fn depth(&self) -> usize {
        self.channels * self.taps()
    }

    /// Multiply-adds of one sample.
    pub(super) fn work(&self) -> usize {
        self.weight_len() * self.positions()
    }

    pub(super) fn is_padded(&self) -> bool {
        self.pad != [0; 3]
    }

    /// Whether vectors along the last axis fit the convolution: see [`super`].
    pub(super) fn is_direct(&self) -> bool {
        self.stride[2] == 1 && self.output[2] >= 5
    }

    /// Input lengths with the padding on both sides.
    pub(super) fn padded_input(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.input[axis] + 2 * self.pad[axis])
    }
}
