//! What MXNet planned, stored: for machines without it.

use super::case::Case;
use super::mxnet::{Mxnet, PeerPlan};
use crate::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The references that this program was built with.
const STORED: &str = include_str!("../../references/memory.json");

/// What MXNet planned, by network.
#[derive(Default, Serialize, Deserialize)]
pub struct References {
    /// Where they are from.
    pub origin: String,
    /// By network.
    pub plans: BTreeMap<String, PeerPlan>,
}

/// Where the peer's figures come from.
pub enum Against {
    /// What MXNet once gave.
    Stored(References),
    /// MXNet itself, and what it has given so far.
    Mxnet(Mxnet, References),
}

impl Against {
    /// The peer's plan for a network; `None` if there is none stored at this batch size.
    ///
    /// # Errors
    /// What MXNet says.
    pub fn plan(&mut self, case: &Case) -> Result<Option<PeerPlan>> {
        match self {
            Against::Stored(references) => {
                let stored = references.plans.get(&case.network).copied();
                Ok(stored.filter(|plan| plan.batch_size == case.batch_size))
            }
            Against::Mxnet(mxnet, made) => {
                let (plan, version) = mxnet.plan(case)?;
                made.origin = format!("mxnet {version} of the Python package index");
                made.plans.insert(case.network.clone(), plan);
                Ok(Some(plan))
            }
        }
    }

    /// Where the figures come from, for people.
    pub fn origin(&self) -> String {
        match self {
            Against::Stored(references) => format!("stored references, made by {}", references.origin),
            Against::Mxnet(_, made) => made.origin.clone(),
        }
    }

    /// MXNet, where it is asked itself.
    pub fn mxnet(&self) -> Option<&Mxnet> {
        match self {
            Against::Stored(_) => None,
            Against::Mxnet(mxnet, _) => Some(mxnet),
        }
    }
}

impl References {
    /// Those that this program was built with.
    ///
    /// # Errors
    /// When the file was not written by [`save`](Self::save).
    pub fn stored() -> Result<References> {
        serde_json::from_str(STORED).map_err(|e| format!("the stored references: {e}").into())
    }

    /// Writes them, a network a line.
    ///
    /// # Errors
    /// The file operation that failed.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut lines = Vec::with_capacity(self.plans.len());
        for (network, plan) in &self.plans {
            lines.push(format!("{}: {}", serde_json::to_string(network)?, serde_json::to_string(plan)?));
        }
        let (origin, plans) = (serde_json::to_string(&self.origin)?, lines.join(",\n"));
        let text = format!("{{\n\"origin\": {origin},\n\"plans\": {{\n{plans}\n}}\n}}\n");
        fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()).into())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_read_again_and_holds_for_its_batch_size_only() {
        let plan = PeerPlan { batch_size: 4, training_mb: 2, inference_mb: 1 };
        let made = References { origin: "a test".to_string(), plans: BTreeMap::from([("mlp".to_string(), plan)]) };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("references.json");
        made.save(&path).unwrap();
        let read: References = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!((read.origin.as_str(), &read.plans), ("a test", &made.plans));
        let registry = varflow::registry().unwrap();
        let mut against = Against::Stored(read);
        let mut plan_of = |network, batch| against.plan(&Case::new(&registry, network, batch).unwrap()).unwrap();
        assert_eq!([plan_of("mlp", 4), plan_of("mlp", 5), plan_of("lenet", 4)], [Some(plan), None, None]);
    }
}
