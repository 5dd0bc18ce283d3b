//! Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3",
//! SC 2011). A stream is named by (seed, node, step) and has no state but its position, so any part of it can be made
//! on any thread.

/// A stream of random numbers.
///
/// ```
/// let s = varflow_ops::Philox::new(1, 2, 3);
/// assert_eq!(s.block(7), varflow_ops::Philox::new(1, 2, 3).block(7));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Philox {
    key: [u32; 2],
    high: [u32; 2],
}

impl Philox {
    /// The stream of this seed, node and step.
    #[must_use]
    pub fn new(seed: u64, node: u64, step: u64) -> Self {
        // The counter's upper half is the step; the key mixes seed and node, so that streams of different nodes differ
        // in the key. The mixer is SplitMix64's finaliser (Steele, Lea, Flood 2014).
        let key = mix(seed ^ mix(node.wrapping_add(0x9e37_79b9_7f4a_7c15)));
        Philox { key: split(key), high: split(step) }
    }

    /// Four random words: block number `index` of the stream.
    #[must_use]
    pub fn block(&self, index: u64) -> [u32; 4] {
        let low = split(index);
        philox4x32_10([low[0], low[1], self.high[0], self.high[1]], self.key)
    }

    /// Four numbers uniform in [0, 1), of 24 bits.
    #[must_use]
    pub fn uniform4(&self, index: u64) -> [f32; 4] {
        self.block(index).map(|w| (w >> 8) as f32 * (1.0 / 16_777_216.0))
    }

    /// Two numbers uniform in [0, 1), of 53 bits.
    #[must_use]
    pub fn uniform2(&self, index: u64) -> [f64; 2] {
        let [a, b, c, d] = self.block(index);
        let wide =
            |hi: u32, lo: u32| ((u64::from(hi) << 32 | u64::from(lo)) >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0);
        [wide(a, b), wide(c, d)]
    }

    /// Two numbers of the standard normal distribution (Box and Muller 1958).
    #[must_use]
    pub fn normal2(&self, index: u64) -> [f64; 2] {
        let [u, v] = self.uniform2(index);
        let (r, t) = ((-2.0 * (1.0 - u).ln()).sqrt(), std::f64::consts::TAU * v);
        [r * t.cos(), r * t.sin()]
    }

    /// A number below `n`, from block `index` (Lemire's multiply-shift; the bias is below n / 2^64).
    #[must_use]
    pub fn below(&self, index: u64, n: u64) -> u64 {
        let [a, b, ..] = self.block(index);
        let word = u64::from(a) << 32 | u64::from(b);
        ((u128::from(word) * u128::from(n)) >> 64) as u64
    }

    /// A permutation of `0..n` (Fisher and Yates).
    #[must_use]
    pub fn permutation(&self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i as u64, i as u64 + 1) as usize);
        }
        order
    }
}

/// A number that stands for a name in [`Philox::new`] (FNV-1a).
#[must_use]
pub fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn split(w: u64) -> [u32; 2] {
    [w as u32, (w >> 32) as u32]
}

fn philox4x32_10(mut c: [u32; 4], mut k: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            k = [k[0].wrapping_add(0x9e37_79b9), k[1].wrapping_add(0xbb67_ae85)];
        }
        let (a, b) = (u64::from(c[0]) * 0xd251_1f53, u64::from(c[2]) * 0xcd9e_8d57);
        c = [(b >> 32) as u32 ^ c[1] ^ k[0], b as u32, (a >> 32) as u32 ^ c[3] ^ k[1], a as u32];
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the reference implementation (Random123, kat_vectors).
    #[test]
    fn philox_known_answers() {
        assert_eq!(philox4x32_10([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox4x32_10([!0; 4], [!0; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox4x32_10([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn permutation_is_one() {
        let mut p = Philox::new(1, 2, 3).permutation(1000);
        assert!(p.iter().enumerate().any(|(i, v)| i != *v));
        p.sort_unstable();
        assert!(p.iter().enumerate().all(|(i, v)| i == *v));
    }

    #[test]
    fn moments() {
        let s = Philox::new(7, 0, 0);
        let n = 20_000;
        let (mut mean, mut var) = (0.0, 0.0);
        for i in 0..n {
            for x in s.normal2(i) {
                mean += x;
                var += x * x;
            }
        }
        let n = 2.0 * n as f64;
        assert!((mean / n).abs() < 0.02 && (var / n - 1.0).abs() < 0.03, "mean {} variance {}", mean / n, var / n);
    }
}
