//! Convolution over one to three spatial axes.
//!
//! Data is `(samples, channels, spatial…)`, weight `(filters, channels / groups, kernel…)`, bias `(filters)`, as in
//! MXNet; filters are cross-correlated, not flipped.
//!
//! Two algorithms compute the same sums:
//! * [`direct`], and for the gradients [`data_gradient`] and [`weight_gradient`], where the stride along the last axis is 1: eight neighbouring outputs of a row form a vector, and the
//!   input that one weight meets is a vector too, at an offset that is the same for every output. No copy of the input
//!   is made unless it is padded.
//! * [`lowered`], for everything else: input windows are copied into a matrix and multiplied.

use super::float::Float;
use super::mismatch::Mismatch;
use super::par::{Par, Parts, Split, each_part};

mod data_gradient;
mod direct;
mod geometry;
mod lowered;
mod padded;
mod tables;
mod tasks;
mod terms;
mod weight_gradient;

pub use geometry::Conv;
pub use terms::{Addend, Terms};

impl Conv {
    /// How many numbers the forward pass wants as workspace.
    pub fn forward_workspace_len<T: Float>(&self) -> usize {
        if self.is_direct() { direct::workspace_len::<T>(self) } else { lowered::workspace_len(self) }
    }

    /// How many numbers the gradient by the data wants as workspace.
    pub fn backward_data_workspace_len<T: Float>(&self) -> usize {
        if self.is_direct() { data_gradient::workspace_len::<T>(self) } else { lowered::workspace_len(self) }
    }

    /// How many numbers the gradient by the weight wants as workspace.
    pub fn backward_weight_workspace_len<T: Float>(&self) -> usize {
        if self.is_direct() { weight_gradient::workspace_len::<T>(self) } else { lowered::weight_workspace_len(self) }
    }

    /// `y` from the data `x`, `weight` and, if there is one, `bias`. The workspace may hold anything.
    ///
    /// Errors: slices of other lengths than the geometry says, or a workspace that is too short.
    pub fn forward<T: Float>(
        &self,
        par: &dyn Par,
        x: &[T],
        weight: &[T],
        bias: Option<&[T]>,
        y: &mut [T],
        workspace: &mut [T],
    ) -> Result<(), Mismatch> {
        self.forward_with(par, Some(x), &Terms::new(weight, bias), y, workspace)
    }

    /// `y` from the data `x` and the other [`Terms`]. Without `x`, `y` holds the data, if it
    /// [can](Conv::can_be_in_place).
    ///
    /// Errors: as [`Conv::forward`].
    pub fn forward_with<T: Float>(
        &self,
        par: &dyn Par,
        x: Option<&[T]>,
        terms: &Terms<'_, T>,
        y: &mut [T],
        workspace: &mut [T],
    ) -> Result<(), Mismatch> {
        self.check("Conv::forward", self.taken(x, y), terms.weight.len(), y.len())?;
        terms.check(self, x.is_none())?;
        let wanted = self.forward_workspace_len::<T>();
        Mismatch::check_at_least("Conv::forward", "length of workspace", workspace.len(), wanted)?;
        let workspace = &mut workspace[..wanted];
        if self.is_direct() {
            direct::run(self, par, x, terms, y, workspace);
            Ok(())
        } else {
            lowered::forward(self, par, x, terms, y, workspace)
        }
    }

    /// The gradient `dx` by the data, from `dy` and `weight`.
    ///
    /// Errors: as [`Conv::forward`].
    pub fn backward_data<T: Float>(
        &self,
        par: &dyn Par,
        weight: &[T],
        dy: &[T],
        dx: &mut [T],
        workspace: &mut [T],
    ) -> Result<(), Mismatch> {
        self.backward_data_from(par, weight, Some(dy), dx, workspace)
    }

    /// [`backward_data`](Conv::backward_data). Without `dy`, `dx` holds it, if it [can](Conv::can_be_in_place).
    ///
    /// Errors: as [`Conv::forward`].
    pub fn backward_data_from<T: Float>(
        &self,
        par: &dyn Par,
        weight: &[T],
        dy: Option<&[T]>,
        dx: &mut [T],
        workspace: &mut [T],
    ) -> Result<(), Mismatch> {
        self.check("Conv::backward_data", dx.len(), weight.len(), self.taken(dy, dx))?;
        let wanted = self.backward_data_workspace_len::<T>();
        Mismatch::check_at_least("Conv::backward_data", "length of workspace", workspace.len(), wanted)?;
        let workspace = &mut workspace[..wanted];
        if self.is_direct() {
            data_gradient::run(self, par, weight, dy, dx, workspace);
            Ok(())
        } else {
            lowered::backward_data(self, par, weight, dy, dx, workspace)
        }
    }

    /// The gradient `dweight` by the weight, from `x` and `dy`, summed over all samples.
    ///
    /// Errors: as [`Conv::forward`].
    pub fn backward_weight<T: Float>(
        &self,
        par: &dyn Par,
        x: &[T],
        dy: &[T],
        dweight: &mut [T],
        workspace: &mut [T],
    ) -> Result<(), Mismatch> {
        self.check("Conv::backward_weight", x.len(), dweight.len(), dy.len())?;
        let wanted = self.backward_weight_workspace_len::<T>();
        Mismatch::check_at_least("Conv::backward_weight", "length of workspace", workspace.len(), wanted)?;
        let workspace = &mut workspace[..wanted];
        if self.is_direct() {
            weight_gradient::run(self, par, x, dy, dweight, workspace);
            Ok(())
        } else {
            lowered::backward_weight(self, par, x, dy, dweight, workspace)
        }
    }

    /// The gradient `dbias` by the bias: the sum of `dy` over samples and positions.
    ///
    /// Errors: slices of other lengths than the geometry says.
    pub fn backward_bias<T: Float>(&self, par: &dyn Par, dy: &[T], dbias: &mut [T]) -> Result<(), Mismatch> {
        Mismatch::check("Conv::backward_bias", "length of dy", dy.len(), self.output_len() * self.samples())?;
        Mismatch::check("Conv::backward_bias", "length of dbias", dbias.len(), self.filters())?;
        let plane: usize = self.output().iter().product();
        let grain = (32 * 1024 / (plane * self.samples()).max(1)).max(1);
        let split = Split::new(self.filters(), 1, grain, 64);
        let parts = Parts::new(dbias, split, 1);
        each_part(par, split.parts(), &|i| {
            for (sum, filter) in parts.take(i).iter_mut().zip(split.range(i)) {
                *sum = T::ZERO;
                for sample in dy.chunks(self.output_len()) {
                    *sum += super::reduce::sum(&sample[filter * plane..][..plane]);
                }
            }
        });
        Ok(())
    }

    /// The length of what is read, which `place` holds if there is none; 0, which fits nothing, where it cannot.
    fn taken<T>(&self, from: Option<&[T]>, place: &[T]) -> usize {
        from.map_or(if self.can_be_in_place() { place.len() } else { 0 }, <[T]>::len)
    }

    fn check(&self, function: &'static str, x: usize, weight: usize, y: usize) -> Result<(), Mismatch> {
        Mismatch::check(function, "length of data", x, self.samples() * self.input_len())?;
        Mismatch::check(function, "length of weight", weight, self.weight_len())?;
        Mismatch::check(function, "length of output", y, self.samples() * self.output_len())
    }
}
