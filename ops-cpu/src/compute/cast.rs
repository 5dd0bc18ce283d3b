//! Conversions between number types.

use super::float::Float;
use super::map::{CHEAP, Compiled};
use super::mismatch::Mismatch;
use super::par::{Par, Parts, Split, each_part};

/// `out[i] = f(x[i])` between any two types of numbers, for example `cast(par, x, out, half::f16::to_f32)`.
pub fn cast<A: Copy + Sync, B: Send>(
    par: &dyn Par,
    x: &[A],
    out: &mut [B],
    f: impl Fn(A) -> B + Sync,
) -> Result<(), Mismatch> {
    Mismatch::check("cast", "length of out", out.len(), x.len())?;
    let split = Split::new(out.len(), 64, CHEAP, 64);
    let parts = Parts::new(out, split, 1);
    each_part(par, split.parts(), &|i| {
        let (x, out) = (&x[split.range(i)], parts.take(i));
        <f32 as crate::arch::Dispatch>::dispatch(Compiled(|| {
            for (out, &x) in out.iter_mut().zip(x) {
                *out = f(x);
            }
        }));
    });
    Ok(())
}

/// `out[i] = x[i] · scale + shift` from bytes, as images are read: `scale` 1/255 and `shift` 0 give numbers in `0..=1`.
pub fn affine_u8<T: Float + From<u8>>(
    par: &dyn Par,
    x: &[u8],
    scale: T,
    shift: T,
    out: &mut [T],
) -> Result<(), Mismatch> {
    cast(par, x, out, |byte| T::from(byte) * scale + shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::Serial;

    #[test]
    fn bytes_and_halves_become_numbers() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut out = vec![0.0f32; 256];
        affine_u8(&Serial, &bytes, 0.5, -1.0, &mut out).unwrap();
        assert!(bytes.iter().zip(&out).all(|(&b, &x)| x == f32::from(b) * 0.5 - 1.0));
        let halves: Vec<half::f16> = out.iter().map(|&x| half::f16::from_f32(x)).collect();
        let mut back = vec![0.0f32; 256];
        cast(&Serial, &halves, &mut back, half::f16::to_f32).unwrap();
        assert_eq!(out, back);
    }
}
