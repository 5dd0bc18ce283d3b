//! What this machine charges for the least that an engine must do: locks, cache lines that change cores, tasks that cross
//! from one thread to another. No engine is faster than its share of these, so they tell how far a figure can go.

use std::array;
use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// Turns a measurement takes.
const TURNS: usize = 2_000_000;
/// As many vars as the workloads have, on cache lines of their own.
const VARS: usize = 1000;
/// Room for tasks that were handed over and did not run yet.
const ROOM: usize = 1024;

/// Nanoseconds each, by name. What needs two cores is left out where this process has one.
pub fn measure() -> Vec<(&'static str, f64)> {
    let mut found = vec![("lock and unlock", lock_alone()), ("3 locks of 1000, twice", locks_of_many())];
    if thread::available_parallelism().is_ok_and(|n| n.get() > 1) {
        found.push(("line to the other core", line_handed_over()));
    }
    found.push(("empty task to the other thread", task_handed_over()));
    found
}

#[derive(Default)]
#[repr(align(128))]
struct Line<T>(T);

fn nanoseconds_each(turns: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() / turns as f64 * 1e9
}

/// A turn of the smallest lock there is, by the only thread.
fn turn(lock: &AtomicBool) {
    let taken = lock.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
    debug_assert!(taken.is_ok(), "this thread is the only one");
    lock.store(false, Ordering::Release);
}

fn lock_alone() -> f64 {
    let lock = Line::<AtomicBool>::default();
    nanoseconds_each(TURNS, || (0..TURNS).for_each(|_| turn(black_box(&lock.0))))
}

/// What the var locks alone cost a task of the `dag` workload: three vars, each locked when it is pushed and when it ends.
fn locks_of_many() -> f64 {
    let locks: Vec<Line<AtomicBool>> = (0..VARS).map(|_| Line::default()).collect();
    let mut state = 1_u64;
    let mut any = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % VARS
    };
    let triples: Vec<[usize; 3]> = (0..TURNS / 8).map(|_| array::from_fn(|_| any())).collect();
    nanoseconds_each(triples.len(), || {
        for triple in &triples {
            triple.iter().chain(triple).for_each(|i| turn(black_box(&locks[*i].0)));
        }
    })
}

/// One line that two cores write in turn: the time until the other's change is seen and answered, halved.
fn line_handed_over() -> f64 {
    let line = Line::<AtomicUsize>::default();
    let play = |mine: usize| {
        for turn in (mine..TURNS).step_by(2) {
            while line.0.load(Ordering::Acquire) != turn {
                spin_loop();
            }
            line.0.store(turn + 1, Ordering::Release);
        }
    };
    nanoseconds_each(TURNS, || {
        thread::scope(|scope| {
            scope.spawn(|| play(1));
            play(0);
        });
    })
}

/// A task of one cache line, through a ring: nothing is allocated, locked, tracked or counted, and nobody sleeps.
fn task_handed_over() -> f64 {
    let ring: Vec<Line<[AtomicU64; 8]>> = (0..ROOM).map(|_| Line::default()).collect();
    let (pushed, done) = (Line::<AtomicUsize>::default(), Line::<AtomicUsize>::default());
    let wait_until = |is_so: &dyn Fn() -> bool| {
        while !is_so() {
            thread::yield_now();
        }
    };
    nanoseconds_each(TURNS, || {
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut seen = 0;
                for i in 0..TURNS {
                    if i == seen {
                        wait_until(&|| pushed.0.load(Ordering::Acquire) > i);
                        seen = pushed.0.load(Ordering::Acquire);
                    }
                    ring[i % ROOM].0.iter().for_each(|word| _ = black_box(word.load(Ordering::Relaxed)));
                    done.0.store(i + 1, Ordering::Release);
                }
            });
            let mut seen = 0;
            for i in 0..TURNS {
                if i - seen == ROOM {
                    wait_until(&|| done.0.load(Ordering::Acquire) > i - ROOM);
                    seen = done.0.load(Ordering::Acquire);
                }
                ring[i % ROOM].0.iter().for_each(|word| word.store(i as u64, Ordering::Relaxed));
                pushed.0.store(i + 1, Ordering::Release);
            }
        });
    })
}
