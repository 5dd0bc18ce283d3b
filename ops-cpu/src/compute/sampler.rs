//! Images at places between pixels.

use super::float::Float;
use super::mismatch::Mismatch;
use super::par::{Par, Parts, Split, each_part};

/// Numbers of elements that are worth a part of their own.
const GRAIN: usize = 8 * 1024;

/// Images, and grids of places in them. Along each axis -1 is the first pixel and 1 the last; pixels outside are 0.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    /// Number of images.
    pub images: usize,
    /// Channels of an image.
    pub channels: usize,
    /// Height and width of an image.
    pub size: [usize; 2],
    /// Height and width of a grid.
    pub grid: [usize; 2],
}

/// The pixels around a place, row after row, and how far it is from the first on each axis.
struct Place<T> {
    pixels: [Option<usize>; 4],
    y: T,
    x: T,
}

impl<T: Float> Place<T> {
    fn weights(&self) -> [T; 4] {
        let (y, x) = (self.y, self.x);
        [(T::ONE - y) * (T::ONE - x), (T::ONE - y) * x, y * (T::ONE - x), y * x]
    }

    fn values(&self, plane: &[T]) -> [T; 4] {
        self.pixels.map(|pixel| pixel.map_or(T::ZERO, |at| plane[at]))
    }
}

impl Sampler {
    fn check(&self, function: &'static str, data: usize, grid: usize, out: usize) -> Result<(), Mismatch> {
        let planes = self.images * self.channels;
        Mismatch::check(function, "length of data", data, planes * self.pixels())?;
        Mismatch::check(function, "length of grid", grid, self.images * 2 * self.places())?;
        Mismatch::check(function, "length of out", out, planes * self.places())
    }

    fn pixels(&self) -> usize {
        self.size[0] * self.size[1]
    }

    fn places(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    /// The places of an image's grid: all y behind all x.
    fn place<T: Float>(&self, grid: &[T], i: usize) -> Place<T> {
        let along = |at: T, len: usize| {
            let at = (at + T::ONE) * T::from_f64(len as f64 - 1.0) / T::from_f64(2.0);
            let floor = at.to_f64().floor();
            // Whether the pixels before and after it are in the image; none is where `at` is no number.
            let pixel = |p: f64| (p >= 0.0 && p < len as f64).then_some(p as usize);
            ([pixel(floor), pixel(floor + 1.0)], at - T::from_f64(floor))
        };
        let (columns, x) = along(grid[i], self.size[1]);
        let (rows, y) = along(grid[self.places() + i], self.size[0]);
        let pixel = |row: Option<usize>, column: Option<usize>| row.zip(column).map(|(r, c)| r * self.size[1] + c);
        let corner = |i: usize| pixel(rows[i / 2], columns[i % 2]);
        Place { pixels: [corner(0), corner(1), corner(2), corner(3)], y, x }
    }

    /// The grid of an image.
    fn grid_of<'a, T>(&self, grid: &'a [T], image: usize) -> &'a [T] {
        &grid[image * 2 * self.places()..][..2 * self.places()]
    }

    /// `out[n, c, i]` = image `n`, channel `c`, at place `i` of grid `n`.
    ///
    /// Errors: slices of other lengths than these say.
    pub fn forward<T: Float>(&self, par: &dyn Par, data: &[T], grid: &[T], out: &mut [T]) -> Result<(), Mismatch> {
        self.check("Sampler::forward", data.len(), grid.len(), out.len())?;
        if out.is_empty() {
            return Ok(());
        }
        let split = Split::new(self.images * self.channels, 1, (GRAIN / self.places()).max(1), 64);
        let parts = Parts::new(out, split, self.places());
        each_part(par, split.parts(), &|part| {
            for (plane, out) in split.range(part).zip(parts.take(part).chunks_exact_mut(self.places())) {
                let grid = self.grid_of(grid, plane / self.channels);
                let data = &data[plane * self.pixels()..][..self.pixels()];
                for (i, out) in out.iter_mut().enumerate() {
                    let place = self.place(grid, i);
                    let pixels = place.values(data).into_iter().zip(place.weights());
                    // A pixel outside counts as 0 whatever its weight.
                    let inside = pixels.zip(place.pixels).filter(|(_, pixel)| pixel.is_some());
                    *out = inside.fold(T::ZERO, |sum, ((v, w), _)| sum + v * w);
                }
            }
        });
        Ok(())
    }

    /// The gradient by data.
    ///
    /// Errors: as [`forward`](Self::forward).
    pub fn backward_data<T: Float>(
        &self,
        par: &dyn Par,
        out_grad: &[T],
        grid: &[T],
        d_data: &mut [T],
    ) -> Result<(), Mismatch> {
        self.check("Sampler::backward_data", d_data.len(), grid.len(), out_grad.len())?;
        if d_data.is_empty() {
            return Ok(());
        }
        let work = self.places().max(self.pixels());
        let split = Split::new(self.images * self.channels, 1, (GRAIN / work).max(1), 64);
        let parts = Parts::new(d_data, split, self.pixels());
        each_part(par, split.parts(), &|part| {
            for (plane, d) in split.range(part).zip(parts.take(part).chunks_exact_mut(self.pixels())) {
                let grid = self.grid_of(grid, plane / self.channels);
                d.fill(T::ZERO);
                for (i, g) in out_grad[plane * self.places()..][..self.places()].iter().enumerate() {
                    let place = self.place(grid, i);
                    for (pixel, weight) in place.pixels.into_iter().zip(place.weights()) {
                        if let Some(at) = pixel {
                            d[at] += *g * weight;
                        }
                    }
                }
            }
        });
        Ok(())
    }

    /// The gradient by grid.
    ///
    /// Errors: as [`forward`](Self::forward).
    pub fn backward_grid<T: Float>(
        &self,
        par: &dyn Par,
        out_grad: &[T],
        data: &[T],
        grid: &[T],
        d_grid: &mut [T],
    ) -> Result<(), Mismatch> {
        self.check("Sampler::backward_grid", data.len(), d_grid.len(), out_grad.len())?;
        Mismatch::check("Sampler::backward_grid", "length of grid", grid.len(), d_grid.len())?;
        if d_grid.is_empty() {
            return Ok(());
        }
        let places = self.places();
        let split = Split::new(self.images, 1, (GRAIN / places / self.channels.max(1)).max(1), 64);
        let parts = Parts::new(d_grid, split, 2 * places);
        let half = |len: usize| T::from_f64((len as f64 - 1.0) / 2.0);
        each_part(par, split.parts(), &|part| {
            for (image, d) in split.range(part).zip(parts.take(part).chunks_exact_mut(2 * places)) {
                let grid = self.grid_of(grid, image);
                let (d_x, d_y) = d.split_at_mut(places);
                for i in 0..places {
                    let place = self.place(grid, i);
                    let (mut x, mut y) = (T::ZERO, T::ZERO);
                    for plane in image * self.channels..(image + 1) * self.channels {
                        let [a, b, c, d] = place.values(&data[plane * self.pixels()..][..self.pixels()]);
                        let g = out_grad[plane * places + i];
                        x += g * ((b - a) * (T::ONE - place.y) + (d - c) * place.y);
                        y += g * ((c - a) * (T::ONE - place.x) + (d - b) * place.x);
                    }
                    (d_x[i], d_y[i]) = (x * half(self.size[1]), y * half(self.size[0]));
                }
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::Serial;

    #[test]
    fn pixels_outside_are_zero() {
        let sampler = Sampler { images: 1, channels: 1, size: [3, 4], grid: [1, 5] };
        let data: Vec<f64> = (0..12).map(f64::from).collect();
        let grid = [-1.0, 0.1, 1.0, 1.5, f64::NAN, -1.0, 0.3, 1.2, 0.0, 0.0];
        let mut out = [9.0; 5];
        sampler.forward(&Serial, &data, &grid, &mut out).unwrap();
        for (got, wanted) in out.iter().zip([0.0, 6.85, 8.8, 1.75, 0.0]) {
            assert!((got - wanted).abs() < 1e-12, "{got} {wanted}");
        }
        assert!(sampler.forward(&Serial, &data, &grid[..9], &mut out).is_err());
    }
}
