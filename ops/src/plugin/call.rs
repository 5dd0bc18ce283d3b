//! Calls into a plug-in: what came of them, and what they are told of parameters.
#![expect(unsafe_code, reason = "reads messages that a plug-in wrote")]

use super::dlpack::to_dlpack;
use super::library::Source;
use crate::schema::{Kind, Params, Schema, Value};
use crate::{Error, Result};
use std::ffi::CString;
use std::fmt;
use std::ptr;
use std::sync::Arc;
use varflow_abi::{self as abi, DLDataType, Message, Status, kind, status};

/// What of a plug-in is called, as errors say it: `plug-in "swish" (/tmp/libswish.so): operator Swish "act1"`.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) source: Arc<Source>,
    pub(super) what: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.what)
    }
}

/// Room for a message.
const MESSAGE_BYTES: usize = 512;

/// Calls a function of a plug-in, and makes its status and message a result.
///
/// # Errors
/// What the status and the message say.
pub(super) fn call(function: impl FnOnce(*mut Message) -> Status) -> Result<()> {
    if call_next(function)? {
        return Ok(());
    }
    Err(Error::Plugin("returned VF_END, which only the next of an iterator may".to_string()))
}

/// As [`call`], for a function that may say that there is nothing more: returns whether there is.
///
/// # Errors
/// As [`call`].
pub(super) fn call_next(function: impl FnOnce(*mut Message) -> Status) -> Result<bool> {
    let mut text = [0_u8; MESSAGE_BYTES];
    let mut message = Message { text: text.as_mut_ptr().cast(), capacity: text.len() };
    match function(&raw mut message) {
        status::OK => Ok(true),
        status::END => Ok(false),
        status => {
            let len = text.iter().position(|b| *b == 0).unwrap_or(text.len());
            Err(error(status, &String::from_utf8_lossy(&text[..len])))
        }
    }
}

/// The error that a status and a message tell.
pub(super) fn error(status: Status, message: &str) -> Error {
    let message = if message.is_empty() { "it gave no message" } else { message };
    match status {
        status::BAD_SHAPE => Error::Shape(message.to_string()),
        status::BAD_DTYPE => Error::DType(message.to_string()),
        status::BAD_PARAM => Error::Param(message.to_string()),
        status::BAD_DATA => Error::Data(message.to_string()),
        status::ERROR => Error::Plugin(message.to_string()),
        status::END => Error::Plugin("returned VF_END, which only the next of an iterator may".to_string()),
        status::UNSUPPORTED => Error::Plugin(format!("is not supported: {message}")),
        status::PANICKED => Error::Plugin(format!("panicked: {message}")),
        other => {
            let (first, last) = (status::OK, status::PANICKED);
            Error::Plugin(format!("returned status {other}, wanted one from {first} to {last}: {message}"))
        }
    }
}

/// A text that a plug-in gives with a status, perhaps null.
///
/// # Safety
/// It is null or ends in a zero byte.
pub(super) unsafe fn given_message(message: abi::Text) -> String {
    if message.is_null() {
        return String::new();
    }
    // SAFETY: by the contract.
    unsafe { std::ffi::CStr::from_ptr(message) }.to_string_lossy().into_owned()
}

/// A text as a plug-in reads it.
///
/// # Errors
/// When it has a zero byte inside.
pub(super) fn c_text(what: &str, text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::Param(format!("{what} is {text:?}, wanted a text without zero bytes")))
}

/// The values of parameters, as a plug-in reads them.
pub struct Values<'p> {
    values: Vec<abi::Value>,
    /// Where texts are.
    _texts: Vec<CString>,
    /// Where tuples are.
    _params: &'p Params,
}

impl<'p> Values<'p> {
    /// The values of `params`, which are of this schema.
    ///
    /// # Errors
    /// A text with a zero byte inside.
    pub fn new(schema: &Schema, params: &'p Params) -> Result<Values<'p>> {
        let mut texts = Vec::new();
        let mut values = Vec::new();
        for (param, (name, value)) in schema.params().iter().zip(params.iter()) {
            let mut to = abi::Value {
                kind: kind::NONE,
                dtype: DLDataType { code: 0, bits: 0, lanes: 0 },
                integer: 0,
                number: 0.0,
                text: ptr::null(),
                items: ptr::null(),
                num_items: 0,
            };
            match value {
                Value::None => {}
                Value::Int(v) => (to.kind, to.integer) = (kind::INT, *v),
                Value::Float(v) => (to.kind, to.number) = (kind::FLOAT, *v),
                Value::Bool(v) => (to.kind, to.integer) = (kind::BOOL, i64::from(*v)),
                Value::Text(v) => {
                    let text = c_text(&format!("parameter \"{name}\""), v)?;
                    let is_choice = matches!(param.kind, Kind::Choice(_));
                    (to.kind, to.text) = (if is_choice { kind::CHOICE } else { kind::TEXT }, text.as_ptr());
                    texts.push(text);
                }
                Value::Tuple(v) => (to.kind, to.items, to.num_items) = (kind::TUPLE, v.as_ptr(), v.len()),
                Value::DType(v) => (to.kind, to.dtype) = (kind::DTYPE, to_dlpack(*v)),
            }
            values.push(to);
        }
        Ok(Values { values, _texts: texts, _params: params })
    }

    /// The values, in the order of the table.
    #[must_use]
    pub fn as_ptr(&self) -> *const abi::Value {
        self.values.as_ptr()
    }
}
