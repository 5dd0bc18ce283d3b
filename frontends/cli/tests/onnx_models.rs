//! Small ONNX models made by other tools: each is imported and run, and gives what onnxruntime computes of it.
//!
//! Needs a Python with the packages onnx and onnxruntime, `onnx/bin/python` in the folder of the peers (VARFLOW_PEERS, or peers/
//! in the cache folder); without it the test says so and passes.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use varflow::io::read_npy;
use varflow::ops::{DType, Shape};
use varflow::symbol::{BindOptions, Executor, HostArray, onnx};
use varflow::{Error, Runtime};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/onnx/models.py");

/// Largest difference from the value wanted, in parts of it or, near zero, of one.
const TOLERANCE: f32 = 1e-4;

/// What the model computes of `x`.
fn outputs(rt: &Runtime, model: &Path, x: &[f32], shape: &Shape) -> Result<Vec<(Shape, Vec<f32>)>, Error> {
    let model = onnx::load(model, &rt.registry, &[])?;
    let given = [(model.inputs[0].0.clone(), shape.clone())];
    let mut executor = Executor::bind(rt, &model.symbol, &given, &BindOptions::default())?;
    for (name, tensor) in executor.args().iter().chain(executor.auxes()) {
        if *name == given[0].0 {
            tensor.set(x.to_vec())?;
            continue;
        }
        let is_it = |key: &str| key.split_once(':').is_some_and(|(_, key)| key == name);
        let (_, array) = model.params.iter().find(|(key, _)| is_it(key)).unwrap();
        set(tensor, array)?;
    }
    executor.forward(false, 0)?;
    let output = |(_, tensor): &(String, varflow::ops::Tensor)| {
        let values = match tensor.dtype() {
            DType::I64 => tensor.to_vec::<i64>()?.into_iter().map(|v| v as f32).collect(),
            _ => tensor.to_vec::<f32>()?,
        };
        Ok((tensor.shape().clone(), values))
    };
    executor.outputs().iter().map(output).collect()
}

fn set(tensor: &varflow::ops::Tensor, array: &HostArray) -> Result<(), Error> {
    match array.desc.dtype {
        DType::I64 => tensor.set(array.to_vec::<i64>()?),
        _ => tensor.set(array.to_vec::<f32>()?),
    }
}

/// Compares one model; on an error says what differs.
fn compare(rt: &Runtime, model: &Path) -> Result<(), String> {
    let x = read_npy(model.with_extension("x.npy")).unwrap();
    let outputs = outputs(rt, model, &x.to_f32(), x.shape()).map_err(|e| e.to_string())?;
    for (i, (shape, values)) in outputs.into_iter().enumerate() {
        let wanted = read_npy(model.with_extension(format!("{i}.npy"))).unwrap();
        // Scalars are tensors of one element here.
        if shape != *wanted.shape() && !(shape.dims() == [1] && wanted.shape().rank() == 0) {
            return Err(format!("output {i} has shape {shape}, wanted {}", wanted.shape()));
        }
        for (at, (value, wanted)) in values.into_iter().zip(wanted.to_f32()).enumerate() {
            let near = (value - wanted).abs() <= TOLERANCE * wanted.abs().max(1.0);
            if !(near || value == wanted) {
                return Err(format!("output {i}[{at}] is {value}, wanted {wanted}"));
            }
        }
    }
    Ok(())
}

#[test]
fn imported_models_compute_what_onnxruntime_does() {
    let Some(python) = support::peer_python("onnx") else {
        support::tell(
            "SKIPPED onnx_models: there is no onnx/bin/python, with onnx and onnxruntime, in the peers' folder",
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new(python).arg(SCRIPT).arg(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let rt = varflow::runtime(1).unwrap();
    let mut models: Vec<PathBuf> = std::fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().path()).collect();
    models.retain(|path| path.extension().is_some_and(|e| e == "onnx"));
    models.sort();
    assert!(models.len() > 100, "{} models", models.len());
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    let wrong = models.iter().filter_map(|m| compare(&rt, m).err().map(|e| format!("{}: {e}", name(m))));
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{} of {} models:\n{}", wrong.len(), models.len(), wrong.join("\n"));
}
