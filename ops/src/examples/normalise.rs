//! Examples of normalisations, rectifiers, transposed convolutions and regressions.

use super::Example;
use super::Values::{Apart, Positive, Share};

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
    ("LRN", &[("nsize", "3")], &[(&[2, 4, 3], Apart)], &[&[2, 4, 3], &[2, 4, 3]]),
    (
        "LRN",
        &[("nsize", "5"), ("alpha", "0.5"), ("beta", "0.6"), ("knorm", "1")],
        &[(&[1, 7, 2, 2], Apart)],
        &[&[1, 7, 2, 2], &[1, 7, 2, 2]],
    ),
    ("LeakyReLU", &[], &[(&[2, 3, 4], Apart)], &[&[2, 3, 4]]),
    ("LeakyReLU", &[("slope", "-0.1")], &[(&[2, 3, 4], Apart)], &[&[2, 3, 4]]),
    ("LeakyReLU", &[("act_type", "elu"), ("slope", "0.5")], &[(&[2, 3, 4], Apart)], &[&[2, 3, 4]]),
    ("LeakyReLU", &[("act_type", "elu"), ("slope", "-0.5")], &[(&[2, 3, 4], Apart)], &[&[2, 3, 4]]),
    ("LeakyReLU", &[("act_type", "selu")], &[(&[2, 3, 4], Apart)], &[&[2, 3, 4]]),
    ("LeakyReLU", &[("act_type", "gelu")], &[(&[2, 3, 4], Apart)], &[&[2, 3, 4]]),
    ("LeakyReLU", &[("act_type", "prelu")], &[(&[2, 3, 4], Apart), (&[3], Positive)], &[&[2, 3, 4]]),
    ("LeakyReLU", &[("act_type", "prelu")], &[(&[5, 3], Apart), (&[1], Positive)], &[&[5, 3]]),
    ("LeakyReLU", &[("act_type", "rrelu")], &[(&[2, 3, 4], Apart)], &[&[2, 3, 4], &[2, 3, 4]]),
    (
        "LeakyReLU",
        &[("act_type", "rrelu"), ("lower_bound", "0.5"), ("upper_bound", "0.75")],
        &[(&[2, 3, 4], Apart)],
        &[&[2, 3, 4], &[2, 3, 4]],
    ),
    (
        "Deconvolution",
        &[("kernel", "(3, 2)"), ("num_filter", "4"), ("stride", "(2, 1)"), ("pad", "(1, 0)"), ("adj", "(1, 0)")],
        &[(&[2, 3, 3, 4], Apart), (&[3, 4, 3, 2], Apart)],
        &[&[2, 4, 6, 5]],
    ),
    (
        "Deconvolution",
        &[("kernel", "(3,)"), ("num_filter", "4"), ("num_group", "2"), ("no_bias", "False"), ("dilate", "2")],
        &[(&[2, 2, 4], Apart), (&[2, 2, 3], Apart), (&[4], Apart)],
        &[&[2, 4, 8]],
    ),
    (
        "Deconvolution",
        &[("kernel", "(4, 4)"), ("num_filter", "1"), ("stride", "(2, 2)"), ("target_shape", "(5, 6)")],
        &[(&[1, 2, 3, 3], Apart), (&[2, 1, 4, 4], Apart)],
        &[&[1, 1, 5, 6]],
    ),
    (
        "Deconvolution",
        &[("kernel", "(2, 2, 2)"), ("num_filter", "2")],
        &[(&[1, 2, 2, 2, 2], Apart), (&[2, 2, 2, 2, 2], Apart)],
        &[&[1, 2, 3, 3, 3]],
    ),
    ("LinearRegressionOutput", &[], &[(&[3, 4], Apart), (&[3, 4], Positive)], &[&[3, 4]]),
    ("LinearRegressionOutput", &[("grad_scale", "0.5")], &[(&[3, 1], Apart), (&[3], Positive)], &[&[3, 1]]),
    ("LogisticRegressionOutput", &[("grad_scale", "2")], &[(&[3, 4], Apart), (&[3, 4], Share)], &[&[3, 4]]),
    ("MAERegressionOutput", &[], &[(&[3, 2, 2], Apart), (&[3, 2, 2], Positive)], &[&[3, 2, 2]]),
    ("MakeLoss", &[("grad_scale", "0.5")], &[(&[3, 4], Apart)], &[&[3, 4]]),
    ("MakeLoss", &[("normalization", "batch")], &[(&[3, 4], Apart)], &[&[3, 4]]),
    ("MakeLoss", &[("normalization", "valid"), ("valid_thresh", "0.5")], &[(&[3, 4], Apart)], &[&[3, 4]]),
];
