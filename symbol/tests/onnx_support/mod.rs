//! The writing side of ONNX files, as far as tests need it.
#![allow(dead_code)]

/// A message, being written.
#[derive(Clone, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    pub fn new() -> Message {
        Message::default()
    }

    fn varint(mut self, mut value: u64) -> Message {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    pub fn int(self, field: u64, value: i64) -> Message {
        self.varint(field << 3).varint(value.cast_unsigned())
    }

    pub fn bytes(self, field: u64, bytes: &[u8]) -> Message {
        let mut message = self.varint(field << 3 | 2).varint(bytes.len() as u64);
        message.0.extend_from_slice(bytes);
        message
    }

    pub fn text(self, field: u64, text: &str) -> Message {
        self.bytes(field, text.as_bytes())
    }

    pub fn message(self, field: u64, message: &Message) -> Message {
        self.bytes(field, &message.0)
    }

    pub fn float(self, field: u64, value: f32) -> Message {
        let mut message = self.varint(field << 3 | 5);
        message.0.extend(value.to_le_bytes());
        message
    }

    pub fn each<T>(self, of: impl IntoIterator<Item = T>, add: impl Fn(Message, T) -> Message) -> Message {
        of.into_iter().fold(self, add)
    }
}

/// A float tensor, its elements in `raw_data`.
pub fn tensor(name: &str, dims: &[i64], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    header(name, dims, 1).bytes(9, &raw)
}

/// An int64 tensor, its elements in `int64_data`.
pub fn ints(name: &str, values: &[i64]) -> Message {
    header(name, &[values.len() as i64], 7).each(values, |m, v| m.int(7, *v))
}

/// A tensor without elements.
pub fn header(name: &str, dims: &[i64], data_type: i64) -> Message {
    Message::new().each(dims, |m, d| m.int(1, *d)).int(2, data_type).text(8, name)
}

pub fn node(op: &str, inputs: &[&str], outputs: &[&str], attributes: &[Message]) -> Message {
    let node = Message::new().each(inputs, |m, i| m.text(1, i)).each(outputs, |m, o| m.text(2, o)).text(4, op);
    node.each(attributes, |m, a| m.message(5, a))
}

pub fn int_attribute(name: &str, value: i64) -> Message {
    Message::new().text(1, name).int(3, value)
}

pub fn ints_attribute(name: &str, values: &[i64]) -> Message {
    Message::new().text(1, name).each(values, |m, v| m.int(8, *v))
}

/// The input or output of a graph; extents of 0 stay open.
pub fn value(name: &str, dims: &[i64]) -> Message {
    let dim = |d: &i64| if *d > 0 { Message::new().int(1, *d) } else { Message::new().text(2, "n") };
    let shape = Message::new().each(dims, |m, d| m.message(1, &dim(d)));
    let of_tensor = Message::new().int(1, 1).message(2, &shape);
    Message::new().text(1, name).message(2, &Message::new().message(1, &of_tensor))
}

/// A model with one input `x` and one output `y`.
pub fn model(opset: i64, dims: &[i64], nodes: &[Message], initializers: &[Message]) -> Vec<u8> {
    let graph = Message::new().each(nodes, |m, n| m.message(1, n)).each(initializers, |m, t| m.message(5, t));
    let graph = graph.message(11, &value("x", dims)).message(12, &Message::new().text(1, "y"));
    Message::new().int(1, 8).message(7, &graph).message(8, &Message::new().int(2, opset)).0
}

/// A convolution, batch normalisation and a reshape whose target is computed.
pub fn small() -> Vec<u8> {
    let channels = |name: &str| tensor(name, &[2], &[0.5, 1.5]);
    model(
        13,
        &[0, 3, 4, 4],
        &[
            node("Conv", &["x", "w"], &["c"], &[ints_attribute("pads", &[1, 1, 1, 1])]),
            node("BatchNormalization", &["c", "s", "b", "m", "v"], &["n"], &[]),
            node("Shape", &["n"], &["shape"], &[]),
            node("Gather", &["shape", "zero"], &["batch"], &[int_attribute("axis", 0)]),
            node("Concat", &["batch", "rest"], &["to"], &[int_attribute("axis", 0)]),
            node("Reshape", &["n", "to"], &["y"], &[]),
        ],
        &[
            tensor("w", &[2, 3, 3, 3], &[0.1; 54]),
            channels("s"),
            channels("b"),
            channels("m"),
            channels("v"),
            ints("zero", &[0]),
            ints("rest", &[-1]),
        ],
    )
}
