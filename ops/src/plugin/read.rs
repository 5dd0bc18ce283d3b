//! Reads what a plug-in's pointers lead to into copies that the host owns.
//!
//! Every function here is unsafe for one reason: a pointer that is not null leads to what the header says.
#![expect(unsafe_code, reason = "follows the pointers of a plug-in's tables")]

use crate::schema::{Kind, Param, Value};
use crate::{Error, Result, Schema};
use std::ffi::CStr;
use varflow_abi::{self as abi, Table, Text, Texts, kind};

/// More than any list of a table has: what claims to be longer has lost its end.
const MOST_ITEMS: usize = 4096;

fn refuse<T>(text: String) -> Result<T> {
    Err(Error::Plugin(text))
}

/// Copies a text.
///
/// # Errors
/// When it is null or no UTF-8.
///
/// # Safety
/// It is null or ends in a zero byte.
pub(super) unsafe fn text(what: &str, text: Text) -> Result<String> {
    if text.is_null() {
        return refuse(format!("{what} is NULL, wanted a text"));
    }
    // SAFETY: by the contract.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(str::to_string).or_else(|_| refuse(format!("{what} {text:?} is not UTF-8")))
}

/// Copies a text that something is called by, which cannot be empty.
///
/// # Errors
/// As [`text`].
///
/// # Safety
/// As [`text`].
pub(super) unsafe fn name(what: &str, name: Text) -> Result<String> {
    // SAFETY: by the contract.
    let name = unsafe { text(what, name) }?;
    if name.is_empty() || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return refuse(format!("{what} is {name:?}, wanted a text without spaces that is not empty"));
    }
    Ok(name)
}

/// Copies a list of texts that ends in null. `None` for a null list.
///
/// # Errors
/// When it is too long, or a text of it is no UTF-8.
///
/// # Safety
/// It is null or ends in null; its texts end in a zero byte.
pub(super) unsafe fn texts(what: &str, list: Texts) -> Result<Option<Vec<String>>> {
    if list.is_null() {
        return Ok(None);
    }
    let mut copy = Vec::new();
    loop {
        // SAFETY: by the contract; all before were not null.
        let item = unsafe { *list.add(copy.len()) };
        if item.is_null() {
            return Ok(Some(copy));
        }
        if copy.len() == MOST_ITEMS {
            return refuse(format!("{what} have no end: more than {MOST_ITEMS}"));
        }
        // SAFETY: by the contract.
        copy.push(unsafe { text(what, item) }?);
    }
}

/// Copies a list of names that are all different: see [`texts`].
///
/// # Errors
/// As [`texts`] and [`name`], and when one is there twice.
///
/// # Safety
/// As [`texts`].
pub(super) unsafe fn names(what: &str, list: Texts) -> Result<Option<Vec<String>>> {
    // SAFETY: by the contract.
    let Some(names) = (unsafe { texts(what, list) })? else { return Ok(None) };
    for (i, name) in names.iter().enumerate() {
        if name.is_empty() || names[..i].contains(name) {
            return refuse(format!("{what} are {}, wanted names that are all different", names.join(", ")));
        }
    }
    Ok(Some(names))
}

/// Copies `n` items.
///
/// # Errors
/// When they are too many, or none are there.
///
/// # Safety
/// `items` is null or leads to as many.
pub(super) unsafe fn items<T: Copy>(what: &str, n: usize, items: *const T) -> Result<Vec<T>> {
    if n > MOST_ITEMS {
        return refuse(format!("has {n} {what}, wanted at most {MOST_ITEMS}"));
    }
    if items.is_null() && n > 0 {
        return refuse(format!("has {n} {what}, but their list is NULL"));
    }
    // SAFETY: by the contract, for all below `n`.
    Ok((0..n).map(|i| unsafe { items.add(i).read_unaligned() }).collect())
}

/// Copies a table.
///
/// # Errors
/// When it is null or too small.
///
/// # Safety
/// As [`abi::read`], or null.
pub(super) unsafe fn table<T: Table>(what: &str, table: *const T) -> Result<T> {
    if table.is_null() {
        return refuse(format!("{what} is NULL"));
    }
    // SAFETY: by the contract.
    unsafe { abi::read(table) }.or_else(|size| {
        let (least, ours) = (T::FIRST_BYTES, size_of::<T>());
        refuse(format!(
            "{what} says that its struct_size is {size}, wanted {least} at least; it is {ours} in ABI {}",
            abi::VERSION
        ))
    })
}

/// Copies `n` tables.
///
/// # Errors
/// As [`items`] and [`table`].
///
/// # Safety
/// As [`items`] and [`table`].
pub(super) unsafe fn tables<T: Table>(what: &str, n: usize, list: *const *const T) -> Result<Vec<T>> {
    // SAFETY: by the contract.
    let list = unsafe { items(&format!("{what}s"), n, list) }?;
    // SAFETY: by the contract.
    list.into_iter().enumerate().map(|(i, t)| unsafe { table(&format!("{what} number {i}"), t) }).collect()
}

/// Reads the parameters of an operator or iterator.
///
/// # Errors
/// A parameter without name or doc, of no kind, with an empty range or a default out of it.
///
/// # Safety
/// As [`tables`], and the texts of each as [`text`].
pub(super) unsafe fn schema(n: usize, params: *const *const abi::Param) -> Result<Schema> {
    // SAFETY: by the contract.
    let params = unsafe { tables("parameter", n, params) }?;
    let mut schema = Schema::new();
    for (i, p) in params.iter().enumerate() {
        // SAFETY: by the contract.
        let name = unsafe { name(&format!("the name of parameter number {i}"), p.name) }?;
        if schema.has(&name) {
            return refuse(format!("parameter {name} is there twice"));
        }
        // SAFETY: by the contract.
        let param = unsafe { param(name.clone(), p) }.map_err(|e| e.at(format!("parameter {name}")))?;
        schema = schema.param(&param.name, param.kind, param.default, &param.doc);
    }
    Ok(schema)
}

/// # Safety
/// The texts of the table are as the header says.
unsafe fn param(name: String, table: &abi::Param) -> Result<Param> {
    let kind = match table.kind {
        kind::INT if table.int_min <= table.int_max => Kind::Int(table.int_min, table.int_max),
        kind::INT => {
            return refuse(format!("takes integers from {} to {}: there are none", table.int_min, table.int_max));
        }
        kind::FLOAT if table.float_min <= table.float_max => Kind::Float(table.float_min, table.float_max),
        kind::FLOAT => {
            return refuse(format!("takes numbers from {} to {}: there are none", table.float_min, table.float_max));
        }
        kind::BOOL => Kind::Bool,
        kind::TEXT => Kind::Text,
        // SAFETY: by the contract.
        kind::CHOICE => match unsafe { names("its choices", table.choices) }? {
            Some(words) if !words.is_empty() => Kind::Choice(words),
            _ => return refuse("has no choices, wanted one at least".to_string()),
        },
        kind::TUPLE => Kind::Tuple,
        kind::DTYPE => Kind::DType,
        other => return refuse(format!("has kind {other}, wanted one from {} to {}", kind::INT, kind::DTYPE)),
    };
    // SAFETY: by the contract.
    let doc = unsafe { text("its doc", table.doc) }?;
    let mut param = Param { name, doc, kind, default: None, or_none: false };
    if !table.default_value.is_null() {
        // SAFETY: by the contract.
        let default = unsafe { text("its default", table.default_value) }?;
        param.default = Some(match default.as_str() {
            "None" => Value::None,
            text => param.parse(text).map_err(|e| e.at("its default"))?,
        });
    }
    Ok(param)
}
