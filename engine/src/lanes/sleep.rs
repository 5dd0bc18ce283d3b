//! When workers sleep, and who wakes them.
//!
//! Three promises, whatever the pool's guesses about the length of tasks:
//! 1. Work that is submitted while nobody is awake wakes a worker. A submitter makes the work visible, then reads who is
//!    asleep; a worker counts itself as asleep, then looks for work once more. Both have SeqCst between the write and the
//!    read, so at least one sees the other.
//! 2. Work that is submitted while somebody is awake is come to even if those awake are stuck in long tasks: one sleeper
//!    keeps watch, looks every [`WATCH`] whether work lies there that nobody takes, and then gets up. Who submits work and
//!    sees that nobody watches summons a sleeper to it; who leaves the watch to others still asleep summons one of them.
//! 3. Nobody sleeps through the stop.
//!
//! What sleepers wait for (calls, the summons, the stop) is state under the lock, not the notification itself. So it
//! does not matter which sleeper a notification reaches, or whether one gets up without any.

use crate::sync::{
    AtomicBool, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, Padded, fence, fence_for_loom, lock, wait, wait_for,
};
use std::time::Duration;

/// How often the watch looks for work that nobody takes.
const WATCH: Duration = Duration::from_micros(500);
/// Workers that run fewer tasks than this between two looks are stuck.
const FEW: usize = 8;

/// What a sleeper looks at.
pub(super) trait View {
    /// Whether there is work that any worker can take.
    fn has_work(&self) -> bool;

    /// How far the workers have come.
    fn progress(&self) -> Progress;
}

/// How many workers there are, and how many tasks they have run.
#[derive(Clone, Copy)]
pub(super) struct Progress {
    pub(super) workers: usize,
    pub(super) ran: usize,
}

/// Who is asleep, and how they are woken.
#[derive(Default)]
pub(super) struct Sleep {
    /// Workers that sleep and are not called yet; changed under `state`.
    asleep: Padded<AtomicUsize>,
    /// Whether a sleeper keeps watch or is summoned to; changed under `state`.
    watched: AtomicBool,
    /// Whether tasks have been short of late: then those awake are left to do them.
    short: AtomicBool,
    /// Set once, under `state`.
    stopping: AtomicBool,
    /// Workers that are not blocked, asleep or not.
    active: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// How many sleepers are to get up. They are not counted in `asleep` any more.
    called: usize,
    /// Whether a sleeper is to take the watch.
    summoned: bool,
}

impl Sleep {
    /// A worker begins, or goes on after it was blocked.
    pub(super) fn join(&self) {
        self.active.fetch_add(1, Ordering::Relaxed);
    }

    /// A worker is about to be blocked, or did not begin after all. Another must look for work after this.
    pub(super) fn leave(&self) {
        self.active.fetch_sub(1, Ordering::Relaxed);
    }

    /// Lets a worker leave if there are more than `width`. It tells by [`submitted`](Self::submitted) when it has gone.
    pub(super) fn retires(&self, width: usize) -> bool {
        let mut active = self.active.load(Ordering::Relaxed);
        while active > width {
            match self.active.compare_exchange_weak(active, active - 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => active = now,
            }
        }
        false
    }

    #[inline]
    pub(super) fn is_short(&self) -> bool {
        self.short.load(Ordering::Relaxed)
    }

    /// Whether tasks take less than waking a worker for each is worth.
    pub(super) fn set_short(&self, short: bool) {
        if self.is_short() != short {
            self.short.store(short, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// The same, for who has just made work visible by a SeqCst operation or fence: either this sees the stop, or who stops
    /// sees the work after a SeqCst fence.
    #[inline]
    pub(super) fn is_stopping_seq_cst(&self) -> bool {
        fence_for_loom();
        // SeqCst: partner is the fence in `Shared::give_up_queued`, after the store in `stop`.
        self.stopping.load(Ordering::SeqCst)
    }

    #[inline]
    pub(super) fn is_anyone_asleep(&self) -> bool {
        self.asleep.load(Ordering::Relaxed) > 0
    }

    #[inline]
    pub(super) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    /// Work was made visible: sees to it that somebody comes to it.
    #[inline]
    pub(super) fn submitted(&self) {
        // Pairs with the fence in `sleep`.
        fence(Ordering::SeqCst);
        self.alert();
    }

    /// As [`submitted`](Self::submitted), where the work was made visible by a SeqCst read-modify-write and sleepers look
    /// for it by a SeqCst load: those and the loads below are in one order without a fence.
    #[inline]
    pub(super) fn submitted_seq_cst(&self) {
        fence_for_loom();
        self.alert();
    }

    /// As [`submitted`](Self::submitted), for a worker that adds to its own queue while tasks are short: it is awake itself,
    /// so all it needs is that somebody watches.
    #[inline]
    pub(super) fn submitted_by_worker(&self) {
        // Relaxed: who falls asleep from now on finds this worker awake, and so keeps watch.
        if self.is_anyone_asleep() && !self.is_watched() {
            self.summon();
        }
    }

    /// Work for `n` workers was made visible, and is worth waking them.
    pub(super) fn submitted_for(&self, n: usize) {
        // Pairs with the fence in `sleep`.
        fence(Ordering::SeqCst);
        if self.is_anyone_asleep() {
            self.wake(n);
        }
    }

    /// Each load is SeqCst, so that whoever changes what it reads afterwards, and then looks for work, finds it: the partner is
    /// the fence in `sleep`, or in `submitted` for a worker that retires.
    #[inline]
    fn alert(&self) {
        let asleep = self.asleep.load(Ordering::SeqCst);
        if asleep == 0 {
            return;
        }
        if !self.is_short() || asleep >= self.active.load(Ordering::SeqCst) {
            self.wake(1);
        } else if !self.watched.load(Ordering::SeqCst) {
            self.summon();
        }
    }

    /// Calls up to `n` sleepers.
    #[cold]
    pub(super) fn wake(&self, n: usize) {
        let mut state = lock(&self.state);
        let n = self.call(&mut state, n);
        drop(state);
        (0..n).for_each(|_| self.changed.notify_one());
    }

    fn call(&self, state: &mut State, n: usize) -> usize {
        let n = n.min(self.asleep.load(Ordering::Relaxed));
        self.asleep.fetch_sub(n, Ordering::Relaxed);
        state.called += n;
        n
    }

    /// Makes a sleeper take the watch if nobody keeps it.
    #[cold]
    fn summon(&self) {
        let mut state = lock(&self.state);
        if self.is_anyone_asleep() && !self.is_watched() {
            state.summoned = true;
            self.watched.store(true, Ordering::Relaxed);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Tells all workers to end, those asleep too.
    pub(super) fn stop(&self) {
        let state = lock(&self.state);
        self.stopping.store(true, Ordering::Relaxed);
        drop(state);
        self.changed.notify_all();
    }

    /// Sleeps until there may be something to do.
    pub(super) fn sleep(&self, view: &impl View) {
        let mut state = lock(&self.state);
        // Pairs with the loads in `alert`.
        self.asleep.fetch_add(1, Ordering::SeqCst);
        // Pairs with the fence in `submitted`, and orders the count before the last look.
        fence(Ordering::SeqCst);
        if view.has_work() {
            self.call(&mut state, 1);
        }
        loop {
            if state.called > 0 {
                state.called -= 1;
                return;
            }
            if self.is_stopping() {
                self.asleep.fetch_sub(1, Ordering::Relaxed);
                return;
            }
            let vacant = state.summoned || !self.is_watched();
            if vacant && self.is_anyone_awake() {
                state = self.keep_watch(state, view);
                continue;
            }
            if state.summoned {
                state.summoned = false;
                self.watched.store(false, Ordering::Relaxed);
            }
            state = wait(&self.changed, state);
        }
    }

    /// Watches until called, or the pool stops, or nobody is awake; calls itself when the others are stuck.
    fn keep_watch<'a>(&'a self, mut state: MutexGuard<'a, State>, view: &impl View) -> MutexGuard<'a, State> {
        state.summoned = false;
        self.watched.store(true, Ordering::Relaxed);
        let mut before = view.progress();
        while state.called == 0 && !self.is_stopping() && self.is_anyone_awake() {
            let late;
            (state, late) = wait_for(&self.changed, &self.state, state, WATCH);
            let now = view.progress();
            let stuck = before.workers != now.workers || now.ran.wrapping_sub(before.ran) < FEW;
            if late && state.called == 0 && stuck && view.has_work() {
                self.call(&mut state, 1);
            }
            before = now;
        }
        // Who is called leaves the watch to the next one.
        state.summoned = state.called > 0 && self.is_anyone_asleep();
        self.watched.store(state.summoned, Ordering::Relaxed);
        if state.summoned {
            self.changed.notify_one();
        }
        state
    }

    fn is_anyone_awake(&self) -> bool {
        self.asleep.load(Ordering::Relaxed) < self.active.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, loom))]
mod tests {
    //! Every interleaving of submitters and workers over the real protocol: work that is left while all workers sleep,
    //! and a worker that sleeps through the stop, are deadlocks, which loom reports. Loom's timeouts never come, so
    //! nothing here is rescued by the watch.
    use super::{Progress, Sleep, View};
    use crate::sync::{Arc, AtomicUsize, Condvar, Mutex, Ordering, lock, wait};
    use loom::thread;

    /// How work is made visible.
    #[derive(Clone, Copy, PartialEq)]
    enum By {
        Fence,
        SeqCst,
    }

    struct Bench {
        sleep: Sleep,
        queued: AtomicUsize,
        ran: Mutex<usize>,
        finished: Condvar,
    }

    impl View for Bench {
        fn has_work(&self) -> bool {
            self.queued.load(Ordering::SeqCst) > 0
        }

        fn progress(&self) -> Progress {
            Progress { workers: 0, ran: 0 }
        }
    }

    impl Bench {
        fn start(workers: usize, short: bool) -> (Arc<Bench>, Vec<thread::JoinHandle<()>>) {
            let bench = Arc::new(Bench {
                sleep: Sleep::default(),
                queued: AtomicUsize::new(0),
                ran: Mutex::new(0),
                finished: Condvar::new(),
            });
            bench.sleep.set_short(short);
            let spawn = |_| {
                bench.sleep.join();
                let bench = bench.clone();
                thread::spawn(move || bench.work())
            };
            let threads = (0..workers).map(spawn).collect();
            (bench, threads)
        }

        fn submit(&self, by: By) {
            match by {
                By::Fence => {
                    self.queued.fetch_add(1, Ordering::Relaxed);
                    self.sleep.submitted();
                }
                By::SeqCst => {
                    self.queued.fetch_add(1, Ordering::SeqCst);
                    self.sleep.submitted_seq_cst();
                }
            }
        }

        fn work(&self) {
            while !self.sleep.is_stopping() {
                if self.take() {
                    *lock(&self.ran) += 1;
                    self.finished.notify_one();
                } else {
                    self.sleep.sleep(self);
                }
            }
        }

        fn take(&self) -> bool {
            let mut queued = self.queued.load(Ordering::Relaxed);
            while queued > 0 {
                match self.queued.compare_exchange(queued, queued - 1, Ordering::Acquire, Ordering::Relaxed) {
                    Ok(_) => return true,
                    Err(now) => queued = now,
                }
            }
            false
        }

        /// Waits until as many tasks have run, then stops.
        fn end(&self, tasks: usize, threads: Vec<thread::JoinHandle<()>>) {
            let mut ran = lock(&self.ran);
            while *ran < tasks {
                ran = wait(&self.finished, ran);
            }
            drop(ran);
            self.sleep.stop();
            for thread in threads {
                assert!(thread.join().is_ok());
            }
        }
    }

    /// With at most so many switches at points where a thread could have gone on.
    fn check(switches: usize, body: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(switches);
        builder.check(body);
    }

    fn submit_to(workers: usize, tasks: usize, by: By, short: bool) {
        check(if workers == 1 { 4 } else { 2 }, move || {
            let (bench, threads) = Bench::start(workers, short);
            (0..tasks).for_each(|_| bench.submit(by));
            bench.end(tasks, threads);
        });
    }

    #[test]
    fn one_worker_comes_to_all_work() {
        submit_to(1, 2, By::Fence, true);
        submit_to(1, 2, By::SeqCst, true);
    }

    #[test]
    fn two_workers_come_to_short_work() {
        submit_to(2, 1, By::Fence, true);
        submit_to(2, 1, By::SeqCst, true);
    }

    #[test]
    fn two_workers_come_to_long_work() {
        submit_to(2, 1, By::SeqCst, false);
    }

    #[test]
    fn two_submitters() {
        check(3, || {
            let (bench, threads) = Bench::start(1, true);
            let other = bench.clone();
            let submitter = thread::spawn(move || other.submit(By::Fence));
            bench.submit(By::SeqCst);
            assert!(submitter.join().is_ok());
            bench.end(2, threads);
        });
    }

    #[test]
    fn a_worker_that_retires_leaves_its_work_to_a_sleeper() {
        check(3, || {
            let (bench, threads) = Bench::start(1, true);
            bench.sleep.join(); // this thread goes on after a wait, one too many
            bench.submit(By::Fence);
            if bench.sleep.retires(1) {
                bench.sleep.submitted();
            }
            bench.end(1, threads);
        });
    }

    #[test]
    fn nobody_sleeps_through_the_stop() {
        check(3, || {
            let (bench, threads) = Bench::start(2, true);
            bench.end(0, threads);
        });
    }
}
