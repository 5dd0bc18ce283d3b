//! The minimum effective task granularity of Task Bench (Slaughter et al., 2020): how long tasks must be at least for half of
//! the machine's time to go into their bodies.

use crate::Result;
use crate::contender::Sample;

/// The efficiency that counts as effective.
const EFFECTIVE: f64 = 0.5;

/// The iterations of the bodies to try: about 0.05 µs to 200 µs.
pub const ITERATIONS: [u64; 13] = [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131_072, 196_608];

/// Makes one sample in µs of the efficiencies at different grains.
///
/// # Errors
/// When not even the longest bodies are effective.
pub fn digest(samples: Vec<Sample>) -> Result<Vec<Sample>> {
    let mut points: Vec<(f64, f64)> = samples.iter().filter_map(|s| Some((s.grain_us?, s.value))).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let first = samples.into_iter().next();
    let (Some(first), Some((longest, efficiency))) = (first, points.last()) else {
        return Err("no efficiency was measured".into());
    };
    let value = smallest_effective(&points).ok_or_else(|| {
        format!("bodies of {longest:.0} µs have an efficiency of {efficiency:.2}, wanted {EFFECTIVE} at some length")
    })?;
    Ok(vec![Sample { unit: "us (METG 50 %)".to_string(), value, grain_us: None, ..first }])
}

/// The grain from which on all are effective, between two grains on the straight line through their logarithms. The smallest
/// grain if all are effective, nothing if the largest is not.
fn smallest_effective(points: &[(f64, f64)]) -> Option<f64> {
    let Some(below) = points.iter().rposition(|(_, efficiency)| *efficiency < EFFECTIVE) else {
        return points.first().map(|(grain, _)| *grain);
    };
    let ((g0, e0), (g1, e1)) = (points[below], *points.get(below + 1)?);
    let part = (EFFECTIVE.ln() - e0.ln()) / (e1.ln() - e0.ln());
    Some((g0.ln() + part * (g1.ln() - g0.ln())).exp())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_cost_a_task_is_found() {
        // With a cost of 3 µs a task the efficiency is g / (g + 3), which is one half at 3.
        let points: Vec<_> = (0..10).map(|k| 0.25 * f64::from(1 << k)).map(|g| (g, g / (g + 3.0))).collect();
        let metg = smallest_effective(&points).unwrap();
        assert!((metg - 3.0).abs() < 0.1, "{metg}");
    }

    #[test]
    fn the_ends() {
        assert_eq!(smallest_effective(&[(1.0, 0.6), (2.0, 0.9)]), Some(1.0));
        assert_eq!(smallest_effective(&[(1.0, 0.2), (2.0, 0.4)]), None);
        // A dip later on counts.
        assert!(smallest_effective(&[(1.0, 0.6), (2.0, 0.4), (4.0, 0.8)]).unwrap() > 2.0);
        assert!(digest(Vec::new()).is_err());
    }
}
