//! What names stand for in a model, while it is imported.

use crate::{HostArray, Symbol};
use varflow_ops::{DType, PartialShape};

/// A tensor of the network, and what is known of its shape.
#[derive(Clone)]
pub(super) struct Tensor {
    pub(super) symbol: Symbol,
    pub(super) shape: PartialShape,
}

/// What a name stands for.
#[derive(Clone)]
pub(super) enum Value {
    /// Something that the network computes or is given.
    Tensor(Tensor),
    /// Initializer or constant `i` of the importer.
    Weight(usize),
    /// Numbers that come of arithmetic on shapes.
    Numbers(Numbers),
}

/// A few integers, of rank 0 or 1; those that follow from an extent that is not known are not known either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) is_scalar: bool,
    pub(super) values: Vec<Option<i64>>,
}

impl Numbers {
    /// More than any model computes its shapes with; without a bound, a few nodes could double them without end.
    pub(super) const MOST: usize = 1 << 12;
    /// Of all that a model computes: each of its many nodes could keep the most.
    pub(super) const MOST_OF_ALL: usize = 1 << 18;

    /// The integers of an array, if it is one of few integers.
    pub(super) fn of(array: &HostArray) -> Option<Numbers> {
        let rank = array.desc.shape.rank();
        if rank > 1 || array.desc.shape.len() > Numbers::MOST {
            return None;
        }
        let values = match array.desc.dtype {
            DType::I64 => array.to_vec::<i64>().ok()?,
            DType::I32 => array.to_vec::<i32>().ok()?.into_iter().map(i64::from).collect(),
            _ => return None,
        };
        Some(Numbers { is_scalar: rank == 0, values: values.into_iter().map(Some).collect() })
    }

    /// All of them, if they are known.
    pub(super) fn known(&self) -> Option<Vec<i64>> {
        self.values.iter().copied().collect()
    }
}

/// An initializer or a constant.
pub(super) struct Weight {
    pub(super) name: String,
    pub(super) array: HostArray,
    /// The variable and name of an argument, once it is used as one.
    pub(super) argument: Option<(Symbol, String)>,
    /// The variable and name of an auxiliary state.
    pub(super) auxiliary: Option<(Symbol, String)>,
    /// The same elements turned over, once that was asked for.
    pub(super) transposed: Option<usize>,
    /// The same elements along one axis.
    pub(super) flat: Option<usize>,
    /// The same elements once more.
    pub(super) twin: Option<usize>,
}
