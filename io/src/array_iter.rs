//! Batches cut from arrays in memory.

use crate::array::Array;
use crate::buffers::Buffers;
use crate::order::{LastBatch, Order};
use std::sync::{Arc, Mutex, PoisonError};
use varflow_engine::Engine;
use varflow_ops::{Batch, DType, DataDesc, DataIter, Error, Result, Shape, Tensor, TensorDesc};

/// A batch is gathered in pieces of about this many elements, which idle workers share: large enough to be worth waking
/// one for.
const PIECE_ELEMENTS: usize = 1 << 17;

/// An iterator over arrays in memory whose first axis counts samples. Its batches are `f32`, made by an engine task:
/// `next` returns at once. `u8` arrays are converted as they are gathered and stay small until then.
///
/// ```
/// use varflow_io::{Array, ArrayIter};
/// use varflow_ops::DataIter;
/// let engine = varflow_engine::Engine::serial();
/// let images = Array::new([3, 2], vec![0_u8, 51, 102, 153, 204, 255])?;
/// let labels = Array::new([3], vec![7_u8, 8, 9])?;
/// let mut iter = ArrayIter::builder(&engine)
///     .scaled_data("data", images, 1.0 / 255.0)
///     .label("softmax_label", labels)
///     .batch_size(2)
///     .build()?;
/// iter.next()?;
/// let last = iter.next()?.expect("three samples make two batches");
/// assert_eq!((last.pad, &last.index[..]), (1, &[2, 0][..]));
/// assert_eq!(last.label[0].to_vec::<f32>()?, [9.0, 7.0]);
/// assert!(iter.next()?.is_none());
/// # Ok::<(), varflow_ops::Error>(())
/// ```
pub struct ArrayIter {
    engine: Engine,
    fields: Arc<[Field]>,
    num_data: usize,
    order: Order,
    /// The number of the first sample of this iterator's part.
    first: usize,
    buffers: Buffers,
}

/// One named array, of `u8` or `f32`.
struct Field {
    name: String,
    /// The shape of a batch.
    shape: Shape,
    array: Arc<Array>,
    /// Elements of one sample.
    stride: usize,
    scale: f32,
}

/// The elements of a field.
#[derive(Clone, Copy)]
enum Elements<'a> {
    U8(&'a [u8]),
    F32(&'a [f32]),
}

/// Describes an [`ArrayIter`].
#[must_use = "call build()"]
pub struct ArrayIterBuilder {
    engine: Engine,
    data: Vec<(String, Arc<Array>, f32)>,
    label: Vec<(String, Arc<Array>, f32)>,
    batch_size: usize,
    seed: Option<u64>,
    last: LastBatch,
    part: (usize, usize),
}

impl ArrayIterBuilder {
    /// Adds a data array of shape (samples, …).
    pub fn data(self, name: &str, array: impl Into<Arc<Array>>) -> Self {
        self.scaled_data(name, array, 1.0)
    }

    /// Adds a data array whose elements are multiplied by `scale`: 1/255 brings `u8` pictures into 0 to 1.
    pub fn scaled_data(mut self, name: &str, array: impl Into<Arc<Array>>, scale: f32) -> Self {
        self.data.push((name.to_string(), array.into(), scale));
        self
    }

    /// Adds a label array of shape (samples, …).
    pub fn label(mut self, name: &str, array: impl Into<Arc<Array>>) -> Self {
        self.label.push((name.to_string(), array.into(), 1.0));
        self
    }

    /// Samples a batch; 1 unless set.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Puts the samples of each epoch into an order that follows from this seed and the epoch's number.
    pub fn shuffle(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// What becomes of samples that do not fill a batch; [`LastBatch::Pad`] unless set.
    pub fn last_batch(mut self, last: LastBatch) -> Self {
        self.last = last;
        self
    }

    /// Gives only part `index`, from 0, of `num_parts`: neighbouring samples, and of a number that differs from part to part
    /// by one at most. All samples unless set.
    pub fn part(mut self, index: usize, num_parts: usize) -> Self {
        self.part = (index, num_parts);
        self
    }

    /// Makes the iterator, at the start of epoch 0.
    ///
    /// # Errors
    /// No array, two of one name, arrays that differ in their number of samples, a part that there is not, or too few
    /// samples for a batch.
    pub fn build(self) -> Result<ArrayIter> {
        let num_data = self.data.len();
        let named: Vec<_> = self.data.into_iter().chain(self.label).collect();
        let Some((first, array, _)) = named.first() else {
            return Err(Error::Data("an array iterator was given no array, wanted one at least".to_string()));
        };
        let len = array.num_samples();
        for (i, (name, array, _)) in named.iter().enumerate() {
            if named[..i].iter().any(|n| n.0 == *name) {
                return Err(Error::Data(format!("array \"{name}\" is given twice, wanted each name once")));
            }
            if array.shape().rank() == 0 || array.num_samples() != len {
                let shape = array.shape();
                return Err(Error::Shape(format!(
                    "array \"{name}\" has shape {shape}, wanted {len} samples along its first axis as \"{first}\" has"
                )));
            }
        }
        let (index, num_parts) = self.part;
        if index >= num_parts {
            return Err(Error::Data(format!("part {index} of {num_parts} is asked for, wanted one below {num_parts}")));
        }
        // Wide: the product of two sizes.
        let bound = |i: usize| (len as u128 * i as u128 / num_parts as u128) as usize;
        let first = bound(index);
        let order = Order::new(bound(index + 1) - first, self.batch_size, self.last, self.seed)?;
        let fields: Arc<[Field]> =
            named.into_iter().map(|(n, a, s)| Field::new(n, a, s, self.batch_size)).collect::<Result<_>>()?;
        let descs = fields.iter().map(|f| TensorDesc { shape: f.shape.clone(), dtype: DType::F32 }).collect();
        let buffers = Buffers::new(&self.engine, descs);
        Ok(ArrayIter { engine: self.engine, fields, num_data, order, first, buffers })
    }
}

impl Field {
    fn new(name: String, array: Arc<Array>, scale: f32, batch: usize) -> Result<Field> {
        let mut dims = array.shape().dims().to_vec();
        let stride = dims[1..].iter().product();
        dims[0] = batch;
        let shape = Shape::new(&dims);
        if shape.checked_len().is_none() {
            return Err(Error::Shape(format!("a batch of \"{name}\" would have shape {shape}, which is too large")));
        }
        let array = match array.dtype() {
            DType::U8 | DType::F32 => array,
            _ => Arc::new(Array::new(array.shape().clone(), array.to_f32())?),
        };
        Ok(Field { name, shape, array, stride, scale })
    }

    fn desc(&self) -> DataDesc {
        DataDesc { name: self.name.clone(), shape: self.shape.clone(), dtype: DType::F32 }
    }

    fn elements(&self) -> Result<Elements<'_>> {
        match self.array.dtype() {
            DType::U8 => self.array.as_slice().map(Elements::U8),
            _ => self.array.as_slice().map(Elements::F32),
        }
    }

    /// Copies samples, scaled, one after the other.
    fn gather(&self, from: Elements<'_>, samples: &[u64], to: &mut [f32]) {
        match from {
            Elements::U8(from) => self.gather_from(from, samples, to, |x| f32::from(x) * self.scale),
            Elements::F32(from) => self.gather_from(from, samples, to, |x| x * self.scale),
        }
    }

    fn gather_from<T: Copy>(&self, from: &[T], samples: &[u64], to: &mut [f32], convert: impl Fn(T) -> f32) {
        if self.stride == 0 {
            return;
        }
        for (sample, to) in samples.iter().zip(to.chunks_exact_mut(self.stride)) {
            let at = *sample as usize * self.stride;
            for (to, x) in to.iter_mut().zip(&from[at..at + self.stride]) {
                *to = convert(*x);
            }
        }
    }
}

impl ArrayIter {
    /// Starts describing an iterator whose batches are made on this engine.
    pub fn builder(engine: &Engine) -> ArrayIterBuilder {
        let (data, label) = (Vec::new(), Vec::new());
        let (seed, last, part) = (None, LastBatch::Pad, (0, 1));
        ArrayIterBuilder { engine: engine.clone(), data, label, batch_size: 1, seed, last, part }
    }

    /// Pushes the task that fills the tensors with these samples.
    fn push_gather(&self, samples: Vec<u64>, tensors: &[Tensor]) {
        let fields = self.fields.clone();
        let outputs: Vec<&Tensor> = tensors.iter().collect();
        Tensor::push_task(&self.engine, "batch", &[], &outputs, move |ctx| {
            let mut pieces = Vec::new();
            for (i, field) in fields.iter().enumerate() {
                let rows = (PIECE_ELEMENTS / field.stride.max(1)).max(1);
                let from = field.elements()?;
                let to = ctx.output::<f32>(i)?.chunks_mut((rows * field.stride).max(1));
                pieces.extend(samples.chunks(rows).zip(to).map(|(s, to)| (field, from, s, Mutex::new(to))));
            }
            ctx.parallel_for(pieces.len(), &|i| {
                let (field, from, samples, to) = &pieces[i];
                field.gather(*from, samples, &mut to.lock().unwrap_or_else(PoisonError::into_inner));
            });
            Ok(())
        });
    }
}

impl DataIter for ArrayIter {
    fn provide_data(&self) -> Vec<DataDesc> {
        self.fields[..self.num_data].iter().map(Field::desc).collect()
    }

    fn provide_label(&self) -> Vec<DataDesc> {
        self.fields[self.num_data..].iter().map(Field::desc).collect()
    }

    fn next(&mut self) -> Result<Option<Batch>> {
        let Some((mut index, pad)) = self.order.next() else { return Ok(None) };
        index.iter_mut().for_each(|sample| *sample += self.first as u64);
        let mut data = self.buffers.take()?;
        self.push_gather(index.clone(), &data);
        let label = data.split_off(self.num_data);
        Ok(Some(Batch { data, label, pad, index }))
    }

    fn reset(&mut self, epoch: u64) -> Result<()> {
        self.order.reset(epoch);
        Ok(())
    }

    fn num_batches(&self) -> Option<usize> {
        Some(self.order.num_batches())
    }

    fn save_state(&self) -> Result<Vec<u8>> {
        Ok(self.order.save())
    }

    fn restore_state(&mut self, state: &[u8]) -> Result<()> {
        self.order.restore(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pool() -> Engine {
        Engine::builder().cpu_workers(2).build().unwrap()
    }

    /// Sample `i` holds `i`, `i + 1`, `i + 2`; its label is `i`.
    fn iter(engine: &Engine, len: usize, batch: usize) -> ArrayIterBuilder {
        let data = Array::new([len, 3], (0..len * 3).map(|j| (j / 3 + j % 3) as u8).collect()).unwrap();
        let labels = Array::new([len], (0..len as i64).collect()).unwrap();
        ArrayIter::builder(engine).scaled_data("data", data, 0.5).label("label", labels).batch_size(batch)
    }

    fn check(batch: &Batch) {
        let index: Vec<f32> = batch.index.iter().map(|i| *i as f32).collect();
        assert_eq!(batch.label[0].to_vec::<f32>().unwrap(), index);
        let wanted: Vec<f32> = index.iter().flat_map(|i| [0.5 * i, 0.5 * (i + 1.0), 0.5 * (i + 2.0)]).collect();
        assert_eq!(batch.data[0].to_vec::<f32>().unwrap(), wanted);
    }

    #[test]
    fn describes_its_batches() {
        let it = iter(&pool(), 10, 4).build().unwrap();
        let desc = |name: &str, dims: &[usize]| DataDesc { name: name.into(), shape: dims.into(), dtype: DType::F32 };
        assert_eq!(it.provide_data(), [desc("data", &[4, 3])]);
        assert_eq!(it.provide_label(), [desc("label", &[4])]);
        assert_eq!(it.num_batches(), Some(3));
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let engine = Engine::serial();
        let of = |len: usize| Array::new([len, 1], vec![0_f32; len]).unwrap();
        let refuse = |b: ArrayIterBuilder| b.build().err().unwrap().to_string();
        let builder = || ArrayIter::builder(&engine).batch_size(2);
        assert_eq!(refuse(builder()), "an array iterator was given no array, wanted one at least");
        assert_eq!(
            refuse(builder().data("a", of(3)).label("b", of(4))),
            "array \"b\" has shape (4, 1), wanted 3 samples along its first axis as \"a\" has"
        );
        assert_eq!(
            refuse(builder().data("a", of(3)).label("a", of(3))),
            "array \"a\" is given twice, wanted each name once"
        );
        assert!(refuse(builder().data("a", of(0))).starts_with("0 samples in batches of 2 give no batch"));
        let told = refuse(builder().data("a", Array::new([0, 1 << 60], Vec::<f32>::new()).unwrap()));
        assert!(told.starts_with("0 samples"), "{told}");
    }

    /// Whoever holds a batch sees its own samples, however far the iterator has gone on.
    #[test]
    fn held_batches_keep_their_contents() {
        let engine = pool();
        let mut it = iter(&engine, 200, 4).shuffle(3).build().unwrap();
        let mut held = Vec::new();
        for i in 0.. {
            let Some(batch) = it.next().unwrap() else { break };
            if i % 3 == 0 { held.push(batch) } else { check(&batch) }
        }
        held.iter().for_each(check);
    }

    /// Tasks pushed on a batch read that batch, also when they run long after it was let go of.
    #[test]
    fn pushed_readers_see_their_batch() {
        let engine = pool();
        let mut it = iter(&engine, 60, 2).shuffle(9).build().unwrap();
        let sums = engine.data(Vec::new());
        let mut wanted = Vec::new();
        while let Some(batch) = it.next().unwrap() {
            wanted.push(batch.index.iter().sum::<u64>() as f32);
            let (to, from) = (Tensor::zeros(&engine, [1], DType::F32).unwrap(), &batch.label[0]);
            Tensor::push_task(&engine, "slow", &[from], &[&to], |ctx| {
                std::thread::sleep(std::time::Duration::from_millis(1));
                ctx.output::<f32>(0)?[0] = ctx.input::<f32>(0)?.iter().sum();
                Ok(())
            });
            engine.task("keep").write(&sums).run(move |sums| sums.push(to));
        }
        let sums: Vec<f32> = sums.wait().unwrap().iter().map(|t| t.to_vec::<f32>().unwrap()[0]).collect();
        assert_eq!(sums, wanted);
    }

    /// A batch so large that it is gathered in pieces.
    #[test]
    fn large_batches_are_whole() {
        let (len, row) = (70, PIECE_ELEMENTS / 16);
        let values: Vec<f32> = (0..len * row).map(|i| i as f32).collect();
        let array = Array::new([len, row], values.clone()).unwrap();
        let mut it = ArrayIter::builder(&pool()).data("x", array).batch_size(len).build().unwrap();
        assert!(it.next().unwrap().unwrap().data[0].to_vec::<f32>().unwrap() == values);
    }

    #[test]
    fn parts_give_every_sample_once() {
        let engine = pool();
        for num_parts in [1, 2, 3, 7] {
            let mut seen = Vec::new();
            for index in 0..num_parts {
                let mut it = iter(&engine, 10, 1).shuffle(5).part(index, num_parts).build().unwrap();
                while let Some(batch) = it.next().unwrap() {
                    check(&batch);
                    seen.extend(batch.index);
                }
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..10).collect::<Vec<_>>());
        }
        let refuse = |index, num_parts| iter(&engine, 10, 1).part(index, num_parts).build().err().unwrap().to_string();
        assert_eq!(refuse(2, 2), "part 2 of 2 is asked for, wanted one below 2");
        assert!(refuse(0, 11).starts_with("0 samples in batches of 1 give no batch"), "{}", refuse(0, 11));
    }

    #[test]
    fn a_restored_iterator_goes_on() {
        let engine = pool();
        let new = || iter(&engine, 9, 2).shuffle(5).build().unwrap();
        let (mut there, mut fresh) = (new(), new());
        there.reset(3).unwrap();
        there.next().unwrap();
        fresh.restore_state(&there.save_state().unwrap()).unwrap();
        assert_eq!(there.next().unwrap().unwrap().index, fresh.next().unwrap().unwrap().index);
        let text =
            fresh.restore_state(&iter(&engine, 8, 2).build().unwrap().save_state().unwrap()).unwrap_err().to_string();
        assert!(text.contains("8 samples in batches of 2, wanted 9 in batches of 2"), "{text}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn every_batch_holds_its_samples(len in 1_usize..50, batch in 1_usize..9, seed in any::<Option<u64>>()) {
            let engine = Engine::serial();
            let mut builder = iter(&engine, len, batch);
            if let Some(seed) = seed {
                builder = builder.shuffle(seed);
            }
            let mut it = builder.build().unwrap();
            let mut n = 0;
            while let Some(batch) = it.next().unwrap() {
                check(&batch);
                n += 1;
            }
            prop_assert_eq!(Some(n), it.num_batches());
        }
    }
}
