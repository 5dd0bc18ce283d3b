//! The memory plan: where each intermediate result lies in one arena.
//!
//! What users see (variables, outputs, gradients of arguments: in short the graph's variables and outputs) has memory of
//! its own. All else shares one arena:
//! 1. An output that nobody wants gets no memory, nor does a [view](View).
//! 2. An output takes the place of an input of the same size and dtype, where the operator allows it and nobody needs
//!    the input afterwards. What results is a *block*: one entry, a chain of such entries, or a workspace. If an output of the
//!    graph takes the place of the last of a chain, the chain lies in that output's own memory, and not in the arena.
//! 3. Blocks whose lifetimes do not meet may share bytes (`plan/pack.rs`).
//!
//! Lifetimes are positions in the execution order. Tasks run out of that order where the engine finds no reason against
//! it, so the plan comes with its reasons: for each node the earlier occupants of the memory that it writes, whose vars
//! its task names as overwritten (`plan/clobber.rs`). The [checker](crate::check_plan) proves that these are enough.

mod blocks;
mod clobber;
mod concurrency;
mod data_order;
mod declared;
mod edges;
mod entry_map;
mod liveness;
mod pack;
mod size;
mod svg;
mod timeline;
mod views;

pub use edges::{Edge, edges};
pub use entry_map::EntryMap;
pub use liveness::{runs, wanted};
pub use size::human_bytes;
pub use svg::arena_svg;
pub use timeline::{Block, Timeline, occupant_name};
pub use views::{View, views};

use crate::Graph;
use blocks::Blocks;
use concurrency::Concurrency;
use liveness::Liveness;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use varflow_ops::{Entry, Result, TensorDesc};

/// What a plan is made for.
pub struct PlanInput<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// Shape and dtype of every entry.
    pub descs: &'a EntryMap<TensorDesc>,
    /// The entries that are the bytes of others, from [`views`]. Their nodes run nothing.
    pub views: &'a EntryMap<Option<View>>,
    /// Scratch bytes of every node's kernel, by node; those of views do not count.
    pub workspace_bytes: &'a [usize],
    /// The group of every node, by node: each has a part of the arena for itself, so that sharing bytes never makes groups
    /// wait for each other.
    pub groups: &'a [usize],
    /// The nodes that run, in execution order, cut into phases. A step runs the first phases, one after the other, up to
    /// any of them; then the next step begins with the first phase again.
    pub phases: &'a [Vec<usize>],
    /// The outputs of the graph whose memory may hold other results until they are computed: those that nobody reads before, by
    /// any name.
    pub hosts: &'a HashSet<Entry>,
    /// How much may be made to wait so that memory can be shared: two nodes that do not need each other's results are only made
    /// to wait for each other if they are further apart than so many places in the execution order. 0: the smallest plan.
    /// `usize::MAX`: the most concurrent, where only what data puts in order shares memory. In graphs of thousands of nodes the
    /// distance is cut to what can be looked at in bounded time and memory, to 0 where results live together in millions of pairs.
    pub reuse_distance: usize,
}

/// Where an entry lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Nobody looks at it.
    #[default]
    Nowhere,
    /// In memory of its own.
    Own,
    /// In the arena, from this byte on.
    Arena(usize),
    /// In the memory of another entry.
    View(View),
    /// In the memory of this output of the graph, which takes its place in the end.
    Host(Entry),
}

/// An output that takes the place of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InPlace {
    /// The node.
    pub node: usize,
    /// Which of its inputs.
    pub input: usize,
    /// Which of its outputs.
    pub output: usize,
}

/// Somebody who holds bytes of the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Occupant {
    /// An entry.
    Entry(Entry),
    /// A node's scratch memory.
    Workspace(usize),
}

/// Bytes of the arena that a node writes, and as whom.
#[derive(Clone, Debug)]
struct Touch {
    bytes: Range<usize>,
    by: Occupant,
}

/// Where everything lies, and which order that needs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where each entry lies.
    pub places: EntryMap<Place>,
    /// Where each node's scratch memory starts in the arena, if it has any.
    pub workspaces: Vec<Option<usize>>,
    /// The outputs that take the place of an input, in execution order.
    pub inplace: Vec<InPlace>,
    /// For each node, whose memory it destroys: it must run after all that touch them, in this step or the one before.
    pub clobbers: Vec<Vec<Occupant>>,
    /// Bytes with every arena entry, view, workspace and entry in the memory of an output in memory of its own. The last count in none of
    /// the other figures.
    pub naive_bytes: usize,
    /// Bytes of the arena.
    pub planned_bytes: usize,
    /// The liveness lower bound: the most bytes alive at one position of the execution order. There an entry is alive
    /// from the node that computes it to the last that reads it, both included; an output in the place of an input
    /// counts once with it; a workspace is alive while its node runs. No placement of these blocks can do with less. Of
    /// several groups it is the sum.
    pub lower_bound_bytes: usize,
}

impl Plan {
    /// Plans the arena.
    ///
    /// The work is O(n log n) in the number of nodes, and beyond that bounded by a constant: small graphs are tried in
    /// many orders, a graph of 10⁵ nodes in few.
    ///
    /// # Errors
    /// [`Error::Contract`](varflow_ops::Error::Contract) when the phases are no execution order of the graph, or a node's operator
    /// declares in-place pairs that [cannot be](varflow_ops::check_inplace).
    pub fn new(input: &PlanInput<'_>) -> Result<Plan> {
        let graph = input.graph;
        declared::check_declared(graph)?;
        let live = Liveness::new(input)?;
        let wanted = wanted(graph);
        let concurrency = Concurrency::new(input, &live.order);
        let blocks = Blocks::new(input, &wanted, &live, concurrency.as_ref());
        let apart = concurrency.map_or_else(Vec::new, |c| c.apart(&blocks));
        let packing = pack::pack_groups(&blocks.spans, &blocks.groups, &apart);

        let mut places = EntryMap::from_fn(graph, |e| match (blocks.of_entry[e], input.views[e]) {
            (Some(block), _) => blocks.hosts[block].map_or(Place::Arena(packing.offsets[block]), Place::Host),
            (None, Some(view)) if wanted[e] => Place::View(view),
            (None, _) if graph.nodes[e.node].op.is_none() => Place::Own,
            (None, _) => Place::Nowhere,
        });
        graph.outputs.iter().for_each(|e| places[*e] = Place::Own);
        let workspaces: Vec<_> = blocks.of_workspace.iter().map(|b| b.map(|b| packing.offsets[b])).collect();

        let mut touches: BTreeMap<usize, Vec<Touch>> = BTreeMap::new();
        let mut naive_bytes = 0;
        // To tell who destroys what, the memory of outputs that hold other results counts as bytes behind the arena.
        let mut behind: BTreeMap<Entry, usize> = BTreeMap::new();
        let mut end = packing.bytes;
        for host in blocks.hosts.iter().flatten() {
            behind.insert(*host, end);
            end += input.descs[*host].len_bytes();
        }
        for (entry, place) in places.iter() {
            let n = input.descs[entry].len_bytes();
            if let Place::Arena(_) | Place::View(_) | Place::Host(_) = place {
                naive_bytes += n;
            }
            let start = match place {
                Place::Arena(start) => Some(*start),
                Place::Host(host) => behind.get(host).copied(),
                Place::Own => behind.get(&entry).copied(),
                Place::View(_) | Place::Nowhere => None,
            };
            if let Some(start) = start {
                let touch = Touch { bytes: start..start + n, by: Occupant::Entry(entry) };
                touches.entry(entry.node).or_default().push(touch);
            }
        }
        for (node, start) in workspaces.iter().enumerate().filter_map(|(i, s)| s.map(|s| (i, s))) {
            let n = input.workspace_bytes[node];
            naive_bytes += n;
            let touch = Touch { bytes: start..start + n, by: Occupant::Workspace(node) };
            touches.entry(node).or_default().push(touch);
        }
        let lower_bound_bytes = blocks.lower_bound_bytes();
        Ok(Plan {
            places,
            workspaces,
            inplace: blocks.inplace,
            clobbers: clobber::clobbers(graph.nodes.len(), input.phases, &touches),
            naive_bytes,
            planned_bytes: packing.bytes,
            lower_bound_bytes,
        })
    }
}
