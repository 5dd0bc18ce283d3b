//! What a resumed run needs beside the parameters: the optimizer's states, how far the run was, its seed.
//!
//! Kept in `PREFIX-%04d.states`, a safetensors file. Each state is an array `<state>:<parameter>` such as
//! `mom:fc1_weight`, f32, of the parameter's shape. The metadata entry `varflow` is a JSON object: `version` (1), `operator`
//! (the update operator, such as `sgd_mom_update`), `epoch` (whole epochs done), `batch` (batches done of the next
//! one), `num_update` (updates done, which is what learning rate schedules and random streams go by) and `seed`.

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;
use varflow_ops::{Error, Result, Shape};

const METADATA: &str = "varflow";
const VERSION: u32 = 1;

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Whole epochs done.
    pub epoch: u64,
    /// Batches done of the epoch that follows them.
    pub batch: u64,
    /// Updates done in all.
    pub num_update: u64,
}

/// One array of optimizer state.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// `mom:fc1_weight`.
    pub name: String,
    /// The shape of the parameter.
    pub shape: Shape,
    /// Its elements, row-major.
    pub values: Vec<f32>,
}

/// What a states file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct States {
    /// The update operator that the states belong to.
    pub operator: String,
    /// How far the run was.
    pub progress: Progress,
    /// The seed of its random numbers.
    pub seed: u64,
    /// The optimizer's states.
    pub arrays: Vec<State>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    operator: String,
    #[serde(flatten)]
    progress: Progress,
    seed: u64,
}

impl States {
    /// The file's bytes. The same states give the same bytes.
    ///
    /// # Errors
    /// When two arrays have one name.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let header =
            Header { version: VERSION, operator: self.operator.clone(), progress: self.progress, seed: self.seed };
        let refuse = |e: &dyn std::fmt::Display| Error::Data(format!("optimizer states cannot be encoded: {e}"));
        // One entry only: the order of several would change from run to run.
        let metadata = HashMap::from([(METADATA.to_string(), serde_json::to_string(&header).map_err(|e| refuse(&e))?)]);
        let bytes: Vec<Vec<u8>> =
            self.arrays.iter().map(|a| a.values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
        let views = self.arrays.iter().zip(&bytes).map(|(a, bytes)| {
            let view = TensorView::new(Dtype::F32, a.shape.dims().to_vec(), bytes).map_err(|e| refuse(&e))?;
            Ok((a.name.as_str(), view))
        });
        let views = views.collect::<Result<Vec<_>>>()?;
        safetensors::serialize(views, Some(metadata)).map_err(|e| refuse(&e))
    }

    /// Reads a file's bytes; `path` is for errors.
    ///
    /// # Errors
    /// A file that is no states file, or of a later version: with its name and what was wanted.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<States> {
        let refuse = |why: String| Error::Data(format!("{} is no file of optimizer states: {why}", path.display()));
        // Protocols 2 and later begin with this byte, and end with a dot.
        if bytes.starts_with(b"\x80") && bytes.ends_with(b".") {
            let how = "move it away to go on with the parameters and fresh states";
            return Err(refuse(format!("it looks like MXNet's, a Python pickle, which is not read: {how}")));
        }
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| refuse(e.to_string()))?;
        let header = metadata.metadata().as_ref().and_then(|m| m.get(METADATA));
        let header = header.ok_or_else(|| refuse(format!("its metadata has no entry \"{METADATA}\"")))?;
        let header: Header =
            serde_json::from_str(header).map_err(|e| refuse(format!("its metadata entry \"{METADATA}\": {e}")))?;
        if header.version != VERSION {
            return Err(refuse(format!("it is of version {}, wanted {VERSION}", header.version)));
        }
        let file = SafeTensors::deserialize(bytes).map_err(|e| refuse(e.to_string()))?;
        let mut arrays = Vec::with_capacity(file.len());
        for (name, view) in file.tensors() {
            if view.dtype() != Dtype::F32 {
                return Err(refuse(format!("array \"{name}\" has dtype {:?}, wanted F32", view.dtype())));
            }
            let (words, _) = view.data().as_chunks::<4>();
            let values = words.iter().map(|w| f32::from_le_bytes(*w)).collect();
            arrays.push(State { name, shape: Shape::new(view.shape()), values });
        }
        arrays.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(States { operator: header.operator, progress: header.progress, seed: header.seed, arrays })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> States {
        let array = |name: &str, dims: &[usize], values: &[f32]| State {
            name: name.to_string(),
            shape: Shape::new(dims),
            values: values.to_vec(),
        };
        States {
            operator: "sgd_mom_update".to_string(),
            progress: Progress { epoch: 3, batch: 17, num_update: 2831 },
            seed: u64::MAX,
            arrays: vec![array("mom:a", &[2, 1], &[1.5, -0.0]), array("mom:b", &[], &[f32::MIN_POSITIVE])],
        }
    }

    #[test]
    fn bytes_are_the_same_each_time_and_come_back() {
        let states = sample();
        let bytes = states.to_bytes().unwrap();
        assert_eq!(bytes, states.to_bytes().unwrap());
        assert_eq!(States::from_bytes(&bytes, Path::new("x")).unwrap(), states);
    }

    #[test]
    fn foreign_files_are_refused_by_name() {
        let plain = safetensors::serialize(Vec::<(&str, TensorView<'_>)>::new(), None).unwrap();
        let text = States::from_bytes(&plain, Path::new("run-0003.states")).unwrap_err().to_string();
        assert!(text.contains("run-0003.states") && text.contains("\"varflow\""), "{text}");
    }

    proptest! {
        #[test]
        fn damaged_files_are_refused_without_panic(at in 0_usize..400, byte: u8, cut in 0_usize..400) {
            let mut bytes = sample().to_bytes().unwrap();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = States::from_bytes(&bytes, Path::new("x"));
            bytes.truncate(cut.min(bytes.len() - 1));
            prop_assert!(States::from_bytes(&bytes, Path::new("x")).is_err());
        }
    }
}
