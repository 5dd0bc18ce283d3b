//! Checkpoints go to MXNet 1.9.1 and come back, and give the same outputs in both.
//!
//! Needs MXNet, `mxnet/bin/python` in the folder of the peers (VARFLOW_PEERS, or peers/ in the cache folder; `varflow-bench
//! peers` says how to install it); without it the test says so and passes.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;
use support::{Folder, ok};
use varflow::io::{Array, read_npy, write_npy};
use varflow::prelude::*;

/// Loads a checkpoint, runs it, and saves it again as MXNet does.
const SCRIPT: &str = r"
import sys
import mxnet as mx
import numpy as np

prefix, epoch, data, output, again = sys.argv[1:6]
symbol, args, auxes = mx.model.load_checkpoint(prefix, int(epoch))
data = mx.nd.array(np.load(data))
module = mx.mod.Module(symbol, data_names=['data'], label_names=['softmax_label'])
module.bind([('data', data.shape)], for_training=False)
module.set_params(args, auxes)
module.forward(mx.io.DataBatch([data]), is_train=False)
np.save(output, module.get_outputs()[0].asnumpy())
module.save_checkpoint(again, int(epoch))
";

fn close(a: &Array, b: &Array) {
    assert_eq!(a.shape(), b.shape());
    let (a, b) = (a.to_f32(), b.to_f32());
    let largest = b.iter().fold(0_f32, |m, v| m.max(v.abs()));
    let off = a.iter().zip(&b).fold(0_f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(off <= 1e-4 * largest, "{off} of {largest}");
}

#[test]
fn checkpoints_cross_over_and_back() {
    let Some(python) = support::peer_python("mxnet") else {
        support::tell("SKIPPED checkpoints_cross_over_and_back: MXNet is not installed (varflow-bench peers says how)");
        return;
    };
    let folder = Folder::new();
    let rt = varflow::runtime(2).unwrap();
    for name in ["resnet-20", "mlp", "inception-bn-28-small"] {
        let model = zoo::by_name(name).unwrap();
        let shape = Shape::new(&[&[2], model.data_shape.dims()].concat());
        let mut module = Module::new(&rt, model.symbol).unwrap();
        module.bind(&[("data", shape.clone())]).unwrap();
        module.init(&Xavier::default(), 3).unwrap();
        let prefix = folder.arg(name);
        module.save(&prefix, 7).unwrap();
        let stream = varflow::ops::Philox::new(1, 2, 3);
        let values: Vec<f32> = (0..shape.len() as u64).map(|i| stream.uniform4(i)[0]).collect();
        write_npy(folder.path("x.npy"), &Array::new(shape, values).unwrap()).unwrap();

        let (again, theirs) = (folder.arg(&format!("{name}-again")), folder.arg("theirs.npy"));
        let ran = Command::new(&python)
            .args(["-c", SCRIPT, &prefix, "7", &folder.arg("x.npy"), &theirs, &again])
            .output()
            .unwrap();
        assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
        let theirs = read_npy(&theirs).unwrap();
        for prefix in [prefix, again] {
            let (symbol, params) = (format!("{prefix}-symbol.json"), format!("{prefix}-0007.params"));
            let (data, ours) = (format!("data={}", folder.arg("x.npy")), folder.arg("ours.npy"));
            ok(&["run", "--symbol", &symbol, "--params", &params, "--input", &data, "--output", &ours]);
            close(&read_npy(&ours).unwrap(), &theirs);
        }
    }
}
