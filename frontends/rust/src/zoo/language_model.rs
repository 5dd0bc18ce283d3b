//! Language models, unrolled: after each word of a sequence, which comes next.

use super::Network;
use super::spec::{Built, Spec};
use varflow_ops::{Error, Result, Shape};
use varflow_symbol::{Symbol, sym};

pub(super) const LSTM_LM: Network = Network {
    name: "lstm-lm",
    about: "LSTM language model, unrolled (Hochreiter and Schmidhuber 1997; Zaremba et al. 2014)",
    forms: &[""],
    takes: TAKES,
    build: |spec| build(spec, Cell::Lstm),
};

pub(super) const GRU_LM: Network = Network {
    name: "gru-lm",
    about: "GRU language model, unrolled (Cho et al. 2014)",
    forms: &[""],
    takes: TAKES,
    build: |spec| build(spec, Cell::Gru),
};

const TAKES: &[&str] = &["num_layers", "seq_len", "num_hidden", "num_embed"];

/// Cells beyond this many are a mistake: each is ten nodes and more.
const MOST_CELLS: usize = 100_000;

#[derive(Clone, Copy)]
enum Cell {
    Lstm,
    Gru,
}

/// Names, gates and order of inputs are those of MXNet's `mx.rnn` cells, the sizes those of its Penn Treebank example. The
/// labels have the shape of the data, and row `t + seq_len · n` of the output is about word `t` of sample `n`.
fn build(spec: &Spec, cell: Cell) -> Result<Built> {
    let (num_layers, seq_len) = (spec.num_layers.unwrap_or(2), spec.seq_len.unwrap_or(35));
    let (hidden, embed) = (spec.num_hidden.unwrap_or(200), spec.num_embed.unwrap_or(200));
    let vocabulary = spec.num_classes.unwrap_or(10_000);
    if num_layers == 0 {
        return Err(spec.refuse_layers("at least 1"));
    }
    if num_layers.checked_mul(seq_len).is_none_or(|cells| cells > MOST_CELLS) {
        let sizes = format!("num_layers is {num_layers} and seq_len {seq_len}");
        return Err(spec.refuse(&format!("{sizes}: wanted a product of at most {MOST_CELLS}")));
    }
    if hidden.checked_mul(4).is_none() {
        return Err(spec.refuse(&format!("num_hidden is {hidden}: wanted less")));
    }
    let x = sym::op("Embedding").input(sym::var("data")).set("input_dim", vocabulary).set("output_dim", embed);
    let words = sym::op("SliceChannel").input(x.name("embed")).set("num_outputs", seq_len);
    let words = words.set("axis", 1_usize).set("squeeze_axis", true).name("words").build();
    let mut steps = (0..seq_len).map(|t| words.output(t)).collect::<Result<Vec<Symbol>>>()?;
    for i in 0..num_layers {
        let layer = Layer::new(cell, i, hidden);
        let mut state = layer.begin();
        for (t, x) in steps.iter_mut().enumerate() {
            state = match cell {
                Cell::Lstm => layer.lstm(x, &state, t)?,
                Cell::Gru => layer.gru(x, &state, t)?,
            };
            *x = state[0].clone();
        }
    }
    let along_time = steps.into_iter().map(|x| sym::op("expand_dims").input(x).axis(1));
    let x = along_time.fold(sym::op("Concat"), varflow_symbol::OpBuilder::input).set("dim", 1_usize).name("outputs");
    let x = sym::reshape(x, [-1, hidden as i64]).name("flattened");
    let x = sym::fully_connected(x).num_hidden(vocabulary).name("pred");
    let label = sym::reshape(sym::var("softmax_label").shape([0, seq_len]), [-1]).name("labels");
    let symbol = sym::softmax_output(x).label(label).name("softmax").build();
    Ok(Built { symbol, data_shape: Shape::new(&[seq_len]), num_classes: vocabulary })
}

/// One recurrent layer, whose parameters all its steps share.
struct Layer {
    cell: Cell,
    prefix: String,
    hidden: usize,
    i2h: [Symbol; 2],
    h2h: [Symbol; 2],
}

impl Layer {
    fn new(cell: Cell, i: usize, hidden: usize) -> Layer {
        let prefix = match cell {
            Cell::Lstm => format!("lstm_l{i}_"),
            Cell::Gru => format!("gru_l{i}_"),
        };
        let var = |part: &str| sym::var(&format!("{prefix}{part}"));
        let bias = match cell {
            Cell::Lstm => var("i2h_bias").init(r#"["lstmbias", {"forget_bias": 1.0}]"#),
            Cell::Gru => var("i2h_bias"),
        };
        let i2h = [var("i2h_weight").build(), bias.build()];
        let h2h = [var("h2h_weight").build(), var("h2h_bias").build()];
        Layer { cell, prefix, hidden, i2h, h2h }
    }

    /// The states before the first word: zeroes, as many as there are samples.
    fn begin(&self) -> Vec<Symbol> {
        let states = match self.cell {
            Cell::Lstm => 2,
            Cell::Gru => 1,
        };
        let zeros =
            |i| sym::op("_zeros").set("shape", [0, self.hidden]).name(format!("{}begin_state_{i}", self.prefix));
        (0..states).map(|i| zeros(i).build()).collect()
    }

    /// The parts that all gates add up, from below and from the step before.
    fn sums(&self, x: &Symbol, before: &Symbol, gates: usize, step: &str) -> [Symbol; 2] {
        let sum = |x: &Symbol, [weight, bias]: &[Symbol; 2], part: &str| {
            let sum = sym::fully_connected(x).weight(weight).bias(bias).num_hidden(gates * self.hidden);
            sum.name(format!("{step}_{part}")).build()
        };
        [sum(x, &self.i2h, "i2h"), sum(before, &self.h2h, "h2h")]
    }

    /// Output and cell after step `t`.
    fn lstm(&self, x: &Symbol, states: &[Symbol], t: usize) -> Result<Vec<Symbol>> {
        let [before, memory] = states else { return Err(Error::Contract("an LSTM has two states".to_string())) };
        let step = format!("{}t{t}", self.prefix);
        let [below, behind] = self.sums(x, before, 4, &step);
        let gates = sym::op("SliceChannel").input(below + behind).set("num_outputs", 4_usize);
        let gates = gates.name(format!("{step}_slice")).build();
        let sigmoid = |i, name: &str| Ok::<_, Error>(sym::sigmoid(gates.output(i)?).name(format!("{step}_{name}")));
        let (take, keep, give) = (sigmoid(0, "i")?, sigmoid(1, "f")?, sigmoid(3, "o")?);
        let news = sym::tanh(gates.output(2)?).name(format!("{step}_c"));
        let memory = (keep * memory + take * news).name(format!("{step}_state")).build();
        let output = (give * sym::tanh(&memory)).name(format!("{step}_out")).build();
        Ok(vec![output, memory])
    }

    /// Output after step `t`.
    fn gru(&self, x: &Symbol, states: &[Symbol], t: usize) -> Result<Vec<Symbol>> {
        let [before] = states else { return Err(Error::Contract("a GRU has one state".to_string())) };
        // Two underscores, as MXNet has it.
        let step = format!("{}t{t}_", self.prefix);
        let slices = self
            .sums(x, before, 3, &step)
            .map(|sums| sym::op("SliceChannel").input(sums).set("num_outputs", 3_usize).build());
        let [below, behind] = slices;
        let reset = sym::sigmoid(below.output(0)? + behind.output(0)?).name(format!("{step}_r_act"));
        let keep = sym::sigmoid(below.output(1)? + behind.output(1)?).name(format!("{step}_z_act")).build();
        let news = sym::tanh(below.output(2)? + reset * behind.output(2)?).name(format!("{step}_h_act"));
        let output = ((1.0 - &keep) * news + keep * before).name(format!("{}t{t}_out", self.prefix));
        Ok(vec![output.build()])
    }
}
