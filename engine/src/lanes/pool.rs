//! A pool of worker threads: work stealing for ordinary tasks, a heap for those with a priority.

use super::parallel::Loops;
use super::ranked::Ranked;
use super::sleep::{Progress, Sleep, View};
use crate::engine::Core;
use crate::error::Error;
use crate::lane::Lane;
use crate::node::{Inbox, TaskRef};
use crate::sync::{
    Arc, AtomicUsize, JoinHandle, Mutex, Ordering, Padded, RwLock, StopWatch, fence, has_ended, lock, read, rounds,
    spin_loop, thread, thread_local, write, yield_now,
};
use crate::task::{ReadyTask, Scratch, hand_over, run};
use crossbeam_deque::{Steal, Stealer, Worker as Queue};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// At most this many threads of one pool, those blocked in waits included.
const MAX_THREADS: usize = 512;
/// How often an idle worker looks for work before it sleeps.
const LOOKS: u32 = rounds(400);
/// How many of these looks come before the worker offers its core to others each time.
const PATIENT_LOOKS: u32 = 3;
/// How many spins lie between two looks.
const SPINS: u32 = rounds(16);
/// A worker wakes another when the tasks in its queue will take longer than this: about what waking costs.
const WORTH_WAKING: Duration = Duration::from_micros(20);
/// Tasks that take less than this are left to the workers that are awake.
const SHORT: Duration = Duration::from_micros(2);
/// How often a worker looks at the clock, in tasks.
const CLOCK_TASKS: u32 = rounds(16);
/// As many tasks run straight after the one that released them, before others get their turn.
const MAX_STREAK: u32 = 64;

/// Worker threads that share ready tasks.
///
/// A worker takes, in this order: tasks of positive priority, shared loops, what its last task released, its own queue,
/// the common inbox, other workers' queues, tasks of negative priority. A worker that blocks in a wait is replaced by
/// another thread until it goes on, so a pool never runs short of workers because of waits.
///
/// Waking a thread costs as much as many short tasks. So workers estimate how long their tasks take, and wake another
/// only when what is queued is worth it; one sleeper keeps watch for estimates that prove wrong.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    name: String,
    width: usize,
    inbox: Padded<Inbox>,
    workers: RwLock<Vec<Public>>,
    ranked: Ranked,
    loops: Loops,
    sleep: Sleep,
    /// Threads in all, and the next worker's number.
    alive: AtomicUsize,
    next_worker: AtomicUsize,
}

/// What others see of a worker.
struct Public {
    number: usize,
    queue: Stealer<TaskRef>,
    /// How many tasks it has run.
    ran: Arc<Padded<AtomicUsize>>,
}

/// The queue of a worker, where the tasks that it runs find it.
struct Local {
    pool: usize,
    queue: Queue<TaskRef>,
}

thread_local! {
    /// The queue of the worker that this thread is.
    #[allow(clippy::missing_const_for_thread_local)] // loom's threads know no constants
    static LOCAL: RefCell<Option<Rc<Local>>> = RefCell::new(None);
}

impl Pool {
    /// Starts `width` threads, at least one.
    ///
    /// # Errors
    /// [`Error::Lane`] when the system refuses a thread.
    pub fn start(name: &str, width: usize) -> Result<Pool, Error> {
        let width = width.max(1);
        let shared = Arc::new(Shared {
            name: name.to_string(),
            width,
            inbox: Padded::default(),
            workers: RwLock::new(Vec::new()),
            ranked: Ranked::default(),
            loops: Loops::default(),
            sleep: Sleep::default(),
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
        shared.sleep.join();
        shared.alive.fetch_add(1, Ordering::Relaxed);
        let builder = thread::Builder::new().name(format!("{}-{number}", shared.name));
        let spawned = builder.spawn(move || Worker::new(&shared, number).work());
        match spawned {
            Ok(thread) => {
                let mut threads = lock(&self.threads);
                threads.retain(|t| !has_ended(t));
                threads.push(thread);
                Ok(())
            }
            Err(e) => {
                self.shared.sleep.leave();
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

    #[inline]
    fn submit(&self, task: ReadyTask) {
        let shared = &self.shared;
        let Some(task) = task.into_task() else { return };
        if task.priority() != 0 {
            shared.ranked.push(task);
            shared.sleep.submitted();
            return shared.handed_over();
        }
        let own = LOCAL.with(|l| l.borrow().clone().filter(|l| l.pool == shared.address()));
        match own {
            Some(local) => {
                local.queue.push(task);
                if shared.sleep.is_short() {
                    shared.sleep.submitted_by_worker();
                } else {
                    shared.sleep.submitted();
                }
            }
            None => {
                shared.inbox.push(task);
                shared.sleep.submitted_seq_cst();
                shared.handed_over();
            }
        }
    }

    fn parallel_for(&self, n: usize, body: &(dyn Fn(usize) + Sync)) {
        let shared = &self.shared;
        if n <= 1 || shared.width == 1 {
            return (0..n).for_each(body);
        }
        shared.loops.run(n, body, || shared.sleep.submitted_for(n - 1));
    }

    fn begin_block(&self) -> Result<(), Error> {
        let shared = &self.shared;
        let alive = shared.alive.load(Ordering::Relaxed);
        if alive >= MAX_THREADS {
            return Err(Error::TooManyWaits { lane: shared.name.clone(), waiting: alive, limit: MAX_THREADS });
        }
        // First make room: a thread that finds no room retires.
        shared.sleep.leave();
        self.spawn().inspect_err(|_| shared.sleep.join())
    }

    fn end_block(&self) {
        self.shared.sleep.join();
    }

    fn shutdown(&self) {
        self.shared.sleep.stop();
        // A task that runs may wait for one that will not: that one must go before the threads are awaited.
        self.shared.give_up_queued();
        let own = thread::current().id();
        // Not joined under the lock: a thread that is about to block starts another, which takes it.
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads.into_iter().filter(|t| t.thread().id() != own) {
            let _ = thread.join();
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

    /// Called after a task was handed over that no worker may come to any more.
    ///
    /// Either this sees that the pool stops, or who stops it sees the task: both sides write, then read, with SeqCst between. The
    /// queue of a worker needs no such look: the worker itself empties it when it stops.
    #[inline]
    fn handed_over(&self) {
        if self.sleep.is_stopping_seq_cst() {
            self.give_up_queued();
        }
    }

    /// Drops all tasks that nobody runs.
    #[cold]
    fn give_up_queued(&self) {
        fence(Ordering::SeqCst); // partner: `handed_over`
        let mut queued: Vec<TaskRef> = self.inbox.take().collect();
        queued.extend(std::iter::from_fn(|| self.ranked.take(true).or_else(|| self.ranked.take(false))));
        for worker in read(&self.workers).iter() {
            loop {
                match worker.queue.steal() {
                    Steal::Success(task) => queued.push(task),
                    Steal::Empty => break,
                    Steal::Retry => {}
                }
            }
        }
        queued.into_iter().for_each(|task| drop(ReadyTask::from_task(task)));
    }
}

impl View for Shared {
    fn has_work(&self) -> bool {
        !self.inbox.is_empty()
            || !self.ranked.is_empty()
            || self.loops.is_any_open()
            || read(&self.workers).iter().any(|w| !w.queue.is_empty())
    }

    fn progress(&self) -> Progress {
        let workers = read(&self.workers);
        let ran = workers.iter().fold(0_usize, |n, w| n.wrapping_add(w.ran.load(Ordering::Relaxed)));
        Progress { workers: workers.len(), ran }
    }
}

/// A worker thread.
struct Worker<'a> {
    shared: &'a Arc<Shared>,
    number: usize,
    local: Rc<Local>,
    ran: Arc<Padded<AtomicUsize>>,
    scratch: Scratch,
    /// The engine of the first task.
    core: Option<Arc<Core>>,
    /// A task that the last one released, and how many were run like that in a row.
    next: Option<TaskRef>,
    streak: u32,
    /// When the clock was last looked at, how many tasks ran since, and what a task took of late.
    watch: StopWatch,
    tasks: u32,
    task_time: Duration,
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Arc<Shared>, number: usize) -> Self {
        let local = Rc::new(Local { pool: shared.address(), queue: Queue::new_fifo() });
        let ran = Arc::new(Padded(AtomicUsize::new(0)));
        let public = Public { number, queue: local.queue.stealer(), ran: ran.clone() };
        write(&shared.workers).push(public);
        LOCAL.with(|l| l.replace(Some(local.clone())));
        Worker {
            shared,
            number,
            local,
            ran,
            scratch: Scratch::new(0),
            core: None,
            next: None,
            streak: 0,
            watch: StopWatch::start(),
            tasks: 0,
            task_time: WORTH_WAKING,
        }
    }

    fn work(mut self) {
        let mut looks = 0;
        while !self.shared.sleep.is_stopping() && (self.next.is_some() || !self.shared.sleep.retires(self.shared.width))
        {
            if self.shared.loops.help() {
                looks = 0;
            } else if let Some(task) = self.find() {
                if looks > 0 {
                    looks = 0;
                    (self.watch, self.tasks) = (StopWatch::start(), 0);
                }
                self.run(task);
            } else {
                if looks == 0 {
                    self.out_of_work();
                }
                looks += 1;
                if looks > LOOKS {
                    self.shared.sleep.sleep(&**self.shared);
                    looks = 1;
                } else if looks < PATIENT_LOOKS {
                    (0..SPINS).for_each(|_| spin_loop());
                } else {
                    // Who is to bring work may need this core.
                    yield_now();
                }
            }
        }
        self.leave();
    }

    /// Tells those who wait for an idle engine, and gives memory back.
    fn out_of_work(&mut self) {
        if let Some(core) = &self.core {
            self.scratch.flush(core);
            core.wake_waiters();
        }
    }

    fn leave(mut self) {
        self.out_of_work();
        LOCAL.with(|l| l.replace(None));
        write(&self.shared.workers).retain(|w| w.number != self.number);
        while let Some(task) = self.next.take().or_else(|| self.local.queue.pop()) {
            self.shared.inbox.push(task);
        }
        self.shared.alive.fetch_sub(1, Ordering::Relaxed);
        self.shared.sleep.submitted();
        self.shared.handed_over();
    }

    #[inline]
    fn run(&mut self, task: TaskRef) {
        self.ran.store(self.ran.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        if !self.is_of_own_engine(task) && !self.meet_engine(task) {
            return ReadyTask::from_task(task).run();
        }
        let lane = task.lane();
        run(task, &mut self.scratch);
        while let Some(task) = self.scratch.ready.pop() {
            if task.call().is_inline() {
                run(task, &mut self.scratch);
            } else if task.lane() != lane {
                self.hand_over(task);
            } else if task.priority() != 0 {
                self.shared.ranked.push(task);
                self.shared.sleep.submitted();
            } else if self.next.is_none() && self.streak < MAX_STREAK {
                self.next = Some(task);
            } else {
                self.local.queue.push(task);
                self.shared.sleep.submitted_by_worker();
            }
        }
        self.tasks += 1;
        if self.tasks >= CLOCK_TASKS {
            self.look_at_clock();
        } else if self.task_time > SHORT {
            self.share();
        }
    }

    fn hand_over(&mut self, task: TaskRef) {
        if let Some(core) = &self.core {
            hand_over(core, task, &mut self.scratch);
        }
    }

    #[inline]
    fn is_of_own_engine(&self, task: TaskRef) -> bool {
        self.core.as_ref().is_some_and(|core| std::ptr::eq(Arc::as_ptr(core), task.core().as_ptr()))
    }

    /// Makes the engine of its first task the worker's own, whose counter and freed memory it keeps. `false` for others: an
    /// embedder's lanes may share one pool.
    #[cold]
    fn meet_engine(&mut self, task: TaskRef) -> bool {
        let is_first = self.core.is_none();
        if is_first {
            let core = ReadyTask::core_of(task);
            self.scratch = Scratch::new(core.take_counter());
            self.core = Some(core);
        }
        is_first
    }

    #[cold]
    fn look_at_clock(&mut self) {
        let each = self.watch.lap() / self.tasks;
        self.task_time = (self.task_time * 3 + each) / 4;
        self.tasks = 0;
        self.shared.sleep.set_short(self.task_time < SHORT);
        self.share();
    }

    /// Wakes another worker if there is one and what is queued here is worth it.
    #[inline]
    fn share(&self) {
        let sleep = &self.shared.sleep;
        if sleep.is_anyone_asleep() {
            let queued = u32::try_from(self.local.queue.len()).unwrap_or(u32::MAX);
            let unwatched = queued > 0 && !sleep.is_watched();
            if self.task_time.saturating_mul(queued) > WORTH_WAKING || unwatched {
                sleep.wake(1);
            }
        }
    }

    #[inline]
    fn find(&mut self) -> Option<TaskRef> {
        if let Some(task) = self.shared.ranked.take(true) {
            return Some(task);
        }
        if let Some(task) = self.next.take() {
            self.streak += 1;
            return Some(task);
        }
        self.streak = 0;
        self.local.queue.pop().or_else(|| self.find_elsewhere())
    }

    fn find_elsewhere(&mut self) -> Option<TaskRef> {
        if !self.shared.inbox.is_empty() {
            self.shared.inbox.take().for_each(|task| self.local.queue.push(task));
            if let Some(task) = self.local.queue.pop() {
                self.share();
                return Some(task);
            }
        }
        if let Some(task) = self.steal() {
            // The lock of the workers is free again: waking takes another, under which sleepers take this one.
            self.share();
            return Some(task);
        }
        self.shared.ranked.take(false)
    }

    fn steal(&self) -> Option<TaskRef> {
        for worker in read(&self.shared.workers).iter().filter(|w| w.number != self.number) {
            loop {
                match worker.queue.steal_batch_and_pop(&self.local.queue) {
                    Steal::Success(task) => return Some(task),
                    Steal::Empty => break,
                    Steal::Retry => {}
                }
            }
        }
        None
    }
}
