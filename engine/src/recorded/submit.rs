//! Pushing a run of a plan.
#![expect(unsafe_code, reason = "hands a run over to its tasks")]

use super::{Hold, Plan};
use crate::access::Mode;
use crate::bounds::Room;
use crate::error::Cause;
use crate::node::{Header, SlotRef, TaskRef};
use crate::observe::{Role, TaskNumber};
use crate::sync::{Arc, Ordering, lock};
use crate::task::hand_on;
use crate::var::{OrderedGuard, VarPin};
use std::panic::Location;
use std::ptr::NonNull;

impl Plan {
    /// Tells the tasks of a run as pushed; gives the number of the first.
    #[cold]
    fn tell_pushed(&self) -> Option<TaskNumber> {
        let first = self.core.observer.numbers(self.tasks.len())?;
        for (index, task) in self.tasks.iter().enumerate() {
            // SAFETY: pinned by the plan.
            let accesses = self.accesses(task).map(|(var, mode)| (unsafe { var.as_ref() }.id(), mode)).collect();
            self.core.observer.pushed_as(first.checked_add(index), self.task(index), Role::Task, accesses);
        }
        Some(first)
    }

    /// What a run is charged on the ledger of a bounded engine, beside being one task.
    fn written_bytes(&self) -> u128 {
        let written = self.ports.iter().filter(|port| port.exclusive);
        // SAFETY: pinned by the plan.
        let sizes = written.map(|port| unsafe { port.var.as_ref() }.size_bytes());
        self.core.bounds().map_or(0, |bounds| bounds.sum(sizes))
    }

    /// Pushes one run, whose tasks are told the argument.
    pub(crate) fn submit(self: &Arc<Self>, argument: u64, site: &'static Location<'static>) {
        if self.tasks.is_empty() {
            return;
        }
        let bytes = self.written_bytes();
        if let Some(bounds) = self.core.bounds() {
            bounds.enter(&self.core, bytes, None);
        }
        let header = || Header { name: self.name.clone(), site, priority: 0, lane: 0 };
        if self.core.is_closed() {
            let all = self.outside.iter().map(VarPin::state_ptr).zip(&self.ports);
            let mut accesses: Vec<_> = all
                .map(|(_, port)| (port.var, if port.exclusive { Mode::Write } else { Mode::Read }))
                .chain([(self.gate().state_ptr(), Mode::Write)])
                .collect();
            // SAFETY: the plan keeps its gate and pins its outside vars.
            accesses.sort_unstable_by_key(|(var, _)| unsafe { var.as_ref() }.id());
            let task = TaskRef::new(&self.core, header(), &accesses, Cause::ShutDown);
            return crate::task::push(&self.core, task);
        }
        let run = lock(&self.spare).pop().unwrap_or_default();
        let at = NonNull::from(Box::leak(run));
        // SAFETY: this thread has the run alone, until it lets the gate go below.
        let run = unsafe { &mut *at.as_ptr() };
        run.plan = Some(self.clone());
        run.argument = argument;
        run.room = Room::of_entered(&self.core, bytes);
        let gate = [(self.gate().state_ptr(), Mode::Overwrite)];
        let gate = TaskRef::new(&self.core, header(), &gate, Hold { run: at, port: None });
        run.gate = Some(gate);
        run.first_number = self.core.observer.is_on().then(|| self.tell_pushed()).flatten();
        // Not its tasks: the run is pending as long as its gate is.
        self.core.run_begun(self.ports.len() + 1);
        for (port, spec) in self.ports.iter().enumerate() {
            let mode = if spec.exclusive { Mode::Write } else { Mode::Read };
            let hold = Hold { run: at, port: Some(port as u32) };
            run.ports.push(TaskRef::new(&self.core, header(), &[(spec.var, mode)], hold));
        }
        for task in run.ports.iter().chain([&gate]).filter(|task| task.has_room()) {
            self.core.observer.pushed(*task);
        }
        enter(gate, &run.ports, &mut run.guards);
        // The gate counts one more than its access, for this thread: from here on it may be granted.
        if gate.grant_one() {
            if gate.has_room() {
                self.core.observer.ready(gate, None);
            }
            hand_on(&self.core, gate);
        }
    }
}

/// Enters the queues of the gate and all ports at once, in the order of their numbers.
fn enter(gate: TaskRef, ports: &[TaskRef], guards: &mut Vec<OrderedGuard<'static>>) {
    let mut gate_slot = gate.slots().next();
    let mut push = |slot: SlotRef, more: u32| {
        let mut guard = slot.var().lock();
        let granted = guard.queue.push(slot, slot.mode().is_exclusive());
        // Relaxed: published by the lock.
        slot.task().ungranted().store(more + u32::from(!granted), Ordering::Relaxed);
        // SAFETY: the var lives while a pending task names it, which each of these does until it is granted and ended:
        // not before the gate is granted.
        guards.push(unsafe { std::mem::transmute::<OrderedGuard<'_>, OrderedGuard<'static>>(guard) });
    };
    // Each port waits for its var and for the gate.
    for slot in ports.iter().filter_map(|p| p.slots().next()) {
        if let Some(gate) = gate_slot.take_if(|gate| gate.var().id() < slot.var().id()) {
            push(gate, 1);
        }
        push(slot, 1);
    }
    gate_slot.into_iter().for_each(|slot| push(slot, 1));
    guards.clear();
}
