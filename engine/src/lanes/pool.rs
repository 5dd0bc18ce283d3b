//! A pool of worker threads: work stealing for ordinary tasks, a heap for those with a priority.

use super::parallel::SharedLoop;
use crate::error::Error;
use crate::lane::Lane;
use crate::sync::{Arc, AtomicBool, AtomicUsize, Condvar, Mutex, Ordering, fence, lock, wait};
use crate::task::ReadyTask;
use crossbeam_deque::{Injector, Steal, Stealer, Worker};
use std::cell::RefCell;
use std::cmp::Ordering as Cmp;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::sync::RwLock;
use std::thread::JoinHandle;

/// At most this many threads of one pool, those blocked in waits included.
const MAX_THREADS: usize = 512;
/// How often an idle worker looks for work before it sleeps.
const SPINS: u32 = 200;

/// Worker threads that share ready tasks.
///
/// A worker takes, in this order: tasks of positive priority, shared loops, its own queue, the common queue, other
/// workers' queues, tasks of negative priority. A worker that blocks in a wait is replaced by another thread until it
/// goes on, so a pool never runs short of workers because of waits.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    name: String,
    width: usize,
    common: Injector<ReadyTask>,
    stealers: RwLock<Vec<(usize, Stealer<ReadyTask>)>>,
    ranked: Mutex<BinaryHeap<Ranked>>,
    /// Tasks in `ranked` with a positive priority, and with a negative one.
    ranked_len: (AtomicUsize, AtomicUsize),
    next_rank: AtomicUsize,
    loops: Mutex<Vec<Arc<SharedLoop>>>,
    loops_len: AtomicUsize,
    /// Workers asleep; changed under `sleep.0`.
    sleepers: AtomicUsize,
    sleep: (Mutex<()>, Condvar),
    stopping: AtomicBool,
    /// Threads that are not blocked; above `width` some retire.
    active: AtomicUsize,
    /// Threads in all, and the next worker's number.
    alive: AtomicUsize,
    next_worker: AtomicUsize,
}

/// A task with a priority, oldest first among equals.
struct Ranked {
    priority: i32,
    rank: usize,
    task: ReadyTask,
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Cmp::Equal
    }
}
impl Eq for Ranked {}
impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Cmp> {
        Some(self.cmp(other))
    }
}
impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Cmp {
        self.priority.cmp(&other.priority).then(other.rank.cmp(&self.rank))
    }
}

struct Local {
    pool: usize,
    number: usize,
    queue: Worker<ReadyTask>,
}

thread_local! {
    /// The queue of the worker that this thread is.
    static LOCAL: RefCell<Option<Rc<Local>>> = const { RefCell::new(None) };
}

impl Pool {
    /// Starts `width` threads.
    ///
    /// # Errors
    /// [`Error::Lane`] when the system refuses a thread.
    pub fn start(name: &str, width: usize) -> Result<Pool, Error> {
        let shared = Arc::new(Shared {
            name: name.to_string(),
            width,
            common: Injector::new(),
            stealers: RwLock::new(Vec::new()),
            ranked: Mutex::new(BinaryHeap::new()),
            ranked_len: (AtomicUsize::new(0), AtomicUsize::new(0)),
            next_rank: AtomicUsize::new(0),
            loops: Mutex::new(Vec::new()),
            loops_len: AtomicUsize::new(0),
            sleepers: AtomicUsize::new(0),
            sleep: (Mutex::new(()), Condvar::new()),
            stopping: AtomicBool::new(false),
            active: AtomicUsize::new(0),
            alive: AtomicUsize::new(0),
            next_worker: AtomicUsize::new(0),
        });
        let pool = Pool { shared, threads: Mutex::new(Vec::new()) };
        for _ in 0..width {
            pool.spawn()?;
        }
        Ok(pool)
    }

    fn spawn(&self) -> Result<(), Error> {
        let shared = self.shared.clone();
        let number = shared.next_worker.fetch_add(1, Ordering::Relaxed);
        shared.active.fetch_add(1, Ordering::Relaxed);
        shared.alive.fetch_add(1, Ordering::Relaxed);
        let builder = std::thread::Builder::new().name(format!("{}-{number}", shared.name));
        let spawned = builder.spawn(move || work(&shared, number));
        match spawned {
            Ok(thread) => {
                let mut threads = lock(&self.threads);
                threads.retain(|t| !t.is_finished());
                threads.push(thread);
                Ok(())
            }
            Err(e) => {
                self.shared.active.fetch_sub(1, Ordering::Relaxed);
                self.shared.alive.fetch_sub(1, Ordering::Relaxed);
                Err(Error::Lane { lane: self.shared.name.clone(), reason: format!("no thread: {e}") })
            }
        }
    }
}

impl Lane for Pool {
    fn name(&self) -> &str {
        &self.shared.name
    }

    fn width(&self) -> usize {
        self.shared.width
    }

    fn submit(&self, task: ReadyTask) {
        let shared = &self.shared;
        let priority = task.priority();
        if priority == 0 {
            shared.push(task);
        } else {
            let rank = shared.next_rank.fetch_add(1, Ordering::Relaxed);
            let mut ranked = lock(&shared.ranked);
            ranked.push(Ranked { priority, rank, task });
            shared.ranked_len(priority).fetch_add(1, Ordering::Relaxed);
        }
        shared.wake(1);
    }

    fn parallel_for(&self, n: usize, body: &(dyn Fn(usize) + Sync)) {
        let shared = &self.shared;
        if n <= 1 || shared.width == 1 {
            return (0..n).for_each(body);
        }
        SharedLoop::run(
            n,
            body,
            |it| {
                lock(&shared.loops).push(it.clone());
                shared.loops_len.fetch_add(1, Ordering::Relaxed);
                shared.wake(n - 1);
            },
            |it| {
                let mut loops = lock(&shared.loops);
                let before = loops.len();
                loops.retain(|l| !Arc::ptr_eq(l, it));
                shared.loops_len.fetch_sub(before - loops.len(), Ordering::Relaxed);
            },
        );
    }

    fn begin_block(&self) -> Result<(), Error> {
        let shared = &self.shared;
        let alive = shared.alive.load(Ordering::Relaxed);
        if alive >= MAX_THREADS {
            return Err(Error::TooManyWaits { lane: shared.name.clone(), waiting: alive, limit: MAX_THREADS });
        }
        self.spawn()?;
        shared.active.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    fn end_block(&self) {
        self.shared.active.fetch_add(1, Ordering::Relaxed);
    }

    fn shutdown(&self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.wake(usize::MAX);
        let own = std::thread::current().id();
        for thread in lock(&self.threads).drain(..) {
            if thread.thread().id() != own {
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Shared {
    fn address(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    fn ranked_len(&self, priority: i32) -> &AtomicUsize {
        if priority > 0 { &self.ranked_len.0 } else { &self.ranked_len.1 }
    }

    fn push(&self, task: ReadyTask) {
        let own = LOCAL.with_borrow(|l| l.clone().filter(|l| l.pool == self.address()));
        match own {
            Some(local) => local.queue.push(task),
            None => self.common.push(task),
        }
    }

    /// Wakes up to `n` sleepers. Called after work was made visible.
    ///
    /// Either this sees the sleeper's count, or the sleeper's last look sees the work: both sides put a SeqCst fence
    /// between their write and their read.
    fn wake(&self, n: usize) {
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::Relaxed) > 0 {
            let _guard = lock(&self.sleep.0);
            if n == 1 { self.sleep.1.notify_one() } else { self.sleep.1.notify_all() }
        }
    }

    fn has_work(&self) -> bool {
        let (high, low) = &self.ranked_len;
        high.load(Ordering::Relaxed) > 0
            || low.load(Ordering::Relaxed) > 0
            || self.loops_len.load(Ordering::Relaxed) > 0
            || !self.common.is_empty()
            || self.stealers.read().unwrap_or_else(std::sync::PoisonError::into_inner).iter().any(|s| !s.1.is_empty())
    }

    fn take_ranked(&self, positive: bool) -> Option<ReadyTask> {
        let len = if positive { &self.ranked_len.0 } else { &self.ranked_len.1 };
        if len.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut ranked = lock(&self.ranked);
        if ranked.peek()?.priority > 0 || !positive {
            let top = ranked.pop()?;
            self.ranked_len(top.priority).fetch_sub(1, Ordering::Relaxed);
            return Some(top.task);
        }
        None
    }

    fn help_loop(&self) -> bool {
        if self.loops_len.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let found = lock(&self.loops).iter().find(|l| !l.is_spent()).cloned();
        found.inspect(|l| l.help()).is_some()
    }

    fn find(&self, local: &Local) -> Option<ReadyTask> {
        if let Some(task) = self.take_ranked(true).or_else(|| local.queue.pop()) {
            return Some(task);
        }
        loop {
            match self.common.steal() {
                Steal::Success(task) => return Some(task),
                Steal::Empty => break,
                Steal::Retry => {}
            }
        }
        let stealers = self.stealers.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (_, stealer) in stealers.iter().filter(|s| s.0 != local.number) {
            loop {
                match stealer.steal() {
                    Steal::Success(task) => return Some(task),
                    Steal::Empty => break,
                    Steal::Retry => {}
                }
            }
        }
        drop(stealers);
        self.take_ranked(false)
    }

    /// Takes this thread out of the pool if there are more than the pool needs.
    fn retires(&self) -> bool {
        let mut active = self.active.load(Ordering::Relaxed);
        while active > self.width {
            match self.active.compare_exchange_weak(active, active - 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => active = now,
            }
        }
        false
    }

    fn sleep(&self) {
        let guard = lock(&self.sleep.0);
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        // See `wake`.
        fence(Ordering::SeqCst);
        if !self.has_work() && !self.stopping.load(Ordering::SeqCst) {
            drop(wait(&self.sleep.1, guard));
        }
        self.sleepers.fetch_sub(1, Ordering::Relaxed);
    }
}

fn work(shared: &Arc<Shared>, number: usize) {
    let local = Rc::new(Local { pool: shared.address(), number, queue: Worker::new_fifo() });
    let write = || shared.stealers.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    write().push((number, local.queue.stealer()));
    LOCAL.set(Some(local.clone()));
    let mut idle = 0;
    while !shared.stopping.load(Ordering::Relaxed) && !shared.retires() {
        if shared.help_loop() {
            idle = 0;
        } else if let Some(task) = shared.find(&local) {
            task.run();
            idle = 0;
        } else if idle < SPINS {
            idle += 1;
            if idle % 8 == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
        } else {
            shared.sleep();
            idle = 0;
        }
    }
    LOCAL.set(None);
    write().retain(|s| s.0 != number);
    while let Some(task) = local.queue.pop() {
        shared.common.push(task);
    }
    shared.alive.fetch_sub(1, Ordering::Relaxed);
    shared.wake(1);
}
