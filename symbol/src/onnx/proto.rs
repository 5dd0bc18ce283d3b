//! The messages of a model file, with the fields that import needs. Numbers of fields are those of `onnx.proto`.

use super::wire::Wire;
use varflow_ops::{Error, PartialShape, Result};

/// `ModelProto`.
#[derive(Default)]
pub(super) struct Model<'a> {
    /// The version of the operators; 0 if the file says none.
    pub(super) opset: i64,
    pub(super) graph: Option<Graph<'a>>,
}

/// `GraphProto`.
#[derive(Default)]
pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) initializers: Vec<Tensor<'a>>,
    pub(super) inputs: Vec<Input<'a>>,
    pub(super) outputs: Vec<&'a str>,
}

/// `NodeProto`.
#[derive(Default)]
pub(super) struct Node<'a> {
    pub(super) name: &'a str,
    pub(super) op: &'a str,
    pub(super) domain: &'a str,
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    pub(super) attributes: Vec<Attribute<'a>>,
}

/// `AttributeProto`.
#[derive(Default)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    pub(super) float: Option<f32>,
    pub(super) int: Option<i64>,
    pub(super) text: Option<&'a [u8]>,
    pub(super) tensor: Option<Box<Tensor<'a>>>,
    pub(super) ints: Vec<i64>,
}

/// `TensorProto`: named elements, which stand in one of several fields or in another file.
#[derive(Default)]
pub(super) struct Tensor<'a> {
    pub(super) name: &'a str,
    pub(super) dims: Vec<i64>,
    pub(super) data_type: i64,
    pub(super) raw: Option<&'a [u8]>,
    /// `float_data` or `double_data`, as bytes.
    pub(super) floats: Vec<u8>,
    /// `int32_data`, `int64_data` or `uint64_data`.
    pub(super) ints: Vec<i64>,
    /// Keys and values of `external_data`.
    pub(super) external: Vec<(&'a str, &'a str)>,
    pub(super) is_external: bool,
}

/// `ValueInfoProto` of a graph's input.
#[derive(Default)]
pub(super) struct Input<'a> {
    pub(super) name: &'a str,
    pub(super) data_type: i64,
    pub(super) shape: PartialShape,
}

impl<'a> Model<'a> {
    pub(super) fn read(mut from: Wire<'a>) -> Result<Self> {
        let mut model = Model::default();
        while let Some((number, field)) = from.next()? {
            match number {
                7 => model.graph = Some(Graph::read(field.message()?)?),
                8 => {
                    let (domain, version) = read_opset(field.message()?)?;
                    if matches!(domain, "" | "ai.onnx") {
                        model.opset = version;
                    }
                }
                _ => {}
            }
        }
        Ok(model)
    }
}

fn read_opset(mut from: Wire<'_>) -> Result<(&str, i64)> {
    let (mut domain, mut version) = ("", 0);
    while let Some((number, field)) = from.next()? {
        match number {
            1 => domain = field.text()?,
            2 => version = field.int()?,
            _ => {}
        }
    }
    Ok((domain, version))
}

impl<'a> Graph<'a> {
    fn read(mut from: Wire<'a>) -> Result<Self> {
        let mut graph = Graph::default();
        while let Some((number, field)) = from.next()? {
            match number {
                1 => graph.nodes.push(Node::read(field.message()?)?),
                5 => graph.initializers.push(named(Tensor::read(field.message()?)?, |t| t.name, "an initializer")?),
                11 => graph.inputs.push(named(Input::read(field.message()?)?, |i| i.name, "an input")?),
                12 => graph.outputs.push(named(Input::read(field.message()?)?, |i| i.name, "an output")?.name),
                15 => return Err(Error::Data("has a sparse initializer, wanted dense ones".to_string())),
                _ => {}
            }
        }
        Ok(graph)
    }
}

/// Things without a name cost memory and mean nothing.
fn named<'a, T>(thing: T, name: impl Fn(&T) -> &'a str, what: &str) -> Result<T> {
    if name(&thing).is_empty() {
        return Err(Error::Data(format!("has {what} without a name, wanted one")));
    }
    Ok(thing)
}

impl<'a> Node<'a> {
    fn read(mut from: Wire<'a>) -> Result<Self> {
        let mut node = Node::default();
        while let Some((number, field)) = from.next()? {
            match number {
                1 => node.inputs.push(field.text()?),
                2 => node.outputs.push(field.text()?),
                3 => node.name = field.text()?,
                4 => node.op = field.text()?,
                5 => node.attributes.push(named(Attribute::read(field.message()?)?, |a| a.name, "an attribute")?),
                7 => node.domain = field.text()?,
                _ => {}
            }
        }
        named(node, |n| n.op, "a node whose operator is")
    }

    /// `Conv "conv1"`, for errors; without a name it is called by its first output.
    pub(super) fn place(&self) -> String {
        format!("{} \"{}\"", self.op, self.title())
    }

    /// Its name, or that of its first output.
    pub(super) fn title(&self) -> &'a str {
        if self.name.is_empty() { self.outputs.first().copied().unwrap_or_default() } else { self.name }
    }
}

impl<'a> Attribute<'a> {
    fn read(mut from: Wire<'a>) -> Result<Self> {
        let mut attribute = Attribute::default();
        while let Some((number, field)) = from.next()? {
            match number {
                1 => attribute.name = field.text()?,
                2 => attribute.float = Some(field.float()?),
                3 => attribute.int = Some(field.int()?),
                4 => attribute.text = Some(field.message()?.rest()),
                5 => attribute.tensor = Some(Box::new(Tensor::read(field.message()?)?)),
                8 => field.ints(&mut attribute.ints)?,
                _ => {}
            }
        }
        Ok(attribute)
    }
}

impl<'a> Tensor<'a> {
    fn read(mut from: Wire<'a>) -> Result<Self> {
        let mut tensor = Tensor::default();
        while let Some((number, field)) = from.next()? {
            match number {
                1 => field.ints(&mut tensor.dims)?,
                2 => tensor.data_type = field.int()?,
                3 => return Err(Error::Data("has a tensor in segments, wanted whole ones".to_string())),
                4 => field.fixed::<4>(&mut tensor.floats)?,
                5 | 7 | 11 => field.ints(&mut tensor.ints)?,
                8 => tensor.name = field.text()?,
                9 => tensor.raw = Some(field.message()?.rest()),
                10 => field.fixed::<8>(&mut tensor.floats)?,
                13 => tensor.external.push(read_entry(field.message()?)?),
                14 => tensor.is_external = field.int()? == 1,
                _ => {}
            }
        }
        Ok(tensor)
    }
}

fn read_entry<'a>(mut from: Wire<'a>) -> Result<(&'a str, &'a str)> {
    let (mut key, mut value) = ("", "");
    while let Some((number, field)) = from.next()? {
        match number {
            1 => key = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    Ok((key, value))
}

impl<'a> Input<'a> {
    fn read(mut from: Wire<'a>) -> Result<Self> {
        let mut input = Input::default();
        while let Some((number, field)) = from.next()? {
            match number {
                1 => input.name = field.text()?,
                2 => input.read_type(field.message()?)?,
                _ => {}
            }
        }
        Ok(input)
    }

    fn read_type(&mut self, mut from: Wire<'a>) -> Result<()> {
        while let Some((number, field)) = from.next()? {
            if number != 1 {
                continue;
            }
            let mut of_tensor = field.message()?;
            while let Some((number, field)) = of_tensor.next()? {
                match number {
                    1 => self.data_type = field.int()?,
                    2 => self.shape = read_shape(field.message()?)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Extents that are names or missing stay open.
fn read_shape(mut from: Wire<'_>) -> Result<PartialShape> {
    let mut dims = Vec::new();
    while let Some((number, field)) = from.next()? {
        if number != 1 {
            continue;
        }
        let mut extent = None;
        let mut of_dim = field.message()?;
        while let Some((number, field)) = of_dim.next()? {
            if number == 1 {
                extent = usize::try_from(field.int()?).ok().filter(|n| *n > 0);
            }
        }
        dims.push(extent);
    }
    Ok(PartialShape::new(dims))
}
