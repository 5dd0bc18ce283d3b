//! Checks that hold for every registered operator.

use super::{builtin, examples};
use std::collections::BTreeSet;
use varflow_ops::{Attrs, Kind, Params, Value};

#[test]
fn every_operator_has_an_example() {
    let shown: BTreeSet<_> = examples::all().iter().map(|e| e.op.name().to_string()).collect();
    let registry = builtin();
    let visible = registry.operators().filter(|op| !op.is_hidden()).map(|op| op.name());
    let missing: Vec<_> = visible.filter(|name| !shown.contains(*name)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn words_are_unique() {
    let registry = builtin();
    let mut words = BTreeSet::new();
    for op in registry.operators() {
        for word in [op.name()].iter().chain(op.aliases()) {
            assert!(words.insert(word.to_string()), "{word} stands for two operators");
            assert_eq!(registry.operator(word).unwrap().name(), op.name());
        }
        let is_ours = op.name().starts_with("_backward_")
            || op.name().starts_with("_Fused")
            || op.name().starts_with("_BatchNorm");
        assert_eq!(op.is_hidden(), is_ours, "{}", op.name());
    }
}

#[test]
fn docs_say_something() {
    for op in builtin().operators() {
        let ok = |text: &str| text.len() > 8 && text.ends_with('.') && !text.contains("  ");
        assert!(ok(op.doc()), "doc of {}: {:?}", op.name(), op.doc());
        let mut names = BTreeSet::new();
        for p in op.schema().params() {
            assert!(ok(&p.doc), "doc of {} of {}: {:?}", p.name, op.name(), p.doc);
            assert!(names.insert(&p.name), "{} has parameter {} twice", op.name(), p.name);
        }
    }
}

/// A default is what its own text parses to, so that saving and leaving out mean the same.
#[test]
fn defaults_parse() {
    for op in builtin().operators() {
        let example = examples::all().into_iter().find(|e| e.op.name() == op.name());
        let given = example.map(|e| e.attrs).unwrap_or_default();
        if op.schema().parse(&given).is_err() {
            assert!(op.is_hidden(), "{} has no example", op.name());
            continue;
        }
        for p in op.schema().params() {
            let Some(default) = &p.default else { continue };
            let mut attrs = given.clone();
            attrs.insert(p.name.clone(), default.to_string());
            let params = op.schema().parse(&attrs).unwrap();
            assert_eq!(params.value(&p.name), default, "{} of {}", p.name, op.name());
        }
    }
}

#[test]
fn attributes_round_trip() {
    for example in examples::all() {
        let schema = example.op.schema();
        let again = schema.parse(&example.params.to_attrs()).unwrap();
        assert_eq!(again, example.params, "{example:?}");
        let in_full: Attrs = example.params.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        assert_eq!(schema.parse(&in_full).unwrap(), example.params, "{example:?}");
    }
}

/// What lies outside of a parameter's range is refused, with its name, the value and what is wanted.
#[test]
fn bad_values_are_refused() {
    for example in examples::all() {
        for p in example.op.schema().params() {
            let bad = match &p.kind {
                Kind::Int(low, _) if *low > i64::MIN => (low - 1).to_string(),
                Kind::Float(..) => "much".to_string(),
                Kind::Choice(_) => "no such word".to_string(),
                Kind::Tuple => "(1; 2)".to_string(),
                Kind::DType => "float12".to_string(),
                Kind::Bool => "yes".to_string(),
                _ => continue,
            };
            let mut attrs = example.attrs.clone();
            attrs.insert(p.name.clone(), bad.clone());
            let text = example.op.schema().parse(&attrs).unwrap_err().to_string();
            assert!(text.starts_with(&format!("parameter \"{}\" is \"{bad}\", wanted ", p.name)), "{text}");
        }
        let mut attrs = example.attrs.clone();
        attrs.insert("no_such_name".to_string(), "1".to_string());
        let text = example.op.schema().parse(&attrs).unwrap_err().to_string();
        assert!(text.starts_with("unknown parameter \"no_such_name\": "), "{text}");
    }
}

#[test]
fn positions_are_in_range() {
    for example in examples::all() {
        let (op, params) = (&example.op, &example.params);
        let (n, outputs) = (example.named_inputs().len(), example.named_outputs());
        assert!(op.num_visible_outputs(params) <= outputs.len(), "{example:?}");
        assert!(op.mutates(params).iter().all(|i| *i < n), "{example:?}");
        for (i, o) in op.inplace(params) {
            assert!(i < n && o < outputs.len(), "{example:?}");
            assert!(!op.mutates(params).contains(&i), "{example:?}");
        }
        let words: BTreeSet<_> = example.named_inputs().into_iter().chain(outputs).map(|(name, _)| name).collect();
        let distinct = example.inputs.len() + example.outputs.len();
        assert_eq!(words.len(), distinct, "{example:?}: {words:?}");
        assert_eq!(op.is_variadic(), op.schema().has("num_args"), "{example:?}");
    }
}

/// In-place pairs of the examples hold tensors of one size, but for those that are repeated, and for convolutions, where it
/// hangs on the window.
#[test]
fn inplace_pairs_fit() {
    for example in examples::all()
        .iter()
        .filter(|e| !["broadcast_", "Convolution", "_FusedConvolution"].iter().any(|p| e.op.name().starts_with(p)))
    {
        for (i, o) in example.op.inplace(&example.params) {
            assert_eq!(example.inputs[i].len(), example.outputs[o].len(), "{example:?}");
        }
    }
}

/// Parameters that no operator of MXNet 1.9.1 has would make files that it cannot read.
#[test]
fn schemas_of_the_main_layers_are_those_of_mxnet() {
    let registry = builtin();
    let names = |op: &str| -> Vec<String> {
        registry.operator(op).unwrap().schema().params().iter().map(|p| p.name.clone()).collect()
    };
    let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_string).collect() };
    assert_eq!(
        names("Convolution"),
        words("kernel stride dilate pad num_filter num_group workspace no_bias cudnn_tune cudnn_off layout")
    );
    assert_eq!(
        names("Pooling"),
        words("kernel pool_type global_pool cudnn_off pooling_convention stride pad p_value count_include_pad layout")
    );
    assert_eq!(
        names("SoftmaxOutput"),
        words("grad_scale ignore_label multi_output use_ignore preserve_shape normalization out_grad smooth_alpha")
    );
    assert_eq!(names("Dropout"), words("p mode axes cudnn_off"));
    assert_eq!(names("sgd_mom_update"), words("lr wd rescale_grad clip_gradient lazy_update momentum"));
}

#[test]
fn aliases_of_mxnet_stand() {
    let registry = builtin();
    for (alias, name) in [
        ("flatten", "Flatten"),
        ("reshape", "Reshape"),
        ("Softmax", "SoftmaxOutput"),
        ("_Plus", "elemwise_add"),
        ("_minus", "elemwise_sub"),
        ("_PlusScalar", "_plus_scalar"),
        ("_RDivScalar", "_rdiv_scalar"),
        ("broadcast_plus", "broadcast_add"),
        ("broadcast_minus", "broadcast_sub"),
        ("ElementWiseSum", "add_n"),
        ("sum_axis", "sum"),
        ("cast", "Cast"),
        ("identity", "_copy"),
        ("stop_gradient", "BlockGrad"),
        ("uniform", "_random_uniform"),
        ("random_normal", "_random_normal"),
    ] {
        assert_eq!(registry.operator(alias).unwrap().name(), name);
    }
}

#[test]
fn checks_name_values_and_what_is_wanted() {
    let registry = builtin();
    for (op, given, wanted) in [
        (
            "Convolution",
            &[("kernel", "()"), ("num_filter", "1")][..],
            "parameter \"kernel\" is (), wanted 1, 2 or 3 numbers",
        ),
        (
            "Convolution",
            &[("kernel", "(3, 3)"), ("num_filter", "1"), ("stride", "(1,)")],
            "parameter \"stride\" is (1,), wanted 2 numbers as in kernel (3, 3)",
        ),
        (
            "Convolution",
            &[("kernel", "(3, 0)"), ("num_filter", "1")],
            "parameter \"kernel\" is (3, 0), wanted numbers from 1 to 2147483647",
        ),
        (
            "Convolution",
            &[("kernel", "3"), ("num_filter", "4"), ("num_group", "3")],
            "parameter \"num_filter\" is 4, wanted a multiple of num_group 3",
        ),
        (
            "Convolution",
            &[("kernel", "(3, 3)"), ("num_filter", "4"), ("layout", "NHWC")],
            "parameter \"layout\" is \"NHWC\", wanted NCW, NCHW, NCDHW or None",
        ),
        ("Pooling", &[], "parameter \"kernel\" is (), wanted 1, 2 or 3 numbers, or global_pool"),
        (
            "Pooling",
            &[("kernel", "(2, 2)"), ("pad", "(1, 2)")],
            "parameter \"pad\" is (1, 2), wanted less than kernel (2, 2)",
        ),
        ("Reshape", &[], "parameter \"shape\" is (), wanted a shape"),
        ("Reshape", &[("shape", "(-1, -1)")], "parameter \"shape\" is (-1, -1), wanted no more than one -1"),
        ("Reshape", &[("shape", "(-4, 2)")], "parameter \"shape\" is (-4, 2), wanted two numbers after -4"),
        ("Reshape", &[("shape", "(-5,)")], "parameter \"shape\" is (-5,), wanted no number below -4"),
        ("Dropout", &[("p", "1")], "parameter \"p\" is 1, wanted a number from 0 to below 1"),
        ("transpose", &[("axes", "(0, 0)")], "parameter \"axes\" is (0, 0), wanted each of 2 axes once"),
        ("softmax", &[("temperature", "0")], "parameter \"temperature\" is 0, wanted another number"),
        ("_random_uniform", &[("dtype", "int32")], "parameter \"dtype\" is \"int32\", wanted a floating-point dtype"),
    ] {
        let op = registry.operator(op).unwrap();
        let params = op.schema().parse(&super::attrs(given)).unwrap();
        assert_eq!(op.check(&params).unwrap_err().to_string(), wanted);
    }
}

/// Asking a schema for what it does not have is a fault of the definition; every accessor the operators use is tried by
/// inference over the examples. Here: values that are not given stay apart from those that are.
#[test]
fn none_is_not_a_value() {
    let registry = builtin();
    let params = |given: &[(&str, &str)]| -> Params {
        registry.operator("Pooling").unwrap().schema().parse(&super::attrs(given)).unwrap()
    };
    assert_eq!(*params(&[]).value("count_include_pad"), Value::None);
    assert!(varflow_ops::defs::counts_padding(&params(&[("count_include_pad", "None")])));
    assert!(varflow_ops::defs::counts_padding(&params(&[("count_include_pad", "True")])));
    assert!(!varflow_ops::defs::counts_padding(&params(&[("count_include_pad", "False")])));
}
