use crate::{Sum, Threads, assert_close, assert_close_wide, numbers, wide};
use proptest::prelude::*;
use varflow_cpu::compute::{Conv, Serial};

#[derive(Clone, Debug)]
struct Case {
    samples: usize,
    groups: usize,
    channels: usize,
    filters: usize,
    input: Vec<usize>,
    kernel: Vec<usize>,
    stride: Vec<usize>,
    dilate: Vec<usize>,
    pad: Vec<usize>,
}

impl Case {
    fn conv(&self) -> Conv {
        let (channels, filters) = (self.channels * self.groups, self.filters * self.groups);
        Conv::new(
            self.samples,
            channels,
            &self.input,
            filters,
            &self.kernel,
            &self.stride,
            &self.dilate,
            &self.pad,
            self.groups,
        )
        .unwrap()
    }

    fn output(&self) -> Vec<usize> {
        (0..self.input.len())
            .map(|i| (self.input[i] + 2 * self.pad[i] - self.dilate[i] * (self.kernel[i] - 1) - 1) / self.stride[i] + 1)
            .collect()
    }

    /// Calls `f(x, weight, y)` with the indices of each product.
    fn each_product(&self, mut f: impl FnMut(usize, usize, usize)) {
        let output = self.output();
        let (inputs, taps): (usize, usize) = (self.input.iter().product(), self.kernel.iter().product());
        let positions: usize = output.iter().product();
        for sample in 0..self.samples {
            for filter in 0..self.groups * self.filters {
                let group = filter / self.filters;
                for channel in 0..self.channels {
                    let x_plane = (sample * self.groups + group) * self.channels + channel;
                    for tap in 0..taps {
                        for position in 0..positions {
                            let Some(input) = self.input_of(position, tap, &output) else { continue };
                            f(
                                x_plane * inputs + input,
                                (filter * self.channels + channel) * taps + tap,
                                (sample * self.groups * self.filters + filter) * positions + position,
                            );
                        }
                    }
                }
            }
        }
    }

    fn input_of(&self, mut position: usize, mut tap: usize, output: &[usize]) -> Option<usize> {
        let (mut index, mut scale) = (0, 1);
        for axis in (0..output.len()).rev() {
            let (p, t) = (position % output[axis], tap % self.kernel[axis]);
            (position, tap) = (position / output[axis], tap / self.kernel[axis]);
            let at = (p * self.stride[axis] + t * self.dilate[axis]).checked_sub(self.pad[axis])?;
            if at >= self.input[axis] {
                return None;
            }
            index += at * scale;
            scale *= self.input[axis];
        }
        Some(index)
    }

    fn check(&self) {
        let conv = self.conv();
        let filters = self.groups * self.filters;
        let (x_len, y_len) = (self.samples * conv.input_len(), self.samples * conv.output_len());
        let x = numbers(1, x_len);
        let weight = numbers(2, conv.weight_len());
        let bias = numbers(3, filters);
        let dy = numbers(4, y_len);
        let positions = conv.output_len() / filters;

        let mut y = vec![Sum::default(); y_len];
        let mut dx = vec![Sum::default(); x_len];
        let mut dw = vec![Sum::default(); conv.weight_len()];
        let mut db = vec![Sum::default(); filters];
        self.each_product(|i, w, o| {
            let (x, w64, dy) = (f64::from(x[i]), f64::from(weight[w]), f64::from(dy[o]));
            y[o].add(x * w64);
            dx[i].add(dy * w64);
            dw[w].add(dy * x);
        });
        let mut y_biased = y.clone();
        for (o, y) in y_biased.iter_mut().enumerate() {
            y.add(f64::from(bias[o / positions % filters]));
            db[o / positions % filters].add(f64::from(dy[o]));
        }

        let mut got = vec![f32::NAN; y_len];
        let mut workspace = vec![f32::NAN; conv.forward_workspace_len::<f32>()];
        conv.forward(&Threads, &x, &weight, Some(&bias), &mut got, &mut workspace).unwrap();
        assert_close(&got, &y_biased);
        workspace.fill(f32::NAN);
        got.fill(f32::NAN);
        conv.forward(&Serial, &x, &weight, None, &mut got, &mut workspace).unwrap();
        assert_close(&got, &y);

        let mut got = vec![f32::NAN; x_len];
        let mut workspace = vec![f32::NAN; conv.backward_data_workspace_len::<f32>()];
        conv.backward_data(&Threads, &weight, &dy, &mut got, &mut workspace).unwrap();
        assert_close(&got, &dx);

        let mut got = vec![f32::NAN; conv.weight_len()];
        let mut workspace = vec![f32::NAN; conv.backward_weight_workspace_len::<f32>()];
        conv.backward_weight(&Threads, &x, &dy, &mut got, &mut workspace).unwrap();
        assert_close(&got, &dw);

        let mut got = vec![f32::NAN; filters];
        conv.backward_bias(&Threads, &dy, &mut got).unwrap();
        assert_close(&got, &db);

        let (x, weight, dy) = (wide(&x), wide(&weight), wide(&dy));
        let mut got = vec![f64::NAN; y_len];
        let mut workspace = vec![f64::NAN; conv.forward_workspace_len::<f64>()];
        conv.forward(&Serial, &x, &weight, None, &mut got, &mut workspace).unwrap();
        assert_close_wide(&got, &y);
        let mut got = vec![f64::NAN; x_len];
        let mut workspace = vec![f64::NAN; conv.backward_data_workspace_len::<f64>()];
        conv.backward_data(&Serial, &weight, &dy, &mut got, &mut workspace).unwrap();
        assert_close_wide(&got, &dx);
        let mut got = vec![f64::NAN; conv.weight_len()];
        let mut workspace = vec![f64::NAN; conv.backward_weight_workspace_len::<f64>()];
        conv.backward_weight(&Serial, &x, &dy, &mut got, &mut workspace).unwrap();
        assert_close_wide(&got, &dw);
    }
}

fn axes(rank: usize, longest: usize) -> impl Strategy<Value = Vec<(usize, usize, usize, usize, usize)>> {
    let axis = (1..=3usize, 1..=3usize, 1..=2usize, 0..=2usize).prop_flat_map(move |(k, s, d, p)| {
        let least = (d * (k - 1) + 1).saturating_sub(2 * p).max(1);
        (least..=least + longest, Just(k), Just(s), Just(d), Just(p))
    });
    proptest::collection::vec(axis, rank)
}

fn case(rank: usize, longest: usize) -> impl Strategy<Value = Case> {
    (1..=3usize, 1..=2usize, 1..=4usize, 1..=9usize, axes(rank, longest)).prop_map(
        |(samples, groups, channels, filters, axes)| Case {
            samples,
            groups,
            channels,
            filters,
            input: axes.iter().map(|a| a.0).collect(),
            kernel: axes.iter().map(|a| a.1).collect(),
            stride: axes.iter().map(|a| a.2).collect(),
            dilate: axes.iter().map(|a| a.3).collect(),
            pad: axes.iter().map(|a| a.4).collect(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn planes(case in case(2, 14)) {
        case.check();
    }

    #[test]
    fn lines(case in case(1, 40)) {
        case.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn volumes(case in case(3, 9)) {
        case.check();
    }
}

fn plane_case(samples: usize, channels: usize, side: usize, filters: usize, kernel: usize, pad: usize) -> Case {
    Case {
        samples,
        groups: 1,
        channels,
        filters,
        input: vec![side; 2],
        kernel: vec![kernel; 2],
        stride: vec![1; 2],
        dilate: vec![1; 2],
        pad: vec![pad; 2],
    }
}

#[test]
fn shapes_of_known_networks() {
    plane_case(17, 1, 28, 20, 5, 0).check();
    plane_case(16, 20, 12, 50, 5, 0).check();
    plane_case(2, 16, 14, 24, 3, 1).check();
    plane_case(2, 24, 7, 40, 1, 0).check();
    plane_case(1, 8, 33, 7, 3, 1).check();
    let strided = Case { stride: vec![2; 2], ..plane_case(2, 3, 40, 16, 7, 3) };
    strided.check();
    let depthwise = Case { groups: 12, channels: 1, filters: 1, ..plane_case(5, 1, 19, 1, 3, 1) };
    depthwise.check();
}

/// Planes with more blocks of outputs than the weight's gradient takes in one run.
#[test]
fn large_planes() {
    plane_case(2, 2, 56, 5, 3, 1).check();
    plane_case(1, 3, 59, 3, 1, 0).check();
    plane_case(1, 1, 112, 2, 3, 1).check();
    plane_case(1, 1, 113, 3, 2, 0).check();
    Case { stride: vec![2; 2], ..plane_case(1, 2, 112, 4, 7, 3) }.check();
    plane_case(1, 3, 225, 2, 3, 0).check();
    Case { groups: 3, channels: 1, filters: 1, ..plane_case(2, 1, 75, 1, 3, 1) }.check();
    Case {
        input: vec![5, 23, 30],
        kernel: vec![2, 3, 3],
        stride: vec![1; 3],
        dilate: vec![1; 3],
        pad: vec![1, 0, 1],
        ..plane_case(3, 2, 1, 3, 1, 0)
    }
    .check();
}

/// More channels, and more filters, than are summed in one run, on rows of every length up to some blocks.
#[test]
fn many_channels() {
    for side in [5, 7, 8, 9, 11, 13, 14, 15, 17, 19, 23, 27] {
        plane_case(1, 130, side, 2, 1, 0).check();
        plane_case(1, 33, side, 3, 3, 1).check();
    }
    for side in [7, 11, 13] {
        plane_case(1, 700, side, 1, 1, 0).check();
        plane_case(1, 1, side, 300, 3, 1).check();
        plane_case(2, 150, side, 7, 3, 1).check();
    }
    plane_case(1, 40, 30, 3, 5, 2).check();
    let line = |channels: usize, len: usize| Case {
        input: vec![len],
        kernel: vec![3],
        stride: vec![1],
        dilate: vec![2],
        pad: vec![2],
        ..plane_case(2, channels, 1, 3, 1, 0)
    };
    for len in [9, 30, 61, 250] {
        line(64, len).check();
        line(200, len).check();
    }
}

#[test]
fn misfits_are_refused() {
    let conv = plane_case(1, 2, 8, 3, 3, 1).conv();
    let (x, w, mut y) = (vec![0f32; conv.input_len()], vec![0f32; conv.weight_len()], vec![0f32; conv.output_len()]);
    let error = conv.forward(&Serial, &x, &w[1..], None, &mut y, &mut []).unwrap_err();
    assert_eq!(error.to_string(), "Conv::forward: length of weight is 53, wanted 54");
    assert!(conv.forward(&Serial, &x, &w, None, &mut y, &mut []).is_err());
    assert!(Conv::new(1, 3, &[8, 8], 4, &[3, 3], &[1, 1], &[1, 1], &[0, 0], 2).is_err());
    assert!(Conv::new(1, 3, &[8, 8], 4, &[9, 3], &[1, 1], &[1, 1], &[0, 0], 1).is_err());
    assert!(Conv::new(1, 3, &[8, 8], 4, &[3, 3], &[0, 1], &[1, 1], &[0, 0], 1).is_err());
}

#[test]
fn what_no_memory_could_hold_is_refused() {
    let refusal = |samples, channels, len: usize, kernel: usize, dilate: usize, pad: usize| {
        let made = Conv::new(samples, channels, &[len; 2], 4, &[kernel; 2], &[1; 2], &[dilate; 2], &[pad; 2], 1);
        made.unwrap_err().to_string()
    };
    const INT: usize = i32::MAX as usize;
    const MOST: usize = 18_014_398_509_481_983;
    let told = refusal(1, 4, 6, 3, INT - 2, INT);
    assert_eq!(told, format!("Conv: numbers of a padded sample is {}, wanted {MOST}", usize::MAX));
    for (samples, channels, len, kernel, dilate, pad) in [
        (1, 4, 6, 3, 1, usize::MAX / 2),
        (1, 4, 6, usize::MAX, usize::MAX, usize::MAX),
        (usize::MAX, 4, 6, 3, 1, 1),
        (1, usize::MAX, 6, 3, 1, 1),
        (1, 1, usize::MAX, 1, 1, 0),
        (1, 1 << 20, 1 << 20, 1 << 19, 1, 0),
        (1, 4, 0, 3, 1, 1),
    ] {
        refusal(samples, channels, len, kernel, dilate, pad);
    }
}

#[test]
fn tables_that_32_bits_cannot_count_are_not_made() {
    // Tables would take gigabytes, the matrix of the other way does not.
    let conv = Conv::new(1, 1, &[1 << 16, 1 << 17], 1, &[2; 2], &[1; 2], &[1; 2], &[0; 2], 1).unwrap();
    let lens = [conv.forward_workspace_len::<f32>(), conv.backward_weight_workspace_len::<f32>()];
    assert!(lens.iter().all(|len| *len < 1 << 20), "{lens:?}");
}

#[test]
fn an_empty_batch_has_a_zero_gradient() {
    let conv = plane_case(0, 2, 8, 3, 3, 1).conv();
    let mut dw = vec![f32::NAN; conv.weight_len()];
    let mut workspace = vec![f32::NAN; conv.backward_weight_workspace_len::<f32>()];
    conv.backward_weight(&Serial, &[], &[], &mut dw, &mut workspace).unwrap();
    assert!(dw.iter().all(|&dw| dw == 0.0));
    let mut workspace = vec![f32::NAN; conv.forward_workspace_len::<f32>()];
    conv.forward(&Serial, &[], &vec![0.0; conv.weight_len()], None, &mut [], &mut workspace).unwrap();
}
