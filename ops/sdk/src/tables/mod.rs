//! The tables of function pointers that the host calls, made of the traits.

pub(crate) mod iterator;
pub(crate) mod operator;
pub(crate) mod reduction;

/// What a table says its size is.
pub(crate) fn size<T>() -> u32 {
    size_of::<T>() as u32
}
