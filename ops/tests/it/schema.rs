//! Parameter schemas and their values.

use super::attrs;
use proptest::prelude::*;
use varflow_ops::{DType, Kind, Schema, Value};

fn schema() -> Schema {
    Schema::new()
        .int("n", 1..=8, None, "A count.")
        .float("x", 0.0..=f64::MAX, Some(0.5), "A number.")
        .bool("b", Some(false), "A truth value.")
        .choice("c", &["one", "two"], Some("one"), "A word.")
        .tuple("t", Some(&[]), "A list.")
        .dtype("d", Some(Value::None), "A dtype.")
        .param("s", Kind::Text, Some(Value::Text("text".to_string())), "A text.")
}

#[test]
fn values_parse() {
    let p = schema()
        .parse(&attrs(&[("n", "8"), ("b", "True"), ("c", "two"), ("t", "(3, -4)"), ("d", "int32"), ("s", "a b")]))
        .unwrap();
    assert_eq!((p.int("n"), p.usize("n"), p.float("x"), p.bool("b"), p.text("c")), (8, 8, 0.5, true, "two"));
    assert_eq!((p.tuple("t"), p.dtype("d"), p.text("s")), (&[3, -4][..], Some(DType::I32), "a b"));
    let p = schema().parse(&attrs(&[("n", "1"), ("d", "None")])).unwrap();
    assert_eq!((p.tuple("t"), p.dtype("d"), p.bool("b")), (&[][..], None, false));
}

/// Forms in which MXNet and its frontends have written values.
#[test]
fn old_forms_parse() {
    for (text, wanted) in [
        ("(3, 3)", &[3, 3][..]),
        ("(3,3)", &[3, 3]),
        ("[3, 3]", &[3, 3]),
        ("(3,)", &[3]),
        ("3", &[3]),
        ("()", &[]),
        ("(2L, 3L)", &[2, 3]),
    ] {
        assert_eq!(schema().parse(&attrs(&[("n", "1"), ("t", text)])).unwrap().tuple("t"), wanted, "{text}");
    }
    for (text, wanted) in [("True", true), ("true", true), ("1", true), ("False", false), ("0", false)] {
        assert_eq!(schema().parse(&attrs(&[("n", "1"), ("b", text)])).unwrap().bool("b"), wanted, "{text}");
    }
    assert_eq!(schema().parse(&attrs(&[("n", "1"), ("x", "1e-05")])).unwrap().float("x"), 1e-5);
}

#[test]
fn refusals_name_what_is_wanted() {
    let refuse = |given: &[(&str, &str)]| schema().parse(&attrs(given)).unwrap_err().to_string();
    assert_eq!(refuse(&[]), "parameter \"n\" is missing: wanted an integer from 1 to 8");
    assert_eq!(refuse(&[("n", "9")]), "parameter \"n\" is \"9\", wanted an integer from 1 to 8");
    assert_eq!(refuse(&[("n", "one")]), "parameter \"n\" is \"one\", wanted an integer from 1 to 8");
    assert_eq!(refuse(&[("n", "1"), ("x", "-1")]), "parameter \"x\" is \"-1\", wanted a number of at least 0");
    assert_eq!(refuse(&[("n", "1"), ("x", "nan")]), "parameter \"x\" is \"nan\", wanted a number of at least 0");
    assert_eq!(refuse(&[("n", "1"), ("b", "maybe")]), "parameter \"b\" is \"maybe\", wanted True or False");
    assert_eq!(refuse(&[("n", "1"), ("c", "three")]), "parameter \"c\" is \"three\", wanted one of one, two");
    assert_eq!(
        refuse(&[("n", "1"), ("t", "(1")]),
        "parameter \"t\" is \"(1\", wanted integers in parentheses such as (3, 3)"
    );
    assert_eq!(refuse(&[("n", "1"), ("d", "float")]), "parameter \"d\" is \"float\", wanted a dtype such as float32");
    assert_eq!(refuse(&[("n", "1"), ("m", "1")]), "unknown parameter \"m\": wanted one of n, x, b, c, t, d, s");
    assert_eq!(refuse(&[("n", "None")]), "parameter \"n\" is \"None\", wanted an integer from 1 to 8");
    let none = Schema::new().parse(&attrs(&[("m", "1")])).unwrap_err().to_string();
    assert_eq!(none, "unknown parameter \"m\": there are none");
}

#[test]
fn hidden_attributes_are_passed_over() {
    let p = schema().parse(&attrs(&[("n", "1"), ("__lr_mult__", "2")])).unwrap();
    assert!(p.iter().all(|(name, _)| name != "__lr_mult__"));
}

#[test]
fn defaults_are_not_saved() {
    let p = schema().parse(&attrs(&[("n", "2"), ("x", "0.5"), ("b", "0"), ("t", "[]")])).unwrap();
    assert_eq!(p.to_attrs(), attrs(&[("n", "2")]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_values_round_trip(
        n in 1..=8_i64,
        x in 0.0..=f64::MAX,
        b in any::<bool>(),
        t in prop::collection::vec(any::<i64>(), 0..5),
        d in prop::option::of(0..13_usize),
    ) {
        let given = [
            ("n", Value::Int(n)),
            ("x", Value::Float(x)),
            ("b", Value::Bool(b)),
            ("t", Value::Tuple(t)),
            ("d", d.map_or(Value::None, |d| Value::DType(DType::ALL[d]))),
        ];
        let texts = given.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let params = schema().parse(&texts).unwrap();
        for (name, value) in &given {
            prop_assert_eq!(params.value(name), value);
        }
        prop_assert_eq!(schema().parse(&params.to_attrs()).unwrap(), params);
    }

    #[test]
    fn any_text_is_taken_or_refused(text in "\\PC{0,12}") {
        for name in ["n", "x", "b", "c", "t", "d", "s"] {
            let mut given = attrs(&[("n", "1")]);
            given.insert(name.to_string(), text.clone());
            if let Err(e) = schema().parse(&given) {
                prop_assert!(e.to_string().contains("wanted"));
            }
        }
    }
}
