//! Looking at results inside a network as they are computed.

use crate::HostArray;
use std::sync::Arc;
use varflow_engine::{Recorder, Var};
use varflow_ops::Tensor;

/// Is shown results inside a network: see [`Executor::set_monitor`](super::Executor::set_monitor).
#[derive(Clone)]
pub struct Monitor {
    wants: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    see: Arc<See>,
}

/// Name and values.
type See = dyn Fn(&str, &HostArray) + Send + Sync;

impl Monitor {
    /// Shows `see` the name and a copy of the values of each output whose name `wants` chooses: `conv1_output`, or
    /// `conv1_backward_output` in backward passes. It is called on the engine's workers, for one output at a time, in the order
    /// in which they are computed, and as soon as they are.
    #[must_use]
    pub fn new(
        wants: impl Fn(&str) -> bool + Send + Sync + 'static,
        see: impl Fn(&str, &HostArray) + Send + Sync + 'static,
    ) -> Monitor {
        Monitor { wants: Arc::new(wants), see: Arc::new(see) }
    }

    pub(super) fn wants(&self, name: &str) -> bool {
        (self.wants)(name)
    }

    /// Records a task that shows the values that the tensor has then; `order` keeps such tasks in order.
    pub(super) fn record(&self, recorder: &mut Recorder, name: String, tensor: &Tensor, order: &Var) {
        let see = self.see.clone();
        tensor.record_read(recorder, "monitor", order, move |desc, bytes| {
            see(&name, &HostArray { desc: desc.clone(), bytes: bytes.to_vec() });
        });
    }
}
