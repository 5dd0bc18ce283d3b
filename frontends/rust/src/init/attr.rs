//! Initialisers named in symbol files.

use super::{Bilinear, Constant, Fan, Initializer, LstmBias, Normal, Orthogonal, Uniform, Xavier};
use std::collections::BTreeMap;
use varflow_ops::{Error, Result};

/// The initialiser that a variable's `__init__` attribute names, as in MXNet's symbol files: `["xavier", {"magnitude": 2}]`,
/// or a bare name.
///
/// # Errors
/// A text that is neither, a name or an argument that is unknown.
pub fn from_attr(text: &str) -> Result<Box<dyn Initializer>> {
    let refuse = |why: String| Error::Param(format!("__init__ is {text:?}: {why}"));
    type Args = BTreeMap<String, serde_json::Value>;
    let (name, args) = match serde_json::from_str::<(String, Args)>(text) {
        Ok(both) => both,
        Err(_) if text.chars().all(|c| c.is_ascii_alphabetic()) => (text.to_string(), Args::new()),
        Err(e) => return Err(refuse(format!("wanted a name or [name, {{arguments}}]: {e}"))),
    };
    let name = name.to_lowercase();
    let known: &[&str] = match name.as_str() {
        "zero" | "zeros" | "one" | "ones" => &[],
        "constant" => &["value"],
        "uniform" => &["scale"],
        "normal" => &["sigma"],
        "xavier" => &["rnd_type", "factor_type", "magnitude"],
        "msraprelu" => &["factor_type", "slope"],
        "orthogonal" => &["scale", "rand_type"],
        "bilinear" => &[],
        "lstmbias" => &["forget_bias"],
        _ => {
            let wanted = "zero, one, constant, uniform, normal, xavier, msraprelu, orthogonal, bilinear or lstmbias";
            return Err(refuse(format!("wanted {wanted}")));
        }
    };
    if let Some(arg) = args.keys().find(|a| !known.contains(&a.as_str())) {
        return Err(refuse(format!("{name} has no argument \"{arg}\"; it takes {known:?}")));
    }
    let number = |arg: &str, default: f64| match args.get(arg) {
        None => Ok(default),
        Some(v) => v.as_f64().ok_or_else(|| refuse(format!("{arg} is {v}, wanted a number"))),
    };
    let word = |arg: &str, default: &'static str, of: &[&'static str]| match args.get(arg) {
        None => Ok(default),
        Some(v) => {
            of.iter().find(|w| v == **w).copied().ok_or_else(|| refuse(format!("{arg} is {v}, wanted one of {of:?}")))
        }
    };
    let fan = || {
        Ok::<_, Error>(match word("factor_type", "avg", &["in", "out", "avg"])? {
            "in" => Fan::In,
            "out" => Fan::Out,
            _ => Fan::Avg,
        })
    };
    Ok(match name.as_str() {
        "zero" | "zeros" => Box::new(Constant(0.0)),
        "one" | "ones" => Box::new(Constant(1.0)),
        "constant" => Box::new(Constant(number("value", 0.0)? as f32)),
        "uniform" => Box::new(Uniform(number("scale", 0.07)?)),
        "normal" => Box::new(Normal(number("sigma", 0.01)?)),
        "msraprelu" => Box::new(Xavier::msra_prelu(fan()?, number("slope", 0.25)?)),
        "orthogonal" => Box::new(Orthogonal {
            scale: number("scale", 1.414)?,
            gaussian: word("rand_type", "uniform", &["uniform", "normal"])? == "normal",
        }),
        "bilinear" => Box::new(Bilinear),
        "lstmbias" => Box::new(LstmBias(number("forget_bias", 1.0)? as f32)),
        _ => {
            let xavier = Xavier::magnitude(number("magnitude", 3.0)?).fan(fan()?);
            match word("rnd_type", "uniform", &["uniform", "gaussian"])? {
                "gaussian" => Box::new(xavier.gaussian()),
                _ => Box::new(xavier),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::Target;
    use super::*;
    use varflow_ops::Shape;

    fn values(init: &dyn Initializer, name: &str, shape: &[usize], seed: u64) -> Vec<f32> {
        init.values(Target { name, shape: &Shape::new(shape), seed }).unwrap()
    }

    #[test]
    fn attributes_name_initialisers() {
        for (text, wanted) in [("zeros", 0.0), ("[\"one\", {}]", 1.0), ("[\"constant\", {\"value\": 2.5}]", 2.5)] {
            assert_eq!(values(&*from_attr(text).unwrap(), "w", &[2], 0), [wanted; 2]);
        }
        let named = from_attr(r#"["Xavier", {"rnd_type": "gaussian", "factor_type": "in", "magnitude": 2}]"#).unwrap();
        let wanted = values(&Xavier::magnitude(2.0).gaussian().fan(Fan::In), "w", &[4, 5], 3);
        assert_eq!(values(&*named, "w", &[4, 5], 3), wanted);
        for (bad, why) in [
            ("[\"magic\", {}]", "wanted zero, one"),
            ("[\"uniform\", {\"sigma\": 1}]", "no argument \"sigma\""),
            ("[\"normal\", {\"sigma\": \"x\"}]", "wanted a number"),
            ("[1", "wanted a name or"),
        ] {
            let Err(error) = from_attr(bad) else { panic!("{bad} was accepted") };
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn names_of_structured_initialisers_are_known() {
        let bias = from_attr(r#"["lstmbias", {"forget_bias": 1.0}]"#).unwrap();
        assert_eq!(values(&*bias, "b", &[8], 0), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        let prelu = from_attr(r#"["msraprelu", {"factor_type": "in", "slope": 0}]"#).unwrap();
        let wanted = Xavier::magnitude(2.0).gaussian().fan(Fan::In);
        assert_eq!(values(&*prelu, "w", &[4, 5], 3), values(&wanted, "w", &[4, 5], 3));
        let orthogonal = from_attr(r#"["orthogonal", {"scale": 2.0, "rand_type": "normal"}]"#).unwrap();
        let wanted = Orthogonal { scale: 2.0, gaussian: true };
        assert_eq!(values(&*orthogonal, "w", &[4, 5], 3), values(&wanted, "w", &[4, 5], 3));
        assert_eq!(values(&*from_attr("bilinear").unwrap(), "w", &[1, 1, 2, 2], 0), [1.0, 0.0, 0.0, 0.0]);
    }
}
