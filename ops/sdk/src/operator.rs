//! What an operator is.

use crate::{Call, Context, DType, DTypes, Error, Float, Gradient, Graph, Param, Params, Pending, Result, Shapes};

/// An operator: what it means and how the CPU computes it.
///
/// A value of the type is one use of the operator. It is made by [`new`](Self::new) from the parameters, wherever the host asks
/// something, and once for each use that is to run; [`prepare`](Self::prepare) then tells it all that is known. Runs of one
/// value may overlap.
///
/// Inputs come first, then auxiliary states; positions count so.
pub trait Operator: Sized + Send + Sync + 'static {
    /// The name, as in symbol JSON.
    const NAME: &'static str;

    /// What it computes: formula, shapes, source. The first sentence stands in lists.
    const DOC: &'static str;

    /// Other names that stand for it.
    const ALIASES: &'static [&'static str] = &[];

    /// The names of its inputs.
    const INPUTS: &'static [&'static str] = &["data"];

    /// The names of its auxiliary states: they come after the inputs, kernels update them, and they have no gradient.
    const AUXILIARIES: &'static [&'static str] = &[];

    /// The names of its outputs.
    const OUTPUTS: &'static [&'static str] = &["output"];

    /// The names, where they depend on parameters; the constants say then what is usual.
    const NAMES: Option<fn(&Self) -> Names> = None;

    /// So many of its last outputs users do not see.
    const NUM_HIDDEN_OUTPUTS: usize = 0;

    /// Whether it takes any number of inputs `arg0`, `arg1`, …: their number is the parameter `num_args`, which it must have.
    const IS_VARIADIC: bool = false;

    /// Whether its outputs depend on more than its inputs: on [random numbers](Context::random). A run that draws them is an error
    /// where this is not said: two uses on the same inputs would be taken for one.
    const IS_RANDOM: bool = false;

    /// Whether it is a loss: its gradient does not depend on one that comes from outside.
    const IS_LOSS: bool = false;

    /// Pairs (input, output) that may share memory, best first. Elementwise methods of [`ViewMut`](crate::ViewMut) work on such.
    ///
    /// Each is of an input and an output that it has, and of no input that it changes. Where they have not as many bytes of one dtype,
    /// as with broadcasting, the pair is not used; nor, where [`NAMES`](Self::NAMES) depend on parameters, if there is no such input.
    const IN_PLACE: &'static [(usize, usize)] = &[];

    /// The inputs that it changes, beside the auxiliary states: see [`Context::mutated`].
    const MUTATED: &'static [usize] = &[];

    /// The element types that it serves: those of its first input, or output if it has no input.
    const DTYPES: &'static [DType] = &[DType::F32, DType::F64];

    /// Uses of it for `varflow plugin check`, where it has parameters without default or is particular about shapes:
    /// `"kernel=(2, 2); data=(2, 3, 8, 8)"`.
    const EXAMPLES: &'static [&'static str] = &[];

    /// Its gradient.
    const GRADIENT: Gradient = Gradient::none();

    /// Whether [`start`](Self::start) computes it, and not [`forward`](Self::forward).
    const IS_ASYNC: bool = false;

    /// Floating-point operations of one forward pass, for summaries.
    const FLOPS: Option<fn(&Self, &Call<'_>) -> f64> = None;

    /// Its parameters.
    #[must_use]
    fn params() -> Vec<Param> {
        Vec::new()
    }

    /// A use with these parameters.
    ///
    /// # Errors
    /// What the schema cannot say, such as two parameters that must be of one length: names, values and what is wanted.
    fn new(params: &Params<'_>) -> Result<Self>;

    /// Adds to what is known of the shapes. By default all inputs and outputs have the same.
    ///
    /// # Errors
    /// A contradiction.
    fn infer_shape(&self, shapes: &mut Shapes) -> Result<()> {
        shapes.all_same()
    }

    /// Adds to what is known of the dtypes. By default all inputs and outputs have the same.
    ///
    /// # Errors
    /// A contradiction.
    fn infer_dtype(&self, dtypes: &mut DTypes) -> Result<()> {
        dtypes.all_same()
    }

    /// Whether computing it takes about as long as reading its inputs and writing its outputs. Where memory is short, a training pass
    /// may then compute it a second time rather than keep its outputs: as at first, so only if it is not
    /// [random](Self::IS_RANDOM) and changes no input.
    fn is_cheap(&self) -> bool {
        false
    }

    /// The inputs that hold samples along their first axis, if it works on samples one by one in inference: sample `i` of each output
    /// then comes from sample `i` of these, of which each has as many as each output, and from all of the other inputs. A batch may
    /// then be computed in parts, and take the memory of one; but not if one of these is an input that it changes, and other inputs
    /// that it changes are changed once a part. `None`: samples meet, or it is not known. The call has no outputs.
    ///
    /// ```
    /// # use varflow_sdk::prelude::*;
    /// # struct Relu;
    /// # impl Operator for Relu {
    /// #     const NAME: &'static str = "Relu";
    /// #     const DOC: &'static str = "";
    /// #     fn new(_: &Params) -> Result<Self> { Ok(Relu) }
    /// #     fn forward<T: Float>(&self, _: &Context) -> Result<()> { Ok(()) }
    /// // Elementwise:
    /// fn per_sample(&self, _call: &Call) -> Option<Vec<usize>> {
    ///     Some(vec![0])
    /// }
    /// # }
    /// ```
    fn per_sample(&self, _call: &Call<'_>) -> Option<Vec<usize>> {
        None
    }

    /// At which byte of its first input its only output lies, if it is a part of that input, or all of it, under another shape:
    /// then it may take no memory, and [`forward`](Self::forward), which computes the same, is called only where the output is to have
    /// memory of its own. The call has the first input and the output alone. `None`: it is not. Not asked of an operator that is
    /// [random](Self::IS_RANDOM) or changes inputs.
    fn view(&self, _call: &Call<'_>) -> Option<usize> {
        None
    }

    /// Prepares for forward runs, and returns how many bytes of [workspace](Context::workspace) each wants.
    ///
    /// # Errors
    /// When it cannot serve this use.
    fn prepare(&mut self, _call: &Call<'_>) -> Result<usize> {
        Ok(0)
    }

    /// Computes all wanted outputs wholly. Called for the [`DTYPES`](Self::DTYPES) that are floating-point types.
    ///
    /// # Errors
    /// Bad data, such as a label out of range.
    fn forward<T: Float>(&self, ctx: &Context<'_>) -> Result<()>;

    /// The same for other dtypes: those of integers and truth values.
    ///
    /// # Errors
    /// By default it serves none.
    fn forward_other(&self, dtype: DType, _ctx: &Context<'_>) -> Result<()> {
        Err(Error::dtype(format!("{} has no kernel for {dtype}", Self::NAME)))
    }

    /// Starts a forward run that is done later.
    fn start<T: Float>(&self, run: Pending) {
        run.finish_with(|ctx| self.forward::<T>(ctx));
    }

    /// Prepares for backward runs, where [`GRADIENT`](Self::GRADIENT) is a kernel. The call has the backward kernel's inputs and
    /// outputs.
    ///
    /// # Errors
    /// When it cannot serve this use.
    fn prepare_backward(&mut self, _call: &Call<'_>) -> Result<usize> {
        Ok(0)
    }

    /// Computes the gradients of its inputs, where [`GRADIENT`](Self::GRADIENT) is a kernel: see [`Gradient::kernel`]. Where it has
    /// several, some may not be [wanted](Context::is_wanted), as is that of data in training.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    fn backward<T: Float>(&self, _ctx: &Context<'_>) -> Result<()> {
        Err(Error::unsupported(format!("{} has no backward kernel", Self::NAME)))
    }

    /// Builds the gradients of its inputs, where [`GRADIENT`](Self::GRADIENT) is made of nodes.
    ///
    /// # Errors
    /// What [`Graph`] says.
    fn gradient(&self, _graph: &mut Graph<'_>) -> Result<()> {
        Err(Error::unsupported(format!("{} has no gradient of graph nodes", Self::NAME)))
    }
}

/// The names of an operator's inputs, auxiliary states and outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Names {
    /// Of its inputs.
    pub inputs: Vec<String>,
    /// Of its auxiliary states.
    pub auxiliaries: Vec<String>,
    /// Of its outputs.
    pub outputs: Vec<String>,
}

impl Names {
    /// Those that an operator's constants say.
    #[must_use]
    pub fn usual<O: Operator>() -> Self {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Names { inputs: owned(O::INPUTS), auxiliaries: owned(O::AUXILIARIES), outputs: owned(O::OUTPUTS) }
    }
}
