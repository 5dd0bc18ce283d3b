//! A task as one who waits meets it: a task of a schedule stands for itself in one run.
#![expect(unsafe_code, reason = "looks at runs that an unfinished task keeps alive")]

use super::{Hold, Run, recorded};
use crate::node::{Call, TaskRef};
use std::ops::Range;
use std::ptr::NonNull;

/// A pending task, where waits are looked into: a task of a schedule stands for itself in one run.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Step {
    pub(crate) task: TaskRef,
    run: Option<NonNull<Run>>,
    /// Of a port: whether its var is not granted yet.
    waits: bool,
}

impl Step {
    /// A task found waiting in a var's queue.
    pub(crate) fn waiting(task: TaskRef) -> Step {
        let run = if let Call::Port(_) = task.call() { Some(hold(task).run) } else { None };
        Step { task, run, waits: true }
    }

    /// A task whose body runs, and whose accesses do not end as long as the caller's [`Look`](crate::ending::Look) at it lives.
    pub(crate) fn running(task: TaskRef) -> Step {
        let run = if let Call::Recorded = task.call() {
            // SAFETY: it is not done, so its run has not ended.
            unsafe { *recorded(task).1.current.get() }
        } else {
            None
        };
        Step { task, run, waits: false }
    }

    /// What cannot go on before this within its run.
    pub(crate) fn held_up_inside(self) -> Vec<Step> {
        let mut out = Vec::new();
        let Some(at) = self.run else { return out };
        // SAFETY: one of the run's tasks, ports or gate is unfinished, so the run has not ended.
        let run = unsafe { at.as_ref() };
        let Some(plan) = &run.plan else { return out };
        let step = |task| Step { task, run: self.run, waits: false };
        let mut tasks = |range: &Range<u32>| {
            let edges = &plan.edges[range.start as usize..range.end as usize];
            out.extend(edges.iter().map(|edge| step(plan.task(edge.to()))));
        };
        if let Call::Recorded = self.task.call() {
            // SAFETY: as above.
            let (task, _) = unsafe { recorded(self.task) };
            tasks(&task.successors);
            let releases = &plan.releases[task.releases.start as usize..task.releases.end as usize];
            out.extend(releases.iter().map(|port| step(run.ports[*port as usize])));
            out.extend(run.gate.filter(|_| task.successors.is_empty()).map(step));
        } else if self.waits {
            match hold(self.task).port {
                Some(port) => tasks(&plan.ports[port as usize].firsts),
                None => {
                    plan.ports.iter().for_each(|port| tasks(&port.firsts));
                    tasks(&plan.gate_firsts);
                }
            }
        }
        out
    }
}

fn hold(port: TaskRef) -> Hold {
    debug_assert!(matches!(port.call(), Call::Port(_)));
    // SAFETY: the closure of a port's task stays as long as the task.
    unsafe { port.body().cast::<Hold>().read() }
}
