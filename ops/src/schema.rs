//! Operator parameters: what an operator accepts, and the values of one use of it.
//!
//! Attributes are texts, as in symbol JSON: `"(3, 3)"`, `"True"`, `"10"`, `"float32"`, `"None"`.

use crate::{DType, Error, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Attributes of a node as texts, by name.
pub type Attrs = BTreeMap<String, String>;

/// The type of a parameter, with the values it may take.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// An integer between these, both included.
    Int(i64, i64),
    /// A number between these, both included.
    Float(f64, f64),
    /// A truth value.
    Bool,
    /// Free text.
    Text,
    /// One of these words.
    Choice(Vec<String>),
    /// A list of integers, `()` included.
    Tuple,
    /// An element type.
    DType,
}

impl Kind {
    /// One of these words.
    #[must_use]
    pub fn choice(of: &[&str]) -> Kind {
        Kind::Choice(of.iter().map(ToString::to_string).collect())
    }
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Not given, or `None`.
    None,
    /// Of [`Kind::Int`].
    Int(i64),
    /// Of [`Kind::Float`].
    Float(f64),
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Text`] or [`Kind::Choice`].
    Text(String),
    /// Of [`Kind::Tuple`].
    Tuple(Vec<i64>),
    /// Of [`Kind::DType`].
    DType(DType),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::None => f.write_str("None"),
            Value::Int(v) => write!(f, "{v}"),
            Value::Float(v) => write!(f, "{v}"),
            Value::Bool(v) => f.write_str(if *v { "True" } else { "False" }),
            Value::Text(v) => f.write_str(v),
            Value::DType(v) => write!(f, "{v}"),
            Value::Tuple(v) => {
                let items: Vec<_> = v.iter().map(ToString::to_string).collect();
                write!(f, "({}{})", items.join(", "), if v.len() == 1 { "," } else { "" })
            }
        }
    }
}

/// One parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// What it means, with units.
    pub doc: String,
    /// What it accepts.
    pub kind: Kind,
    /// Its value when not given; without one it must be given.
    pub default: Option<Value>,
    /// Whether it may be `None` though that is not its default.
    pub or_none: bool,
}

/// The parameters of an operator, in order.
///
/// ```
/// use varflow_ops::{Schema, Attrs};
/// let schema = Schema::new()
///     .int("num_hidden", 1..=i64::MAX, None, "Number of outputs.")
///     .bool("no_bias", Some(false), "Leave the bias out.");
/// let attrs = Attrs::from([("num_hidden".into(), "10".into())]);
/// let params = schema.parse(&attrs)?;
/// assert_eq!(params.usize("num_hidden"), 10);
/// assert!(!params.bool("no_bias"));
/// assert!(schema.parse(&Attrs::new()).is_err());
/// # Ok::<(), varflow_ops::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema(Arc<Vec<Param>>);

impl Schema {
    /// No parameters.
    #[must_use]
    pub fn new() -> Self {
        Schema::default()
    }

    /// Adds a parameter.
    #[must_use]
    pub fn param(mut self, name: &str, kind: Kind, default: Option<Value>, doc: &str) -> Self {
        let params = Arc::make_mut(&mut self.0);
        params.push(Param { name: name.to_string(), doc: doc.to_string(), kind, default, or_none: false });
        self
    }

    /// Lets the parameter that was added last be `None` too.
    #[must_use]
    pub fn or_none(mut self) -> Self {
        Arc::make_mut(&mut self.0).last_mut().into_iter().for_each(|param| param.or_none = true);
        self
    }

    /// Adds an integer. Without a default it must be given.
    #[must_use]
    pub fn int(self, name: &str, range: std::ops::RangeInclusive<i64>, default: Option<i64>, doc: &str) -> Self {
        self.param(name, Kind::Int(*range.start(), *range.end()), default.map(Value::Int), doc)
    }

    /// Adds a number.
    #[must_use]
    pub fn float(self, name: &str, range: std::ops::RangeInclusive<f64>, default: Option<f64>, doc: &str) -> Self {
        self.param(name, Kind::Float(*range.start(), *range.end()), default.map(Value::Float), doc)
    }

    /// Adds a truth value.
    #[must_use]
    pub fn bool(self, name: &str, default: Option<bool>, doc: &str) -> Self {
        self.param(name, Kind::Bool, default.map(Value::Bool), doc)
    }

    /// Adds a choice of words.
    #[must_use]
    pub fn choice(self, name: &str, of: &[&str], default: Option<&str>, doc: &str) -> Self {
        self.param(name, Kind::choice(of), default.map(|d| Value::Text(d.to_string())), doc)
    }

    /// Adds a list of integers.
    #[must_use]
    pub fn tuple(self, name: &str, default: Option<&[i64]>, doc: &str) -> Self {
        self.param(name, Kind::Tuple, default.map(|d| Value::Tuple(d.to_vec())), doc)
    }

    /// Adds an element type; `default` may be [`Value::None`].
    #[must_use]
    pub fn dtype(self, name: &str, default: Option<Value>, doc: &str) -> Self {
        self.param(name, Kind::DType, default, doc)
    }

    /// The parameters.
    #[must_use]
    pub fn params(&self) -> &[Param] {
        &self.0
    }

    /// Whether there is a parameter of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|p| p.name == name)
    }

    /// Reads the values of one use. Attributes hidden by underscores (`__ctx_group__`) are passed over.
    ///
    /// # Errors
    /// A value that does not parse or is out of range, a missing value, an unknown name: each with what is accepted.
    pub fn parse(&self, attrs: &Attrs) -> Result<Params> {
        if let Some(name) = attrs.keys().find(|n| !self.has(n) && !n.starts_with("__")) {
            let known: Vec<_> = self.0.iter().map(|p| p.name.as_str()).collect();
            let known = if known.is_empty() {
                "there are none".to_string()
            } else {
                format!("wanted one of {}", known.join(", "))
            };
            return Err(Error::Param(format!("unknown parameter \"{name}\": {known}")));
        }
        let mut values = Vec::with_capacity(self.0.len());
        for p in self.params() {
            let value = match (attrs.get(&p.name), &p.default) {
                (Some(text), _) => p.parse(text)?,
                (None, Some(default)) => default.clone(),
                (None, None) => {
                    return Err(Error::Param(format!("parameter \"{}\" is missing: wanted {}", p.name, p.wanted())));
                }
            };
            values.push(value);
        }
        Ok(Params { schema: self.clone(), values: values.into() })
    }
}

impl Param {
    fn wanted(&self) -> String {
        match &self.kind {
            Kind::Int(a, i64::MAX) => format!("an integer of at least {a}"),
            Kind::Int(a, b) => format!("an integer from {a} to {b}"),
            Kind::Float(a, b) if *a == f64::MIN && *b == f64::MAX => "a number".to_string(),
            Kind::Float(a, b) if *b == f64::MAX => format!("a number of at least {a}"),
            Kind::Float(a, b) => format!("a number from {a} to {b}"),
            Kind::Bool => "True or False".to_string(),
            Kind::Text => "a text".to_string(),
            Kind::Choice(of) => format!("one of {}", of.join(", ")),
            Kind::Tuple => "integers in parentheses such as (3, 3)".to_string(),
            Kind::DType => "a dtype such as float32".to_string(),
        }
    }

    /// Reads a value of it, as attributes have it.
    pub(crate) fn parse(&self, text: &str) -> Result<Value> {
        let refuse = || Error::Param(format!("parameter \"{}\" is \"{text}\", wanted {}", self.name, self.wanted()));
        let text = text.trim();
        if text == "None" && (self.or_none || self.default == Some(Value::None)) {
            return Ok(Value::None);
        }
        match &self.kind {
            Kind::Int(a, b) => parse_int(text).filter(|v| (a..=b).contains(&v)).map(Value::Int),
            Kind::Float(a, b) => text.parse().ok().filter(|v| (a..=b).contains(&v)).map(Value::Float),
            Kind::Bool => match text {
                "True" | "true" | "1" => Some(Value::Bool(true)),
                "False" | "false" | "0" => Some(Value::Bool(false)),
                _ => None,
            },
            Kind::Text => Some(Value::Text(text.to_string())),
            Kind::Choice(of) => of.iter().any(|word| word == text).then(|| Value::Text(text.to_string())),
            Kind::Tuple => parse_tuple(text).map(Value::Tuple),
            Kind::DType => DType::from_name(text).ok().map(Value::DType),
        }
        .ok_or_else(refuse)
    }
}

fn parse_int(text: &str) -> Option<i64> {
    text.strip_suffix('L').unwrap_or(text).parse().ok()
}

fn parse_tuple(text: &str) -> Option<Vec<i64>> {
    let inner = |a, b| text.strip_prefix(a).and_then(|t: &str| t.strip_suffix(b));
    let Some(inner) = inner('(', ')').or_else(|| inner('[', ']')) else {
        return parse_int(text).map(|v| vec![v]);
    };
    let inner = inner.trim().trim_end_matches(',');
    if inner.is_empty() {
        return Some(Vec::new());
    }
    inner.split(',').map(|v| parse_int(v.trim())).collect()
}

/// The parameter values of one use of an operator: every parameter of its schema, in order. Clones share them, and all uses
/// of an operator its schema.
///
/// The typed accessors panic when asked for a name or type that the schema does not have: that is a fault in the
/// operator's definition, which the checks over all registered operators find.
#[derive(Clone, Default)]
pub struct Params {
    schema: Schema,
    /// Of each parameter of the schema.
    values: Arc<[Value]>,
}

impl PartialEq for Params {
    fn eq(&self, other: &Params) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[allow(clippy::panic)]
impl Params {
    /// The value of this name.
    #[must_use]
    pub fn value(&self, name: &str) -> &Value {
        let found = self.iter().find(|(n, _)| *n == name);
        found.unwrap_or_else(|| panic!("the schema has no parameter \"{name}\"")).1
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.schema.params().iter().zip(&*self.values).map(|(param, value)| (param.name.as_str(), value))
    }

    fn wrong(&self, name: &str, wanted: &str) -> ! {
        panic!("parameter \"{name}\" is {:?}, asked for as {wanted}", self.value(name))
    }

    /// An integer.
    #[must_use]
    pub fn int(&self, name: &str) -> i64 {
        match self.value(name) {
            Value::Int(v) => *v,
            _ => self.wrong(name, "an integer"),
        }
    }

    /// An integer that the schema bounds to be no less than zero.
    #[must_use]
    pub fn usize(&self, name: &str) -> usize {
        usize::try_from(self.int(name)).unwrap_or_else(|_| self.wrong(name, "a size"))
    }

    /// A number.
    #[must_use]
    pub fn float(&self, name: &str) -> f64 {
        match self.value(name) {
            Value::Float(v) => *v,
            _ => self.wrong(name, "a number"),
        }
    }

    /// A truth value.
    #[must_use]
    pub fn bool(&self, name: &str) -> bool {
        match self.value(name) {
            Value::Bool(v) => *v,
            _ => self.wrong(name, "a truth value"),
        }
    }

    /// A text or word.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        match self.value(name) {
            Value::Text(v) => v,
            _ => self.wrong(name, "a text"),
        }
    }

    /// A list of integers; empty for `None`.
    #[must_use]
    pub fn tuple(&self, name: &str) -> &[i64] {
        match self.value(name) {
            Value::Tuple(v) => v,
            Value::None => &[],
            _ => self.wrong(name, "a tuple"),
        }
    }

    /// An element type, if given.
    #[must_use]
    pub fn dtype(&self, name: &str) -> Option<DType> {
        match self.value(name) {
            Value::DType(v) => Some(*v),
            Value::None => None,
            _ => self.wrong(name, "a dtype"),
        }
    }

    /// As texts, for saving. Values equal to the schema's defaults are left out.
    #[must_use]
    pub fn to_attrs(&self) -> Attrs {
        let given = self.schema.params().iter().zip(&*self.values).filter(|(p, v)| p.default.as_ref() != Some(v));
        given.map(|(p, v)| (p.name.clone(), v.to_string())).collect()
    }
}
