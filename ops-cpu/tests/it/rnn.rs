//! Recurrent layers against numbers of MXNet 1.9.1, and where there is nothing to compute.

use super::engine;
use super::usage::{Array, How, Use};

/// `sin(f), sin(2 f), …`.
fn wave(shape: &[usize], f: f64) -> Array {
    let len: usize = shape.iter().product();
    Array::f64(shape, (1..=len).map(|i| (f * i as f64).sin()).collect())
}

/// The first number, and `Σ x[i] cos(i / 2)`.
fn digest(array: &Array) -> [f64; 2] {
    let sum = array.values.iter().enumerate().map(|(i, x)| x * (0.5 * i as f64).cos()).sum();
    [array.values[0], sum]
}

/// The mode, the number of parameters, and what MXNet 1.9.1 gives in single precision for two layers in both directions:
/// digests of the outputs, then of the gradients of the inputs.
const MXNET: [(&str, usize, &[[f64; 2]]); 4] = [
    (
        "lstm",
        240,
        &[
            [0.037176, 0.456508],
            [0.042399, 1.417759],
            [0.414004, 3.868793],
            [0.022047, 0.111498],
            [-0.228280, 2.108666],
            [-0.085517, -0.116146],
            [0.037699, 0.754242],
        ],
    ),
    (
        "gru",
        180,
        &[
            [0.192808, -0.305465],
            [0.070696, -0.803517],
            [-3.354934, -2.664517],
            [-0.876818, 11.522240],
            [0.107179, 2.670427],
        ],
    ),
    (
        "rnn_tanh",
        60,
        &[
            [-0.792254, -1.406787],
            [0.215014, -0.050431],
            [-2.425462, -1.967590],
            [-1.543554, 3.138502],
            [-1.370813, 1.803231],
        ],
    ),
    (
        "rnn_relu",
        60,
        &[
            [0.000000, -2.420200],
            [0.486479, 1.736721],
            [-2.360778, -3.022656],
            [-3.663951, 21.127151],
            [-1.115861, 3.106961],
        ],
    ),
];

#[test]
fn outputs_and_gradients_are_those_of_mxnet() {
    for (mode, parameters, wanted) in MXNET {
        let given = [
            ("mode", mode),
            ("state_size", "2"),
            ("num_layers", "2"),
            ("bidirectional", "True"),
            ("state_outputs", "True"),
        ];
        let mut inputs = vec![wave(&[3, 2, 3], 0.7), wave(&[parameters], 1.3), wave(&[4, 2, 2], 0.4)];
        if mode == "lstm" {
            inputs.push(wave(&[4, 2, 2], 0.9));
        }
        let forward = Use::new("RNN", &given, inputs.clone());
        let outputs: Vec<_> = forward.run(&How::on(engine())).unwrap().outputs.into_iter().flatten().collect();
        let (reserve, outputs) = outputs.split_last().unwrap();
        let out_grads = outputs.iter().enumerate().map(|(o, out)| wave(out.desc.shape.dims(), 0.3 + 0.2 * o as f64));
        let all: Vec<_> = out_grads.chain(inputs.iter().cloned()).chain([reserve.clone()]).collect();
        let descs = inputs.iter().map(|i| i.desc.clone()).collect();
        let backward = Use::with_outputs("_backward_RNN", &given, all, descs);
        let grads = backward.run(&How::on(engine())).unwrap().outputs;
        let got: Vec<_> = outputs.iter().chain(grads.iter().flatten()).map(digest).collect();
        assert_eq!(got.len(), wanted.len(), "{mode}");
        for (i, (got, wanted)) in got.iter().flatten().zip(wanted.iter().flatten()).enumerate() {
            assert!((got - wanted).abs() < 1e-5 * (1.0 + wanted.abs()), "{mode} {i}: {got}, of MXNet {wanted}");
        }
    }
}

#[test]
fn nothing_to_read_leaves_the_states_as_they_are() {
    let given = [("mode", "lstm"), ("state_size", "2"), ("num_layers", "1"), ("state_outputs", "1")];
    let (state, cells) = (wave(&[1, 2, 2], 0.4), wave(&[1, 2, 2], 0.9));
    let empty = Array::f64(&[0, 2, 3], Vec::new());
    let usage = Use::new("RNN", &given, vec![empty, wave(&[56], 1.3), state.clone(), cells.clone()]);
    let outputs = usage.run(&How::on(engine())).unwrap().outputs;
    assert_eq!(outputs[1..3], [Some(state), Some(cells)]);
}
