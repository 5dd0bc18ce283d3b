//! Who observes, and the threads' way to it.

use super::buffer::{Reader, Writer, buffer};
use super::event::{Event, EventKind, TaskNumber, Trace};
use crate::engine::Core;
use crate::error::Error;
use crate::sync::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering, lock};
use std::time::Instant;

/// Of more threads than this the events are counted as lost.
const MAX_THREADS: usize = 4096;

/// How an engine is observed.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct WatchOptions {
    events_per_thread: usize,
}

impl Default for WatchOptions {
    fn default() -> Self {
        WatchOptions { events_per_thread: 1 << 20 }
    }
}

impl WatchOptions {
    /// The most events that are held for each thread until they are drained, 2^20 unless set; an event takes about 100
    /// bytes. More are counted as lost: recording never holds a thread up. With 0 all are.
    pub fn events_per_thread(mut self, n: usize) -> Self {
        self.events_per_thread = n;
        self
    }
}

/// What a watch and the threads that record for it share.
pub(super) struct Recorder {
    began: Instant,
    events_per_thread: usize,
    arrivals: Mutex<Arrivals>,
    /// Events of threads that have no buffer.
    unbuffered: AtomicUsize,
    is_over: AtomicBool,
}

/// Threads that have begun to record since the last drain.
#[derive(Default)]
struct Arrivals {
    /// How many have arrived since the watch began.
    count: usize,
    new: Vec<(String, Reader<Event>)>,
}

impl Recorder {
    fn new(options: WatchOptions) -> Arc<Self> {
        Arc::new(Recorder {
            began: Instant::now(),
            events_per_thread: options.events_per_thread,
            arrivals: Mutex::new(Arrivals::default()),
            unbuffered: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Counts an event that cannot be held.
    pub(super) fn lose(&self) {
        self.unbuffered.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the watch has ended, so that nobody will read what is recorded.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// What a thread records with.
pub(super) struct Pen {
    recorder: Arc<Recorder>,
    thread: usize,
    /// Absent when there are too many threads.
    writer: Option<Writer<Event>>,
}

impl Pen {
    /// For the calling thread.
    pub(super) fn new(recorder: &Arc<Recorder>) -> Pen {
        let mut arrivals = lock(&recorder.arrivals);
        let thread = arrivals.count;
        let writer = (thread < MAX_THREADS).then(|| {
            let (writer, reader) = buffer(recorder.events_per_thread);
            let name = std::thread::current().name().map_or_else(|| format!("thread {thread}"), str::to_string);
            arrivals.count += 1;
            arrivals.new.push((name, reader));
            writer
        });
        Pen { recorder: recorder.clone(), thread, writer }
    }

    pub(super) fn recorder(&self) -> &Arc<Recorder> {
        &self.recorder
    }

    pub(super) fn write(&mut self, task: Option<TaskNumber>, kind: EventKind) {
        match &mut self.writer {
            Some(writer) => writer.push(Event { nanos: self.recorder.now(), thread: self.thread, task, kind }),
            None => self.recorder.lose(),
        }
    }
}

/// Records what happens to the tasks of an engine, from [`Engine::observe`](crate::Engine::observe) until it is stopped
/// or dropped. It keeps no engine open.
#[must_use = "dropping a watch ends it"]
pub struct Watch {
    core: Arc<Core>,
    recorder: Arc<Recorder>,
    threads: Vec<String>,
    readers: Vec<Reader<Event>>,
    /// Events already taken that belong to the next trace.
    later: Vec<Event>,
    /// How many of the unbuffered events were told.
    unbuffered: usize,
}

impl Watch {
    pub(crate) fn begin(core: Arc<Core>, options: WatchOptions) -> Result<Watch, Error> {
        let recorder = Recorder::new(options);
        core.observer.begin(&recorder)?;
        let (threads, readers, later) = Default::default();
        Ok(Watch { core, recorder, threads, readers, later, unbuffered: 0 })
    }

    /// Hands over what was recorded since the watch began or was last drained, without holding anybody up, and makes
    /// room for as much again.
    ///
    /// Its events go up to the moment of the call, so those of the next drain are later; but a thread that is interrupted
    /// just as it records an event may hand that one in late.
    pub fn drain(&mut self) -> Trace {
        // Whatever led to an event up to now was recorded before it, so it is found too; of later ones it may not be.
        let until = self.recorder.now();
        for (name, reader) in std::mem::take(&mut lock(&self.recorder.arrivals).new) {
            self.threads.push(name);
            self.readers.push(reader);
        }
        let mut events = std::mem::take(&mut self.later);
        let unbuffered = self.recorder.unbuffered.load(Ordering::Relaxed);
        let mut lost = unbuffered.wrapping_sub(std::mem::replace(&mut self.unbuffered, unbuffered));
        self.readers.retain_mut(|reader| {
            let is_abandoned = reader.is_abandoned();
            reader.take(|event| events.push(event));
            lost += reader.lost();
            !is_abandoned
        });
        events.sort_by_key(Event::key);
        self.later = events.split_off(events.partition_point(|e| e.nanos <= until));
        Trace { began: self.recorder.began, events, threads: self.threads.clone(), lanes: self.core.lane_names(), lost }
    }

    /// Ends the watch and hands over what was recorded and not yet drained.
    #[must_use = "dropping the watch ends it too"]
    pub fn stop(mut self) -> Trace {
        self.end();
        self.drain()
    }

    fn end(&self) {
        self.core.observer.end(&self.recorder);
        // Relaxed: only lets threads drop their pens.
        self.recorder.is_over.store(true, Ordering::Relaxed);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
        // Threads keep the recorder until they record for another watch; what it holds goes now. It may hold the last of a
        // failure, whose drop is foreign code: not under the lock.
        let unread = std::mem::take(&mut lock(&self.recorder.arrivals).new);
        drop(unread);
    }
}
