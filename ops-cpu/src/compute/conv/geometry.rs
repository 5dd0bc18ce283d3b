//! The shape of a convolution.

use super::weight_gradient;
use crate::compute::mismatch::Mismatch;

/// The most numbers in any one thing that a convolution is made of. The passes keep copies of such things for up to 32 parts of
/// their work, and all of that together must be addressable.
const MOST_NUMBERS: usize = isize::MAX as usize / size_of::<f64>() / 64;

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
    /// Errors: lists of other lengths than `input`; a zero input, kernel, stride, dilation or group count; channels or filters
    /// that are zero or no multiple of `groups`; a dilated kernel longer than the padded input; lengths whose products
    /// do not fit into memory.
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
            if x == 0 || k == 0 || s == 0 || d == 0 {
                return wrong("input, kernel, stride or dilation", 0, 1);
            }
            let reach = d.saturating_mul(k - 1).saturating_add(1);
            let padded = p.saturating_mul(2).saturating_add(x);
            for (argument, len) in [("length of the dilated kernel", reach), ("length of the padded input", padded)] {
                if len > MOST_NUMBERS {
                    return wrong(argument, len, MOST_NUMBERS);
                }
            }
            if padded < reach {
                return wrong("padded input", padded, reach);
            }
            let to = skip + axis;
            (conv.input[to], conv.kernel[to], conv.stride[to]) = (x, k, s);
            (conv.dilate[to], conv.pad[to]) = (d, p);
            conv.output[to] = (padded - reach) / s + 1;
        }
        conv.check_sizes()?;
        conv.flatten_pointwise();
        Ok(conv)
    }

    /// Refuses what is too large, so that no length or count of operations can overflow.
    fn check_sizes(&self) -> Result<(), Mismatch> {
        let at_most = |argument, most: usize, factors: &[&[usize]]| {
            let got = factors.iter().copied().flatten().fold(1, |n: usize, factor| n.saturating_mul(*factor));
            if got <= most { Ok(()) } else { Err(Mismatch { function: "Conv", argument, got, wanted: most }) }
        };
        let samples = self.samples.max(1);
        let (channels, filters) = (&[self.groups, self.channels], &[self.groups, self.filters]);
        at_most("numbers of data", MOST_NUMBERS, &[&[samples], channels, &self.input])?;
        at_most("numbers of a padded sample", MOST_NUMBERS, &[channels, &self.padded_input()])?;
        at_most("numbers of output", MOST_NUMBERS, &[&[samples], filters, &self.output])?;
        at_most("numbers of weight", MOST_NUMBERS, &[filters, &[self.channels], &self.kernel])?;
        at_most("numbers that a filter meets", MOST_NUMBERS, &[&[self.channels], &self.kernel, &self.output])?;
        let work = [&[samples, self.channels], &filters[..], &self.kernel, &self.output];
        at_most("number of multiply-adds", isize::MAX as usize, &work)
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

    /// Whether vectors along the last axis fit the convolution: see [`super`]. Their places are counted in 32 bits.
    pub(super) fn is_direct(&self) -> bool {
        let padded: usize = self.groups * self.channels * self.padded_input().iter().product::<usize>();
        let together = weight_gradient::samples_together(self);
        let is_counted = |sample: usize| u32::try_from(together.saturating_mul(sample)).is_ok();
        self.stride[2] == 1 && self.output[2] >= 5 && is_counted(padded) && is_counted(self.output_len())
    }

    /// Input lengths with the padding on both sides.
    pub(super) fn padded_input(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.input[axis] + 2 * self.pad[axis])
    }
}
