//! Import of ONNX models: networks for inference, as exporters of other frameworks write them.
//!
//! Every node becomes one operator or a few, initializers become parameters of the same names, and arithmetic on shapes is
//! done here, so that none of it is left in the network. Operator sets 7 to 20 are read.

mod external;
mod import;
mod node;
mod ops;
mod proto;
mod value;
mod window;
mod wire;

use crate::{HostArray, Symbol};
use external::External;
use import::Importer;
use std::path::Path;
use varflow_ops::{Error, PartialShape, Registry, Result};

/// An imported model.
pub struct Model {
    /// The network; several outputs are a group.
    pub symbol: Symbol,
    /// Its parameters, with keys `arg:name` and `aux:name`.
    pub params: Vec<(String, HostArray)>,
    /// The variables that data goes into, and what is known of their shapes.
    pub inputs: Vec<(String, PartialShape)>,
}

/// Reads the model of a file. Tensors that it keeps in other files are looked for in its folder, and nowhere else.
///
/// # Errors
/// As [`read`], or the file operation that failed.
pub fn load(path: impl AsRef<Path>, registry: &Registry, shapes: &[(String, PartialShape)]) -> Result<Model> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|e| Error::io(format!("cannot read {}", path.display()), e))?;
    let folder = path.parent().map(|f| if f.as_os_str().is_empty() { Path::new(".") } else { f });
    read(&bytes, folder, registry, shapes).map_err(|e| e.at(path.display().to_string()))
}

/// Reads a model. `shapes` adds to what the file says of its inputs' shapes: some models compute with extents that their
/// files leave open. The operators of the network are looked up in the registry.
///
/// # Errors
/// [`Error::Data`] with the node, what it has and what is wanted; of operators that are not covered, all that there are; of a
/// file that is no model, with the byte.
pub fn read(
    bytes: &[u8],
    folder: Option<&Path>,
    registry: &Registry,
    shapes: &[(String, PartialShape)],
) -> Result<Model> {
    let model = proto::Model::read(wire::Wire::new(bytes))?;
    let Some(graph) = &model.graph else {
        return Err(Error::Data("has no graph, wanted an ONNX model".to_string()));
    };
    Importer::new(registry, model.opset, External::new(folder.map(Path::to_path_buf)))?.run(graph, shapes)
}
