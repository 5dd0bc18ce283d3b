//! Stochastic gradient descent.

#![expect(unsafe_code, reason = "vectors are loaded and stored through pointers")]

use super::float::Float;
use super::map::CHEAP;
use super::mismatch::Mismatch;
use super::par::{Par, Parts, Split, each_part};
use crate::arch::{Job, LANES, Lanes};

/// The settings of one update, named as MXNet's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd<T> {
    /// Learning rate.
    pub lr: T,
    /// Weight decay.
    pub wd: T,
    /// Factor of the gradient, applied first.
    pub rescale_grad: T,
    /// The rescaled gradient is limited to `-clip..=clip`; zero or negative means no limit.
    pub clip_gradient: T,
}

/// `g = clip(rescale_grad · grad)`, `w = (1 - lr · wd) · w - lr · g`: MXNet's `sgd_update`.
pub fn sgd_update<T: Float>(par: &dyn Par, sgd: Sgd<T>, grad: &[T], weight: &mut [T]) -> Result<(), Mismatch> {
    Mismatch::check("sgd_update", "length of grad", grad.len(), weight.len())?;
    let split = Split::new(weight.len(), 64, CHEAP, 64);
    let weights = Parts::new(weight, split, 1);
    each_part(par, split.parts(), &|i| {
        T::dispatch(Update { sgd, grad: &grad[split.range(i)], weight: weights.take(i) });
    });
    Ok(())
}

/// `g = clip(rescale_grad · grad)`, `m = momentum · m - lr · wd · w - lr · g`, `w = w + m`: MXNet's `sgd_mom_update`.
pub fn sgd_momentum_update<T: Float>(
    par: &dyn Par,
    sgd: Sgd<T>,
    momentum: T,
    grad: &[T],
    state: &mut [T],
    weight: &mut [T],
) -> Result<(), Mismatch> {
    Mismatch::check("sgd_momentum_update", "length of grad", grad.len(), weight.len())?;
    Mismatch::check("sgd_momentum_update", "length of state", state.len(), weight.len())?;
    let split = Split::new(weight.len(), 64, CHEAP, 64);
    let (weights, states) = (Parts::new(weight, split, 1), Parts::new(state, split, 1));
    each_part(par, split.parts(), &|i| {
        let grad = &grad[split.range(i)];
        T::dispatch(MomentumUpdate { sgd, momentum, grad, state: states.take(i), weight: weights.take(i) });
    });
    Ok(())
}

/// The settings in lanes. Products and sums are rounded one by one, as MXNet's are.
struct Rule<V> {
    rescale: V,
    clip: Option<(V, V)>,
    lr: V,
}

impl<V: Copy> Rule<V> {
    #[inline(always)]
    fn new<T: Float>(sgd: Sgd<T>) -> Rule<V>
    where
        V: Lanes<T>,
    {
        let clip = (sgd.clip_gradient > T::ZERO).then(|| (V::splat(sgd.clip_gradient), V::splat(-sgd.clip_gradient)));
        Rule { rescale: V::splat(sgd.rescale_grad), clip, lr: V::splat(sgd.lr) }
    }

    /// `lr · clip(rescale · grad)`; a NaN passes the clip.
    #[inline(always)]
    fn step<T: Float>(&self, grad: V) -> V
    where
        V: Lanes<T>,
    {
        let grad = grad.mul(self.rescale);
        let grad = self.clip.map_or(grad, |(most, least)| least.max(most.min(grad)));
        self.lr.mul(grad)
    }
}

struct Update<'a, T> {
    sgd: Sgd<T>,
    grad: &'a [T],
    weight: &'a mut [T],
}

impl<T: Float> Job<T> for Update<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<V: Lanes<T>>(self) {
        let rule = Rule::<V>::new(self.sgd);
        let keep = V::splat(T::ONE - self.sgd.lr * self.sgd.wd);
        for (weight, grad) in self.weight.chunks_mut(LANES).zip(self.grad.chunks(LANES)) {
            let n = weight.len();
            // SAFETY: both chunks hold n numbers.
            unsafe {
                if n == LANES {
                    keep.mul(V::load(weight.as_ptr()))
                        .sub(rule.step(V::load(grad.as_ptr())))
                        .store(weight.as_mut_ptr());
                } else {
                    let (w, g) = (V::load_first(weight.as_ptr(), n), V::load_first(grad.as_ptr(), n));
                    keep.mul(w).sub(rule.step(g)).store_first(weight.as_mut_ptr(), n);
                }
            }
        }
    }
}

struct MomentumUpdate<'a, T> {
    sgd: Sgd<T>,
    momentum: T,
    grad: &'a [T],
    state: &'a mut [T],
    weight: &'a mut [T],
}

impl<T: Float> Job<T> for MomentumUpdate<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<V: Lanes<T>>(self) {
        let rule = Rule::<V>::new(self.sgd);
        let decay = V::splat(self.sgd.lr * self.sgd.wd);
        let momentum = V::splat(self.momentum);
        let next = |w: V, m: V, g: V| momentum.mul(m).sub(decay.mul(w)).sub(rule.step(g));
        let chunks = self.weight.chunks_mut(LANES).zip(self.state.chunks_mut(LANES)).zip(self.grad.chunks(LANES));
        for ((weight, state), grad) in chunks {
            let n = weight.len();
            // SAFETY: the three chunks hold n numbers.
            unsafe {
                if n == LANES {
                    let w = V::load(weight.as_ptr());
                    let m = next(w, V::load(state.as_ptr()), V::load(grad.as_ptr()));
                    m.store(state.as_mut_ptr());
                    w.add(m).store(weight.as_mut_ptr());
                } else {
                    let w = V::load_first(weight.as_ptr(), n);
                    let m = next(w, V::load_first(state.as_ptr(), n), V::load_first(grad.as_ptr(), n));
                    m.store_first(state.as_mut_ptr(), n);
                    w.add(m).store_first(weight.as_mut_ptr(), n);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::Serial;

    fn numbers(seed: u32) -> Vec<f32> {
        (0..1003).map(|i| ((i * 7919 + seed) % 2003) as f32 / 1000.0 - 1.0).collect()
    }

    #[test]
    fn the_updates_round_as_the_formulas_do() {
        for clip_gradient in [-1.0, 0.25] {
            let sgd = Sgd { lr: 0.1f32, wd: 1e-4, rescale_grad: 1.0 / 3.0, clip_gradient };
            let clip = |g: f32| if clip_gradient > 0.0 { g.clamp(-clip_gradient, clip_gradient) } else { g };
            let (grad, weight, state) = (numbers(1), numbers(2), numbers(3));
            let mut plain = weight.clone();
            sgd_update(&Serial, sgd, &grad, &mut plain).unwrap();
            let (mut heavy, mut moved) = (weight.clone(), state.clone());
            sgd_momentum_update(&Serial, sgd, 0.9, &grad, &mut moved, &mut heavy).unwrap();
            for i in 0..weight.len() {
                let step = sgd.lr * clip(sgd.rescale_grad * grad[i]);
                assert_eq!(plain[i], (1.0 - sgd.lr * sgd.wd) * weight[i] - step);
                let m = 0.9 * state[i] - (sgd.lr * sgd.wd) * weight[i] - step;
                assert_eq!((moved[i], heavy[i]), (m, weight[i] + m));
            }
        }
    }
}
