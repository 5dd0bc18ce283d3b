//! `depth_to_space` and `space_to_depth`: channels become blocks of pixels, and back.

use super::layout::{Dims, Layout, Order, by, unchecked};
use crate::{Error, Params, Result, Schema};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::new().int("block_size", 1..=i64::from(i32::MAX), None, "Side b of a block, in pixels."));

fn four(dims: &[Option<usize>]) -> Result<[Option<usize>; 4]> {
    <[_; 4]>::try_from(dims).map_err(|_| Error::Shape("wanted 4 axes: batch, channel, height and width".to_string()))
}

/// `len / by`, for an axis that is a multiple.
fn part(len: Option<usize>, by: usize, what: &str) -> Result<Option<usize>> {
    match len {
        Some(len) if !len.is_multiple_of(by) => Err(Error::Shape(format!("wanted a multiple of {by} along {what}"))),
        len => Ok(len.map(|len| len / by)),
    }
}

fn whole(len: Option<usize>, by: usize) -> Result<Option<usize>> {
    let too_long = || Error::Shape(format!("wanted axes short enough to be {by} times as long"));
    len.map(|len| len.checked_mul(by).ok_or_else(too_long)).transpose()
}

fn to_space(params: &Params, dims: &[Option<usize>]) -> Result<Dims> {
    let (b, [n, c, h, w]) = (params.usize("block_size"), four(dims)?);
    let area = b.checked_mul(b).ok_or_else(|| Error::Shape(format!("wanted a smaller block than {b}")))?;
    Ok(vec![n, part(c, area, "channels")?, whole(h, b)?, whole(w, b)?])
}

fn to_depth(params: &Params, dims: &[Option<usize>]) -> Result<Dims> {
    let (b, [n, c, h, w]) = (params.usize("block_size"), four(dims)?);
    let area = b.checked_mul(b).ok_or_else(|| Error::Shape(format!("wanted a smaller block than {b}")))?;
    Ok(vec![n, whole(c, area)?, part(h, b, "height")?, part(w, b, "width")?])
}

/// Channels to pixels.
pub(super) const DEPTH_TO_SPACE: Layout = Layout {
    name: "depth_to_space",
    aliases: &[],
    doc: "output[n, c, h · b + i, w · b + j] = data[n, (i · b + j) · C + c, h, w]: data (N, C b², H, W), output (N, C, H b, W b).",
    schema: &SCHEMA,
    check: unchecked,
    shape: to_space,
    back: |params, _, out| to_depth(params, out),
    order: Order::Changed,
    gradient: |grad| by("space_to_depth", grad),
};

/// Pixels to channels.
pub(super) const SPACE_TO_DEPTH: Layout = Layout {
    name: "space_to_depth",
    aliases: &[],
    doc: "output[n, (i · b + j) · C + c, h, w] = data[n, c, h · b + i, w · b + j]: data (N, C, H b, W b), output (N, C b², H, W).",
    schema: &SCHEMA,
    check: unchecked,
    shape: to_depth,
    back: |params, _, out| to_space(params, out),
    order: Order::Changed,
    gradient: |grad| by("depth_to_space", grad),
};
