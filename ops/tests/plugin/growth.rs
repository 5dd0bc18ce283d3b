//! Plug-ins of other versions of the contract.

use super::compile::{Built, build, build_with};
use super::{attrs, engine};
use varflow_ops::{DType, Registry, Run, Tensor, TensorDesc, invoke};

fn copies(built: &Built) -> bool {
    let (e, mut registry) = (engine(), Registry::new());
    registry.load(built.path()).unwrap();
    let x = Tensor::from_slice(&e, [3], &[1.0_f32, 2.0, 3.0]).unwrap();
    let y = invoke(&registry, &e, "Copy", &attrs(&[]), &[x], Run::default()).unwrap();
    y[0].to_vec::<f32>().unwrap() == [1.0, 2.0, 3.0]
}

#[test]
fn a_plugin_of_version_1_works() {
    let built = build_with("tests/v1", "minimal.c", &[]);
    let library = varflow_ops::plugin::Library::open(&built.path()).unwrap();
    assert_eq!(library.abi_version(), 1);
    assert!(library.operators()[0].table.flops.is_none(), "a field of version 2 is absent");
    assert!(copies(&built));
}

#[test]
fn a_plugin_of_version_2_says_nothing_to_planners() {
    let built = build_with("tests/v2", "minimal.c", &[]);
    let mut registry = Registry::new();
    assert_eq!(registry.load(built.path()).unwrap().abi_version(), 2);
    let copy = registry.operator("Copy").unwrap();
    let params = copy.schema().parse(&attrs(&[])).unwrap();
    let desc = TensorDesc::new([4], DType::F32);
    assert!(!copy.is_cheap(&params));
    assert_eq!(copy.per_sample(&params, std::slice::from_ref(&desc)), None);
    assert_eq!(copy.view(&params, &desc, &desc), None);
    assert!(copies(&built));
}

#[test]
fn pairs_that_cannot_be_are_left_out_of_older_plugins_and_refused_in_new_ones() {
    // The pair of an input that is mutated, and one pair twice.
    for (faults, left) in [(["-DMUTATED=1", "-DPAIRS=1"], vec![]), (["-DMUTATED=0", "-DPAIRS=2"], vec![(0, 0)])] {
        for version in ["1", "2"] {
            let built = build("minimal.c", &[&format!("-DABI={version}"), "-DNEEDS=1", faults[0], faults[1]]);
            let mut registry = Registry::new();
            registry.load(built.path()).unwrap();
            let copy = registry.operator("Copy").unwrap();
            let params = copy.schema().parse(&attrs(&[])).unwrap();
            assert_eq!(copy.inplace(&params), left, "version {version}: {faults:?}");
        }
        let built = build("minimal.c", &["-DABI=3", "-DNEEDS=1", faults[0], faults[1]]);
        let text = Registry::new().load(built.path()).unwrap_err().to_string();
        assert!(text.contains("operator Copy"), "{text}");
    }
}

#[test]
fn a_plugin_of_a_later_version_works_if_it_can() {
    let built = build("minimal.c", &["-DABI=9", "-DNEEDS=2", "-DLONGER"]);
    assert!(copies(&built));
}

#[test]
fn a_plugin_that_needs_a_later_version_is_refused() {
    let built = build("minimal.c", &["-DABI=9", "-DNEEDS=4", "-DLONGER"]);
    let text = Registry::new().load(built.path()).unwrap_err().to_string();
    assert!(
        text.contains("was built for ABI 9 and needs a host of at least 4; this is varflow 0.1.0 with ABI 3"),
        "{text}"
    );
}
