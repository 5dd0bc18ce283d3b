//! The passes of an executor, recorded: each a schedule behind the arena's gate.
//!
//! What lies in the arena has vars inside the schedules, so that its order costs nothing at run time. Forward and backward
//! passes have them in common: the gate makes passes follow each other as wholes, and a backward pass finds the results, or
//! the poison, that its forward pass left. All else (arguments, auxiliary states, gradients, outputs) is outside: a pass lets
//! go of each when its own last task on it is done, so updates of parameters run beside the rest of a backward pass.

use super::{Monitor, Named};
use crate::names::output_name;
use std::sync::Arc;
use varflow_engine::{Engine, Gate, LaneHandle, Recorder, Schedule, Var};
use varflow_ops::{BoundOp, Result, Tensor};

/// A node's task.
pub(super) struct Task {
    /// `None`: the default lane.
    pub(super) lane: Option<LaneHandle>,
    pub(super) bound: BoundOp,
    /// What the operator calls its outputs.
    pub(super) outputs: Arc<[String]>,
    /// The results that are views of its own, which no task computes.
    pub(super) views: Box<[Named]>,
}

/// The tasks of each pass, in execution order.
pub(super) struct Tasks {
    /// Forward for training; empty if not bound for it.
    pub(super) train: Box<[Task]>,
    /// Forward for inference.
    pub(super) score: Box<[Task]>,
    pub(super) backward: Box<[Task]>,
    /// The results that are views of variables.
    pub(super) views: Box<[Named]>,
    pub(super) seed: u64,
    /// The arena's, unless nothing lies in it: then passes need not wait for those of others.
    pub(super) gate: Gate,
    /// The vars of what lies in the arena, and the one that keeps a monitor's tasks in order.
    pub(super) inside: Vec<Var>,
    /// The latter.
    pub(super) monitor_order: Var,
}

/// The schedules of each pass. They are submitted with the step that they are to be.
pub(super) struct Passes {
    pub(super) train: Schedule,
    pub(super) score: Schedule,
    pub(super) backward: Schedule,
}

impl Tasks {
    /// Records all passes, with tasks that show `monitor` what it wants to see.
    pub(super) fn record(&self, engine: &Engine, monitor: Option<&Monitor>) -> Result<Passes> {
        let record = |name: &'static str, tasks: &[Task]| -> Result<Schedule> {
            let mut recorder = self.gate.recorder(name);
            self.inside.iter().for_each(|var| recorder.keep_inside(var));
            if name != "backward" {
                self.show_all(&mut recorder, monitor, &self.views);
            }
            for task in tasks {
                task.bound.record(engine, &mut recorder, task.lane.as_ref(), self.seed);
                if monitor.is_some() {
                    let name = |output| output_name(task.bound.name(), output);
                    let outputs = task.outputs.iter().zip(task.bound.outputs());
                    let outputs = outputs.filter_map(|(output, tensor)| Some((name(output), tensor.as_ref()?)));
                    outputs.for_each(|(name, tensor)| self.show(&mut recorder, monitor, &name, tensor));
                    self.show_all(&mut recorder, monitor, &task.views);
                }
            }
            Ok(recorder.finish()?)
        };
        Ok(Passes {
            train: record("forward", &self.train)?,
            score: record("score", &self.score)?,
            backward: record("backward", &self.backward)?,
        })
    }

    /// Records a task that shows `monitor` a result, if it wants to see it.
    fn show(&self, recorder: &mut Recorder, monitor: Option<&Monitor>, name: &str, tensor: &Tensor) {
        if let Some(monitor) = monitor.filter(|m| m.wants(name)) {
            monitor.record(recorder, name.to_string(), tensor, &self.monitor_order);
        }
    }

    fn show_all(&self, recorder: &mut Recorder, monitor: Option<&Monitor>, results: &[Named]) {
        results.iter().for_each(|(name, tensor)| self.show(recorder, monitor, name, tensor));
    }
}
