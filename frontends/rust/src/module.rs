//! A network with its parameters: bound to shapes, initialised, trained, scored, saved.

use crate::checkpoint::Loaded;
use crate::init::Initializer;
use crate::optimizer::Optimizer;
use crate::params::{Param, Use, uses};
use crate::states::{Progress, States};
use crate::updater::Updater;
use std::sync::Arc;
use varflow_ops::{
    Batch, DataDesc, DataIter, Device, DeviceKind, Error, PartialShape, Result, Runtime, Shape, Tensor, cpu,
};
use varflow_symbol::{BindOptions, Executor, GradReq, Graph, Recompute, Symbol, infer_shapes};

/// A network, its parameters and what is bound of it.
///
/// ```
/// use varflow::prelude::*;
/// let rt = varflow::runtime(1)?;
/// let mut module = Module::new(&rt, zoo::mlp(10))?;
/// module.bind(&[("data", [32, 784].into())])?;
/// module.init(&Xavier::magnitude(2.0), 0)?;
/// assert_eq!(module.params()[0].name, "fc1_weight");
/// assert_eq!(module.params()[0].tensor.shape().to_string(), "(128, 784)");
/// # Ok::<(), varflow::Error>(())
/// ```
pub struct Module {
    pub(crate) runtime: Runtime,
    pub(crate) symbol: Symbol,
    graph: Graph,
    /// How each node of the graph is used.
    uses: Vec<Use>,
    params: Vec<Param>,
    /// Whether the parameters have values.
    pub(crate) is_set: bool,
    /// Arrays read from a checkpoint, until shapes are bound.
    pub(crate) loaded: Option<Loaded>,
    /// States read from a checkpoint, until there is an optimizer.
    pub(crate) resumed: Option<States>,
    pub(crate) progress: Progress,
    pub(crate) seed: u64,
    recompute: Recompute,
    memory_budget: Option<usize>,
    /// How many states the optimizer keeps of each parameter.
    num_states: usize,
    train: Option<Session>,
    infer: Option<Session>,
    updater: Option<Updater>,
}

/// An executor for certain input shapes.
pub(crate) struct Session {
    inputs: Vec<(String, Shape)>,
    /// The executor's own tensors of these inputs.
    tensors: Vec<Tensor>,
    pub(crate) executor: Executor,
}

impl Module {
    /// A module of this network. Its operators and their parameters are checked at once.
    ///
    /// # Errors
    /// As [`Symbol::resolve`].
    pub fn new(runtime: &Runtime, symbol: impl Into<Symbol>) -> Result<Module> {
        let symbol = symbol.into();
        let graph = symbol.resolve(&runtime.registry)?;
        Ok(Module {
            runtime: runtime.clone(),
            symbol,
            uses: uses(&graph),
            graph,
            params: Vec::new(),
            is_set: false,
            loaded: None,
            resumed: None,
            progress: Progress::default(),
            seed: 0,
            recompute: Recompute::None,
            memory_budget: None,
            num_states: 0,
            train: None,
            infer: None,
            updater: None,
        })
    }

    /// Chooses the devices; `cpu(0)` unless set.
    ///
    /// # Errors
    /// Any choice but one processor device, which is all that this runtime has.
    pub fn devices(self, devices: impl IntoIterator<Item = Device>) -> Result<Module> {
        let devices: Vec<Device> = devices.into_iter().collect();
        match devices[..] {
            [Device { kind: DeviceKind::Cpu, id: 0 }] => Ok(self),
            _ => Err(Error::Param(format!("the devices are {devices:?}, the runtime has {} only", cpu(0)))),
        }
    }

    /// Chooses what backward passes compute a second time, rather than keep it from the forward pass; nothing unless set.
    #[must_use]
    pub fn recompute(mut self, recompute: Recompute) -> Module {
        self.recompute = recompute;
        self
    }

    /// Sets the most bytes that training may take, as [`BindOptions::memory_budget`] counts them, the optimizer's states included.
    /// The executors of predictions come on top. As much is recomputed as that takes.
    #[must_use]
    pub fn memory_budget(mut self, bytes: Option<usize>) -> Module {
        self.memory_budget = bytes;
        self
    }

    /// Gives shapes to inputs, data and labels by name, infers those of all parameters from them, and makes the
    /// parameters, or takes them from the checkpoint that the module was loaded from. [Labels](Graph::labels)
    /// need no shape where it follows from the data's. Another call may change the batch size.
    ///
    /// # Errors
    /// A name that the network does not have; shapes that contradict each other or leave one open; a
    /// checkpoint that does not fit: which array, which shapes.
    pub fn bind(&mut self, inputs: &[(&str, Shape)]) -> Result<()> {
        let given: Vec<_> = inputs.iter().map(|(name, shape)| (name.to_string(), PartialShape::from(shape))).collect();
        let shapes = infer_shapes(&self.graph, &given)?;
        let is_input = |name: &str| inputs.iter().any(|(n, _)| *n == name);
        let (mut params, labels) = (Vec::new(), self.graph.labels());
        for (node, variable) in self.graph.nodes.iter().enumerate().filter(|(_, n)| n.op.is_none()) {
            let (used, shape) = (&self.uses[node], &shapes[node][0]);
            if is_input(&variable.name) || labels.binary_search(&node).is_ok() {
                continue;
            }
            match self.params.iter().find(|p| p.name == variable.name) {
                None => params.push(Param::new(&self.runtime.engine, variable, used, shape)?),
                Some(param) if param.tensor.shape() == shape => params.push(param.clone()),
                Some(param) => {
                    let (name, is) = (&param.name, param.tensor.shape());
                    let text = format!("parameter {name} has shape {is}, these inputs want {shape}");
                    return Err(Error::Shape(text));
                }
            }
        }
        self.params = params;
        if let Some(loaded) = &self.loaded {
            loaded.set(&self.params)?;
            (self.loaded, self.is_set) = (None, true);
        }
        Ok(())
    }

    /// Checks that inputs of these shapes fit the network, and its parameters as far as they are there, without binding
    /// anything.
    ///
    /// # Errors
    /// A name that the network does not have; shapes that contradict each other or leave one open.
    pub fn check_inputs(&self, inputs: &[(&str, Shape)]) -> Result<()> {
        let given = inputs.iter().map(|(name, shape)| (*name, PartialShape::from(shape)));
        let is_new = |name: &str| !inputs.iter().any(|(n, _)| *n == name);
        let names = self.graph.nodes.iter().filter(|n| n.op.is_none() && is_new(&n.name)).map(|n| &n.name[..]);
        let known = names.filter_map(|name| Some((name, PartialShape::from(self.param_shape(name)?))));
        infer_shapes(&self.graph, &given.chain(known).collect::<Vec<_>>()).map(|_| ())
    }

    /// The arguments that are neither parameters that have values, or wait for them in a checkpoint, nor labels of losses:
    /// what is to be given for a prediction.
    #[must_use]
    pub fn inputs(&self) -> Vec<&str> {
        let labels = self.graph.labels();
        let arguments = self.graph.arguments().into_iter().filter(|i| labels.binary_search(i).is_err());
        let names = arguments.map(|i| &self.graph.nodes[i].name[..]);
        names.filter(|name| self.param_shape(name).is_none()).collect()
    }

    fn param_shape(&self, name: &str) -> Option<&Shape> {
        let bound = self.params.iter().find(|p| p.name == name).map(|p| p.tensor.shape());
        bound.or_else(|| self.loaded.as_ref()?.shape(name))
    }

    /// Gives the parameters their first values, unless a checkpoint did. Random numbers follow from the seed and each
    /// parameter's name.
    ///
    /// # Errors
    /// A shape that the initialiser does not suit, a bad `__init__` attribute.
    pub fn init(&mut self, initializer: &dyn Initializer, seed: u64) -> Result<()> {
        if self.is_set {
            return Ok(());
        }
        self.params.iter().try_for_each(|p| p.init(initializer, seed))?;
        (self.is_set, self.seed) = (true, seed);
        Ok(())
    }

    /// The parameters, arguments and auxiliary states, in the network's order. Empty until bound.
    #[must_use]
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// The network.
    #[must_use]
    pub fn symbol(&self) -> &Symbol {
        &self.symbol
    }

    /// The network as a graph.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The engine and registry.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// How far training is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// The seed of its random numbers: that of the run whose checkpoint it was loaded from, else what
    /// [`init`](Self::init) was given.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Sets the seed of random operators in executors yet to be bound, and so binds the training one anew.
    pub(crate) fn set_seed(&mut self, seed: u64) {
        if self.seed != seed {
            (self.seed, self.train) = (seed, None);
        }
    }

    /// Chooses the optimizer and binds the network for training with batches of these inputs. States that a checkpoint
    /// brought are taken over, and those of an optimizer before it that uses the same operator.
    ///
    /// # Errors
    /// Parameters without values; as [`bind`](Self::bind); states that do not fit.
    pub fn init_optimizer(&mut self, inputs: &[(&str, Shape)], optimizer: Arc<dyn Optimizer>) -> Result<()> {
        let batch_size = inputs.first().and_then(|(_, s)| s.dims().first().copied()).unwrap_or(1);
        self.num_states = optimizer.states().len();
        let grads = self.session(inputs, true)?.executor.grads().to_vec();
        let with_grad = |param: &Param| grads.iter().find(|g| g.0 == param.name).map(|g| (param.clone(), g.1.clone()));
        let pairs = self.params.iter().filter_map(with_grad).collect();
        let updater = Updater::new(&self.runtime, optimizer, batch_size, pairs)?;
        if let Some(states) = self.resumed.take() {
            updater.restore(&states)?;
        } else if let Some(states) = self.states()?.filter(|s| s.operator == updater.operator()) {
            updater.restore(&states)?;
        }
        self.updater = Some(updater);
        Ok(())
    }

    /// Pushes one training step: forward, backward and update. Waits for nothing.
    ///
    /// # Errors
    /// When there is no optimizer, or the batch is not as bound.
    pub fn train_step(&mut self, batch: &Batch) -> Result<()> {
        let (Some(session), Some(updater)) = (&mut self.train, &mut self.updater) else {
            return Err(Error::Contract("train_step before init_optimizer".to_string()));
        };
        session.feed(batch)?;
        self.progress.num_update += 1;
        session.executor.forward_backward(self.progress.num_update)?;
        updater.push(self.progress.num_update)
    }

    /// The first output of the last training step.
    pub(crate) fn train_output(&self) -> Result<Tensor> {
        self.train.as_ref().ok_or_else(|| Error::Contract("there was no training step".to_string()))?.output()
    }

    /// The optimizer's states, if there is an optimizer.
    pub(crate) fn states(&self) -> Result<Option<States>> {
        let Some(updater) = &self.updater else { return Ok(None) };
        let (operator, arrays) = (updater.operator().to_string(), updater.states()?);
        Ok(Some(States { operator, progress: self.progress, seed: self.seed, arrays }))
    }

    /// The executor for these inputs, bound anew if they have changed. All executors share the parameters.
    pub(crate) fn session(&mut self, inputs: &[(&str, Shape)], for_training: bool) -> Result<&mut Session> {
        let kept = if for_training { self.train.take() } else { self.infer.take() };
        let session = match kept.filter(|s| s.is_for(inputs)) {
            Some(session) => session,
            None => self.new_session(inputs, for_training)?,
        };
        let slot = if for_training { &mut self.train } else { &mut self.infer };
        Ok(slot.insert(session))
    }

    fn new_session(&mut self, inputs: &[(&str, Shape)], for_training: bool) -> Result<Session> {
        self.bind(inputs)?;
        if !self.is_set {
            let text = "the parameters have no values yet: call init, or load a checkpoint".to_string();
            return Err(Error::Contract(text));
        }
        let inputs: Vec<(String, Shape)> = inputs.iter().map(|(n, s)| (n.to_string(), s.clone())).collect();
        let shared = self.params.iter().map(|p| (p.name.clone(), p.tensor.clone())).collect();
        let fixed = self.params.iter().filter(|p| !p.is_auxiliary && p.lr_mult == 0.0);
        let grad_req = fixed.map(|p| (p.name.clone(), GradReq::Null)).collect();
        let mut options = BindOptions { for_training, shared, grad_req, seed: self.seed, ..BindOptions::default() };
        if for_training {
            (options.recompute, options.memory_budget) = (self.recompute, self.memory_budget);
            options.optimizer_states = self.num_states;
        }
        let executor = Executor::bind_graph(&self.runtime, &self.graph, &inputs, &options)?;
        let tensor = |name: &String| executor.args().iter().find(|(n, _)| n == name).map(|(_, t)| t.clone());
        let tensors = inputs.iter().map(|(name, _)| tensor(name)).collect::<Option<Vec<_>>>();
        let tensors = tensors.ok_or_else(|| Error::Contract("an input is no argument of the executor".to_string()))?;
        Ok(Session { inputs, tensors, executor })
    }
}

impl Session {
    fn is_for(&self, inputs: &[(&str, Shape)]) -> bool {
        self.inputs.len() == inputs.len() && self.inputs.iter().zip(inputs).all(|(a, b)| a.0 == b.0 && a.1 == b.1)
    }

    /// Pushes copies of a batch's data and labels into the executor's inputs, which were bound in this order: data,
    /// then labels or nothing.
    pub(crate) fn feed(&self, batch: &Batch) -> Result<()> {
        for (i, (to, from)) in self.tensors.iter().zip(batch.data.iter().chain(&batch.label)).enumerate() {
            to.copy_from(from).map_err(|e| e.at(format!("input {}", self.inputs[i].0)))?;
        }
        Ok(())
    }

    /// The network's first output.
    pub(crate) fn output(&self) -> Result<Tensor> {
        let first = self.executor.outputs().first().map(|(_, tensor)| tensor.clone());
        first.ok_or_else(|| Error::Contract("the network has no output".to_string()))
    }
}

/// The data and labels of an iterator, by name and shape.
pub(crate) fn described(iter: &dyn DataIter) -> Vec<(String, Shape)> {
    let all = iter.provide_data().into_iter().chain(iter.provide_label());
    all.map(|DataDesc { name, shape, .. }| (name, shape)).collect()
}

pub(crate) fn borrowed(inputs: &[(String, Shape)]) -> Vec<(&str, Shape)> {
    inputs.iter().map(|(n, s)| (n.as_str(), s.clone())).collect()
}
