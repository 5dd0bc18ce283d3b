//! Symbol JSON, as MXNet writes it since its first release.

use crate::graph::{Graph, Node};
use crate::symbol::{Head, Input, Symbol, SymbolNode};
use serde::Serialize;
use serde_json::{Map, Value};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use varflow_ops::{Attrs, Entry, Error, Result, save_atomically};

/// The version of MXNet whose form is written: 1.9.1.
const MXNET_VERSION: u32 = 10901;

/// The keys under which attributes are found, oldest first: `param` and `attr` are of before MXNet 1.0.
const ATTR_KEYS: [&str; 3] = ["param", "attr", "attrs"];

/// The graph as symbol JSON, one node a line. What [`Graph::alike`] says is not in it.
#[must_use]
pub fn to_string(graph: &Graph) -> String {
    let mut out = String::from("{\n  \"nodes\": [");
    let mut versions = vec![0; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        node.mutates().iter().filter_map(|k| node.inputs.get(*k)).for_each(|e| versions[e.node] += 1);
        out.push_str(if i == 0 { "\n    " } else { ",\n    " });
        out.push_str(&line(&JsonNode::of(node, &versions)));
    }
    let arg_nodes: Vec<_> = (0..graph.nodes.len()).filter(|i| graph.nodes[*i].op.is_none()).collect();
    let mut node_row_ptr = vec![0];
    let mut rows = 0;
    node_row_ptr.extend(graph.nodes.iter().map(|node| {
        rows += node.num_outputs();
        rows
    }));
    let heads: Vec<_> = graph.outputs.iter().map(|e| entry(e, &versions)).collect();
    out.push_str(&format!(
        "\n  ],\n  \"arg_nodes\": {},\n  \"node_row_ptr\": {},\n  \"heads\": {},\n  \
         \"attrs\": {{\"mxnet_version\": [\"int\", {MXNET_VERSION}]}}\n}}\n",
        line(&arg_nodes),
        line(&node_row_ptr),
        line(&heads)
    ));
    out
}

/// Writes the graph to a file, [atomically](save_atomically).
///
/// # Errors
/// The file operation that failed.
pub fn save(path: impl AsRef<Path>, graph: &Graph) -> Result<()> {
    let path = path.as_ref();
    save_atomically(path, |out| {
        let written = out.write_all(to_string(graph).as_bytes());
        written.map_err(|e| Error::io(format!("cannot write {}", path.display()), e))
    })
}

/// Reads symbol JSON of any version. Operators and parameters are checked when the symbol is resolved, which also adds
/// the auxiliary states that files from before MXNet 0.9 leave out.
///
/// # Errors
/// [`Error::Data`] with the node, what it has and what is wanted; for broken JSON, with line and column.
pub fn from_str(text: &str) -> Result<Symbol> {
    let refuse = |e: String| Error::Data(format!("symbol JSON: {e}"));
    let root: Value = serde_json::from_str(text).map_err(|e| refuse(e.to_string()))?;
    let list = |key| root.get(key).and_then(Value::as_array).ok_or_else(|| refuse(format!("wanted a list \"{key}\"")));
    let version = written_by(&root).map_err(&refuse)?;
    let mut nodes: Vec<Arc<SymbolNode>> = Vec::new();
    for (i, value) in list("nodes")?.iter().enumerate() {
        let place = || match value.get("name").and_then(Value::as_str) {
            Some(name) => format!("node {i} \"{name}\""),
            None => format!("node {i}"),
        };
        let mut node = read_node(value, &nodes).map_err(|e| refuse(format!("{}: {e}", place())))?;
        // Up to MXNet 0.9.4 these operators wrote no axis as -1.
        let is_arg = matches!(node.op.as_deref(), Some("argmax" | "argmin"));
        if is_arg && version < 905 && node.attrs.get("axis").is_some_and(|axis| axis == "-1") {
            node.attrs.remove("axis");
        }
        nodes.push(Arc::new(node));
    }
    // Of use to MXNet's loader only, but a file that names nodes it does not have is damaged.
    for value in root.get("arg_nodes").and_then(Value::as_array).into_iter().flatten() {
        if value.as_u64().and_then(|i| nodes.get(usize::try_from(i).ok()?)).is_none() {
            let n = nodes.len();
            return Err(refuse(format!("\"arg_nodes\" has {}, wanted nodes from 0 to before {n}", shown(value))));
        }
    }
    if list("heads")?.is_empty() {
        return Err(refuse("\"heads\" is an empty list, wanted one output or more".to_string()));
    }
    let heads = list("heads")?.iter().enumerate();
    let heads = heads.map(|(i, value)| read_entry(value, &nodes).map_err(|e| refuse(format!("head {i}: {e}"))));
    Ok(Symbol { heads: heads.collect::<Result<_>>()? })
}

/// The version of MXNet that wrote the file: 10901 for 1.9.1. Files from before 0.9.0 do not say.
fn written_by(root: &Value) -> Result<u64, String> {
    match root.get("attrs").and_then(|attrs| attrs.get("mxnet_version")) {
        None => Ok(800),
        Some(Value::Array(items)) if items.len() == 2 && items[0] == "int" && items[1].is_u64() => {
            Ok(items[1].as_u64().unwrap_or_default())
        }
        Some(other) => Err(format!("\"mxnet_version\" is {}, wanted [\"int\", 10901]", shown(other))),
    }
}

/// Reads a file of symbol JSON.
///
/// # Errors
/// As [`from_str`], with the file's name, or the file operation that failed.
pub fn load(path: impl AsRef<Path>) -> Result<Symbol> {
    let path = path.as_ref();
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(format!("cannot read {}", path.display()), e))?;
    from_str(&text).map_err(|e| e.at(path.display().to_string()))
}

#[derive(Serialize)]
struct JsonNode<'a> {
    op: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Attrs::is_empty")]
    attrs: &'a Attrs,
    inputs: Vec<[usize; 3]>,
}

impl JsonNode<'_> {
    fn of<'a>(node: &'a Node, versions: &[usize]) -> JsonNode<'a> {
        JsonNode {
            op: node.op.as_ref().map_or("null", |op| op.name()),
            name: &node.name,
            attrs: &node.attrs,
            inputs: node.inputs.iter().map(|e| entry(e, versions)).collect(),
        }
    }
}

/// The version says how many nodes have changed the variable so far, as MXNet counts.
fn entry(e: &Entry, versions: &[usize]) -> [usize; 3] {
    [e.node, e.output, versions[e.node]]
}

fn line(value: &impl Serialize) -> String {
    // Texts and numbers under text keys: serialising them has no way to fail.
    serde_json::to_string(value).unwrap_or_default()
}

fn read_node(value: &Value, before: &[Arc<SymbolNode>]) -> Result<SymbolNode, String> {
    let node = value.as_object().ok_or_else(|| format!("is {}, wanted an object", shown(value)))?;
    let text = |key: &str| match node.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(other) => Err(format!("\"{key}\" is {}, wanted a text", shown(other))),
        None => Err(format!("\"{key}\" is missing, wanted a text")),
    };
    let (op, name) = (text("op")?, text("name")?);
    let inputs = match node.get("inputs") {
        Some(Value::Array(inputs)) => &inputs[..],
        Some(other) => return Err(format!("\"inputs\" is {}, wanted a list", shown(other))),
        None => return Err("\"inputs\" is missing, wanted a list".to_string()),
    };
    let input = |(i, value)| {
        let from = read_entry(value, before).map_err(|e| format!("input {i}: {e}"))?;
        Ok(Input { slot: None, from })
    };
    let inputs = inputs.iter().enumerate().map(input).collect::<Result<Vec<_>, String>>()?;
    let op = Some(op).filter(|op| op != "null");
    if op.is_none() && !inputs.is_empty() {
        return Err(format!("has {} inputs, but op \"null\" is a variable and has none", inputs.len()));
    }
    Ok(SymbolNode { op, name: Some(name), prefix: String::new(), attrs: read_attrs(node)?, inputs })
}

fn read_attrs(node: &Map<String, Value>) -> Result<Attrs, String> {
    let mut attrs = Attrs::new();
    for key in ATTR_KEYS {
        let found = match node.get(key) {
            None | Some(Value::Null) => continue,
            Some(Value::Object(found)) => found,
            Some(other) => return Err(format!("\"{key}\" is {}, wanted an object of texts", shown(other))),
        };
        for (name, value) in found {
            let text = value.as_str().ok_or_else(|| {
                format!("attribute \"{name}\" is {}, wanted a text such as \"10\" or \"(3, 3)\"", shown(value))
            })?;
            attrs.insert(name.clone(), text.to_string());
        }
    }
    Ok(attrs)
}

/// Reads `[node, output]` or `[node, output, version]`; the node is one of those before.
fn read_entry(value: &Value, before: &[Arc<SymbolNode>]) -> Result<Head, String> {
    let n = before.len();
    let refuse = || format!("is {}, wanted [node, output, version] with a node from 0 to before {n}", shown(value));
    let numbers = value.as_array().filter(|a| matches!(a.len(), 2 | 3)).ok_or_else(refuse)?;
    let number = |i: usize| numbers[i].as_u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(refuse);
    let (node, output) = (number(0)?, number(1)?);
    let node = before.get(node).cloned().ok_or_else(refuse)?;
    Ok(Head { node, output: Some(output) })
}

/// A value as it stands in the file, cut short.
fn shown(value: &Value) -> String {
    const LEN: usize = 40;
    let text = match value {
        Value::Array(items) if items.len() > LEN => format!("a list of {}", items.len()),
        Value::Object(items) if items.len() > LEN => format!("an object of {}", items.len()),
        value => value.to_string(),
    };
    match text.char_indices().nth(LEN) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}
