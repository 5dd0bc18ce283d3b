//! Proves that a memory plan is sound, without knowing how it was made.
//!
//! The plan is run in thought for several steps, as the engine would order it: each task names the vars of its inputs and
//! outputs, of its workspace, and of the occupants that the plan says it clobbers. From these accesses, and nothing
//! else, follows which tasks are ordered. Then for any two tasks that touch the same bytes, of the arena or of an output's
//! memory, one of them writing: they must be ordered, and if one reads a value that the other does not belong to, the other must not lie
//! between the task that made the value and the one that reads it. So under every schedule that the engine allows, each
//! value is intact whenever it is read.

mod in_place;

use crate::Graph;
use crate::plan::{EntryMap, Occupant, Place, Plan, PlanInput, View};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use varflow_ops::{ALIGN_BYTES, Entry, Error, Result, TensorDesc};

/// The most tasks whose order the checker works out: it keeps a bit for each two.
const MAX_TASKS: usize = 40_000;

/// Checks a plan against what it was made for.
///
/// # Errors
/// [`Error::Contract`] that names the two tasks and the bytes, or the entry and what is wrong with its place, or the operator and the
/// in-place pair that it does not declare or that does not fit, or says that
/// the graph is too large to be checked: 40,000 tasks are thought through, which is 20,000 nodes of one phase, or about
/// 6,000 of two phases alike.
pub fn check_plan(input: &PlanInput<'_>, plan: &Plan) -> Result<()> {
    let (graph, descs, workspace_bytes) = (input.graph, input.descs, input.workspace_bytes);
    let n = graph.nodes.len();
    let sizes =
        [descs.num_nodes(), workspace_bytes.len(), plan.places.num_nodes(), plan.workspaces.len(), plan.clobbers.len()];
    if sizes.iter().any(|size| *size != n) {
        return Err(Error::Contract(format!("the plan is one of {sizes:?} nodes, the graph has {n}")));
    }
    let hosts = plan.places.iter().filter_map(|(_, p)| if let Place::Host(host) = p { Some(*host) } else { None });
    let subject = Subject { graph, descs, workspace_bytes, plan, hosts: hosts.collect() };
    subject.check_views()?;
    subject.check_outputs()?;
    subject.check_hosts(input)?;
    subject.check_in_place()?;
    for node in input.phases.iter().flatten() {
        subject.check_node(*node)?;
    }
    let tasks = unroll(input.phases);
    if tasks.len() > MAX_TASKS {
        let n = tasks.len();
        return Err(Error::Contract(format!(
            "the plan is too large to be checked: {n} tasks, at most {MAX_TASKS} can be"
        )));
    }
    let order = Order::new(&tasks, |node| subject.accesses(node));
    subject.check_touches(&tasks, &order)
}

/// Steps that end at each phase followed by steps that end at each phase: every way in which the arena can have been left.
fn unroll(phases: &[Vec<usize>]) -> Vec<usize> {
    let mut tasks = Vec::new();
    let n = phases.len();
    for (a, b) in (0..n).flat_map(|a| (0..n).map(move |b| (a, b))) {
        tasks.extend(phases[..=a].iter().chain(&phases[..=b]).flatten());
    }
    tasks
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    /// Reads and writes.
    Change,
    Write,
}

/// Which memory, the arena's if it is no output's, and which bytes there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bytes {
    of: Option<Entry>,
    range: Range<usize>,
}

struct Touch {
    bytes: Bytes,
    task: usize,
    value: Occupant,
    kind: Kind,
}

struct Subject<'a> {
    graph: &'a Graph,
    descs: &'a EntryMap<TensorDesc>,
    workspace_bytes: &'a [usize],
    plan: &'a Plan,
    /// The outputs in whose memory something else lies.
    hosts: HashSet<Entry>,
}

impl Subject<'_> {
    fn bytes(&self, value: Occupant) -> Option<Bytes> {
        let (of, start, n) = match value {
            Occupant::Workspace(node) => (None, self.plan.workspaces[node]?, self.workspace_bytes[node]),
            Occupant::Entry(entry) => {
                let n = self.descs[entry].len_bytes();
                match self.plan.places[entry] {
                    Place::Arena(start) => (None, start, n),
                    Place::Host(host) => (Some(host), 0, n),
                    Place::Own if self.hosts.contains(&entry) => (Some(entry), 0, n),
                    Place::Own | Place::Nowhere | Place::View(_) => return None,
                }
            }
        };
        Some(Bytes { of, range: start..start.saturating_add(n) })
    }

    /// Outputs have memory of their own.
    fn check_outputs(&self) -> Result<()> {
        let lent = self.graph.outputs.iter().find(|output| self.plan.places[**output] != Place::Own);
        let Some(output) = lent else { return Ok(()) };
        let text = format!("output {} is the graph's, and lies at {:?}", output.output, self.plan.places[*output]);
        Err(Error::Contract(format!("{text}, wanted memory of its own")).at(self.graph.nodes[output.node].place()))
    }

    /// What must hold of results in the memory of an output: the output may hold others, and all that touches them is of the
    /// phase that computes the output, and before it.
    fn check_hosts(&self, input: &PlanInput<'_>) -> Result<()> {
        let mut at = HashMap::new();
        for (phase, nodes) in input.phases.iter().enumerate() {
            at.extend(nodes.iter().enumerate().map(|(step, node)| (*node, (phase, step))));
        }
        let mut users: HashMap<Entry, Vec<usize>> = HashMap::new();
        for node in input.phases.iter().flatten() {
            for entry in &self.graph.nodes[*node].inputs {
                users.entry(self.root(*entry)).or_default().push(*node);
            }
        }
        for (entry, place) in self.plan.places.iter() {
            let Place::Host(host) = *place else { continue };
            let refuse = |text: &str| {
                let text = format!("lies in the memory of {host:?}, {text}");
                Err(Error::Contract(text).at(self.graph.nodes[entry.node].place()))
            };
            if !(self.graph.outputs.contains(&host)
                && input.hosts.contains(&host)
                && self.plan.places[host] == Place::Own)
            {
                return refuse("which is no output that may hold others");
            }
            if self.descs[entry].len_bytes() > self.descs[host].len_bytes() {
                return refuse("which is smaller");
            }
            let users = users.get(&entry).into_iter().flatten().chain([&entry.node]);
            let Some((phase, step)) = at.get(&host.node).copied() else { return refuse("which nothing computes") };
            if users.into_iter().any(|user| at.get(user).is_none_or(|(p, s)| *p != phase || *s > step)) {
                return refuse("and is used in another phase, or once that is computed");
            }
        }
        Ok(())
    }

    /// Whose bytes an entry is.
    fn root(&self, entry: Entry) -> Entry {
        if let Place::View(view) = self.plan.places[entry] { view.of } else { entry }
    }

    /// Whether a node computes nothing, since its output is a view.
    fn is_view(&self, i: usize) -> bool {
        self.plan.places.node(i).iter().any(|p| matches!(p, Place::View(_)))
    }

    /// What must hold of views: the operator says that the output is those bytes, they are not a view's in turn, nobody changes
    /// them, and the node has no other output.
    fn check_views(&self) -> Result<()> {
        let mut changed = HashSet::new();
        for node in &self.graph.nodes {
            changed.extend(node.mutates().iter().filter_map(|p| node.inputs.get(*p)).map(|e| self.root(*e)));
        }
        for (entry, place) in self.plan.places.iter() {
            let Place::View(View { of, offset }) = *place else { continue };
            let node = &self.graph.nodes[entry.node];
            let refuse = |text: &str| Err(Error::Contract(format!("is a view of {of:?} {text}")).at(node.place()));
            let (Some(op), Some(from)) = (&node.op, node.inputs.first()) else { return refuse("without an input") };
            let (root, start) = match self.plan.places[*from] {
                Place::View(view) => (view.of, view.offset),
                _ => (*from, 0),
            };
            let (input, output) = (&self.descs[*from], &self.descs[entry]);
            let said = op.view(&node.params, input, output);
            let end = said.and_then(|o| o.checked_add(output.len_bytes()));
            if root != of || said.map(|o| start + o) != Some(offset) || end.is_none_or(|end| end > input.len_bytes()) {
                return refuse(&format!("from byte {offset}, which its operator does not say"));
            }
            if input.dtype != output.dtype || node.num_outputs() != 1 {
                return refuse("of another dtype, or beside other outputs");
            }
            if changed.contains(&of) || self.graph.outputs.contains(&entry) {
                return refuse("which some node changes, or is an output of the graph");
            }
            if matches!(self.plan.places[of], Place::View(_) | Place::Nowhere) {
                return refuse("which has no memory of its own");
            }
        }
        Ok(())
    }

    /// What a task of this node touches in the arena.
    fn touches(&self, i: usize) -> Vec<(Occupant, Kind)> {
        if self.is_view(i) {
            return Vec::new();
        }
        let node = &self.graph.nodes[i];
        let mutated = node.mutates();
        let kind = |p| if mutated.contains(&p) { Kind::Change } else { Kind::Read };
        let inputs = node.inputs.iter().enumerate().map(|(p, e)| (Occupant::Entry(self.root(*e)), kind(p)));
        let outputs = (0..node.num_outputs()).map(|output| (Occupant::Entry(Entry { node: i, output }), Kind::Write));
        let workspace = [(Occupant::Workspace(i), Kind::Write)];
        inputs.chain(outputs).chain(workspace).filter(|(v, _)| self.bytes(*v).is_some()).collect()
    }

    /// The vars that a task of this node names, with whether it must have them alone.
    fn accesses(&self, i: usize) -> Vec<(Occupant, bool)> {
        if self.is_view(i) {
            return Vec::new();
        }
        let node = &self.graph.nodes[i];
        let mutated = node.mutates();
        let input = |e: &Entry| Occupant::Entry(self.root(*e));
        let inputs = node.inputs.iter().enumerate().map(|(p, e)| (input(e), mutated.contains(&p)));
        let outputs = (0..node.num_outputs()).map(|output| (Occupant::Entry(Entry { node: i, output }), true));
        let clobbered = self.plan.clobbers[i].iter().map(|o| (*o, true));
        inputs.chain(outputs).chain([(Occupant::Workspace(i), true)]).chain(clobbered).collect()
    }

    /// What must hold of one node's own tensors.
    fn check_node(&self, i: usize) -> Result<()> {
        let node = &self.graph.nodes[i];
        let refuse = |text: String| Err(Error::Contract(text).at(node.place()));
        for entry in &node.inputs {
            if self.plan.places[*entry] == Place::Nowhere {
                return refuse(format!("reads {entry:?}, which has no memory"));
            }
        }
        if self.workspace_bytes[i] > 0 && self.plan.workspaces[i].is_none() && !self.is_view(i) {
            return refuse(format!("has no memory for its workspace of {} bytes", self.workspace_bytes[i]));
        }
        self.check_alignment(node)?;
        let touches = self.touches(i);
        let touched: Vec<Occupant> = touches.iter().map(|(v, _)| *v).collect();
        for (p, (value, kind)) in touches.iter().enumerate() {
            let Some(bytes) = self.bytes(*value) else { continue };
            let (whole, end) = match bytes.of {
                None => ("an arena", self.plan.planned_bytes),
                Some(host) => ("an output", self.descs[host].len_bytes()),
            };
            if bytes.range.end > end || bytes.range.start % ALIGN_BYTES != 0 {
                return refuse(format!("{value:?} has bytes {:?} of {whole} of {end}", bytes.range));
            }
            for (other, other_kind) in &touches[..p] {
                let apart = self.bytes(*other).is_none_or(|b| !meet(&b, &bytes));
                let both_read = *kind == Kind::Read && *other_kind == Kind::Read;
                if !apart && !both_read && !self.is_in_place(node, &touched, *other, *value) {
                    return refuse(format!("{other:?} and {value:?} share bytes, which it does not allow"));
                }
            }
        }
        Ok(())
    }

    fn check_touches(&self, tasks: &[usize], order: &Order) -> Result<()> {
        let mut made: HashMap<Occupant, usize> = HashMap::new();
        let mut touches = Vec::new();
        // For each touch, the task that made the value it reads.
        let mut makers = Vec::new();
        for (task, node) in tasks.iter().enumerate() {
            for (value, kind) in self.touches(*node) {
                let maker = if kind == Kind::Write { Some(task) } else { made.get(&value).copied() };
                let Some(maker) = maker else {
                    let place = self.graph.nodes[*node].place();
                    return Err(Error::Contract(format!("{value:?} is read before it is made")).at(place));
                };
                made.insert(value, maker);
                if let Some(bytes) = self.bytes(value).filter(|b| !b.range.is_empty()) {
                    makers.push(maker);
                    touches.push(Touch { bytes, task, value, kind });
                }
            }
        }
        let mut by_start: Vec<usize> = (0..touches.len()).collect();
        by_start.sort_by_key(|t| (touches[*t].bytes.of, touches[*t].bytes.range.start));
        let mut open: Vec<usize> = Vec::new();
        for t in by_start {
            // Those that begin no later, and so meet it if they do not end before it begins.
            open.retain(|o| meet(&touches[*o].bytes, &touches[t].bytes));
            for &o in &open {
                self.check_pair((&touches[o], makers[o]), (&touches[t], makers[t]), tasks, order)?;
                self.check_pair((&touches[t], makers[t]), (&touches[o], makers[o]), tasks, order)?;
            }
            open.push(t);
        }
        Ok(())
    }

    /// `a` and `b` touch common bytes: checks that they are ordered if they must be, and that what `a` reads is not
    /// destroyed by `b`.
    fn check_pair(&self, a: (&Touch, usize), b: (&Touch, usize), tasks: &[usize], order: &Order) -> Result<()> {
        let ((a, maker), (b, _)) = (a, b);
        let name = |task: usize| self.graph.nodes[tasks[task]].place();
        if a.task == b.task || b.kind == Kind::Read {
            return Ok(());
        }
        if !order.is_ordered(a.task, b.task) {
            let (a, b) = ((name(a.task), a.value, &a.bytes.range), (name(b.task), b.value, &b.bytes.range));
            return Err(Error::Contract(format!("{a:?} and {b:?} share bytes and may run at once")));
        }
        let changes_it = b.kind == Kind::Change && b.value == a.value;
        if a.kind != Kind::Write && maker < b.task && b.task < a.task && !changes_it {
            let (value, bytes) = (a.value, &a.bytes.range);
            let text = format!("{value:?} at {bytes:?} is read by {} after {} wrote there", name(a.task), name(b.task));
            return Err(Error::Contract(text));
        }
        Ok(())
    }
}

fn meet(a: &Bytes, b: &Bytes) -> bool {
    a.of == b.of && a.range.start < b.range.end && b.range.start < a.range.end
}

/// Which tasks come before which, whatever the schedule: a bit for each two.
struct Order {
    words: usize,
    before: Vec<u64>,
}

impl Order {
    fn new(tasks: &[usize], accesses: impl Fn(usize) -> Vec<(Occupant, bool)>) -> Order {
        let words = tasks.len().div_ceil(64);
        let mut order = Order { words, before: vec![0; words * tasks.len()] };
        // For each var the last task that had it alone, and the readers since.
        let mut vars: HashMap<Occupant, (Option<usize>, Vec<usize>)> = HashMap::new();
        for (task, node) in tasks.iter().enumerate() {
            for (var, alone) in accesses(*node) {
                let (writer, readers) = vars.entry(var).or_default();
                if let Some(writer) = *writer {
                    order.add(writer, task);
                }
                if alone {
                    readers.drain(..).for_each(|r| order.add(r, task));
                    *writer = Some(task);
                } else {
                    readers.push(task);
                }
            }
        }
        order
    }

    /// `first` comes before `then`, which is the last task known so far.
    fn add(&mut self, first: usize, then: usize) {
        if first == then || self.is_ordered(first, then) {
            return;
        }
        let (head, tail) = self.before.split_at_mut(then * self.words);
        let row = &head[first * self.words..(first + 1) * self.words];
        tail.iter_mut().zip(row).for_each(|(t, r)| *t |= r);
        tail[first / 64] |= 1 << (first % 64);
    }

    fn is_ordered(&self, a: usize, b: usize) -> bool {
        let (first, then) = (a.min(b), a.max(b));
        self.before[then * self.words + first / 64] >> (first % 64) & 1 == 1
    }
}
