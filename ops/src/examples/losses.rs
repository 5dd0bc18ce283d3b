//! Examples of losses, and of outputs whose gradients are those of losses.

use super::Example;
use super::Values::{Apart, Classes, IntClasses, Positive, Share};

pub(super) const EXAMPLES: &[Example] = &[
    ("LinearRegressionOutput", &[], &[(&[3, 4], Apart), (&[3, 4], Positive)], &[&[3, 4]]),
    ("LinearRegressionOutput", &[("grad_scale", "0.5")], &[(&[3, 1], Apart), (&[3], Positive)], &[&[3, 1]]),
    ("LogisticRegressionOutput", &[("grad_scale", "2")], &[(&[3, 4], Apart), (&[3, 4], Share)], &[&[3, 4]]),
    ("MAERegressionOutput", &[], &[(&[3, 2, 2], Apart), (&[3, 2, 2], Positive)], &[&[3, 2, 2]]),
    ("MakeLoss", &[("grad_scale", "0.5")], &[(&[3, 4], Apart)], &[&[3, 4]]),
    ("MakeLoss", &[("normalization", "batch")], &[(&[3, 4], Apart)], &[&[3, 4]]),
    ("MakeLoss", &[("normalization", "valid"), ("valid_thresh", "0.5")], &[(&[3, 4], Apart)], &[&[3, 4]]),
    ("softmax_cross_entropy", &[], &[(&[4, 5], Apart), (&[4], Classes(5))], &[&[1]]),
    ("softmax_cross_entropy", &[], &[(&[4, 5], Apart), (&[4], IntClasses(5))], &[&[1]]),
    ("make_loss", &[], &[(&[3, 4], Apart)], &[&[3, 4]]),
    ("SVMOutput", &[], &[(&[4, 3], Apart), (&[4], Classes(3))], &[&[4, 3]]),
    (
        "SVMOutput",
        &[("margin", "0.7"), ("regularization_coefficient", "0.5"), ("use_linear", "True")],
        &[(&[2, 2, 3], Apart), (&[2, 2], IntClasses(3))],
        &[&[2, 2, 3]],
    ),
];
