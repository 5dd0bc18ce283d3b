//! The largest elements of parts of regions of images.

use super::float::Float;
use super::mismatch::Mismatch;
use super::par::{Par, Parts, Split, each_part};
use std::ops::Range;

/// Numbers of elements that are worth a part of their own.
const GRAIN: usize = 32 * 1024;

/// Images, regions of them, and what these are pooled to.
#[derive(Clone, Copy, Debug)]
pub struct RoiPool {
    /// Number of images.
    pub images: usize,
    /// Channels of an image.
    pub channels: usize,
    /// Height and width of an image.
    pub size: [usize; 2],
    /// Number of regions.
    pub regions: usize,
    /// Height and width of a pooled region.
    pub pooled: [usize; 2],
    /// Pixels for one unit of a region's coordinates.
    pub scale: f64,
}

/// A region: its image, none for padding, and its first pixel and length on each axis.
struct Region {
    image: Option<usize>,
    start: [i64; 2],
    len: [i64; 2],
}

/// The image of a region; none below 0.
fn image<T: Float>(roi: &[T]) -> Option<usize> {
    let image = roi[0].to_f64().trunc();
    (image >= 0.0).then_some(image as usize)
}

impl RoiPool {
    fn check(&self, function: &'static str, data: usize, rois: usize, pooled: usize) -> Result<(), Mismatch> {
        let ([height, width], [pooled_height, pooled_width]) = (self.size, self.pooled);
        Mismatch::check(function, "length of data", data, self.images * self.channels * height * width)?;
        Mismatch::check(function, "length of rois", rois, self.regions * 5)?;
        let wanted = self.regions * self.channels * pooled_height * pooled_width;
        Mismatch::check(function, "length of the pooled", pooled, wanted)
    }

    fn region<T: Float>(&self, roi: &[T]) -> Region {
        let scale = T::from_f64(self.scale);
        // Coordinates are bounded so that their differences fit.
        let pixel = |i: usize| (roi[i] * scale).to_f64().round().clamp(-1e9, 1e9) as i64;
        let start = [pixel(2), pixel(1)];
        let len = [(pixel(4) - start[0] + 1).max(1), (pixel(3) - start[1] + 1).max(1)];
        Region { image: image(roi), start, len }
    }

    /// The pixels along an axis of each part of a region, none where it lies outside.
    fn parts<T: Float>(&self, region: &Region, axis: usize, part: usize) -> Range<usize> {
        let step = T::from_f64(region.len[axis] as f64) / T::from_f64(self.pooled[axis] as f64);
        let edge = |part: usize| (T::from_f64(part as f64) * step).to_f64();
        let within = |at: i64| at.clamp(0, self.size[axis] as i64) as usize;
        let from = within(region.start[axis] + edge(part).floor() as i64);
        from..within(region.start[axis] + edge(part + 1).ceil() as i64)
    }

    /// The first region of an image that there is not, and the number of the image. Regions of images below 0 are padding.
    pub fn stranger<T: Float>(&self, rois: &[T]) -> Option<(usize, f64)> {
        let mut images = rois.chunks_exact(5).map(|roi| roi[0].to_f64()).enumerate();
        images.find(|(_, image)| image.is_nan() || *image >= self.images as f64)
    }

    /// The largest element of each part of each region and channel, and its place in the channel; 0 and -1 where a part
    /// has no pixels. Either may be left out.
    ///
    /// Errors: slices of other lengths than these say, or a [`stranger`](Self::stranger).
    pub fn forward<T: Float>(
        &self,
        par: &dyn Par,
        data: &[T],
        rois: &[T],
        largest: Option<&mut [T]>,
        places: Option<&mut [i64]>,
    ) -> Result<(), Mismatch> {
        let len = largest.as_ref().map(|l| l.len()).or(places.as_ref().map(|p| p.len()));
        let Some(len) = len else { return Ok(()) };
        self.check("RoiPool::forward", data.len(), rois.len(), len)?;
        let at_places = places.as_ref().map_or(len, |p| p.len());
        Mismatch::check("RoiPool::forward", "number of places", at_places, len)?;
        Mismatch::check("RoiPool::forward", "regions of no image", self.stranger(rois).iter().count(), 0)?;
        let channel = self.pooled[0] * self.pooled[1];
        if channel == 0 {
            return Ok(());
        }
        let planes = self.regions * self.channels;
        let split = Split::new(planes, 1, (GRAIN / 8 / channel).max(1), 64);
        let largest = largest.map(|l| Parts::new(l, split, channel));
        let places = places.map(|p| Parts::new(p, split, channel));
        each_part(par, split.parts(), &|part| {
            let mut largest = largest.as_ref().map(|l| l.take(part));
            let mut places = places.as_ref().map(|p| p.take(part));
            for (i, plane) in split.range(part).enumerate() {
                let (roi, c) = (plane / self.channels, plane % self.channels);
                let region = self.region(&rois[roi * 5..][..5]);
                let data = region.image.map(|image| self.plane(data, image, c));
                for bin in 0..channel {
                    let (value, place) = data.map_or((T::ZERO, -1), |data| self.largest(data, &region, bin));
                    if let Some(largest) = &mut largest {
                        largest[i * channel + bin] = value;
                    }
                    if let Some(places) = &mut places {
                        places[i * channel + bin] = place;
                    }
                }
            }
        });
        Ok(())
    }

    fn plane<'a, T>(&self, data: &'a [T], image: usize, channel: usize) -> &'a [T] {
        let len = self.size[0] * self.size[1];
        &data[(image * self.channels + channel) * len..][..len]
    }

    /// The first largest element of a part, or the first NaN, and its place.
    fn largest<T: Float>(&self, plane: &[T], region: &Region, bin: usize) -> (T, i64) {
        let rows = self.parts::<T>(region, 0, bin / self.pooled[1]);
        let columns = self.parts::<T>(region, 1, bin % self.pooled[1]);
        let mut best: Option<(T, usize)> = None;
        for y in rows {
            for x in columns.clone() {
                let at = y * self.size[1] + x;
                let v = plane[at];
                if best.is_none_or(|(b, _)| v > b || (v.is_nan() && !b.is_nan())) {
                    best = Some((v, at));
                }
            }
        }
        best.map_or((T::ZERO, -1), |(v, at)| (v, at as i64))
    }

    /// The gradient `d_data` from `out_grad` by the largest elements at `places`, added in the order of regions.
    ///
    /// Errors: slices of other lengths than these say, a [`stranger`](Self::stranger), or places outside of images.
    pub fn backward<T: Float>(
        &self,
        par: &dyn Par,
        out_grad: &[T],
        rois: &[T],
        places: &[i64],
        d_data: &mut [T],
    ) -> Result<(), Mismatch> {
        self.check("RoiPool::backward", d_data.len(), rois.len(), out_grad.len())?;
        Mismatch::check("RoiPool::backward", "number of places", places.len(), out_grad.len())?;
        Mismatch::check("RoiPool::backward", "regions of no image", self.stranger(rois).iter().count(), 0)?;
        let (channel, plane) = (self.pooled[0] * self.pooled[1], self.size[0] * self.size[1]);
        let last = places.iter().copied().max().unwrap_or(-1).max(-1);
        Mismatch::check_at_least("RoiPool::backward", "pixels of an image", plane, (last + 1) as usize)?;
        if plane == 0 {
            return Ok(());
        }
        let split = Split::new(self.images * self.channels, 1, (GRAIN / plane).max(1), 64);
        let parts = Parts::new(d_data, split, plane);
        each_part(par, split.parts(), &|part| {
            for (i, d) in split.range(part).zip(parts.take(part).chunks_exact_mut(plane)) {
                let (of, c) = (Some(i / self.channels), i % self.channels);
                d.fill(T::ZERO);
                for (r, _) in rois.chunks_exact(5).enumerate().filter(|(_, roi)| image(roi) == of) {
                    let from = (r * self.channels + c) * channel;
                    for (g, place) in out_grad[from..][..channel].iter().zip(&places[from..][..channel]) {
                        if let Ok(place) = usize::try_from(*place) {
                            d[place] += *g;
                        }
                    }
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

    /// The second image of 8 by 6 pixels begins with 48.
    #[test]
    fn regions_are_rounded_and_clipped() {
        let pool = RoiPool { images: 2, channels: 1, size: [8, 6], regions: 1, pooled: [2, 2], scale: 0.7 };
        let data: Vec<f32> = (0..96_u8).map(f32::from).collect();
        let run = |roi: [f32; 5]| {
            let (mut out, mut places) = ([9.0; 4], [9; 4]);
            pool.forward(&Serial, &data, &roi, Some(&mut out), Some(&mut places)).map(|()| (out, places))
        };
        assert_eq!(run([0.0, 0.0, 0.0, 4.0, 4.0]).unwrap(), ([7.0, 9.0, 19.0, 21.0], [7, 9, 19, 21]));
        assert_eq!(run([1.0, 0.0, 0.0, 4.0, 4.0]).unwrap(), ([55.0, 57.0, 67.0, 69.0], [7, 9, 19, 21]));
        assert_eq!(run([0.0, 3.0, 3.0, 1.0, 1.0]).unwrap().0, [14.0; 4]);
        assert_eq!(run([-1.0, 0.0, 0.0, 4.0, 4.0]).unwrap(), ([0.0; 4], [-1; 4]));
        assert_eq!(run([0.0, 4.0, 5.0, 30.0, 30.0]).unwrap().0, [47.0, 0.0, 0.0, 0.0]);
        assert_eq!(run([0.0, 20.0, 20.0, 30.0, 30.0]).unwrap(), ([0.0; 4], [-1; 4]));
        assert!(run([2.0, 0.0, 0.0, 4.0, 4.0]).is_err());
        assert!(run([f32::NAN, 0.0, 0.0, 4.0, 4.0]).is_err());
        let mut d = vec![9.0; 96];
        let roi = [1.0, 0.0, 0.0, 4.0, 4.0];
        pool.backward(&Serial, &[1.0, 2.0, 3.0, 4.0], &roi, &[7, 7, -1, 47], &mut d).unwrap();
        assert_eq!((d[55], d[95], d.iter().sum::<f32>()), (3.0, 4.0, 7.0));
        assert!(pool.backward(&Serial, &[1.0; 4], &roi, &[7, 48, 0, 0], &mut d).is_err());
    }
}
