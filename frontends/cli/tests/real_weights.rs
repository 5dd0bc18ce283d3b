//! Weights that others trained, on photographs that others took: SqueezeNet 1.1 from a Keras file gives the counts that it
//! is known for. Both are fetched once into the cache folder; where there is no network, the test says so and ends.
#![allow(clippy::unwrap_used)]

mod support;

use hdf5_reader::Hdf5File;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::{finish_within, varflow};
use varflow::Files;
use varflow::io::{default_data_dir, fetch};
use varflow::prelude::*;
use varflow::symbol::{HostArray, json, params};

/// Right at first, and among the first five, of 20.
const WANTED: (usize, usize) = (12, 18);

/// The folder of a data set, fetched unless it is there; `None` without a network.
fn fetched(name: &str) -> Option<PathBuf> {
    let dir = default_data_dir(name).unwrap();
    match fetch(name, &dir, &mut |_| ()) {
        Ok(()) => Some(dir),
        Err(e) => {
            let told = e.to_string();
            assert!(!told.contains("SHA-256"), "{told}");
            support::tell(&format!("SKIPPED real_weights: {told}"));
            None
        }
    }
}

/// SqueezeNet 1.1 without padding where it is not needed.
fn squeezenet() -> Symbol {
    let conv = |x: Symbol, kernel: usize, filters: usize, name: &str| {
        let pad = usize::from(name.ends_with("expand3x3"));
        let stride = if name == "conv1" { 2 } else { 1 };
        let x = sym::convolution(x).kernel([kernel; 2]).pad([pad; 2]).stride([stride; 2]).num_filter(filters);
        sym::relu(x.name(name)).name(format!("relu_{name}")).build()
    };
    let pool = |x: Symbol| sym::pooling(x).pool_type("max").kernel([3, 3]).stride([2, 2]).build();
    let mut x = pool(conv(sym::var("data").build(), 3, 64, "conv1"));
    for (i, filters) in (2..).zip([16, 16, 32, 32, 48, 48, 64, 64]) {
        let squeezed = conv(x, 1, filters, &format!("fire{i}_squeeze1x1"));
        let [point, near] = [1, 3].map(|k| conv(squeezed.clone(), k, 4 * filters, &format!("fire{i}_expand{k}x{k}")));
        x = sym::op("Concat").input(point).input(near).set("num_args", 2).name(format!("fire{i}_concat")).build();
        if i == 3 || i == 5 {
            x = pool(x);
        }
    }
    let x = sym::pooling(conv(x, 1, 1000, "conv10")).global_pool(true).kernel([1, 1]).pool_type("avg");
    sym::softmax_output(sym::flatten(x)).name("softmax").build()
}

/// Writes the weights of a Keras file as a checkpoint. Keras has kernels as (height, width, in, out).
fn convert(weights: &Path, prefix: &str) {
    let file = Hdf5File::open(weights).unwrap();
    let mut arrays = Vec::new();
    let mut layer = |name: &str| {
        // A group for each layer; it repeats the layer's name, which may be a path itself.
        let array = |part| file.dataset(&format!("{name}/{name}_{part}:0")).unwrap().read_array::<f32>().unwrap();
        let (kernel, bias) = (array("W").permuted_axes([3, 2, 0, 1].as_slice()), array("b"));
        let name = name.replace('/', "_");
        for (part, array) in [("weight", kernel), ("bias", bias)] {
            let values: Vec<f32> = array.iter().copied().collect();
            arrays.push((format!("arg:{name}_{part}"), HostArray::from_slice(array.shape(), &values).unwrap()));
        }
    };
    layer("conv1");
    for i in 2..10 {
        ["squeeze1x1", "expand1x1", "expand3x3"].iter().for_each(|part| layer(&format!("fire{i}/{part}")));
    }
    layer("conv10");
    let files = Files::new(prefix, 0);
    params::save(files.params, &arrays).unwrap();
    json::save(files.symbol, &squeezenet().resolve(&varflow::registry().unwrap()).unwrap()).unwrap();
}

/// The classes seen in a picture, best first, and the one that its name tells.
fn classes(line: &str) -> (Vec<u64>, u64) {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let seen = line["top"].as_array().unwrap().iter().map(|seen| seen["class"].as_u64().unwrap()).collect();
    let name = line["picture"].as_str().unwrap();
    let truth = name.rsplit_once('_').unwrap().1.trim_end_matches(".jpg");
    (seen, truth.parse().unwrap())
}

#[test]
fn squeezenet_sees_what_is_in_photographs() {
    let (Some(weights), Some(photos)) = (fetched("squeezenet-weights"), fetched("imagenet-photos")) else { return };
    let dir = tempfile::tempdir().unwrap();
    let prefix = dir.path().join("squeezenet").display().to_string();
    convert(&weights.join("squeezenet_weights_tf_dim_ordering_tf_kernels.h5"), &prefix);
    let mut photos: Vec<_> = std::fs::read_dir(photos).unwrap().map(|e| e.unwrap().path()).collect();
    photos.retain(|path| path.extension().is_some_and(|e| e == "jpg"));
    assert_eq!(photos.len(), 20);

    let mut command = varflow(&["predict", "--model-prefix", &prefix, "--epoch", "0", "--top", "5", "--json"]);
    command
        .args(["--batch-size", "5", "--resize", "227x227", "--bgr", "--mean", "123.68,116.779,103.939"])
        .args(photos);
    let ran = finish_within(command.spawn().unwrap(), Duration::from_secs(600));
    assert_eq!(ran.code, 0, "{}", ran.err);
    let seen: Vec<_> = ran.out.lines().map(classes).collect();
    assert_eq!(seen.len(), 20);
    let right = |k: usize| seen.iter().filter(|(top, truth)| top[..k].contains(truth)).count();
    assert_eq!((right(1), right(5)), WANTED, "{}", ran.out);
}
