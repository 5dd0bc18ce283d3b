//! What the registry takes, refuses and finds.

use super::{attrs, builtin};
use varflow_ops::{
    DType, DeviceKind, Error, Kernel, KernelCall, KernelCtx, Operator, Params, Provider, Registry, Result, Schema,
    Shapes, TensorDesc, cpu, gpu,
};

/// An operator of a given name.
struct Named(&'static str, &'static [&'static str], Schema);

fn named(name: &'static str, aliases: &'static [&'static str]) -> Named {
    Named(name, aliases, Schema::new())
}

impl Operator for Named {
    fn name(&self) -> &str {
        self.0
    }
    fn aliases(&self) -> &[&str] {
        self.1
    }
    fn doc(&self) -> &str {
        "A name."
    }
    fn schema(&self) -> &Schema {
        &self.2
    }
    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0])
    }
}

/// A kernel that is told apart by its workspace.
struct Marked(usize);

impl Kernel for Marked {
    fn workspace_bytes(&self) -> usize {
        self.0
    }
    fn run(&self, _: &mut KernelCtx<'_>) -> Result<()> {
        Ok(())
    }
}

fn kernels(name: &str, preference: i32, mark: usize) -> Provider {
    let provider = Provider::new(name).kernel("a", DeviceKind::Cpu, move |_| Ok(Box::new(Marked(mark))));
    Provider { preference, ..provider }
}

fn chosen(registry: &Registry) -> Result<usize> {
    let op = registry.operator("a")?.clone();
    let desc = [TensorDesc::new([1], DType::F32)];
    let params = op.schema().parse(&attrs(&[]))?;
    let call = KernelCall {
        op: &*op,
        node: "a0",
        params: &params,
        inputs: &desc,
        outputs: &desc,
        wanted: &[true],
        is_train: false,
    };
    Ok(registry.kernel(DeviceKind::Cpu, &call)?.workspace_bytes())
}

fn text(result: Result<()>) -> String {
    match result {
        Err(Error::Registry(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn duplicates_are_refused() {
    let mut r = Registry::new();
    r.install(Provider::new("first").operator(named("a", &["b"]))).unwrap();
    let refused = text(r.install(Provider::new("second").operator(named("a", &[]))));
    assert_eq!(refused, "provider \"second\" brings operator a with preference 0, which \"first\" has brought already");
    let refused = text(r.install(Provider::new("second").operator(named("c", &["a"]))));
    assert_eq!(refused, "provider \"second\" brings the name a for operator c, which \"first\" has brought already");
    let refused = text(r.install(Provider::new("second").operator(named("c", &["b"]))));
    assert_eq!(refused, "provider \"second\" brings the name b for operator c, which \"first\" has brought already");
    let refused = text(r.install(Provider::new("second").operator(named("b", &[]))));
    assert_eq!(refused, "provider \"second\" brings the name b for operator b, which \"first\" has brought already");
}

#[test]
fn duplicates_in_one_provider_are_refused() {
    let mut r = Registry::new();
    let refused = text(r.install(Provider::new("p").operator(named("a", &[])).operator(named("a", &[]))));
    assert_eq!(refused, "provider \"p\" brings the name a for operator a, which \"p\" has brought already");
    let refused = text(r.install(Provider::new("p").operator(named("a", &["b"])).operator(named("b", &[]))));
    assert_eq!(refused, "provider \"p\" brings the name b for operator b, which \"p\" has brought already");
    let twice = kernels("p", 0, 1).kernel("a", DeviceKind::Cpu, |_| Ok(Box::new(Marked(2))));
    let refused = text(r.install(twice));
    assert_eq!(refused, "provider \"p\" brings a cpu kernel of a with preference 0, which \"p\" has brought already");
}

#[test]
fn a_refused_provider_leaves_nothing() {
    let mut r = Registry::new();
    r.install(Provider::new("first").operator(named("a", &[]))).unwrap();
    let second = kernels("second", 0, 1).operator(named("new", &["word"])).operator(named("a", &[]));
    r.install(second).unwrap_err();
    assert!(r.operator("new").is_err() && r.operator("word").is_err());
    assert_eq!(r.kernels_of("a").count(), 0);
}

#[test]
fn the_higher_preference_wins_in_any_order() {
    for order in [[0, 5], [5, 0]] {
        let mut r = Registry::new();
        r.install(Provider::new("ops").operator(named("a", &[]))).unwrap();
        for preference in order {
            r.install(kernels("kernels", preference, preference as usize)).unwrap();
        }
        assert_eq!(chosen(&r).unwrap(), 5);
    }
    let mut r = Registry::new();
    r.install(kernels("one", 3, 1)).unwrap();
    let refused = text(r.install(kernels("two", 3, 2)));
    assert_eq!(
        refused,
        "provider \"two\" brings a cpu kernel of a with preference 3, which \"one\" has brought already"
    );
}

#[test]
fn operators_of_higher_preference_replace() {
    let mut r = Registry::new();
    r.install(Provider::new("old").operator(named("a", &["b"]))).unwrap();
    r.install(Provider { preference: 1, ..Provider::new("new").operator(named("a", &["b", "c"])) }).unwrap();
    assert_eq!(r.provider_of("a"), Some("new"));
    assert_eq!((r.operator("b").unwrap().name(), r.operator("c").unwrap().name()), ("a", "a"));
    assert_eq!(r.operators().count(), 1);
}

#[test]
fn unknown_names_get_near_ones() {
    let text = builtin().operator("Convolutoin").unwrap_err().to_string();
    assert!(text.starts_with("nobody provides operator \"Convolutoin\"; the nearest names are Convolution"), "{text}");
    let text = builtin().operator("fullyconnected").unwrap_err().to_string();
    assert!(text.contains("nearest names are FullyConnected"), "{text}");
    assert!(Registry::new().operator("a").is_err());
}

#[test]
fn a_missing_kernel_is_named() {
    let mut r = Registry::new();
    r.install(Provider::new("ops").operator(named("a", &[]))).unwrap();
    assert_eq!(chosen(&r).unwrap_err().to_string(), "a \"a0\": nobody has a cpu kernel of it");
    let fails = Provider::new("k").kernel("a", DeviceKind::Cpu, |_| Err(Error::DType("no such dtype".to_string())));
    r.install(fails).unwrap();
    assert_eq!(chosen(&r).unwrap_err().to_string(), "a \"a0\": no such dtype");
    assert_eq!(r.kernels_of("a").collect::<Vec<_>>(), [(DeviceKind::Cpu, "k")]);
}

#[test]
fn devices_by_name() {
    for (text, device) in [("cpu", cpu(0)), ("cpu(3)", cpu(3)), ("gpu(1)", gpu(1)), ("cuda", gpu(0))] {
        assert_eq!(text.parse::<varflow_ops::Device>().unwrap(), device);
    }
    assert_eq!(gpu(1).to_string(), "gpu(1)");
    for text in ["tpu", "cpu(", "cpu(x)", "cpu(1", "", "cpu(-1)"] {
        let e = text.parse::<varflow_ops::Device>().unwrap_err().to_string();
        assert!(e.starts_with(&format!("\"{text}\" is no device: wanted ")), "{e}");
    }
}
