//! Reductions, and products of matrices.

use super::Example;
use super::Values::{self, Apart, Positive};

const D: (&[usize], Values) = (&[2, 3, 4], Apart);
const P: (&[usize], Values) = (&[2, 3, 4], Positive);

pub(super) const EXAMPLES: &[Example] = &[
    ("prod", &[], &[P], &[&[1]]),
    ("prod", &[("axis", "(0, 2)")], &[P], &[&[3]]),
    ("prod", &[("axis", "-2"), ("keepdims", "True")], &[P], &[&[2, 1, 4]]),
    ("prod", &[("axis", "1"), ("exclude", "True")], &[P], &[&[3]]),
    ("max", &[], &[D], &[&[1]]),
    ("max", &[("axis", "(0, 2)")], &[D], &[&[3]]),
    ("max", &[("axis", "-2"), ("keepdims", "True")], &[D], &[&[2, 1, 4]]),
    ("max", &[("axis", "1"), ("exclude", "True")], &[D], &[&[3]]),
    ("min", &[], &[D], &[&[1]]),
    ("min", &[("axis", "(0, 2)")], &[D], &[&[3]]),
    ("min", &[("axis", "-2"), ("keepdims", "True")], &[D], &[&[2, 1, 4]]),
    ("min", &[("axis", "1"), ("exclude", "True")], &[D], &[&[3]]),
    ("nansum", &[], &[D], &[&[1]]),
    ("nansum", &[("axis", "(0, 2)")], &[D], &[&[3]]),
    ("nansum", &[("axis", "-2"), ("keepdims", "True")], &[D], &[&[2, 1, 4]]),
    ("nansum", &[("axis", "1"), ("exclude", "True")], &[D], &[&[3]]),
    ("nanprod", &[], &[P], &[&[1]]),
    ("nanprod", &[("axis", "(0, 2)")], &[P], &[&[3]]),
    ("nanprod", &[("axis", "-2"), ("keepdims", "True")], &[P], &[&[2, 1, 4]]),
    ("nanprod", &[("axis", "1"), ("exclude", "True")], &[P], &[&[3]]),
    ("norm", &[], &[D], &[&[1]]),
    ("norm", &[("ord", "1"), ("axis", "1")], &[D], &[&[2, 4]]),
    ("norm", &[("axis", "(0, 2)"), ("keepdims", "True")], &[D], &[&[1, 3, 1]]),
    ("batch_dot", &[], &[(&[2, 3, 4], Apart), (&[2, 4, 5], Apart)], &[&[2, 3, 5]]),
    ("batch_dot", &[("transpose_b", "True")], &[(&[2, 3, 4], Apart), (&[2, 5, 4], Apart)], &[&[2, 3, 5]]),
    ("batch_dot", &[("transpose_a", "True")], &[(&[2, 4, 3], Apart), (&[2, 4, 5], Apart)], &[&[2, 3, 5]]),
    (
        "batch_dot",
        &[("transpose_a", "True"), ("transpose_b", "True")],
        &[(&[2, 4, 3], Apart), (&[2, 5, 4], Apart)],
        &[&[2, 3, 5]],
    ),
    ("_linalg_gemm2", &[("alpha", "-0.5"), ("transpose_b", "True")], &[(&[3, 4], Apart), (&[5, 4], Apart)], &[&[3, 5]]),
    ("_linalg_gemm2", &[("transpose_a", "True")], &[(&[2, 1, 4, 3], Apart), (&[2, 1, 4, 5], Apart)], &[&[2, 1, 3, 5]]),
    (
        "_linalg_gemm",
        &[("alpha", "2"), ("beta", "-0.5")],
        &[(&[2, 3, 4], Apart), (&[2, 4, 5], Apart), (&[2, 3, 5], Apart)],
        &[&[2, 3, 5]],
    ),
];
