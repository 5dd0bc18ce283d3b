//! Operators that find elements by numbers, and numbers of elements.

use super::Example;
use super::Values::{self, Apart, Around, Classes, IntClasses, Lengths, Share};

const D: (&[usize], Values) = (&[2, 3, 4], Apart);
const M: (&[usize], Values) = (&[3, 4], Apart);
/// Three steps of two sequences.
const T: (&[usize], Values) = (&[3, 2, 2], Apart);
const USED: (&str, &str) = ("use_sequence_length", "True");

pub(super) const EXAMPLES: &[Example] = &[
    ("take", &[], &[M, (&[2, 3], Classes(3))], &[&[2, 3, 4]]),
    ("take", &[("axis", "1")], &[D, (&[5], Around(3))], &[&[2, 5, 4]]),
    ("take", &[("axis", "-1"), ("mode", "wrap")], &[D, (&[2, 1], Around(4))], &[&[2, 3, 2, 1]]),
    ("take", &[("axis", "0"), ("mode", "raise")], &[D, (&[3], IntClasses(2))], &[&[3, 3, 4]]),
    (
        "Embedding",
        &[("input_dim", "5"), ("output_dim", "3")],
        &[(&[2, 4], Classes(5)), (&[5, 3], Apart)],
        &[&[2, 4, 3]],
    ),
    (
        "Embedding",
        &[("input_dim", "2"), ("output_dim", "3"), ("sparse_grad", "True")],
        &[(&[7], Around(2)), (&[2, 3], Apart)],
        &[&[7, 3]],
    ),
    ("pick", &[], &[M, (&[3], Classes(4))], &[&[3]]),
    ("pick", &[("axis", "1"), ("keepdims", "True")], &[D, (&[2, 1, 4], Classes(3))], &[&[2, 1, 4]]),
    ("pick", &[("axis", "0"), ("mode", "wrap")], &[D, (&[3, 4], Around(2))], &[&[3, 4]]),
    ("pick", &[("mode", "clip")], &[M, (&[3, 1], Around(4))], &[&[3]]),
    ("batch_take", &[], &[M, (&[3], IntClasses(4))], &[&[3]]),
    ("one_hot", &[("depth", "3")], &[(&[2, 4], Around(3))], &[&[2, 4, 3]]),
    (
        "one_hot",
        &[("depth", "4"), ("on_value", "2.5"), ("off_value", "-1"), ("dtype", "int32")],
        &[(&[5], Classes(4))],
        &[&[5, 4]],
    ),
    ("where", &[], &[(M.0, Classes(2)), M, M], &[M.0]),
    ("where", &[], &[(&[3], Classes(2)), M, M], &[M.0]),
    ("gather_nd", &[], &[D, (&[2, 5], Classes(2))], &[&[5, 4]]),
    ("gather_nd", &[], &[D, (&[3, 2, 1], IntClasses(2))], &[&[2, 1]]),
    ("gather_nd", &[], &[M, (&[1, 2], Classes(3))], &[&[2, 4]]),
    ("scatter_nd", &[("shape", "(3, 4)")], &[(&[1, 4], Apart), (&[1, 1], Classes(3))], &[M.0]),
    ("scatter_nd", &[("shape", "(5, 6, 2)")], &[(&[2, 2], Apart), (&[2, 2], Classes(5))], &[&[5, 6, 2]]),
    ("argmax", &[], &[D], &[&[1]]),
    ("argmax", &[("axis", "1")], &[D], &[&[2, 4]]),
    ("argmax", &[("keepdims", "True")], &[D], &[&[1, 1, 1]]),
    ("argmin", &[("axis", "-1"), ("keepdims", "True")], &[D], &[&[2, 3, 1]]),
    ("argmin", &[("axis", "0")], &[D], &[&[3, 4]]),
    ("argmax_channel", &[], &[M], &[&[3]]),
    ("topk", &[], &[D], &[&[2, 3, 1]]),
    ("topk", &[("k", "2"), ("ret_typ", "both"), ("axis", "1")], &[D], &[&[2, 2, 4], &[2, 2, 4]]),
    ("topk", &[("k", "3"), ("ret_typ", "value"), ("is_ascend", "True")], &[D], &[&[2, 3, 3], &[2, 3, 3]]),
    ("topk", &[("k", "2"), ("ret_typ", "mask")], &[D], &[D.0]),
    ("topk", &[("k", "5"), ("axis", "None"), ("dtype", "int32")], &[D], &[&[5]]),
    ("topk", &[("k", "0"), ("ret_typ", "both"), ("axis", "0")], &[D], &[D.0, D.0]),
    ("sort", &[], &[D], &[D.0, D.0]),
    ("sort", &[("axis", "1"), ("is_ascend", "False")], &[D], &[D.0, D.0]),
    ("sort", &[("axis", "None")], &[D], &[&[24], &[24]]),
    ("argsort", &[], &[D], &[D.0]),
    ("argsort", &[("axis", "0"), ("is_ascend", "False"), ("dtype", "int32")], &[D], &[D.0]),
    ("argsort", &[("axis", "None")], &[D], &[&[24]]),
    ("SequenceMask", &[], &[T], &[T.0]),
    ("SequenceMask", &[USED, ("value", "-1.5")], &[T, (&[2], Classes(4))], &[T.0]),
    ("SequenceMask", &[USED, ("axis", "1")], &[T, (&[3], Classes(3))], &[T.0]),
    ("SequenceLast", &[], &[T], &[&[2, 2]]),
    ("SequenceLast", &[USED], &[T, (&[2], Lengths(3))], &[&[2, 2]]),
    ("SequenceLast", &[USED, ("axis", "1")], &[M, (&[3], Lengths(4))], &[&[3]]),
    ("SequenceReverse", &[], &[T], &[T.0]),
    ("SequenceReverse", &[USED, ("axis", "0")], &[T, (&[2], Lengths(3))], &[T.0]),
    (
        "ROIPooling",
        &[("pooled_size", "(2, 3)"), ("spatial_scale", "1")],
        &[(&[4, 2, 6, 5], Apart), (&[7, 5], Classes(4))],
        &[&[7, 2, 2, 3], &[7, 2, 2, 3]],
    ),
    (
        "ROIPooling",
        &[("pooled_size", "(3, 1)"), ("spatial_scale", "0.6")],
        &[(&[3, 1, 4, 4], Apart), (&[4, 5], Classes(3))],
        &[&[4, 1, 3, 1], &[4, 1, 3, 1]],
    ),
    ("BilinearSampler", &[], &[(&[2, 3, 4, 5], Apart), (&[2, 2, 3, 2], Share)], &[&[2, 3, 3, 2]]),
    ("BilinearSampler", &[("cudnn_off", "True")], &[(&[1, 2, 3, 3], Apart), (&[1, 2, 4, 4], Apart)], &[&[1, 2, 4, 4]]),
    (
        "GridGenerator",
        &[("transform_type", "affine"), ("target_shape", "(3, 4)")],
        &[(&[2, 6], Apart)],
        &[&[2, 2, 3, 4]],
    ),
    ("GridGenerator", &[("transform_type", "warp")], &[(&[2, 2, 3, 5], Apart)], &[&[2, 2, 3, 5]]),
];
