//! `batch_dot`, `_linalg_gemm2`, `_linalg_gemm`: products of matrices that lie along the last two axes.

use crate::{Attrs, Entry, Error, Gradient, Kind, Operator, Params, PartialShape, Result, Schema, Shapes, Value};
use std::sync::LazyLock;

fn transposes() -> Schema {
    Schema::new().bool("transpose_a", Some(false), "Transpose the matrices of the first input.").bool(
        "transpose_b",
        Some(false),
        "Transpose the matrices of the second input.",
    )
}

static BATCH_DOT: LazyLock<Schema> = LazyLock::new(|| {
    let storage = Kind::choice(&["default", "row_sparse", "csr"]);
    let doc = "Storage of the output, which is always dense. Without effect.";
    transposes().param("forward_stype", storage, Some(Value::None), doc)
});

static GEMM2: LazyLock<Schema> = LazyLock::new(|| {
    let any = f64::MIN..=f64::MAX;
    transposes().float("alpha", any, Some(1.0), "Factor of the product.").int(
        "axis",
        -2..=-2,
        Some(-2),
        "The axis of the rows. Only the last but one is wanted here.",
    )
});

static GEMM: LazyLock<Schema> = LazyLock::new(|| {
    let any = || f64::MIN..=f64::MAX;
    transposes()
        .float("alpha", any(), Some(1.0), "Factor of the product.")
        .float("beta", any(), Some(1.0), "Factor of C.")
        .int("axis", -2..=-2, Some(-2), "The axis of the rows. Only the last but one is wanted here.")
});

/// Which product.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MatrixProduct {
    /// `lhs · rhs`, of three axes.
    BatchDot,
    /// `alpha · A · B`.
    Gemm2,
    /// `alpha · A · B + beta · C`.
    Gemm,
}

impl MatrixProduct {
    pub(super) const ALL: [MatrixProduct; 3] = [MatrixProduct::BatchDot, MatrixProduct::Gemm2, MatrixProduct::Gemm];

    /// Adds a node for the product of two matrices, either of which may be transposed.
    fn product(
        self,
        grad: &mut Gradient<'_>,
        part: &str,
        (a, transpose_a): (Entry, bool),
        (b, transpose_b): (Entry, bool),
    ) -> Result<Entry> {
        let word = |is: bool| if is { "True" } else { "False" }.to_string();
        let mut attrs = Attrs::from([
            ("transpose_a".to_string(), word(transpose_a)),
            ("transpose_b".to_string(), word(transpose_b)),
        ]);
        let op = if self == MatrixProduct::BatchDot {
            "batch_dot"
        } else {
            attrs.insert("alpha".to_string(), grad.params.float("alpha").to_string());
            "_linalg_gemm2"
        };
        let name = format!("{}_backward_{part}", grad.node);
        grad.graph.add(op, &name, attrs, &[a, b])
    }
}

impl Operator for MatrixProduct {
    fn name(&self) -> &str {
        match self {
            MatrixProduct::BatchDot => "batch_dot",
            MatrixProduct::Gemm2 => "_linalg_gemm2",
            MatrixProduct::Gemm => "_linalg_gemm",
        }
    }

    fn aliases(&self) -> &[&str] {
        match self {
            MatrixProduct::BatchDot => &[],
            MatrixProduct::Gemm2 => &["linalg_gemm2"],
            MatrixProduct::Gemm => &["linalg_gemm"],
        }
    }

    fn doc(&self) -> &str {
        match self {
            MatrixProduct::BatchDot => {
                "output[b, i, j] = Σ_k lhs[b, i, k] · rhs[b, k, j], where transpose_a and transpose_b swap the last two axes \
                 of lhs and rhs."
            }
            MatrixProduct::Gemm2 => {
                "output = alpha · A · B, of the matrices along the last two axes, either transposed if so wanted; the other \
                 axes of both are the same."
            }
            MatrixProduct::Gemm => {
                "output = alpha · A · B + beta · C, of the matrices along the last two axes, A and B transposed if so wanted; \
                 the other axes of all are the same."
            }
        }
    }

    fn schema(&self) -> &Schema {
        match self {
            MatrixProduct::BatchDot => &BATCH_DOT,
            MatrixProduct::Gemm2 => &GEMM2,
            MatrixProduct::Gemm => &GEMM,
        }
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        let names: &[&str] = match self {
            MatrixProduct::BatchDot => &["lhs", "rhs"],
            MatrixProduct::Gemm2 => &["A", "B"],
            MatrixProduct::Gemm => &["A", "B", "C"],
        };
        names.iter().map(ToString::to_string).collect()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        if *self == MatrixProduct::Gemm {
            s.same(&[2], &[0])?;
        }
        let shapes = [s.input(0).clone(), s.input(1).clone(), s.output(0).clone()];
        let rank = shapes.iter().find_map(PartialShape::rank);
        let wanted = if *self == MatrixProduct::BatchDot { Some(3) } else { rank };
        let Some(rank) = wanted else { return Ok(()) };
        let Some(batch) = rank.checked_sub(2) else {
            let names = self.inputs(params);
            return Err(Error::Shape(format!(
                "{} has shape {} and {} {}, wanted two axes or more",
                names[0], shapes[0], names[1], shapes[1]
            )));
        };
        // Where the rows and the columns of each matrix are.
        let ends = |transposed: bool| if transposed { (rank - 1, rank - 2) } else { (rank - 2, rank - 1) };
        let at = [ends(params.bool("transpose_a")), ends(params.bool("transpose_b")), ends(false)];
        let (rows, columns) = (|i: usize| shapes[i].dim(at[i].0), |i: usize| shapes[i].dim(at[i].1));
        let (m, n, k) = (rows(0).or(rows(2)), columns(1).or(columns(2)), columns(0).or(rows(1)));
        let why = format!("from {} · {} = {}", shapes[0], shapes[1], shapes[2]);
        for (i, (rows, columns)) in [(m, k), (k, n), (m, n)].into_iter().enumerate() {
            let dims = (0..rank).map(|axis| match axis {
                axis if axis < batch => shapes.iter().find_map(|shape| shape.dim(axis)),
                axis if axis == at[i].0 => rows,
                _ => columns,
            });
            let dims = PartialShape::new(dims);
            if i == 2 { s.set_output(0, dims, &why)? } else { s.set_input(i, dims, &why)? }
        }
        Ok(())
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let (out_grad, a, b) = (grad.out_grad(0)?, grad.inputs[0], grad.inputs[1]);
        let (ta, tb) = (grad.params.bool("transpose_a"), grad.params.bool("transpose_b"));
        // Of A: out_grad · Bᵀ; of Aᵀ: B · out_gradᵀ. Of B: Aᵀ · out_grad; of Bᵀ: out_gradᵀ · A.
        let d_a = if ta {
            self.product(grad, "a", (b, tb), (out_grad, true))?
        } else {
            self.product(grad, "a", (out_grad, false), (b, !tb))?
        };
        let d_b = if tb {
            self.product(grad, "b", (out_grad, true), (a, ta))?
        } else {
            self.product(grad, "b", (a, !ta), (out_grad, false))?
        };
        let mut gradients = vec![Some(d_a), Some(d_b)];
        if *self == MatrixProduct::Gemm {
            let beta = Attrs::from([("scalar".to_string(), grad.params.float("beta").to_string())]);
            let name = format!("{}_backward_c", grad.node);
            gradients.push(Some(grad.graph.add("_mul_scalar", &name, beta, &[out_grad])?));
        }
        Ok(gradients)
    }
}
