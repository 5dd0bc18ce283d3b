//! Parameters: what an operator or iterator accepts, and the values of one use.
#![expect(unsafe_code, reason = "reads the host's values")]

use crate::DType;
use crate::boundary::{leak_list, leak_text, leak_texts};
use std::ops::RangeInclusive;
use varflow_abi::{Value, kind};

/// A parameter.
///
/// ```
/// use varflow_sdk::Param;
/// let params = vec![
///     Param::float("beta", "Slope of the sigmoid.").default(1.0),
///     Param::int("num_hidden", "Number of outputs.").range(1..=i64::MAX),
///     Param::choice("mode", &["fast", "exact"], "How to compute it.").default("fast"),
///     Param::tuple("axis", "The axes; all of them if left out.").optional(),
/// ];
/// # assert_eq!(params.len(), 4);
/// ```
#[derive(Clone, Debug)]
pub struct Param {
    name: String,
    doc: String,
    kind: i32,
    default: Option<String>,
    int: RangeInclusive<i64>,
    float: RangeInclusive<f64>,
    choices: Vec<String>,
}

impl Param {
    fn of(kind: i32, name: &str, doc: &str) -> Self {
        Param {
            name: name.to_string(),
            doc: doc.to_string(),
            kind,
            default: None,
            int: i64::MIN..=i64::MAX,
            float: f64::MIN..=f64::MAX,
            choices: Vec::new(),
        }
    }

    /// An integer. `doc` says what it means, with units.
    #[must_use]
    pub fn int(name: &str, doc: &str) -> Self {
        Param::of(kind::INT, name, doc)
    }

    /// A number.
    #[must_use]
    pub fn float(name: &str, doc: &str) -> Self {
        Param::of(kind::FLOAT, name, doc)
    }

    /// A truth value.
    #[must_use]
    pub fn bool(name: &str, doc: &str) -> Self {
        Param::of(kind::BOOL, name, doc)
    }

    /// A text.
    #[must_use]
    pub fn text(name: &str, doc: &str) -> Self {
        Param::of(kind::TEXT, name, doc)
    }

    /// One of these words.
    #[must_use]
    pub fn choice(name: &str, words: &[&str], doc: &str) -> Self {
        let choices = words.iter().map(ToString::to_string).collect();
        Param { choices, ..Param::of(kind::CHOICE, name, doc) }
    }

    /// A list of integers, such as a shape.
    #[must_use]
    pub fn tuple(name: &str, doc: &str) -> Self {
        Param::of(kind::TUPLE, name, doc)
    }

    /// An element type.
    #[must_use]
    pub fn dtype(name: &str, doc: &str) -> Self {
        Param::of(kind::DTYPE, name, doc)
    }

    /// Its value when not given. Without one it must be given. The host refuses a default that the parameter itself does not
    /// accept.
    #[must_use]
    pub fn default(self, value: impl ParamValue) -> Self {
        Param { default: Some(value.into_text()), ..self }
    }

    /// It need not be given, and has no value then.
    #[must_use]
    pub fn optional(self) -> Self {
        Param { default: Some("None".to_string()), ..self }
    }

    /// The least and the greatest value of an integer (`1..=8`) or number (`0.0..=1.0`).
    #[must_use]
    pub fn range(mut self, range: impl ParamRange) -> Self {
        range.bound(&mut self.int, &mut self.float);
        self
    }

    pub(crate) fn leak(&self) -> &'static varflow_abi::Param {
        Box::leak(Box::new(varflow_abi::Param {
            struct_size: size_of::<varflow_abi::Param>() as u32,
            kind: self.kind,
            name: leak_text(&self.name),
            doc: leak_text(&self.doc),
            default_value: self.default.as_deref().map_or(std::ptr::null(), leak_text),
            int_min: *self.int.start(),
            int_max: *self.int.end(),
            float_min: *self.float.start(),
            float_max: *self.float.end(),
            choices: if self.choices.is_empty() { std::ptr::null() } else { leak_texts(&self.choices) },
        }))
    }
}

/// The parameters as a table has them.
pub(crate) fn leak_params(params: &[Param]) -> &'static [*const varflow_abi::Param] {
    leak_list(params.iter().map(|p| std::ptr::from_ref(p.leak())).collect())
}

/// A value that can be a parameter's default.
pub trait ParamValue {
    /// As it is written in symbol JSON.
    fn into_text(self) -> String;
}

macro_rules! param_value {
    ($($type:ty),*) => {
        $(
            impl ParamValue for $type {
                fn into_text(self) -> String {
                    self.to_string()
                }
            }
        )*
    };
}
param_value!(i32, i64, usize, f64, &str, DType);

impl ParamValue for bool {
    fn into_text(self) -> String {
        if self { "True" } else { "False" }.to_string()
    }
}

impl<const N: usize> ParamValue for [i64; N] {
    fn into_text(self) -> String {
        let items: Vec<_> = self.iter().map(ToString::to_string).collect();
        format!("({}{})", items.join(", "), if N == 1 { "," } else { "" })
    }
}

/// A range of integers or numbers.
pub trait ParamRange {
    /// Narrows what the parameter accepts.
    fn bound(self, int: &mut RangeInclusive<i64>, float: &mut RangeInclusive<f64>);
}

impl ParamRange for RangeInclusive<i64> {
    fn bound(self, int: &mut RangeInclusive<i64>, _: &mut RangeInclusive<f64>) {
        *int = self;
    }
}

impl ParamRange for RangeInclusive<f64> {
    fn bound(self, _: &mut RangeInclusive<i64>, float: &mut RangeInclusive<f64>) {
        *float = self;
    }
}

/// The values of the parameters in one use, checked by the host: in their ranges, and defaults filled in.
///
/// Asking for a parameter that the schema does not have, or as another kind, is a fault in the plug-in, and panics: the host
/// reports it as an error, and `varflow plugin check` finds it.
pub struct Params<'a> {
    schema: &'a [Param],
    values: &'a [Value],
}

#[allow(clippy::panic, reason = "a fault in the plug-in, caught at its boundary")]
impl<'a> Params<'a> {
    /// # Safety
    /// `values` points to one value for each parameter of the schema, which, with what they lead to, stay for `'a`.
    pub(crate) unsafe fn from_abi(schema: &'a [Param], values: *const Value) -> Self {
        if values.is_null() || schema.is_empty() {
            return Params { schema: &[], values: &[] };
        }
        // SAFETY: by the contract.
        Params { schema, values: unsafe { std::slice::from_raw_parts(values, schema.len()) } }
    }

    #[track_caller]
    fn value(&self, name: &str, kinds: &[i32], wanted: &str) -> Option<&'a Value> {
        let Some(i) = self.schema.iter().position(|p| p.name == name) else {
            let known: Vec<_> = self.schema.iter().map(|p| p.name.as_str()).collect();
            panic!("parameter \"{name}\" is asked for, which is not declared: params() has {}", known.join(", "));
        };
        let (param, value) = (&self.schema[i], &self.values[i]);
        assert!(
            kinds.contains(&param.kind),
            "parameter \"{name}\" is asked for as {wanted}, which it is not declared as"
        );
        (value.kind == param.kind).then_some(value)
    }

    #[track_caller]
    fn given<T>(name: &str, value: Option<T>) -> T {
        match value {
            Some(value) => value,
            None => panic!("parameter \"{name}\" has no value: ask whether it is_given"),
        }
    }

    /// Whether an [optional](Param::optional) parameter has a value.
    #[must_use]
    pub fn is_given(&self, name: &str) -> bool {
        let found = self.schema.iter().position(|p| p.name == name);
        found.is_some_and(|i| self.values[i].kind != kind::NONE)
    }

    /// An integer.
    #[must_use]
    #[track_caller]
    pub fn int(&self, name: &str) -> i64 {
        Self::given(name, self.value(name, &[kind::INT], "an integer")).integer
    }

    /// An integer whose range begins at 0 or above.
    #[must_use]
    #[track_caller]
    pub fn usize(&self, name: &str) -> usize {
        let value = self.int(name);
        usize::try_from(value).unwrap_or_else(|_| panic!("parameter \"{name}\" is {value}: let its range begin at 0"))
    }

    /// A number.
    #[must_use]
    #[track_caller]
    pub fn float(&self, name: &str) -> f64 {
        Self::given(name, self.value(name, &[kind::FLOAT], "a number")).number
    }

    /// A truth value.
    #[must_use]
    #[track_caller]
    pub fn bool(&self, name: &str) -> bool {
        Self::given(name, self.value(name, &[kind::BOOL], "a truth value")).integer != 0
    }

    /// A text or a word.
    #[must_use]
    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        let value = Self::given(name, self.value(name, &[kind::TEXT, kind::CHOICE], "a text"));
        // SAFETY: texts of the host end in a zero byte.
        unsafe { crate::boundary::text(value.text) }.into_owned()
    }

    /// A list of integers; empty if not given.
    #[must_use]
    #[track_caller]
    pub fn tuple(&self, name: &str) -> &'a [i64] {
        match self.value(name, &[kind::TUPLE], "a tuple") {
            // SAFETY: the host's list has as many items as it says, and stays.
            Some(value) if value.num_items > 0 => unsafe { std::slice::from_raw_parts(value.items, value.num_items) },
            _ => &[],
        }
    }

    /// An element type, if given.
    #[must_use]
    #[track_caller]
    pub fn dtype(&self, name: &str) -> Option<DType> {
        let value = self.value(name, &[kind::DTYPE], "a dtype")?;
        DType::from_abi(value.dtype).unwrap_or_else(|e| panic!("parameter \"{name}\": {e}"))
    }
}
