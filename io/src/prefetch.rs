//! Preparing batches before they are asked for.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use varflow_engine::{Data, Engine};
use varflow_ops::{Batch, DataDesc, DataIter, Error, Result};

/// An iterator that gives what another one gives, in the same order, errors included, but prepares it beforehand: the
/// next `depth` batches are engine tasks, one after the other, each of which calls the other iterator once.
///
/// Preparing starts with the first `next` or with `reset`. Dropping it, or resetting it amid an epoch, gives up the
/// batches that nobody will see. It asks the other iterator for its state after every batch, so that
/// [`save_state`](DataIter::save_state) tells the place of the last batch that was handed out, not of those ahead.
///
/// ```
/// use varflow_io::{Array, ArrayIter, Prefetch};
/// use varflow_ops::DataIter;
/// let engine = varflow_engine::Engine::builder().cpu_workers(2).build()?;
/// let data = Array::new([6], vec![0.0_f32, 1.0, 2.0, 3.0, 4.0, 5.0])?;
/// let mut iter = Prefetch::new(&engine, ArrayIter::builder(&engine).data("x", data).batch_size(2).build()?, 2);
/// let mut seen = Vec::new();
/// while let Some(batch) = iter.next()? {
///     seen.extend(batch.data[0].to_vec::<f32>()?);
/// }
/// assert_eq!(seen, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
/// # Ok::<(), varflow_ops::Error>(())
/// ```
pub struct Prefetch {
    engine: Engine,
    depth: usize,
    source: Data<Mutex<Source>>,
    /// Batches being prepared, the next one first.
    ahead: VecDeque<Data<Ahead>>,
    /// The number of resets. Tasks of an older one do nothing.
    round: u64,
    current_round: Arc<AtomicU64>,
    ended: bool,
    data: Vec<DataDesc>,
    label: Vec<DataDesc>,
    standing: Standing,
    /// Where the iterator behind was after the batch handed out last; `None`: as `standing` says.
    state: Option<Result<Vec<u8>>>,
}

/// A batch, and where the iterator behind is after it.
type Ahead = (Result<Option<Batch>>, Result<Vec<u8>>);

/// The iterator behind. The mutex around it is never locked: it makes a value that is only `Send` fit for the engine.
struct Source {
    iter: Box<dyn DataIter>,
    /// The epoch is over.
    ended: bool,
    /// Why the last reset failed, until it is told.
    failed: Option<Error>,
}

/// What the iterator behind says before the first batch of a round: batches in the epoch, and where it is.
enum Standing {
    Known(Option<usize>, Result<Vec<u8>>),
    /// Known once it is reset.
    AfterReset(Data<(Option<usize>, Result<Vec<u8>>)>),
}

const DROPPED: u64 = u64::MAX;

impl Prefetch {
    /// Prepares up to `depth` (at least one) batches of `iter` ahead, on this engine.
    pub fn new(engine: &Engine, iter: impl DataIter + 'static, depth: usize) -> Prefetch {
        let (data, label) = (iter.provide_data(), iter.provide_label());
        let standing = Standing::Known(iter.num_batches(), iter.save_state());
        let source = Source { iter: Box::new(iter), ended: false, failed: None };
        Prefetch {
            engine: engine.clone(),
            depth: depth.max(1),
            source: engine.data(Mutex::new(source)),
            ahead: VecDeque::new(),
            round: 0,
            current_round: Arc::new(AtomicU64::new(0)),
            ended: false,
            data,
            label,
            standing,
            state: None,
        }
    }

    fn push_batches(&mut self) {
        while !self.ended && self.ahead.len() < self.depth {
            let (round, current) = (self.round, self.current_round.clone());
            let batch = self.engine.task("prefetch").write(&self.source).compute(move |source| {
                // Relaxed: a hint. Nobody looks at what a task of an older round returns.
                if current.load(Ordering::Relaxed) != round {
                    return (Ok(None), Ok(Vec::new()));
                }
                let source = source.get_mut().unwrap_or_else(PoisonError::into_inner);
                (source.next(), source.iter.save_state())
            });
            self.ahead.push_back(batch);
        }
    }

    /// Gives up what is ahead.
    fn begin_round(&mut self) {
        self.round += 1;
        self.current_round.store(self.round, Ordering::Relaxed);
        self.ahead.clear();
        (self.ended, self.state) = (false, None);
    }
}

impl Source {
    fn next(&mut self) -> Result<Option<Batch>> {
        if let Some(e) = self.failed.take() {
            self.ended = true;
            return Err(e);
        }
        if self.ended {
            return Ok(None);
        }
        let batch = self.iter.next();
        self.ended = matches!(batch, Ok(None));
        batch
    }

    fn reset(&mut self, epoch: u64) -> (Option<usize>, Result<Vec<u8>>) {
        self.ended = false;
        self.failed = self.iter.reset(epoch).err();
        (self.iter.num_batches(), self.iter.save_state())
    }

    fn restore(&mut self, state: &[u8]) -> Result<Option<usize>> {
        self.iter.restore_state(state)?;
        (self.ended, self.failed) = (false, None);
        Ok(self.iter.num_batches())
    }
}

impl DataIter for Prefetch {
    fn provide_data(&self) -> Vec<DataDesc> {
        self.data.clone()
    }

    fn provide_label(&self) -> Vec<DataDesc> {
        self.label.clone()
    }

    /// As the iterator behind. If that panics, this and every later call tells so.
    fn next(&mut self) -> Result<Option<Batch>> {
        self.push_batches();
        let Some(batch) = self.ahead.pop_front() else { return Ok(None) };
        self.push_batches();
        let (batch, state) = batch.wait()?;
        self.state = Some(state);
        if matches!(batch, Ok(None)) {
            self.ended = true;
            self.ahead.clear();
        }
        batch
    }

    /// As the iterator behind, but at once: an error is told by the `next` that follows.
    fn reset(&mut self, epoch: u64) -> Result<()> {
        self.begin_round();
        let reset = self
            .engine
            .task("prefetch_reset")
            .write(&self.source)
            .compute(move |source| source.get_mut().unwrap_or_else(PoisonError::into_inner).reset(epoch));
        self.standing = Standing::AfterReset(reset);
        self.push_batches();
        Ok(())
    }

    fn num_batches(&self) -> Option<usize> {
        match &self.standing {
            Standing::Known(n, _) => *n,
            Standing::AfterReset(standing) => standing.wait().ok().and_then(|(n, _)| n),
        }
    }

    /// As the iterator behind: where that was when it had given the batch that this one gave last.
    fn save_state(&self) -> Result<Vec<u8>> {
        match (&self.state, &self.standing) {
            (Some(state), _) | (None, Standing::Known(_, state)) => state.clone(),
            (None, Standing::AfterReset(standing)) => standing.wait()?.1,
        }
    }

    /// As the iterator behind. After an error the epoch has no further batch.
    fn restore_state(&mut self, state: &[u8]) -> Result<()> {
        self.begin_round();
        let kept = state.to_vec();
        let restored = self
            .engine
            .task("prefetch_restore")
            .write(&self.source)
            .compute(move |source| source.get_mut().unwrap_or_else(PoisonError::into_inner).restore(&kept));
        let restored = restored.wait().map_err(Error::from).and_then(|restored| restored);
        self.ended = restored.is_err();
        self.standing = Standing::Known(restored?, Ok(state.to_vec()));
        Ok(())
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.current_round.store(DROPPED, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Array, ArrayIter, LastBatch};
    use proptest::prelude::*;
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    fn pool(workers: usize) -> Engine {
        Engine::builder().cpu_workers(workers).build().unwrap()
    }

    /// Fails the test instead of hanging.
    fn within(seconds: u64, body: impl FnOnce() + Send + 'static) {
        let (done, wait) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            body();
            let _ = done.send(());
        });
        let outcome = wait.recv_timeout(Duration::from_secs(seconds));
        assert!(outcome != Err(mpsc::RecvTimeoutError::Timeout), "not done after {seconds} s");
        thread.join().unwrap();
    }

    /// Counts from 0: batch `i` has index `[epoch, i]`. It can fail, panic, take its time, and counts its calls.
    #[derive(Default)]
    struct Count {
        epoch: u64,
        at: u64,
        len: u64,
        fails_at: Option<u64>,
        panics_at: Option<u64>,
        takes: Duration,
        reset_fails: bool,
        calls: Arc<AtomicU64>,
    }

    impl DataIter for Count {
        fn provide_data(&self) -> Vec<DataDesc> {
            Vec::new()
        }
        fn provide_label(&self) -> Vec<DataDesc> {
            Vec::new()
        }
        fn next(&mut self) -> Result<Option<Batch>> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(self.takes);
            let at = self.at;
            self.at += 1;
            assert!(self.panics_at != Some(at), "batch {at} is cursed");
            if self.fails_at == Some(at) {
                return Err(Error::Data(format!("f.rec: batch {at} is torn")));
            }
            assert!(at <= self.len, "next is called after the end");
            let batch = Batch { data: Vec::new(), label: Vec::new(), pad: 0, index: vec![self.epoch, at] };
            Ok((at < self.len).then_some(batch))
        }
        fn reset(&mut self, epoch: u64) -> Result<()> {
            (self.epoch, self.at) = (epoch, 0);
            if self.reset_fails { Err(Error::Data("f.rec: it is gone".to_string())) } else { Ok(()) }
        }
        fn num_batches(&self) -> Option<usize> {
            Some((self.len + self.epoch) as usize)
        }
    }

    fn told(result: Result<Option<Batch>>) -> String {
        match result {
            Ok(Some(b)) => format!("{:?}", b.index),
            Ok(None) => "end".to_string(),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn errors_come_with_their_batch() {
        within(20, || {
            let mut it = Prefetch::new(&pool(2), Count { len: 4, fails_at: Some(2), ..Count::default() }, 3);
            let all: Vec<String> = (0..7).map(|_| told(it.next())).collect();
            assert_eq!(all, ["[0, 0]", "[0, 1]", "f.rec: batch 2 is torn", "[0, 3]", "end", "end", "end"]);
            it.reset(5).unwrap();
            assert_eq!(told(it.next()), "[5, 0]");
        });
    }

    #[test]
    fn a_failed_reset_is_told_once() {
        within(20, || {
            let mut it = Prefetch::new(&pool(2), Count { len: 4, reset_fails: true, ..Count::default() }, 2);
            it.reset(1).unwrap();
            let all: Vec<String> = (0..3).map(|_| told(it.next())).collect();
            assert_eq!(all, ["f.rec: it is gone", "end", "end"]);
        });
    }

    #[test]
    fn a_panic_is_told_and_stays() {
        within(20, || {
            let mut it = Prefetch::new(&pool(2), Count { len: 9, panics_at: Some(1), ..Count::default() }, 3);
            assert_eq!(told(it.next()), "[0, 0]");
            for _ in 0..5 {
                let text = told(it.next());
                assert!(text.contains("\"prefetch\"") && text.contains("batch 1 is cursed"), "{text}");
            }
        });
    }

    #[test]
    fn works_ahead_and_no_further() {
        within(20, || {
            let engine = pool(2);
            let calls = Arc::new(AtomicU64::new(0));
            let mut it = Prefetch::new(&engine, Count { len: 90, calls: calls.clone(), ..Count::default() }, 3);
            engine.wait_all().unwrap();
            assert_eq!(calls.load(Ordering::Relaxed), 0, "nobody has asked yet");
            it.next().unwrap();
            engine.wait_all().unwrap();
            assert_eq!(calls.load(Ordering::Relaxed), 4);
        });
    }

    #[test]
    fn dropping_and_resetting_give_up_what_is_pending() {
        within(20, || {
            let begun = Instant::now();
            let engine = pool(2);
            let slow = || Count { len: 900, takes: Duration::from_millis(30), ..Count::default() };
            let mut it = Prefetch::new(&engine, slow(), 300);
            it.next().unwrap();
            it.reset(7).unwrap();
            assert_eq!(told(it.next()), "[7, 0]");
            assert_eq!(it.num_batches(), Some(907));
            drop(it);
            drop(engine);
            // 600 batches were pushed, of 30 ms each.
            assert!(begun.elapsed() < Duration::from_secs(4), "took {:?}", begun.elapsed());
        });
    }

    /// The state is that of the batch handed out last, however far ahead the iterator behind is.
    #[test]
    fn states_are_those_of_what_was_handed_out() {
        within(20, || {
            let engine = pool(2);
            let new = || {
                let x = Array::new([20], (0..20).map(|i| i as f32).collect()).unwrap();
                let iter = ArrayIter::builder(&engine).data("x", x).batch_size(3).shuffle(4).build().unwrap();
                Prefetch::new(&engine, iter, 4)
            };
            let rest = |it: &mut Prefetch| -> Vec<_> {
                std::iter::from_fn(|| it.next().unwrap()).map(|batch| batch.index).collect()
            };
            for read in 0..9 {
                let (mut there, mut fresh) = (new(), new());
                there.reset(2).unwrap();
                (0..read).for_each(|_| drop(there.next().unwrap()));
                engine.wait_all().unwrap();
                fresh.next().unwrap();
                fresh.restore_state(&there.save_state().unwrap()).unwrap();
                assert_eq!(fresh.save_state().unwrap(), there.save_state().unwrap());
                assert_eq!(rest(&mut fresh), rest(&mut there), "after {read} batches");
            }
            let mut it = new();
            assert!(it.restore_state(b"junk").unwrap_err().to_string().contains("it has 4 bytes, wanted 32"));
            assert!(it.next().unwrap().is_none());
            it.reset(0).unwrap();
            assert!(it.next().unwrap().is_some());
            let stateless = Prefetch::new(&engine, Count { len: 4, ..Count::default() }, 2);
            assert!(stateless.save_state().unwrap_err().to_string().contains("cannot save its state"));
        });
    }

    fn read(it: &mut dyn DataIter, epochs: &[(u64, usize)]) -> Vec<(Vec<u64>, usize, Vec<f32>)> {
        let mut out = Vec::new();
        for (epoch, most) in epochs {
            it.reset(*epoch).unwrap();
            for _ in 0..*most {
                let Some(b) = it.next().unwrap() else { break };
                let x = b.data[0].to_vec::<f32>().unwrap();
                out.push((b.index, b.pad, x));
            }
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn gives_what_the_iterator_gives(
            len in 8_usize..60,
            batch in 1_usize..8,
            depth in 0_usize..5,
            workers in 1_usize..4,
            last in prop_oneof![Just(LastBatch::Pad), Just(LastBatch::Discard), Just(LastBatch::RollOver)],
            epochs in proptest::collection::vec((0_u64..9, 0_usize..30), 1..4),
        ) {
            let plain = |engine: &Engine| {
                let x = Array::new([len, 2], (0..2 * len).map(|i| i as f32).collect()).unwrap();
                ArrayIter::builder(engine).data("x", x).batch_size(batch).last_batch(last).shuffle(1).build().unwrap()
            };
            let wanted = read(&mut plain(&Engine::serial()), &epochs);
            for engine in [Engine::serial(), pool(workers)] {
                let mut it = Prefetch::new(&engine, plain(&engine), depth);
                prop_assert_eq!(&read(&mut it, &epochs), &wanted);
            }
        }
    }
}
