//! Fences and the simulated device: order on the device without host waits, failures, what is held for the host.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;
use support::deadline;
use varflow_engine::{Cause, Engine, Fence, Lane, LaneHandle, ReadyTask, Signal, SimDevice, SimQueue, Var};

const SHORT: Duration = Duration::from_micros(200);

fn engine() -> Engine {
    Engine::builder().cpu_workers(2).build().unwrap()
}

fn lane(engine: &Engine, queue: &SimQueue) -> LaneHandle {
    engine.add_lane(queue.clone()).unwrap()
}

/// Pushes a task that appends `i` to the log, on the device.
fn append(engine: &Engine, (queue, lane): &(SimQueue, LaneHandle), var: &Var, log: &Arc<Mutex<Vec<usize>>>, i: usize) {
    let log = log.clone();
    let work = queue.work(move || {
        log.lock().unwrap().push(i);
        Ok(())
    });
    engine.raw(format!("append {i}")).lane(lane).write(var).run_async(work);
}

#[test]
fn a_chain_between_queues_is_issued_without_the_host_waiting() {
    deadline(30, || {
        let (one, two) = (SimDevice::start("one").unwrap(), SimDevice::start("two").unwrap());
        let engine = engine();
        // Two queues of one device and one of another.
        let queues: Vec<_> = [one.queue("a", SHORT), one.queue("b", Duration::ZERO), two.queue("c", SHORT)]
            .map(|q| (q.clone(), lane(&engine, &q)))
            .into();
        let (var, log) = (engine.var(), Arc::new(Mutex::new(Vec::new())));
        one.pause();
        two.pause();
        for i in 0..300 {
            append(&engine, &queues[i % 3], &var, &log, i);
        }
        // Everything is issued while nothing has been done: no host thread stood in between.
        assert_eq!((one.num_issued() + two.num_issued(), one.num_done() + two.num_done()), (300, 0));
        assert_eq!(engine.num_held(), 0);
        one.resume();
        two.resume();
        var.wait().unwrap();
        assert_eq!(*log.lock().unwrap(), (0..300).collect::<Vec<_>>());
        // The wait itself is a host's: it alone was held, for the last fence.
        assert!(engine.num_held() <= 1);
        engine.wait_all().unwrap();
    });
}

#[test]
fn host_tasks_start_when_the_fence_has_fired() {
    deadline(30, || {
        let device = SimDevice::start("device").unwrap();
        let engine = engine();
        let (copy_in, copy_out) = (device.queue("copy-in", SHORT), device.queue("copy-out", SHORT));
        let (on_in, on_out) = (lane(&engine, &copy_in), lane(&engine, &copy_out));
        // Locks that must never be contended, in the host's memory and the device's.
        let cells = Arc::new([const { RwLock::new(0_u64) }; 3]);
        let (host, on_device, back) = (engine.var(), engine.var(), engine.var());
        let copy = |from: usize, to: usize| {
            let cells = cells.clone();
            move || {
                *cells[to].try_write().unwrap() = *cells[from].try_read().unwrap();
                Ok(())
            }
        };
        for round in 0..50 {
            let (make, check) = (cells.clone(), cells.clone());
            engine.raw("make").write(&host).run(move |_| *make[0].try_write().unwrap() += round);
            let (up, down) = (copy_in.work(copy(0, 1)), copy_out.work(copy(1, 2)));
            engine.raw("upload").lane(&on_in).read(&host).overwrite(&on_device).run_async(up);
            engine.raw("download").lane(&on_out).read(&on_device).overwrite(&back).run_async(down);
            engine.raw("check").read(&back).run(move |_| {
                assert_eq!(*check[2].try_read().unwrap(), (0..=round).sum::<u64>());
            });
        }
        engine.wait_all().unwrap();
        assert!(engine.num_held() > 0, "the host's tasks had to wait for the device");
        assert_eq!(device.num_done(), 100);
    });
}

#[test]
fn a_failure_on_the_device_poisons_what_comes_after() {
    deadline(30, || {
        let device = SimDevice::start("device").unwrap();
        let engine = engine();
        let queue = device.queue("compute", SHORT);
        let on = lane(&engine, &queue);
        let (x, y, z) = (engine.var(), engine.var(), engine.var());
        device.pause();
        engine.raw("kernel").lane(&on).overwrite(&x).run_async(queue.work(|| Err("illegal address".into())));
        engine.raw("next").lane(&on).read(&x).overwrite(&y).run_async(queue.work(|| Ok(())));
        engine.raw("unrelated").lane(&on).overwrite(&z).run_async(queue.work(|| Ok(())));
        engine.raw("host").read(&y).write(&z).run(|_| ());
        device.resume();
        let e = z.wait().unwrap_err();
        assert_eq!(e.failure().unwrap().task().name.as_str(), "kernel");
        assert!(e.to_string().contains("illegal address"), "{e}");
        let skipped: Vec<_> = e.failure().unwrap().skipped().map(|t| t.name.to_string()).collect();
        assert_eq!(skipped, ["host", "next"]);
        assert!(x.wait().is_err() && engine.wait_all().is_err());
        engine.raw("again").lane(&on).overwrite(&x).run_async(queue.work(|| Ok(())));
        x.wait().unwrap();
        engine.raw("panics").lane(&on).overwrite(&x).run_async(queue.work(|| std::panic::resume_unwind(Box::new(1))));
        assert!(x.wait().unwrap_err().to_string().contains("panicked"));
    });
}

struct Lost;

impl Fence for Lost {
    fn on_fire(self: Arc<Self>, signal: Signal) {
        drop(signal);
    }
}

struct Late(Mutex<Option<Signal>>);

impl Fence for Late {
    fn on_fire(self: Arc<Self>, signal: Signal) {
        *self.0.lock().unwrap() = Some(signal);
    }
}

#[test]
fn a_lost_fence_is_an_error_not_a_hang() {
    deadline(30, || {
        for engine in [Engine::serial(), engine()] {
            let x = engine.var();
            engine.raw("lost").overwrite(&x).run_async(|_, token| token.fence(Arc::new(Lost)));
            let e = x.wait().unwrap_err();
            assert!(matches!(e.failure().unwrap().cause(), Cause::FenceDropped), "{e}");
        }
        // A device that stops with work undone loses it.
        let device = SimDevice::start("device").unwrap();
        device.pause();
        let engine = engine();
        let (queue, x) = (device.queue("q", SHORT), engine.var());
        let event = queue.issue(|| Ok(()));
        engine.raw("lost").overwrite(&x).run_async(move |_, token| token.fence(event));
        drop((device, queue));
        let e = x.wait().unwrap_err();
        assert!(e.to_string().contains("the device stopped"), "{e}");
        // Nor is a fence that keeps its signal and that nobody holds.
        engine.raw("lost").overwrite(&x).run_async(|_, token| token.fence(Late::new()));
        let e = x.wait().unwrap_err();
        assert!(matches!(e.failure().unwrap().cause(), Cause::FenceDropped), "{e}");
    });
}

#[test]
fn a_fence_that_fires_later_keeps_the_engine_and_the_var() {
    deadline(30, || {
        let engine = engine();
        let late = Late::new();
        let (x, y) = (engine.var(), engine.data(1));
        let fence = late.clone();
        engine.raw("issued").overwrite(&x).read(y.var()).run_async(move |_, token| token.fence(fence));
        // Readers beside a reader's fence go on; writers wait.
        let look = engine.task("look").read(&y).compute(|y| *y);
        assert_eq!(look.wait().unwrap(), 1);
        engine.task("change").write(&y).run(|y| *y = 2);
        drop(x); // pinned by the fence
        while engine.num_held() == 0 {
            std::thread::yield_now();
        }
        let dropping = std::thread::spawn(move || drop(engine));
        late.fire(Ok(()));
        dropping.join().unwrap();
        assert!(y.wait().unwrap_err().to_string().contains("shut down"));
    });
}

impl Late {
    fn new() -> Arc<Late> {
        Arc::new(Late(Mutex::new(None)))
    }

    fn fire(&self, result: Result<(), &str>) {
        self.0.lock().unwrap().take().unwrap().fire(result.map_err(Into::into));
    }
}

/// Issues at once, and leaves it to the test when what is done.
struct Trusting;

impl Lane for Trusting {
    fn name(&self) -> &str {
        "trusting"
    }

    fn submit(&self, task: ReadyTask) {
        task.run();
    }

    fn understands(&self, _: &dyn Fence) -> bool {
        true
    }
}

fn roots(vars: [&Var; 2]) -> [String; 2] {
    vars.map(|var| var.wait().unwrap_err().failure().unwrap().task().name.to_string())
}

#[test]
fn a_failure_that_is_told_late_counts_all_the_same() {
    deadline(30, || {
        let engine = engine();
        let on = engine.add_lane(Trusting).unwrap();
        let (x, y) = (engine.var(), engine.var());
        let fences = [(); 3].map(|()| Late::new());
        let [first, second, third] = fences.clone();
        engine.raw("first").lane(&on).overwrite(&x).run_async(|_, token| token.fence(first));
        engine.raw("second").lane(&on).write(&x).overwrite(&y).run_async(|_, token| token.fence(second));
        engine.raw("third").lane(&on).write(&x).run_async(|_, token| token.fence(third));
        // Done on the device in the right order, but told by threads of which the last came first.
        fences[2].fire(Ok(()));
        fences[1].fire(Ok(()));
        fences[0].fire(Err("illegal address"));
        assert_eq!(roots([&x, &y]), ["first", "first"]);
        assert_eq!(x.wait().unwrap_err().failure().unwrap().skipped_len(), 2);
        assert!(engine.wait_all().is_err());
    });
}

#[test]
fn a_failure_while_the_next_is_issued_counts_for_it() {
    deadline(30, || {
        let engine = engine();
        let on = engine.add_lane(Trusting).unwrap();
        let (x, y) = (engine.var(), engine.var());
        let fences = [(); 2].map(|()| Late::new());
        let [first, second] = fences.clone();
        engine.raw("first").lane(&on).overwrite(&x).run_async(|_, token| token.fence(first));
        let first = fences[0].clone();
        engine.raw("second").lane(&on).read(&x).overwrite(&y).run_async(move |_, token| {
            first.fire(Err("illegal address"));
            token.fence(second);
        });
        fences[1].fire(Ok(()));
        assert_eq!(roots([&x, &y]), ["first", "first"]);
    });
}

#[test]
fn the_failure_that_counts_does_not_depend_on_when_fences_fire() {
    deadline(30, || {
        for fires_early in [true, false] {
            let engine = engine();
            let on = engine.add_lane(Trusting).unwrap();
            let (x, bad, y) = (engine.var(), engine.var(), engine.var());
            let fences = [(); 2].map(|()| Late::new());
            let [first, second] = fences.clone();
            engine.raw("host").overwrite(&bad).run(|_| Err::<(), _>("bad"));
            bad.wait().unwrap_err();
            engine.raw("issued").lane(&on).overwrite(&x).run_async(|_, token| token.fence(first));
            if fires_early {
                fences[0].fire(Err("illegal address"));
            }
            // Of what is wrong with its vars, that of the first made counts.
            let never = |_: &varflow_engine::TaskCtx<'_>, _| panic!("it is skipped");
            engine.raw("skipped").lane(&on).read(&x).read(&bad).overwrite(&y).run_async(never);
            if !fires_early {
                fences[0].fire(Err("illegal address"));
            }
            assert_eq!(roots([&x, &y]), ["issued", "issued"]);

            // What a skipped task overwrites is poisoned by that, whatever becomes of the work before.
            engine.raw("issued").lane(&on).overwrite(&x).run_async(|_, token| token.fence(second));
            if fires_early {
                fences[1].fire(Err("illegal address"));
            }
            engine.raw("skipped").lane(&on).read(&bad).overwrite(&x).run_async(never);
            if !fires_early {
                fences[1].fire(Err("illegal address"));
            }
            assert_eq!(roots([&x, &bad]), ["host", "host"]);
        }
    });
}

#[test]
fn schedules_take_part() {
    deadline(60, || {
        let device = SimDevice::start("device").unwrap();
        let engine = engine();
        let (up, run) = (device.queue("copy-in", SHORT), device.queue("compute", SHORT));
        let (on_up, on_run) = (lane(&engine, &up), lane(&engine, &run));
        let (out, memory) = (engine.var(), Arc::new(Mutex::new((0_u64, 0_u64))));
        let mut recorder = engine.recorder("step");
        let staged = recorder.var();
        let (a, b, c) = (memory.clone(), memory.clone(), memory.clone());
        engine.raw("upload").lane(&on_up).overwrite(&staged).record_async(&mut recorder, move |_, token| {
            let a = a.clone();
            token.fence(up.issue(move || {
                a.lock().unwrap().0 += 1;
                Ok(())
            }));
        });
        engine.raw("compute").lane(&on_run).read(&staged).write(&out).record_async(&mut recorder, move |_, token| {
            let b = b.clone();
            token.fence(run.issue(move || {
                let mut memory = b.lock().unwrap();
                memory.1 = memory.1 * 3 + memory.0;
                Ok(())
            }));
        });
        let step = recorder.finish().unwrap();
        device.pause();
        (0..30).for_each(|_| step.submit());
        assert_eq!((device.num_issued(), engine.num_held()), (60, 0));
        let seen = Arc::new(Mutex::new(0));
        let to = seen.clone();
        engine.raw("host").read(&out).run(move |_| *to.lock().unwrap() = c.lock().unwrap().1);
        device.resume();
        engine.wait_all().unwrap();
        let wanted = (1..=30).fold(0_u64, |x, i| x.wrapping_mul(3) + i);
        assert_eq!(*seen.lock().unwrap(), wanted);
        step.wait().unwrap();
    });
}
