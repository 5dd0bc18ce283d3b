//! Networks by name or from a file.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use varflow::symbol::{Symbol, json};
use varflow::{Error, zoo};

/// A network of the zoo, or a symbol file.
#[derive(Clone, Debug)]
pub(crate) enum Network {
    Zoo(String),
    File(PathBuf),
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if zoo::NAMES.contains(&text) {
            return Ok(Network::Zoo(text.to_string()));
        }
        if text.ends_with(".json") {
            return Ok(Network::File(text.into()));
        }
        Err(format!("there is no such network: wanted {} or a symbol file ending in .json", zoo::NAMES.join(", ")))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::Zoo(name) => f.write_str(name),
            Network::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Network {
    /// The network itself.
    pub(crate) fn symbol(&self) -> Result<Symbol, Error> {
        match self {
            Network::Zoo(name) => zoo::by_name(name),
            Network::File(path) => json::load(path),
        }
    }
}
