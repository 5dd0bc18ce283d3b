//! Examples of normalisations.

use super::Example;
use super::Values::{Apart, Positive};

const FREE: (&str, &str) = ("fix_gamma", "False");

pub(super) const EXAMPLES: &[Example] = &[
    (
        "BatchNorm",
        &[],
        &[(&[3, 2, 4], Apart), (&[2], Apart), (&[2], Apart), (&[2], Apart), (&[2], Positive)],
        &[&[3, 2, 4], &[2], &[2]],
    ),
    (
        "BatchNorm",
        &[FREE, ("eps", "0.01"), ("momentum", "0.5"), ("output_mean_var", "True")],
        &[(&[2, 3, 2, 3], Apart), (&[3], Apart), (&[3], Apart), (&[3], Apart), (&[3], Positive)],
        &[&[2, 3, 2, 3], &[3], &[3]],
    ),
    (
        "BatchNorm",
        &[FREE, ("use_global_stats", "True"), ("cudnn_off", "True")],
        &[(&[3, 2, 4], Apart), (&[2], Apart), (&[2], Apart), (&[2], Apart), (&[2], Positive)],
        &[&[3, 2, 4], &[2], &[2]],
    ),
    (
        "BatchNorm",
        &[FREE, ("axis", "-1")],
        &[(&[3, 2, 4], Apart), (&[4], Apart), (&[4], Apart), (&[4], Apart), (&[4], Positive)],
        &[&[3, 2, 4], &[4], &[4]],
    ),
    (
        "BatchNorm",
        &[FREE],
        &[(&[6, 5], Apart), (&[5], Apart), (&[5], Apart), (&[5], Apart), (&[5], Positive)],
        &[&[6, 5], &[5], &[5]],
    ),
    (
        "_FusedBatchNormRelu",
        &[],
        &[(&[3, 2, 4], Apart), (&[2], Apart), (&[2], Apart), (&[2], Apart), (&[2], Positive)],
        &[&[3, 2, 4], &[2], &[2]],
    ),
    (
        "_FusedBatchNormRelu",
        &[FREE, ("axis", "-1")],
        &[(&[3, 2, 4], Apart), (&[4], Apart), (&[4], Apart), (&[4], Apart), (&[4], Positive)],
        &[&[3, 2, 4], &[4], &[4]],
    ),
    (
        "_BatchNormApply",
        &[FREE],
        &[(&[3, 2, 4], Apart), (&[2], Apart), (&[2], Apart), (&[2], Apart), (&[2], Positive)],
        &[&[3, 2, 4]],
    ),
    (
        "_BatchNormReluApply",
        &[],
        &[(&[3, 2, 4], Apart), (&[2], Apart), (&[2], Apart), (&[2], Apart), (&[2], Positive)],
        &[&[3, 2, 4]],
    ),
    ("InstanceNorm", &[("eps", "0.01")], &[(&[2, 3, 2, 3], Apart), (&[3], Apart), (&[3], Apart)], &[&[2, 3, 2, 3]]),
    ("InstanceNorm", &[], &[(&[3, 2, 5], Apart), (&[2], Apart), (&[2], Apart)], &[&[3, 2, 5]]),
    ("LRN", &[("nsize", "3")], &[(&[2, 4, 3], Apart)], &[&[2, 4, 3], &[2, 4, 3]]),
    (
        "LRN",
        &[("nsize", "5"), ("alpha", "0.5"), ("beta", "0.6"), ("knorm", "1")],
        &[(&[1, 7, 2, 2], Apart)],
        &[&[1, 7, 2, 2], &[1, 7, 2, 2]],
    ),
    ("LayerNorm", &[], &[(&[2, 3, 4], Apart), (&[4], Apart), (&[4], Apart)], &[&[2, 3, 4], &[2, 3, 1], &[2, 3, 1]]),
    (
        "LayerNorm",
        &[("axis", "1"), ("eps", "0.01"), ("output_mean_var", "True")],
        &[(&[2, 3, 4], Apart), (&[3], Apart), (&[3], Apart)],
        &[&[2, 3, 4], &[2, 1, 4], &[2, 1, 4]],
    ),
    ("GroupNorm", &[], &[(&[2, 4, 3], Apart), (&[1], Apart), (&[1], Apart)], &[&[2, 4, 3], &[2, 1], &[2, 1]]),
    (
        "GroupNorm",
        &[("num_groups", "2"), ("eps", "0.01"), ("output_mean_var", "True")],
        &[(&[2, 4, 2, 3], Apart), (&[2], Apart), (&[2], Apart)],
        &[&[2, 4, 2, 3], &[2, 2], &[2, 2]],
    ),
    ("L2Normalization", &[], &[(&[2, 3, 4], Apart)], &[&[2, 3, 4], &[2]]),
    ("L2Normalization", &[("eps", "0.5")], &[(&[3, 4], Apart)], &[&[3, 4], &[3]]),
    ("L2Normalization", &[("mode", "channel")], &[(&[2, 3, 2, 2], Apart)], &[&[2, 3, 2, 2], &[2, 2, 2]]),
    ("L2Normalization", &[("mode", "channel")], &[(&[2, 3, 1], Apart)], &[&[2, 3, 1], &[2, 1]]),
    ("L2Normalization", &[("mode", "spatial")], &[(&[2, 3, 2, 2], Apart)], &[&[2, 3, 2, 2], &[2, 3]]),
];
