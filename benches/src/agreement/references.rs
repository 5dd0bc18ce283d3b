//! What MXNet gave, stored: for machines without it.

use super::row::Row;
use super::sketch::Sketch;
use crate::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// How many gradients and auxiliary states of a case are stored.
const KEPT_GRADS: usize = 5;
const KEPT_AUXES: usize = 2;

/// The references that this program was built with.
const STORED: &str = include_str!("../../references/agreement.json");

/// What MXNet gave, by case.
#[derive(Default, Serialize, Deserialize)]
pub struct References {
    /// Where they are from.
    pub origin: String,
    /// By name of the case.
    pub cases: BTreeMap<String, Reference>,
}

/// What MXNet gave for one case.
#[derive(Serialize, Deserialize)]
pub struct Reference {
    /// The fingerprint of what the case was given.
    pub inputs: String,
    /// Which draw of the inputs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub draw: u64,
    /// In float32.
    pub single: Vec<Sketch>,
    /// In float64, where MXNet computes in it: to tell rounding from error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub double: Vec<Sketch>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(draw: &u64) -> bool {
    *draw == 0
}

impl References {
    /// Those that this program was built with.
    ///
    /// # Errors
    /// When the file was not written by [`save`](Self::save).
    pub fn stored() -> Result<References> {
        serde_json::from_str(STORED).map_err(|e| format!("the stored references: {e}").into())
    }

    /// Keeps what MXNet gave for these cases, and gives the rows.
    pub fn keep(&mut self, results: impl Iterator<Item = (Row, Option<Reference>)>) -> Vec<Row> {
        let keep = |(row, reference): (Row, Option<Reference>)| {
            self.cases.extend(reference.map(|r| (row.name.clone(), r)));
            row
        };
        results.map(keep).collect()
    }

    /// Writes them, a tensor a line.
    ///
    /// # Errors
    /// The file operation that failed.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut text = format!("{{\n\"origin\": {},\n\"cases\": {{", serde_json::to_string(&self.origin)?);
        for (i, (name, case)) in self.cases.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let case = serde_json::to_string(case)?.replace("{\"name\"", "\n{\"name\"");
            text.push_str(&format!("{comma}\n{}: {case}", serde_json::to_string(name)?));
        }
        text.push_str("\n}\n}\n");
        fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()).into())
    }
}

/// The tensors of a case that are stored, in short form: all but of gradients and auxiliary states, of which there are
/// many in networks, some at even distances.
pub fn chosen(tensors: &[Sketch]) -> Vec<Sketch> {
    let mut out = Vec::new();
    for (kind, most) in [("score", usize::MAX), ("train", usize::MAX), ("grad", KEPT_GRADS), ("aux", KEPT_AUXES)] {
        let all: Vec<&Sketch> = tensors.iter().filter(|s| s.kind() == kind).collect();
        let n = all.len();
        let kept = (0..n.min(most)).map(|i| if n <= most { i } else { i * (n - 1) / (most - 1) });
        out.extend(kept.map(|i| all[i].thinned()));
    }
    out
}
