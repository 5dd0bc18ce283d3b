//! A data iterator as a plug-in: a stream of made-up pictures that can be told apart.
#![forbid(unsafe_code)]

use varflow_sdk::prelude::*;

/// Sample `i` of an epoch has a class drawn at random, and noise around that class's picture.
struct SyntheticStream {
    shape: Vec<usize>,
    classes: usize,
    num_batches: usize,
    part: Part,
    epoch: u64,
    batch: usize,
}

impl DataIter for SyntheticStream {
    const NAME: &'static str = "SyntheticStream";
    const DOC: &'static str = "Made-up samples: each class has a pattern of its own, to which noise from the seed is added. Gives data (batch_size, shape...) and softmax_label (batch_size,), float32.";
    const EXAMPLES: &'static [&'static str] = &["batch_size=4; num_batches=3; shape=(1, 6, 6); classes=3"];
    const CAN_RESTORE: bool = true;

    fn params() -> Vec<Param> {
        vec![
            Param::int("batch_size", "Samples in a batch.").default(32).range(1..=1 << 20),
            Param::int("num_batches", "Batches in an epoch, of each part.").default(100).range(0..=1 << 40),
            Param::tuple("shape", "Shape of a sample.").default([1, 8, 8]),
            Param::int("classes", "How many classes there are.").default(10).range(1..=1 << 20),
        ]
    }

    fn new(params: &Params, part: Part) -> Result<Self> {
        let mut shape = vec![params.usize("batch_size")];
        for dim in params.tuple("shape") {
            let fits = usize::try_from(*dim).ok().filter(|d| (1..=1 << 16).contains(d));
            shape.push(fits.ok_or_else(|| Error::param(format!("shape has an axis of {dim}, wanted 1 to 65536")))?);
        }
        let (classes, num_batches) = (params.usize("classes"), params.usize("num_batches"));
        Ok(SyntheticStream { shape, classes, num_batches, part, epoch: 0, batch: 0 })
    }

    fn fields(&self) -> Vec<Field> {
        let label = Field::label("softmax_label", DType::F32, &self.shape[..1]);
        vec![Field::data("data", DType::F32, &self.shape), label]
    }

    fn num_batches(&self) -> Option<usize> {
        Some(self.num_batches)
    }

    fn next(&mut self, batch: &mut Batch) -> Result<Next> {
        if self.batch == self.num_batches {
            return Ok(Next::End);
        }
        let (data, label) = (batch.tensor::<f32>(0)?, batch.tensor::<f32>(1)?);
        let len = data.len() / label.len();
        // The parts' samples lie side by side in one stream.
        let first = (self.part.index * self.num_batches + self.batch) * label.len();
        for (i, (sample, label)) in data.chunks_mut(len).zip(label).enumerate() {
            let mut noise = SplitMix(mix(self.part.seed ^ mix(self.epoch ^ mix((first + i) as u64))));
            let class = (noise.next() % self.classes as u64) as usize;
            *label = class as f32;
            for (place, value) in sample.iter_mut().enumerate() {
                *value = pattern(class, place) + 0.5 * (noise.uniform() - 0.5);
            }
        }
        batch.index().iter_mut().enumerate().for_each(|(i, index)| *index = (first + i) as u64);
        self.batch += 1;
        Ok(Next::Batch)
    }

    fn reset(&mut self, epoch: u64) -> Result<()> {
        (self.epoch, self.batch) = (epoch, 0);
        Ok(())
    }

    fn save(&self) -> Result<Vec<u8>> {
        Ok([self.epoch, self.batch as u64].iter().flat_map(|word| word.to_le_bytes()).collect())
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let wrong = || Error::data(format!("the state has {} bytes, wanted an epoch and a batch: 16", state.len()));
        let (epoch, batch) = state.split_first_chunk().ok_or_else(wrong)?;
        let batch = usize::try_from(u64::from_le_bytes(batch.try_into().map_err(|_| wrong())?)).unwrap_or(usize::MAX);
        if batch > self.num_batches {
            let most = self.num_batches;
            return Err(Error::data(format!("the state is at batch {batch}, and there are {most} in an epoch")));
        }
        (self.epoch, self.batch) = (u64::from_le_bytes(*epoch), batch);
        Ok(())
    }
}

/// A class's picture: bits that do not depend on the seed, so that other epochs and parts show the same classes.
fn pattern(class: usize, place: usize) -> f32 {
    (mix((class as u64) << 32 | place as u64) >> 63) as f32
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// In [0, 1).
    fn uniform(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }
}

fn mix(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

varflow_sdk::plugin! { name: "synthetic_stream", iterators: [SyntheticStream] }
