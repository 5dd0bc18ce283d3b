//! The layers and the update rules against naive loops over their definitions.

use super::examples::array;
use super::usage::{Array, How, Use};
use super::{engine, gradient, workers};
use proptest::prelude::*;
use varflow_ops::Run;
use varflow_ops::examples::Values;

/// A result of an oracle and the magnitude of the terms behind it.
#[derive(Clone, Copy, Default)]
struct Sum {
    value: f64,
    magnitude: f64,
}

impl Sum {
    fn add(&mut self, term: f64) {
        self.value += term;
        self.magnitude += term.abs();
    }
}

#[track_caller]
fn assert_near(got: &Array, wanted: &[Sum]) {
    assert_eq!(got.values.len(), wanted.len());
    for (i, (got, wanted)) in got.values.iter().zip(wanted).enumerate() {
        let bound = 1e-12 * wanted.magnitude + 1e-300;
        assert!((got - wanted.value).abs() <= bound, "[{i}]: got {got}, wanted {}", wanted.value);
    }
}

fn output(usage: &Use) -> Array {
    usage.run(&How::on(engine())).unwrap().output()
}

fn tuple(numbers: &[usize]) -> String {
    format!("({})", numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

fn cases(n: u32) -> ProptestConfig {
    ProptestConfig::with_cases(n)
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn fully_connected(
        batch in prop::collection::vec(1..5_usize, 1..3),
        (inner, hidden) in (1..40_usize, 1..20_usize),
        (flatten, no_bias, seed) in any::<(bool, bool, u8)>(),
    ) {
        // data (batch…, inner); flattened, all of it but the first axis is summed over.
        let shape = [&batch[..], &[inner]].concat();
        let k: usize = if flatten { shape[1..].iter().product() } else { inner };
        let mut inputs = vec![array(Values::Apart, &shape, seed), array(Values::Apart, &[hidden, k], seed ^ 1)];
        let bias = array(Values::Apart, &[hidden], seed ^ 2);
        inputs.extend(Some(bias.clone()).filter(|_| !no_bias));
        let rows = inputs[0].values.chunks(k);
        let wanted: Vec<Sum> = rows.flat_map(|row| {
            inputs[1].values.chunks(k).zip(&bias.values).map(|(weight, bias)| {
                let mut sum = Sum::default();
                row.iter().zip(weight).for_each(|(x, w)| sum.add(x * w));
                sum.add(if no_bias { 0.0 } else { *bias });
                sum
            }).collect::<Vec<_>>()
        }).collect();
        let given = [("num_hidden", &*hidden.to_string()), ("flatten", &flatten.to_string()), ("no_bias", &no_bias.to_string())];
        assert_near(&output(&Use::new("FullyConnected", &given, inputs)), &wanted);
    }
}

/// A window of one to three axes over data that holds at least one.
#[derive(Clone, Debug)]
struct Windows {
    lens: Vec<usize>,
    kernel: Vec<usize>,
    stride: Vec<usize>,
    dilate: Vec<usize>,
    pad: Vec<usize>,
}

fn windows(dilated: bool) -> impl Strategy<Value = Windows> {
    (1..4_usize).prop_flat_map(move |rank| {
        let longest = [14_usize, 9, 6][rank - 1];
        let axis = (1..=longest, 1..4_usize, 1..4_usize, 1..3_usize, 0..3_usize);
        prop::collection::vec(axis, rank).prop_map(move |axes| {
            let mut w = Windows { lens: vec![], kernel: vec![], stride: vec![], dilate: vec![], pad: vec![] };
            for (len, kernel, stride, dilate, pad) in axes {
                let dilate = if dilated { dilate } else { 1 };
                let pad = pad.min(kernel - 1);
                w.lens.push(usize::max(len, (kernel - 1) * dilate + 1));
                w.kernel.push(kernel);
                w.stride.push(stride);
                w.dilate.push(dilate);
                w.pad.push(pad);
            }
            w
        })
    })
}

/// All indices into these lengths, in row-major order.
fn indices(lens: &[usize]) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for len in lens {
        all = all.iter().flat_map(|head| (0..*len).map(|i| [&head[..], &[i]].concat()).collect::<Vec<_>>()).collect();
    }
    all
}

fn flat(index: &[usize], lens: &[usize]) -> usize {
    index.iter().zip(lens).fold(0, |at, (i, len)| at * len + i)
}

impl Windows {
    /// The place in a plane of tap `k` of window `i`, if it is not in the padding.
    fn place(&self, i: &[usize], k: &[usize]) -> Option<usize> {
        let at = |a: usize| (i[a] * self.stride[a] + k[a] * self.dilate[a]).checked_sub(self.pad[a]);
        let index: Vec<_> = (0..i.len()).map(|a| at(a).filter(|x| *x < self.lens[a])).collect::<Option<_>>()?;
        Some(flat(&index, &self.lens))
    }

    fn attrs(&self) -> Vec<(&'static str, String)> {
        vec![("kernel", tuple(&self.kernel)), ("stride", tuple(&self.stride)), ("pad", tuple(&self.pad))]
    }
}

fn as_given<'a>(attrs: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    attrs.iter().map(|(k, v)| (*k, v.as_str())).collect()
}

/// Samples, channels in a group, filters in a group, groups.
fn convolution(w: &Windows, sizes: [usize; 4], no_bias: bool, seed: u8) -> Use {
    let [samples, channels, filters, groups] = sizes;
    let data = [&[samples, channels * groups], &w.lens[..]].concat();
    let weight = [&[filters * groups, channels], &w.kernel[..]].concat();
    let mut inputs = vec![array(Values::Apart, &data, seed), array(Values::Apart, &weight, seed ^ 1)];
    inputs.extend((!no_bias).then(|| array(Values::Apart, &[filters * groups], seed ^ 2)));
    let mut attrs = w.attrs();
    attrs.extend([
        ("dilate", tuple(&w.dilate)),
        ("num_filter", (filters * groups).to_string()),
        ("num_group", groups.to_string()),
        ("no_bias", no_bias.to_string()),
    ]);
    Use::new("Convolution", &as_given(&attrs), inputs)
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn convolutions(
        w in windows(true),
        sizes in [1..3_usize, 1..4_usize, 1..8_usize, 1..3_usize],
        no_bias in any::<bool>(),
        seed in any::<u8>(),
    ) {
        let usage = convolution(&w, sizes, no_bias, seed);
        let [samples, channels, filters, groups] = sizes;
        let counts = &usage.outputs[0].shape.dims()[2..];
        let (plane, taps): (usize, usize) = (w.lens.iter().product(), w.kernel.iter().product());
        let (data, weight) = (&usage.inputs[0].values, &usage.inputs[1].values);
        let mut wanted = Vec::new();
        for (n, f) in (0..samples).flat_map(|n| (0..filters * groups).map(move |f| (n, f))) {
            for i in indices(counts) {
                let mut sum = Sum::default();
                sum.add(usage.inputs.get(2).map_or(0.0, |bias| bias.values[f]));
                for c in 0..channels {
                    for (tap, k) in indices(&w.kernel).iter().enumerate() {
                        let channel = f / filters * channels + c;
                        let Some(at) = w.place(&i, k) else { continue };
                        let x = data[(n * channels * groups + channel) * plane + at];
                        sum.add(x * weight[(f * channels + c) * taps + tap]);
                    }
                }
                wanted.push(sum);
            }
        }
        assert_near(&output(&usage), &wanted);
    }

    #[test]
    fn pooling(
        w in windows(false),
        (convention, pool_type) in (0..2_usize, 0..3_usize),
        count_pad in any::<Option<bool>>(),
        seed in any::<u8>(),
    ) {
        let (convention, pool_type) = (["valid", "full"][convention], ["max", "avg", "sum"][pool_type]);
        let mut attrs = w.attrs();
        attrs.extend([("pooling_convention", convention.to_string()), ("pool_type", pool_type.to_string())]);
        attrs.extend(count_pad.map(|count| ("count_include_pad", count.to_string())));
        let data = array(Values::Apart, &[&[2, 2], &w.lens[..]].concat(), seed);
        let usage = Use::new("Pooling", &as_given(&attrs), vec![data.clone()]);
        let plane: usize = w.lens.iter().product();
        let mut wanted = Vec::new();
        for x in data.values.chunks(plane) {
            for i in indices(&usage.outputs[0].shape.dims()[2..]) {
                let taps = indices(&w.kernel);
                let inside: Vec<_> = taps.iter().filter_map(|k| w.place(&i, k)).map(|at| x[at]).collect();
                // Padding counts up to the end of the padded data.
                let end = |a: usize| w.lens[a] + 2 * w.pad[a];
                let in_padded = |k: &&Vec<usize>| (0..k.len()).all(|a| i[a] * w.stride[a] + k[a] < end(a));
                let padded = taps.iter().filter(in_padded).count();
                let divisor = if count_pad == Some(false) { inside.len() } else { padded };
                let mut sum = Sum::default();
                match pool_type {
                    "max" if inside.is_empty() => {}
                    "max" => sum.add(inside.iter().copied().fold(f64::MIN, f64::max)),
                    "avg" => inside.iter().for_each(|x| sum.add(x / divisor as f64)),
                    _ => inside.iter().for_each(|x| sum.add(*x)),
                }
                wanted.push(sum);
            }
        }
        assert_near(&output(&usage), &wanted);
    }

    #[test]
    fn pooling_with_the_same_number_of_windows(
        (len, kernel, stride) in (1..20_usize, 1..5_usize, 1..5_usize),
        pool_type in 0..3_usize,
        seed in any::<u8>(),
    ) {
        let (len, pool_type) = (len.max(kernel), ["max", "avg", "sum"][pool_type]);
        let data = array(Values::Apart, &[2, 2, len], seed);
        let (kernel_text, stride_text) = (tuple(&[kernel]), tuple(&[stride]));
        let given = [("kernel", &*kernel_text), ("stride", &stride_text), ("pooling_convention", "same"), ("pool_type", pool_type)];
        let usage = Use::new("Pooling", &given, vec![data.clone()]);
        let mut wanted = Vec::new();
        for row in data.values.chunks(len) {
            for start in (0..len).step_by(stride) {
                let window = &row[start..len.min(start + kernel)];
                let mut sum = Sum::default();
                match pool_type {
                    "max" => sum.add(window.iter().copied().fold(f64::MIN, f64::max)),
                    "avg" => window.iter().for_each(|x| sum.add(x / window.len() as f64)),
                    _ => window.iter().for_each(|x| sum.add(*x)),
                }
                wanted.push(sum);
            }
        }
        assert_near(&output(&usage), &wanted);
        gradient::check(&usage);
    }
}

proptest! {
    #![proptest_config(cases(10))]

    #[test]
    fn convolution_gradients(
        w in windows(true),
        sizes in [1..3_usize, 1..3_usize, 1..3_usize, 1..3_usize],
        no_bias in any::<bool>(),
        seed in any::<u8>(),
    ) {
        gradient::check(&convolution(&w, sizes, no_bias, seed));
    }

    #[test]
    fn pooling_gradients(w in windows(false), pool_type in 0..3_usize, full in any::<bool>(), seed in any::<u8>()) {
        let mut attrs = w.attrs();
        attrs.push(("pool_type", ["max", "avg", "sum"][pool_type].to_string()));
        attrs.push(("pooling_convention", if full { "full" } else { "valid" }.to_string()));
        let data = array(Values::Apart, &[&[2, 1], &w.lens[..]].concat(), seed);
        gradient::check(&Use::new("Pooling", &as_given(&attrs), vec![data]));
    }
}

/// Of equal largest elements the first takes the gradient.
#[test]
fn the_first_maximum_takes_the_gradient() {
    let data = Array::f64(&[1, 1, 2, 4], vec![5.0, 5.0, 1.0, 2.0, 5.0, 5.0, 2.0, 2.0]);
    let usage = Use::new("Pooling", &[("kernel", "(2, 2)"), ("stride", "(2, 2)")], vec![data]);
    let out_grad = Array::f64(&[1, 1, 1, 2], vec![3.0, 4.0]);
    let grads = super::graph::backward(&usage, Some(out_grad)).unwrap().grads;
    assert_eq!(grads[0].as_ref().unwrap().values, [3.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn activations() {
    let functions: [(&str, fn(f64) -> f64); 5] = [
        ("relu", |x| x.max(0.0)),
        ("sigmoid", |x| 1.0 / (1.0 + (-x).exp())),
        ("tanh", f64::tanh),
        ("softrelu", |x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
        ("softsign", |x| x / (1.0 + x.abs())),
    ];
    let data = array(Values::Apart, &[3, 5, 7], 1);
    for (name, f) in functions {
        let got = output(&Use::new("Activation", &[("act_type", name)], vec![data.clone()]));
        for (x, y) in data.values.iter().zip(&got.values) {
            assert!((y - f(*x)).abs() <= 1e-14 * (1.0 + x.abs()), "{name}({x}) is {y}");
        }
    }
}

proptest! {
    #![proptest_config(cases(30))]

    #[test]
    fn sums_of_many(len in 1..200_usize, n in 1..6_usize, seed in any::<u8>()) {
        let inputs: Vec<_> = (0..n).map(|i| array(Values::Apart, &[len], seed.wrapping_add(i as u8))).collect();
        let got = output(&Use::new("add_n", &[("num_args", &n.to_string())], inputs.clone()));
        // Added in order: the very same bits.
        let wanted: Vec<f64> =
            (0..len).map(|i| inputs[1..].iter().fold(inputs[0].values[i], |sum, a| sum + a.values[i])).collect();
        prop_assert_eq!(got.values, wanted);
    }

    #[test]
    fn updates(
        len in 1..50_usize,
        (lr, wd, rescale) in (0.0..1.0_f64, 0.0..0.5_f64, -2.0..2.0_f64),
        clip in prop_oneof![Just(-1.0), 0.1..2.0_f64],
        momentum in prop::option::of(0.0..1.0_f64),
        seed in any::<u8>(),
    ) {
        let inputs: Vec<_> = (0..3).map(|i| array(Values::Apart, &[len], seed.wrapping_add(i))).collect();
        let (weight, grad, mom) = (&inputs[0].values, &inputs[1].values, &inputs[2].values);
        let texts = [("lr", lr), ("wd", wd), ("rescale_grad", rescale), ("clip_gradient", clip)];
        let mut attrs: Vec<_> = texts.map(|(k, v)| (k, v.to_string())).to_vec();
        attrs.extend(momentum.map(|m| ("momentum", m.to_string())));
        let op = if momentum.is_some() { "sgd_mom_update" } else { "sgd_update" };
        let usage = Use::new(op, &as_given(&attrs), inputs[..if momentum.is_some() { 3 } else { 2 }].to_vec());
        let changed = usage.run(&How::on(engine())).unwrap().mutated;
        for i in 0..len {
            let mut g = rescale * grad[i];
            g = if clip > 0.0 { g.clamp(-clip, clip) } else { g } + wd * weight[i];
            let step = momentum.map_or(0.0, |m| m * mom[i]) - lr * g;
            prop_assert!((changed[0].values[i] - weight[i] - step).abs() <= 1e-14 * (1.0 + step.abs() + weight[i].abs()));
            if momentum.is_some() {
                prop_assert!((changed[1].values[i] - step).abs() <= 1e-14 * (1.0 + step.abs()));
            }
        }
    }
}

#[test]
fn reshaping_moves_nothing() {
    let data = array(Values::Apart, &[2, 3, 4], 1);
    for (op, given, shape) in [
        ("Flatten", &[][..], &[2, 12][..]),
        ("Reshape", &[("shape", "(4, -1)")], &[4, 6]),
        ("_copy", &[], &[2, 3, 4]),
        ("BlockGrad", &[], &[2, 3, 4]),
    ] {
        let got = output(&Use::new(op, given, vec![data.clone()]));
        assert_eq!(got, Array::f64(shape, data.values.clone()));
    }
}

fn dropout(given: &[(&str, &str)], shape: &[usize]) -> Use {
    Use::new("Dropout", given, vec![array(Values::Apart, shape, 5)])
}

proptest! {
    #![proptest_config(cases(20))]

    #[test]
    fn dropout_multiplies_by_its_mask(
        shape in prop::collection::vec(1..6_usize, 1..4),
        shared in any::<[bool; 4]>(),
        p in 0.0..0.95_f64,
        seed in any::<u64>(),
    ) {
        let axes: Vec<_> = (0..shape.len()).filter(|a| shared[*a]).collect();
        let (p_text, axes_text) = (p.to_string(), tuple(&axes));
        let usage = dropout(&[("p", &p_text), ("axes", &axes_text)], &shape);
        let run = Run { seed, ..Run::default() };
        let outputs = usage.run(&How { run, ..How::on(engine()) }).unwrap().outputs;
        let (out, mask) = (outputs[0].as_ref().unwrap(), outputs[1].as_ref().unwrap());
        let mask_shape = mask.desc.shape.dims();
        for (index, (x, y)) in indices(&shape).iter().zip(usage.inputs[0].values.iter().zip(&out.values)) {
            let in_mask: Vec<_> = index.iter().zip(mask_shape).map(|(i, len)| i % len).collect();
            let keep = mask.values[flat(&in_mask, mask_shape)];
            prop_assert!(keep == 0.0 || keep == 1.0);
            prop_assert!((y - x * keep / (1.0 - p)).abs() <= 1e-13 * x.abs() / (1.0 - p));
        }
    }
}

#[test]
fn dropout_drops_its_share() {
    let mask = |p: &str, step: u64| {
        let run = Run { seed: 1, step, priority: 0 };
        let usage = dropout(&[("p", p)], &[100, 400]);
        usage.run(&How { run, ..How::on(engine()) }).unwrap().outputs[1].clone().unwrap().values
    };
    for p in [0.1, 0.5, 0.8] {
        let kept = mask(&p.to_string(), 1).iter().sum::<f64>() / 40_000.0;
        // Five standard deviations.
        assert!((kept - (1.0 - p)).abs() < 5.0 * (p * (1.0 - p) / 40_000.0_f64).sqrt(), "p {p} keeps {kept}");
    }
    assert_eq!(mask("0", 1), vec![1.0; 40_000]);
    assert_ne!(mask("0.5", 1), mask("0.5", 2));
    assert_eq!(mask("0.5", 2), mask("0.5", 2));
}

#[test]
fn dropout_passes_outside_of_training() {
    let engine = workers(0);
    let how = How { is_train: false, unwanted: &[1], ..How::on(&engine) };
    let usage = dropout(&[], &[3, 4]);
    assert_eq!(usage.run(&how).unwrap().output(), usage.inputs[0]);
    let always = dropout(&[("mode", "always")], &[30, 40]);
    let out = always.run(&how).unwrap().output();
    assert!(out.values.iter().zip(&always.inputs[0].values).all(|(y, x)| *y == 0.0 || *y == x * 2.0));
    assert!(out.values.contains(&0.0) && out.values.iter().any(|y| *y != 0.0));
}
