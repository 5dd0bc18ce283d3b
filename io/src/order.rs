//! Which samples make up which batch: a state machine without engine or data.

use varflow_ops::{Error, Philox, Result, name_hash};

/// The largest batch size: a larger one is a slip, and would be paid for in memory.
const MAX_BATCH: usize = 1 << 24;

/// What becomes of the samples at an epoch's end that do not fill a batch. The names are MXNet's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LastBatch {
    /// They are filled up with samples from the start of the epoch; [`Batch::pad`](varflow_ops::Batch::pad) says how
    /// many.
    #[default]
    Pad,
    /// They are left out.
    Discard,
    /// They come first in the next epoch.
    RollOver,
}

/// The samples of one batch after the other, epoch by epoch.
///
/// Everything about epoch `e` follows from (number of samples, batch size, seed, `e`): also what it takes over under
/// [`LastBatch::RollOver`], which is the end of epoch `e - 1`, (e · len) mod batch samples of it.
#[derive(Debug)]
pub(crate) struct Order {
    len: usize,
    batch: usize,
    last: LastBatch,
    seed: Option<u64>,
    epoch: u64,
    /// The samples of this epoch, those taken over first.
    samples: Vec<usize>,
    /// How many were taken over.
    carried: usize,
    /// How many were handed out.
    position: usize,
}

impl Order {
    /// Stands at the start of epoch 0. With a seed every epoch has an order of its own.
    pub(crate) fn new(len: usize, batch: usize, last: LastBatch, seed: Option<u64>) -> Result<Order> {
        if batch == 0 || batch > MAX_BATCH {
            return Err(Error::Data(format!("the batch size is {batch}, wanted one from 1 to {MAX_BATCH}")));
        }
        let least = if last == LastBatch::Pad { 1 } else { batch };
        if len < least {
            let text = format!("{len} samples in batches of {batch} give no batch");
            return Err(Error::Data(format!("{text}: wanted at least {least} samples")));
        }
        let mut order = Order { len, batch, last, seed, epoch: 0, samples: Vec::new(), carried: 0, position: 0 };
        order.reset(0);
        Ok(order)
    }

    /// Goes to the start of an epoch.
    pub(crate) fn reset(&mut self, epoch: u64) {
        self.samples.clear();
        if self.last == LastBatch::RollOver && epoch > 0 {
            let left = u128::from(epoch) * self.len as u128 % self.batch as u128;
            let before = self.epoch_order(epoch - 1);
            self.samples.extend_from_slice(&before[self.len - left as usize..]);
        }
        self.carried = self.samples.len();
        let own = self.epoch_order(epoch);
        self.samples.extend(own);
        (self.epoch, self.position) = (epoch, 0);
    }

    /// Where it is: number of samples, batch size, epoch, samples handed out; for [`restore`](Self::restore).
    pub(crate) fn save(&self) -> Vec<u8> {
        let words = [self.len as u64, self.batch as u64, self.epoch, self.position as u64];
        words.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    /// Goes to where another one, made with the same arguments, was when it was saved. After an error it is where it was.
    pub(crate) fn restore(&mut self, state: &[u8]) -> Result<()> {
        let refuse = |why: String| Err(Error::Data(format!("the iterator's state does not fit: {why}")));
        let (words, rest) = state.as_chunks::<8>();
        let ([len, batch, epoch, position], []) = (words, rest) else {
            return refuse(format!("it has {} bytes, wanted 32", state.len()));
        };
        let [len, batch, epoch, position] = [len, batch, epoch, position].map(|word| u64::from_le_bytes(*word));
        if (len, batch) != (self.len as u64, self.batch as u64) {
            let wanted = format!("wanted {} in batches of {}", self.len, self.batch);
            return refuse(format!("it is of {len} samples in batches of {batch}, {wanted}"));
        }
        let here = (self.epoch, self.position);
        self.reset(epoch);
        let most = self.samples.len() as u64;
        if position > most || (!position.is_multiple_of(batch) && position != most) {
            self.reset(here.0);
            self.position = here.1;
            return refuse(format!(
                "it says that {position} samples of {most} were handed out, which no batch ends at"
            ));
        }
        self.position = position as usize;
        Ok(())
    }

    fn epoch_order(&self, epoch: u64) -> Vec<usize> {
        match self.seed {
            Some(seed) => Philox::new(seed, name_hash("sample order"), epoch).permutation(self.len),
            None => (0..self.len).collect(),
        }
    }

    /// The samples of the next batch, and how many at its end only fill it.
    pub(crate) fn next(&mut self) -> Option<(Vec<u64>, usize)> {
        let left = &self.samples[self.position..];
        if left.is_empty() || (left.len() < self.batch && self.last != LastBatch::Pad) {
            return None;
        }
        let own = &self.samples[self.carried..];
        let taken = left.iter().chain(own.iter().cycle()).take(self.batch).map(|s| *s as u64).collect();
        let pad = self.batch.saturating_sub(left.len());
        self.position += self.batch - pad;
        Some((taken, pad))
    }

    /// Batches in this epoch.
    pub(crate) fn num_batches(&self) -> usize {
        match self.last {
            LastBatch::Pad => self.samples.len().div_ceil(self.batch),
            LastBatch::Discard | LastBatch::RollOver => self.samples.len() / self.batch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn epoch(order: &mut Order) -> Vec<(Vec<u64>, usize)> {
        std::iter::from_fn(|| order.next()).collect()
    }

    /// The samples that `mx.io.NDArrayIter` of MXNet 1.9.1 gives for ten samples in batches of four. (It calls those
    /// that it took over `pad`, though they are samples like others.)
    #[test]
    fn as_mxnet() {
        let of = |last| Order::new(10, 4, last, None).unwrap();
        let mut pad = of(LastBatch::Pad);
        assert_eq!(epoch(&mut pad), [(vec![0, 1, 2, 3], 0), (vec![4, 5, 6, 7], 0), (vec![8, 9, 0, 1], 2)]);
        let mut discard = of(LastBatch::Discard);
        assert_eq!(epoch(&mut discard), [(vec![0, 1, 2, 3], 0), (vec![4, 5, 6, 7], 0)]);
        let mut roll = of(LastBatch::RollOver);
        assert_eq!(epoch(&mut roll), [(vec![0, 1, 2, 3], 0), (vec![4, 5, 6, 7], 0)]);
        roll.reset(1);
        assert_eq!(epoch(&mut roll), [(vec![8, 9, 0, 1], 0), (vec![2, 3, 4, 5], 0), (vec![6, 7, 8, 9], 0)]);
        roll.reset(2);
        assert_eq!(epoch(&mut roll), [(vec![0, 1, 2, 3], 0), (vec![4, 5, 6, 7], 0)]);
    }

    #[test]
    fn no_batch_is_refused() {
        for batch in [0, usize::MAX] {
            let told = Order::new(5, batch, LastBatch::Pad, None).unwrap_err().to_string();
            assert_eq!(told, format!("the batch size is {batch}, wanted one from 1 to 16777216"));
        }
        for (len, batch, last) in [(0, 4, LastBatch::Pad), (3, 4, LastBatch::RollOver), (3, 4, LastBatch::Discard)] {
            let told = Order::new(len, batch, last, None).unwrap_err().to_string();
            assert!(told.starts_with(&format!("{len} samples in batches of {batch} give no batch: wanted")), "{told}");
        }
        assert_eq!(Order::new(2, 5, LastBatch::Pad, None).unwrap().next(), Some((vec![0, 1, 0, 1, 0], 3)));
    }

    proptest! {
        /// Rolling over, the epochs are one stream in which each permutation appears whole.
        #[test]
        fn roll_over_loses_nothing(len in 1_usize..40, batch in 1_usize..12, seed in any::<u64>()) {
            prop_assume!(len >= batch);
            let mut order = Order::new(len, batch, LastBatch::RollOver, Some(seed)).unwrap();
            let mut stream = Vec::new();
            for e in 0..5 {
                order.reset(e);
                let batches = epoch(&mut order);
                prop_assert_eq!(batches.len(), order.num_batches());
                stream.extend(batches.into_iter().flat_map(|b| b.0));
            }
            prop_assert!(stream.len() + batch > 5 * len);
            let mut orders = Vec::new();
            for whole in stream.chunks_exact(len) {
                let mut sorted = whole.to_vec();
                sorted.sort_unstable();
                prop_assert!(sorted.iter().enumerate().all(|(i, s)| i as u64 == *s));
                orders.push(whole.to_vec());
            }
            if len > 10 {
                prop_assert!(orders[0] != orders[1], "two epochs in the same order");
            }
        }

        /// An epoch does not depend on what was read before it.
        #[test]
        fn resuming_sees_the_same(len in 4_usize..40, batch in 1_usize..4, e in 0_u64..5, read in 0_usize..9) {
            for last in [LastBatch::Pad, LastBatch::Discard, LastBatch::RollOver] {
                let mut there = Order::new(len, batch, last, Some(7)).unwrap();
                for before in 0..e {
                    there.reset(before);
                    (0..read).for_each(|_| drop(there.next()));
                }
                let mut fresh = Order::new(len, batch, last, Some(7)).unwrap();
                fresh.reset(e);
                there.reset(e);
                prop_assert_eq!(epoch(&mut there), epoch(&mut fresh));
            }
        }

        /// One restored goes on as the one that was saved, whatever it did before.
        #[test]
        fn a_saved_place_is_found_again(len in 4_usize..40, batch in 1_usize..4, e in 0_u64..5, read in 0_usize..12) {
            for last in [LastBatch::Pad, LastBatch::Discard, LastBatch::RollOver] {
                let new = || Order::new(len, batch, last, Some(7)).unwrap();
                let (mut there, mut fresh) = (new(), new());
                there.reset(e);
                (0..read).for_each(|_| drop(there.next()));
                fresh.next();
                fresh.restore(&there.save()).unwrap();
                prop_assert_eq!(epoch(&mut there), epoch(&mut fresh));
                there.reset(e + 1);
                fresh.reset(e + 1);
                prop_assert_eq!(epoch(&mut there), epoch(&mut fresh));
            }
        }

        #[test]
        fn bytes_that_are_no_place_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..70), at in 0_usize..32) {
            let mut order = Order::new(10, 4, LastBatch::Pad, Some(1)).unwrap();
            order.next();
            let saved = order.save();
            if order.restore(&bytes).is_err() {
                prop_assert_eq!(&order.save(), &saved);
            }
            // The epoch may be any number.
            let mut changed = saved.clone();
            changed[at] ^= 1;
            prop_assert_eq!(order.restore(&changed).is_ok(), (16..24).contains(&at));
        }

        #[test]
        fn padding_comes_from_the_start(len in 1_usize..30, batch in 1_usize..40, seed in any::<u64>()) {
            let mut order = Order::new(len, batch, LastBatch::Pad, Some(seed)).unwrap();
            let batches = epoch(&mut order);
            let total = batches.iter().map(|b| b.0.len() - b.1).sum::<usize>();
            prop_assert_eq!((total, batches.len()), (len, order.num_batches()));
            let all: Vec<u64> = batches.iter().flat_map(|b| b.0.clone()).collect();
            prop_assert!((len..all.len()).all(|i| all[i] == all[i - len]));
        }
    }
}
