//! Damaged model files never make a reader panic or hang, and never make it take memory out of proportion to them. The same
//! readers are fuzz targets in `fuzz/`.
#![expect(unsafe_code, reason = "an allocator that keeps count")]
#![allow(clippy::unwrap_used)]

mod onnx_support;

use proptest::prelude::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use varflow_ops::{PartialShape, Registry, Shape, defs};
use varflow_symbol::params::{self, safetensors};
use varflow_symbol::{HostArray, json, onnx, sym};

thread_local! {
    /// Bytes that this thread holds, and the most it held.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

struct Counting;

fn count(change: isize) {
    let _ = HELD.try_with(|held| {
        let (now, most) = held.get();
        held.set((now + change, most.max(now + change)));
    });
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let mut registry = Registry::new();
    registry.install(defs::provider()).unwrap();
    registry
});

/// Buffers, tables and errors.
const FIXED_BYTES: usize = 1 << 19;
/// A node of few bytes becomes a node of ours, with names, attributes and shapes.
const FOR_EACH: usize = 512;
/// For one file of a few hundred bytes, on a machine with other things to do.
const LIMIT: Duration = Duration::from_secs(20);

fn bounded(bytes: &[u8], read: impl FnOnce(&[u8])) {
    let before = HELD.get().0;
    HELD.set((before, before));
    let start = Instant::now();
    read(bytes);
    let took = (HELD.get().1 - before) as usize;
    let most = FIXED_BYTES + FOR_EACH * bytes.len();
    assert!(took <= most, "{} bytes made it take {took}, wanted {most} at most", bytes.len());
    assert!(start.elapsed() < LIMIT, "{} bytes took {:?}", bytes.len(), start.elapsed());
}

/// Every reader, whatever the file was meant for.
fn read_all(bytes: &[u8]) {
    let len = bytes.len() as u64;
    bounded(bytes, |b| drop(params::read(b, len, "f")));
    bounded(bytes, |b| drop(safetensors::read(b, len, "f")));
    bounded(bytes, |b| {
        let Ok(text) = std::str::from_utf8(b) else { return };
        if let Ok(symbol) = json::from_str(text) {
            drop(symbol.resolve(&REGISTRY));
        }
    });
    bounded(bytes, |b| {
        if let Ok(model) = onnx::read(b, None, &REGISTRY, &[]) {
            drop(model.symbol.resolve(&REGISTRY));
        }
    });
}

/// Sound files of every kind.
static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let array = |dims: &[usize]| HostArray::from_slice(dims.to_vec(), &vec![1_f32; dims.iter().product()]).unwrap();
    let arrays = [("arg:w".to_string(), array(&[2, 3])), ("aux:m".to_string(), array(&[4]))];
    let (mut plain, mut safe) = (Vec::new(), Vec::new());
    params::write(&mut plain, "f", &arrays).unwrap();
    safetensors::write(&mut safe, "f", &arrays).unwrap();
    let net = sym::convolution(sym::var("data")).kernel([3, 3]).num_filter(2).name("conv");
    let net = sym::fully_connected(sym::relu(net)).num_hidden(3).name("fc").build();
    let text = json::to_string(&net.resolve(&REGISTRY).unwrap());
    vec![plain, safe, text.into_bytes(), onnx_support::small()]
});

/// Lists that double with each node, and weights turned over by each.
#[test]
fn small_models_stay_small() {
    use onnx_support::{int_attribute, ints, model, node, tensor};
    let names: Vec<String> = (0..40).map(|i| format!("n{i}")).collect();
    let double = |w: &[String]| node("Concat", &[&w[0], &w[0]], &[&w[1]], &[int_attribute("axis", 0)]);
    let mut nodes: Vec<_> = names.windows(2).map(double).collect();
    nodes.push(node("Reshape", &["x", "n39"], &["y"], &[]));
    let bytes = model(13, &[1], &nodes, &[ints("n0", &[1])]);
    bounded(&bytes, |b| {
        assert!(onnx::read(b, None, &REGISTRY, &[]).err().unwrap().to_string().contains("at most 4096"));
    });
    let outputs: Vec<String> = (0..200).map(|i| format!("y{i}")).collect();
    let mut nodes: Vec<_> = outputs.iter().map(|y| node("Gemm", &["x", "w"], &[y], &[])).collect();
    nodes.push(node("Relu", &["y0"], &["y"], &[]));
    let bytes = model(13, &[1, 100], &nodes, &[tensor("w", &[100, 100], &[0.0; 10_000])]);
    bounded(&bytes, |b| drop(onnx::read(b, None, &REGISTRY, &[]).map_err(|e| e.to_string()).unwrap()));
}

/// One list of numbers under very many names, and very many lists computed from one.
#[test]
fn lists_of_numbers_are_bounded_in_all() {
    use onnx_support::{ints_attribute, model, node};
    let constant = node("Constant", &[], &["n0"], &[ints_attribute("value_ints", &[1; 4096])]);
    let names: Vec<String> = (0..400).map(|i| format!("n{i}")).collect();
    let link = |w: &[String], op: &str| match op {
        "Add" => node(op, &[&w[0], &w[0]], &[&w[1]], &[]),
        _ => node(op, &[&w[0]], &[&w[1]], &[]),
    };
    for op in ["Identity", "Add"] {
        let mut nodes = vec![constant.clone()];
        nodes.extend(names.windows(2).map(|w| link(w, op)));
        nodes.push(node("Relu", &["x"], &["y"], &[]));
        bounded(&model(13, &[1], &nodes, &[]), |b| {
            let told = onnx::read(b, None, &REGISTRY, &[]).err().unwrap().to_string();
            let is_told = told.contains("at most 262144 in all") || told.contains("has no value for");
            assert!(is_told, "{op}: {told}");
        });
    }
}

/// Of nothing, any part in any order is nothing.
#[test]
fn an_empty_axis_is_sliced_backwards() {
    use onnx_support::{ints, model, node};
    let lists = [ints("begin", &[-1]), ints("end", &[-10]), ints("axis", &[0]), ints("step", &[-1])];
    let nodes = [node("Slice", &["x", "begin", "end", "axis", "step"], &["y"], &[])];
    let bytes = model(13, &[0, 2], &nodes, &lists);
    let shape = |len| PartialShape::from(Shape::new(&[len, 2]));
    for len in [0, 3] {
        bounded(&bytes, |b| {
            drop(onnx::read(b, None, &REGISTRY, &[("x".to_string(), shape(len))]).map_err(|e| e.to_string()).unwrap());
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files(
        which in 0_usize..4,
        changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 0..5),
        moved in proptest::option::of((any::<u16>(), any::<u16>(), 1_usize..40)),
        cut in any::<u16>(),
    ) {
        let mut bytes = SEEDS[which].clone();
        for (at, to) in changes {
            let at = at as usize % bytes.len();
            bytes[at] = to;
        }
        if let Some((from, to, n)) = moved {
            let (from, to) = (from as usize % bytes.len(), to as usize % bytes.len());
            let part = bytes[from..(from + n).min(bytes.len())].to_vec();
            bytes.splice(to..to, part);
        }
        if cut % 4 == 0 {
            bytes.truncate(cut as usize % bytes.len());
        }
        read_all(&bytes);
    }

    #[test]
    fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_all(&bytes);
    }
}
