//! Initialisers whose values depend on each other or on their place.

use super::{Initializer, Target};
use varflow_ops::{Error, Result};

fn refuse(what: &str, target: Target<'_>, wanted: &str) -> Error {
    Error::Shape(format!("{what} cannot initialise {} of shape {}: wanted {wanted}", target.name, target.shape))
}

/// Rows that are orthogonal to each other and of length `scale`; where there are more rows than columns, columns (Saxe et al.
/// 2013). A weight of shape `(out, …)` is a matrix of `out` rows. As MXNet's `Orthogonal`, whose scale is 1.414 and whose
/// draws are uniform by default.
#[derive(Clone, Copy, Debug)]
pub struct Orthogonal {
    /// The length of each.
    pub scale: f64,
    /// Whether they are made of draws from the normal distribution, instead of the uniform one between -1 and 1.
    pub gaussian: bool,
}

impl Initializer for Orthogonal {
    fn values(&self, target: Target<'_>) -> Result<Vec<f32>> {
        let [rows, rest @ ..] = target.shape.dims() else {
            return Err(refuse("Orthogonal", target, "two axes or more"));
        };
        if rest.is_empty() {
            return Err(refuse("Orthogonal", target, "two axes or more"));
        }
        let columns: usize = rest.iter().product();
        let (count, len) = ((*rows).min(columns), (*rows).max(columns));
        if count == 0 {
            return Ok(Vec::new());
        }
        let drawn = if self.gaussian { target.normal(1.0) } else { target.uniform(-1.0, 1.0) };
        let mut vectors: Vec<f64> = drawn.into_iter().map(f64::from).collect();
        for i in 0..count {
            let (before, rest) = vectors.split_at_mut(i * len);
            let vector = &mut rest[..len];
            // Gram and Schmidt's method loses digits where vectors are nearly alike; a second pass restores them.
            for _ in 0..2 {
                for other in before.chunks_exact(len) {
                    let along: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
                    vector.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
                }
                let norm = vector.iter().map(|a| a * a).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
                vector.iter_mut().for_each(|a| *a /= norm);
            }
        }
        let at = |row: usize, column: usize| if count == *rows { row * len + column } else { column * len + row };
        let places = (0..*rows).flat_map(|row| (0..columns).map(move |column| at(row, column)));
        Ok(places.map(|i| (self.scale * vectors[i]) as f32).collect())
    }
}

/// For a deconvolution that enlarges images: each filter interpolates between neighbours. As MXNet's `Bilinear`. The weight has
/// shape `(…, height, width)`, four axes.
#[derive(Clone, Copy, Debug)]
pub struct Bilinear;

impl Initializer for Bilinear {
    fn values(&self, target: Target<'_>) -> Result<Vec<f32>> {
        let [.., height, width] = target.shape.dims() else { return Err(refuse("Bilinear", target, "four axes")) };
        if target.shape.rank() != 4 {
            return Err(refuse("Bilinear", target, "four axes"));
        }
        // The step between the pixels of the small image, and the middle of the filter in such steps; both from the width.
        let step = width.div_ceil(2) as f64;
        let middle = (2.0 * step - 1.0 - step % 2.0) / (2.0 * step);
        let near = |i: usize| 1.0 - (i as f64 / step - middle).abs();
        let value = |i: usize| near(i % width) * near(i / width % height);
        Ok((0..target.shape.len()).map(|i| value(i) as f32).collect())
    }
}

/// The bias of an LSTM's four gates: this number for the gate that forgets, the second, zero for the others. So the
/// cells remember until they have learned what to forget. As MXNet's `LSTMBias`.
#[derive(Clone, Copy, Debug)]
pub struct LstmBias(pub f32);

impl Initializer for LstmBias {
    fn values(&self, target: Target<'_>) -> Result<Vec<f32>> {
        let len = match target.shape.dims() {
            [len] if len.is_multiple_of(4) => *len,
            _ => return Err(refuse("LstmBias", target, "one axis, four times the hidden units")),
        };
        let forgets = len / 4..len / 2;
        Ok((0..len).map(|i| if forgets.contains(&i) { self.0 } else { 0.0 }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use varflow_ops::Shape;

    fn values(init: &dyn Initializer, shape: &[usize]) -> Result<Vec<f32>> {
        init.values(Target { name: "w", shape: &Shape::new(shape), seed: 5 })
    }

    #[test]
    fn orthogonal_rows_or_columns_are() {
        for shape in [&[6, 9][..], &[9, 6], &[4, 2, 3], &[7, 7], &[1, 5]] {
            for gaussian in [false, true] {
                let w = values(&Orthogonal { scale: 1.5, gaussian }, shape).unwrap();
                let (rows, columns) = (shape[0], shape[1..].iter().product::<usize>());
                let by_row = rows <= columns;
                let (count, len) = if by_row { (rows, columns) } else { (columns, rows) };
                let at = |i: usize, k: usize| f64::from(if by_row { w[i * columns + k] } else { w[k * columns + i] });
                for (i, j) in (0..count).flat_map(|i| (0..count).map(move |j| (i, j))) {
                    let product: f64 = (0..len).map(|k| at(i, k) * at(j, k)).sum();
                    let wanted = if i == j { 2.25 } else { 0.0 };
                    assert!((product - wanted).abs() < 1e-5, "{shape:?}: {i}, {j}: {product}");
                }
            }
        }
        assert!(values(&Orthogonal { scale: 1.0, gaussian: true }, &[0, 4]).unwrap().is_empty());
        let told = values(&Orthogonal { scale: 1.0, gaussian: true }, &[4]).unwrap_err().to_string();
        assert!(told.contains("w of shape (4,): wanted two axes"), "{told}");
    }

    #[test]
    fn bilinear_filters_interpolate() {
        // Twice as large: a kernel of 4 whose neighbours have 3/4 and 1/4.
        let w = values(&Bilinear, &[2, 1, 4, 4]).unwrap();
        let line = [0.25_f32, 0.75, 0.75, 0.25];
        let wanted: Vec<f32> = line.iter().flat_map(|a| line.map(|b| a * b)).collect();
        assert_eq!(w, [&wanted[..], &wanted[..]].concat());
        assert!(values(&Bilinear, &[4, 4]).unwrap_err().to_string().contains("four axes"));
    }

    #[test]
    fn an_lstm_remembers_at_first() {
        assert_eq!(values(&LstmBias(1.0), &[4]).unwrap(), [0.0, 1.0, 0.0, 0.0]);
        assert!(values(&LstmBias(1.0), &[5]).unwrap_err().to_string().contains("four times"));
    }
}
