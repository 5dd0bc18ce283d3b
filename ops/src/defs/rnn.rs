//! `RNN`: layers of recurrent cells over a whole sequence.

use super::no_gradient;
use crate::{Attrs, Entry, Error, Gradient, Kind, Operator, Params, PartialShape, Result, Schema, Shapes, Value};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let size = 1..=i64::from(i32::MAX);
    let clip = || Kind::Float(f64::MIN, f64::MAX);
    Schema::new()
        .int("state_size", size.clone(), None, "Numbers in the state of a layer.")
        .int("num_layers", size.clone(), None, "Layers, each of which reads the outputs of the one before.")
        .bool("bidirectional", Some(false), "Let a second cell of every layer read the sequence backwards.")
        .choice("mode", &["gru", "lstm", "rnn_relu", "rnn_tanh"], None, "The cell.")
        .float(
            "p",
            0.0..=1.0,
            Some(0.0),
            "Fraction of the outputs of a layer that the next one is not shown in training.",
        )
        .bool("state_outputs", Some(false), "Show the states after the last step.")
        .param(
            "projection_size",
            Kind::Int(1, *size.end()),
            Some(Value::None),
            "Numbers that a state is mapped to. Only None.",
        )
        .param("lstm_state_clip_min", clip(), Some(Value::None), "Lower bound of cell states. Only None.")
        .param("lstm_state_clip_max", clip(), Some(Value::None), "Upper bound of cell states. Only None.")
        .bool("lstm_state_clip_nan", Some(false), "Without effect.")
        .bool("use_sequence_length", Some(false), "Take a length for every sequence. Only False.")
});

/// A recurrent cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RnnMode {
    /// `h = max(a, 0)`.
    Relu,
    /// `h = tanh a`.
    Tanh,
    /// Long short-term memory: gates input, forget, candidate, output.
    Lstm,
    /// Gated recurrent unit: gates reset, update, candidate.
    Gru,
}

/// The sizes of an `RNN` that do not depend on its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RnnSizes {
    /// The cell.
    pub mode: RnnMode,
    /// Layers.
    pub layers: usize,
    /// 2 where every layer has a cell that reads backwards, else 1.
    pub directions: usize,
    /// Numbers in a state.
    pub hidden: usize,
    /// Whether a part of what a layer reads from the one before is dropped in training.
    pub drops: bool,
}

impl RnnSizes {
    /// As the parameters of a use say.
    #[must_use]
    pub fn new(params: &Params) -> RnnSizes {
        RnnSizes {
            mode: match params.text("mode") {
                "lstm" => RnnMode::Lstm,
                "gru" => RnnMode::Gru,
                "rnn_relu" => RnnMode::Relu,
                _ => RnnMode::Tanh,
            },
            layers: params.usize("num_layers"),
            directions: if params.bool("bidirectional") { 2 } else { 1 },
            hidden: params.usize("state_size"),
            drops: params.float("p") > 0.0,
        }
    }

    /// Vectors of a state's length that a cell computes from its input and its state.
    #[must_use]
    pub fn gates(&self) -> usize {
        match self.mode {
            RnnMode::Relu | RnnMode::Tanh => 1,
            RnnMode::Gru => 3,
            RnnMode::Lstm => 4,
        }
    }

    /// Whether backward passes need a vector of a state's length besides the gates: the cell state of `lstm`, what the
    /// state gives to the candidate of `gru`.
    #[must_use]
    pub fn keeps_more(&self) -> bool {
        matches!(self.mode, RnnMode::Lstm | RnnMode::Gru)
    }

    /// The number of parameters with `input` numbers a step; none if it does not fit.
    ///
    /// They are the matrices, for every layer and direction first that of the input (gates · hidden, numbers read), then
    /// that of the state (gates · hidden, hidden); then the offsets in the same order, (gates · hidden,) each.
    #[must_use]
    pub fn parameters(&self, input: usize) -> Option<usize> {
        let rows = self.gates().checked_mul(self.hidden)?.checked_mul(self.directions)?;
        let columns = |read: usize| read.checked_add(self.hidden)?.checked_add(2);
        let first = rows.checked_mul(columns(input)?)?;
        let others = rows.checked_mul(columns(self.hidden.checked_mul(self.directions)?)?)?;
        first.checked_add(others.checked_mul(self.layers - 1)?)
    }

    /// Numbers that a step of one sequence leaves for the backward pass; none if it does not fit.
    ///
    /// Each part holds all steps of all sequences: for every layer its outputs; for every layer and direction the gates and
    /// what is kept more; and where some is dropped the factors of the outputs of all layers but the last.
    #[must_use]
    pub fn reserve(&self) -> Option<usize> {
        let cells = self.layers.checked_mul(self.directions)?.checked_mul(self.hidden)?;
        let kept = cells.checked_mul(1 + self.gates() + usize::from(self.keeps_more()))?;
        let dropped = if self.drops { cells - self.directions * self.hidden } else { 0 };
        kept.checked_add(dropped)
    }

    /// The shapes of data, parameters, states, output and reserve, as far as they follow from one another.
    fn infer(&self, s: &mut Shapes, at: &Places) -> Result<()> {
        let sequences = [Place::Input(at.data), at.output, at.reserve];
        let steps = sequences.iter().find_map(|place| place.dim(s, 0));
        let batch = sequences.iter().chain(&at.states).find_map(|place| place.dim(s, 1));
        let data = s.input(at.data).clone();
        let too_large = || Error::Shape(format!("data has shape {data}, which makes too many numbers for {self:?}"));
        let width = self.directions.checked_mul(self.hidden).ok_or_else(too_large)?;
        let cells = self.layers.checked_mul(self.directions).ok_or_else(too_large)?;
        let reserve = self.reserve().ok_or_else(too_large)?;
        let parameters = match data.dim(2) {
            Some(input) => Some(self.parameters(input).ok_or_else(too_large)?),
            None => None,
        };
        let sequence = |last| PartialShape::new([steps, batch, last]);
        let state = PartialShape::new([Some(cells), batch, Some(self.hidden)]);
        let why = format!("from data {data}");
        s.set_input(at.data, sequence(None), "for (steps, batch, numbers)")?;
        s.set_input(at.parameters, PartialShape::new([parameters]), &why)?;
        at.states.iter().try_for_each(|place| place.set(s, state.clone(), &why))?;
        at.output.set(s, sequence(Some(width)), &why)?;
        at.reserve.set(s, sequence(Some(reserve)), &why)
    }
}

/// One of a node's tensors.
#[derive(Clone, Copy)]
enum Place {
    Input(usize),
    Output(usize),
}

impl Place {
    fn dim(self, s: &Shapes, axis: usize) -> Option<usize> {
        match self {
            Place::Input(i) => s.input(i).dim(axis),
            Place::Output(o) => s.output(o).dim(axis),
        }
    }

    fn set(self, s: &mut Shapes, shape: PartialShape, why: &str) -> Result<()> {
        match self {
            Place::Input(i) => s.set_input(i, shape, why),
            Place::Output(o) => s.set_output(o, shape, why),
        }
    }
}

/// Which tensor is which; `output` and `states` stand for their gradients too.
struct Places {
    data: usize,
    parameters: usize,
    states: Vec<Place>,
    output: Place,
    reserve: Place,
}

/// `state`, and `state_cell` for `lstm`, each with something before its name.
fn states(params: &Params, before: &str) -> Vec<String> {
    let names: &[&str] = if params.text("mode") == "lstm" { &["state", "state_cell"] } else { &["state"] };
    names.iter().map(|name| format!("{before}{name}")).collect()
}

fn refuse_unknown(params: &Params) -> Result<()> {
    let p = params.float("p");
    if p >= 1.0 {
        return Err(Error::Param(format!("parameter \"p\" is {p}, wanted a number from 0 to below 1")));
    }
    for name in ["projection_size", "lstm_state_clip_min", "lstm_state_clip_max"] {
        let value = params.value(name);
        if *value != Value::None {
            return Err(Error::Param(format!("parameter \"{name}\" is {value}, wanted None")));
        }
    }
    if params.bool("use_sequence_length") {
        return Err(Error::Param("parameter \"use_sequence_length\" is True, wanted False".to_string()));
    }
    Ok(())
}

/// Recurrent layers.
pub(super) struct Rnn;

impl Operator for Rnn {
    fn name(&self) -> &str {
        "RNN"
    }

    fn doc(&self) -> &str {
        "A sequence through layers of recurrent cells. With a = W x + b of a step's input, u = R h + c of the state: rnn_relu \
         and rnn_tanh h = f(a + u). lstm, of gates i, f, g, o: cell = σ(f) · cell + σ(i) · tanh g and h = σ(o) · tanh cell. gru, \
         of gates r, z, n: h = (1 - z) · tanh(a_n + σ(r) · u_n) + z · h. data (T, N, C) of T steps and N sequences, state and \
         state_cell (layers · directions, N, H), output (T, N, directions · H) with the backward cell's numbers last. \
         parameters: for every layer and direction W (gates · H, numbers read) and R (gates · H, H), then for each b and c. \
         The hidden output reserve is what the backward pass needs. Hochreiter and Schmidhuber 1997; Cho and others 2014."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        refuse_unknown(params)
    }

    fn inputs(&self, params: &Params) -> Vec<String> {
        let mut names = ["data", "parameters"].map(String::from).to_vec();
        names.extend(states(params, ""));
        names
    }

    fn outputs(&self, params: &Params) -> Vec<String> {
        let mut names = vec!["output".to_string()];
        if params.bool("state_outputs") {
            let all = ["state_output", "statecell_output"].map(String::from);
            names.extend(all.into_iter().take(states(params, "").len()));
        }
        names.push("reserve".to_string());
        names
    }

    fn num_visible_outputs(&self, params: &Params) -> usize {
        self.outputs(params).len() - 1
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let reserve = s.num_outputs() - 1;
        RnnSizes::new(params).infer(
            s,
            &Places {
                data: 0,
                parameters: 1,
                states: (2..s.num_inputs()).map(Place::Input).chain((1..reserve).map(Place::Output)).collect(),
                output: Place::Output(0),
                reserve: Place::Output(reserve),
            },
        )
    }

    /// It draws what it drops.
    fn is_deterministic(&self) -> bool {
        false
    }

    /// Nothing that flows into an output is a gradient of zeroes.
    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let reserve = grad.outputs.len() - 1;
        if grad.out_grads[..reserve].iter().all(Option::is_none) {
            return Err(no_gradient(self.name(), grad.node));
        }
        let mut inputs = Vec::new();
        for o in 0..reserve {
            inputs.push(match grad.out_grads[o] {
                Some(entry) => entry,
                None => {
                    let name = format!("{}_backward_zeros{o}", grad.node);
                    grad.graph.add("zeros_like", &name, Attrs::new(), &[grad.outputs[o]])?
                }
            });
        }
        inputs.extend(grad.inputs);
        inputs.push(grad.outputs[reserve]);
        grad.backward("_backward_RNN", &inputs, grad.inputs.len())
    }
}

/// Gradients of [`Rnn`] by all of its inputs.
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_RNN"
    }

    fn doc(&self) -> &str {
        "The gradients of data, parameters and states, from those of output and, with state_outputs, of the states after the \
         last step: from the last step back to the first, from the last layer down to the first."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        refuse_unknown(params)
    }

    fn inputs(&self, params: &Params) -> Vec<String> {
        let mut names = vec!["out_grad".to_string()];
        if params.bool("state_outputs") {
            names.extend(states(params, "out_grad_"));
        }
        names.extend(["data", "parameters"].map(String::from));
        names.extend(states(params, ""));
        names.push("reserve".to_string());
        names
    }

    fn outputs(&self, params: &Params) -> Vec<String> {
        let mut names = ["d_data", "d_parameters"].map(String::from).to_vec();
        names.extend(states(params, "d_"));
        names
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let count = states(params, "").len();
        let data = if params.bool("state_outputs") { 1 + count } else { 1 };
        let reserve = s.num_inputs() - 1;
        RnnSizes::new(params).infer(
            s,
            &Places {
                data,
                parameters: data + 1,
                states: (1..data)
                    .chain(data + 2..reserve)
                    .map(Place::Input)
                    .chain((2..2 + count).map(Place::Output))
                    .collect(),
                output: Place::Input(0),
                reserve: Place::Input(reserve),
            },
        )?;
        s.same(&[data], &[0])?;
        s.same(&[data + 1], &[1])
    }
}
