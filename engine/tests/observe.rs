//! What a watch is told: everything, in order, with the true reasons.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::channel;
use support::{Act, Step, deadline, programs};
use varflow_engine::{
    Cause, Completion, Ending, Engine, Error, Event, EventKind, LaneHandle, Mode, OnDrop, Release, Role, Serial,
    TaskNumber, Trace, Var, WatchOptions,
};

fn pool(n: usize) -> Engine {
    Engine::builder().cpu_workers(n).build().unwrap()
}

/// What a trace tells of one task.
#[derive(Default)]
struct Told<'a> {
    events: Vec<&'a Event>,
}

impl Told<'_> {
    fn name(&self) -> &str {
        match &self.events[0].kind {
            EventKind::Pushed { id, .. } => id.name.as_str(),
            other => panic!("the first event of a task is {other:?}"),
        }
    }

    fn accesses(&self) -> &[(usize, Mode)] {
        match &self.events[0].kind {
            EventKind::Pushed { accesses, .. } => accesses,
            other => panic!("the first event of a task is {other:?}"),
        }
    }

    fn ready(&self) -> (u64, Option<Release>) {
        match self.events[1].kind {
            EventKind::Ready { released_by } => (self.events[1].nanos, released_by),
            ref other => panic!("the second event of a task is {other:?}"),
        }
    }

    fn finished(&self) -> (u64, &Ending) {
        let last = self.events.last().unwrap();
        match &last.kind {
            EventKind::Finished(ending) => (last.nanos, ending),
            other => panic!("the last event of a task is {other:?}"),
        }
    }

    fn started(&self) -> bool {
        match self.events.len() {
            3 => false,
            4 => matches!(&self.events[2].kind, EventKind::Started { name, .. } if name.as_str() == self.name()),
            n => panic!("a task has {n} events"),
        }
    }

    /// The mode in which it touches the var.
    fn mode(&self, var: usize) -> Option<Mode> {
        self.accesses().iter().find(|(v, _)| *v == var).map(|(_, m)| *m)
    }
}

/// The events of each numbered task.
fn by_task(trace: &Trace) -> HashMap<TaskNumber, Told<'_>> {
    let mut out: HashMap<_, Told<'_>> = HashMap::new();
    for event in &trace.events {
        assert!(event.thread < trace.threads.len(), "no such thread: {event:?}");
        if let Some(task) = event.task {
            out.entry(task).or_default().events.push(event);
        }
    }
    out
}

/// Checks a trace of tasks that were pushed by one thread and finished, all while being watched.
fn check_whole(trace: &Trace) {
    assert_eq!(trace.lost, 0);
    assert!(trace.events.is_sorted_by_key(|e| e.nanos));
    assert!(trace.events.iter().all(|e| e.task.is_some()));
    let told = by_task(trace);
    let mut order: Vec<TaskNumber> = told.keys().copied().collect();
    order.sort_unstable();
    let conflict = |a: Mode, b: Mode| a.is_exclusive() || b.is_exclusive();
    for (i, number) in order.iter().enumerate() {
        let task = &told[number];
        let ran = matches!(task.finished().1, Ending::Ok | Ending::Failed(_));
        assert_eq!(task.started(), ran, "{}", task.name());
        let (ready_at, released_by) = task.ready();
        if let Some(Release { task: by, var }) = released_by {
            let by = &told[&by.expect("all tasks are numbered")];
            let (own, others) = (task.mode(var).unwrap(), by.mode(var).unwrap());
            assert!(conflict(own, others), "{} releases {} though both read", by.name(), task.name());
        }
        let mut found = released_by.is_none();
        for &(var, own) in task.accesses() {
            for number in &order[..i] {
                let other = &told[number];
                if other.mode(var).is_some_and(|mode| conflict(own, mode)) {
                    let finished_at = other.finished().0;
                    assert!(finished_at <= ready_at, "{} is ready before {} is done", task.name(), other.name());
                    found |= released_by == Some(Release { task: Some(*number), var });
                }
            }
        }
        assert!(found, "{} is released by a task that was not before it: {released_by:?}", task.name());
    }
}

/// Pushes a step that touches nothing but does as it is told.
fn push(engine: &Engine, lane: &LaneHandle, vars: &[Var], name: &str, step: &Step) {
    let mut task = engine.raw(name.to_string()).lane(lane).priority(step.priority);
    for (v, mode) in &step.accesses {
        task = task.access(&vars[*v], *mode);
    }
    match step.act {
        Act::Fail | Act::Panic => task.run(|_| Err::<(), _>("told to fail")),
        Act::DropToken => task.run_async(|_, token| drop(token)),
        Act::MixAsync { elsewhere: true } => task.run_async(|_, token| {
            std::thread::spawn(|| token.complete(Ok(())));
        }),
        Act::MixAsync { elsewhere: false } => task.run_async(|_, token| token.complete(Ok(()))),
        Act::Mix | Act::Loop { .. } | Act::Nest { .. } => task.run(|_| std::thread::yield_now()),
    }
}

/// How each step ends: the index of the step that failed, if any.
fn roots(program: &[Step], vars: usize) -> Vec<Option<usize>> {
    let mut poison: Vec<Option<usize>> = vec![None; vars];
    let mut out = Vec::new();
    for (index, step) in program.iter().enumerate() {
        let accesses = step.joined();
        let inherited = accesses.iter().filter(|(_, m)| m.sees_old()).find_map(|(v, _)| poison[*v]);
        let fails = matches!(step.act, Act::Fail | Act::Panic | Act::DropToken);
        let ending = inherited.or(fails.then_some(index));
        accesses.iter().filter(|(_, m)| m.is_exclusive()).for_each(|(v, _)| poison[*v] = ending);
        out.push(ending);
    }
    out
}

const VARS: usize = 8;

fn observe_program(engine: &Engine, lanes: &[LaneHandle], program: &[Step]) {
    let vars: Vec<Var> = (0..VARS).map(|_| engine.var()).collect();
    let watch = engine.observe(WatchOptions::default()).unwrap();
    for (index, step) in program.iter().enumerate() {
        push(engine, &lanes[index % lanes.len()], &vars, &index.to_string(), step);
    }
    let _ = vars[0].wait();
    let _ = engine.wait_all();
    let trace = watch.stop();
    check_whole(&trace);
    let told = by_task(&trace);
    assert_eq!(told.len(), program.len() + 1);
    let wanted = roots(program, VARS);
    for task in told.values() {
        let EventKind::Pushed { lane, priority, role, .. } = task.events[0].kind else { unreachable!() };
        if role == Role::Wait {
            assert_eq!((task.name(), task.accesses()), ("wait", &[(vars[0].number(), Mode::Read)][..]));
            continue;
        }
        let index: usize = task.name().parse().unwrap();
        let mut accesses: Vec<_> = program[index].joined().iter().map(|(v, m)| (vars[*v].number(), *m)).collect();
        let mut got = task.accesses().to_vec();
        accesses.sort_by_key(|(v, _)| *v);
        got.sort_by_key(|(v, _)| *v);
        assert_eq!(got, accesses);
        assert_eq!(priority, program[index].priority);
        assert_eq!(trace.lanes[lane], lanes[index % lanes.len()].name());
        match (task.finished().1, wanted[index]) {
            (Ending::Ok, None) => {}
            (Ending::Failed(f), Some(root)) => assert_eq!((root, f.task().name.as_str()), (index, task.name())),
            (Ending::Skipped(f), Some(root)) => {
                assert_ne!(root, index);
                assert!(matches!(told[&f.task_number().unwrap()].finished().1, Ending::Failed(_)));
                assert_eq!(f.task().name.as_str(), told[&f.task_number().unwrap()].name());
            }
            (got, wanted) => panic!("step {index} ended as {got:?}, wanted failure {wanted:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_release_is_a_dependency_of_the_program(program in programs(VARS, 40)) {
        deadline(60, move || {
            for workers in 0..3 {
                let builder = Engine::builder();
                let builder = if workers == 0 { builder.lane(Serial::new("serial")) } else { builder.cpu_workers(workers) };
                let engine = builder.build().unwrap();
                let lanes = [engine.default_lane()];
                observe_program(&engine, &lanes, &program);
                let other = engine.add_lane(Serial::new("other")).unwrap();
                let lanes = [engine.default_lane(), other];
                observe_program(&engine, &lanes, &program);
            }
        });
    }
}

#[test]
fn a_chain_names_each_predecessor() {
    deadline(20, || {
        let engine = pool(2);
        let (a, b) = (engine.var(), engine.var());
        let (tx, rx) = channel::<Completion>();
        let watch = engine.observe(WatchOptions::default()).unwrap();
        engine.raw("first").write(&a).run_async(move |_, token| tx.send(token).unwrap());
        engine.raw("second").read(&a).write(&b).run(|_| ());
        engine.raw("third").read(&b).run(|_| ());
        rx.recv().unwrap().complete(Ok(()));
        engine.wait_all().unwrap();
        let trace = watch.stop();
        check_whole(&trace);
        let told = by_task(&trace);
        let number = |name| *told.iter().find(|(_, t)| t.name() == name).unwrap().0;
        let by = |name| told[&number(name)].ready().1;
        assert_eq!(by("first"), None);
        assert_eq!(by("second"), Some(Release { task: Some(number("first")), var: a.number() }));
        assert_eq!(by("third"), Some(Release { task: Some(number("second")), var: b.number() }));
        assert!(trace.threads.iter().any(|t| t.starts_with("cpu-")), "{:?}", trace.threads);
        assert_eq!(trace.lanes, ["cpu"]);
    });
}

#[test]
fn what_is_beyond_the_bound_is_counted() {
    deadline(20, || {
        let engine = Engine::serial();
        let mut watch = engine.observe(WatchOptions::default().events_per_thread(10)).unwrap();
        let push = || (0..100).for_each(|_| engine.raw("task").run(|_| ()));
        push();
        let trace = watch.drain();
        assert_eq!((trace.events.len(), trace.lost), (10, 390));
        let trace = watch.drain();
        assert_eq!((trace.events.len(), trace.lost), (0, 0));
        push();
        let trace = watch.stop();
        assert_eq!((trace.events.len(), trace.lost, trace.threads.len()), (10, 390, 1));

        let watch = engine.observe(WatchOptions::default().events_per_thread(0)).unwrap();
        push();
        let trace = watch.stop();
        assert_eq!((trace.events.len(), trace.lost), (0, 400));

        let watch = engine.observe(WatchOptions::default().events_per_thread(4000)).unwrap();
        (0..10).for_each(|_| push());
        let trace = watch.stop();
        assert_eq!((trace.events.len(), trace.lost), (4000, 0));
    });
}

#[test]
fn a_watch_that_begins_in_the_middle_knows_no_numbers_of_what_was_there() {
    deadline(20, || {
        let engine = pool(2);
        let a = engine.var();
        let (tx, rx) = channel::<Completion>();
        engine.raw("gate").write(&a).run_async(move |_, token| tx.send(token).unwrap());
        engine.raw("before").write(&a).run(|_| ());
        let token = rx.recv().unwrap();
        let watch = engine.observe(WatchOptions::default()).unwrap();
        engine.raw("after").write(&a).run(|_| ());
        token.complete(Ok(()));
        engine.wait_all().unwrap();
        let trace = watch.stop();
        let unknown: Vec<_> = trace.events.iter().filter(|e| e.task.is_none()).map(|e| &e.kind).collect();
        let var = a.number();
        match unknown[..] {
            [
                EventKind::Finished(Ending::Ok),
                EventKind::Ready { released_by: Some(gate) },
                EventKind::Started { name, lane: 0 },
                EventKind::Finished(Ending::Ok),
            ] => assert_eq!((gate, name.as_str()), (&Release { task: None, var }, "before")),
            ref other => panic!("{other:?}"),
        }
        let told = by_task(&trace);
        assert_eq!(told.len(), 1);
        let after = told.values().next().unwrap();
        assert_eq!((after.name(), after.ready().1), ("after", Some(Release { task: None, var })));
        assert!(after.started());
    });
}

#[test]
fn one_watch_at_a_time_and_dropping_it_ends_it() {
    deadline(30, || {
        let engine = pool(2);
        let a = engine.var();
        let push = |n| (0..n).for_each(|_| engine.raw("task").write(&a).run(|_| std::thread::yield_now()));
        for _ in 0..20 {
            let watch = engine.observe(WatchOptions::default()).unwrap();
            let e = engine.observe(WatchOptions::default()).err().unwrap();
            assert!(matches!(e, Error::AlreadyObserved) && e.to_string().contains("observed already"), "{e}");
            push(100);
            drop(watch);
        }
        engine.wait_all().unwrap();
        let watch = engine.observe(WatchOptions::default()).unwrap();
        push(10);
        engine.wait_all().unwrap();
        let trace = watch.stop();
        check_whole(&trace);
        assert_eq!(trace.events.len(), 40);
        assert!(by_task(&trace).keys().all(|n| n.get() > 2000), "numbers are not given twice");
    });
}

#[test]
fn many_threads_while_draining() {
    const THREADS: usize = 6;
    const TASKS: usize = 1000;
    deadline(60, || {
        let engine = pool(3);
        let vars: Vec<Var> = (0..5).map(|_| engine.var()).collect();
        let mut watch = engine.observe(WatchOptions::default()).unwrap();
        let mut batches = Vec::new();
        std::thread::scope(|s| {
            let pushers: Vec<_> = (0..THREADS)
                .map(|t| {
                    let (engine, vars) = (&engine, &vars);
                    s.spawn(move || {
                        for i in 0..TASKS {
                            let name = format!("{t} {i}");
                            engine.raw(name).write(&vars[(i + t) % 5]).read(&vars[(i * t) % 5]).run(|_| ());
                        }
                    })
                })
                .collect();
            while pushers.iter().any(|p| !p.is_finished()) {
                batches.push(watch.drain());
                std::thread::yield_now();
            }
        });
        engine.wait_all().unwrap();
        batches.push(watch.stop());
        assert!(batches.iter().all(|b| b.lost == 0 && b.events.is_sorted_by_key(|e| e.nanos)));
        let mut trace = batches.pop().unwrap();
        let mut events: Vec<Event> = batches.into_iter().flat_map(|b| b.events).collect();
        events.append(&mut trace.events);
        events.sort_by_key(|e| e.nanos);
        trace.events = events;
        assert_eq!(trace.events.len(), 4 * THREADS * TASKS);
        let told = by_task(&trace);
        assert_eq!(told.len(), THREADS * TASKS);
        for task in told.values() {
            assert!(task.started() && matches!(task.finished().1, Ending::Ok));
            if let Some(Release { task: Some(by), var }) = task.ready().1 {
                assert!(told[&by].finished().0 <= task.ready().0);
                assert!(told[&by].mode(var).unwrap().is_exclusive() || task.mode(var).unwrap().is_exclusive());
            }
        }
    });
}

#[test]
fn a_drain_in_the_middle_holds_the_reasons_of_what_it_holds() {
    deadline(60, || {
        let engine = pool(3);
        let vars: Vec<Var> = (0..4).map(|_| engine.var()).collect();
        let mut watch = engine.observe(WatchOptions::default()).unwrap();
        let mut stage: HashMap<TaskNumber, usize> = HashMap::new();
        std::thread::scope(|s| {
            let (engine, vars) = (&engine, &vars);
            let pusher = s.spawn(move || {
                (0..3000).for_each(|i| engine.raw("task").write(&vars[i % 4]).read(&vars[i * 7 % 4]).run(|_| ()));
            });
            let mut done = false;
            while !done {
                done = pusher.is_finished();
                if done {
                    engine.wait_all().unwrap();
                }
                for event in watch.drain().events {
                    let (at, by) = match event.kind {
                        EventKind::Pushed { .. } => (0, None),
                        EventKind::Ready { released_by } => (1, released_by),
                        EventKind::Started { .. } => (2, None),
                        _ => (3, None),
                    };
                    assert_eq!(stage.insert(event.task.unwrap(), at + 1).unwrap_or(0), at);
                    assert!(by.is_none_or(|by| stage[&by.task.unwrap()] == 4));
                }
            }
        });
        assert!(stage.len() == 3000 && stage.values().all(|s| *s == 4));
    });
}

#[test]
fn endings() {
    deadline(20, || {
        let engine = Engine::builder().cpu_workers(1).on_drop(OnDrop::Cancel).build().unwrap();
        let (a, b, c) = (engine.var(), engine.var(), engine.var());
        let (tx, rx) = channel::<Completion>();
        let watch = engine.observe(WatchOptions::default()).unwrap();
        engine.raw("bad").write(&a).run(|_| Err::<(), _>("no such file"));
        engine.raw("next").read(&a).write(&b).run(|_| ());
        engine.raw("late").read(&b).run(|_| ());
        engine.raw("foreign").read(&pool(1).var()).run(|_| ());
        engine.raw("token").run_async(|_, token| drop(token));
        engine.raw("panic").run(|_| -> () { std::panic::resume_unwind(Box::new("told to panic")) });
        assert!(b.wait().is_err());
        let _ = engine.wait_all();
        engine.raw("gate").write(&c).run_async(move |_, token| tx.send(token).unwrap());
        engine.raw("never").write(&c).run(|_| ());
        let token = rx.recv().unwrap();
        std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            token.complete(Ok(()));
        });
        drop(engine);
        let trace = watch.stop();
        let told = by_task(&trace);
        let find = |name| told.iter().find(|(_, t)| t.name() == name).unwrap();
        let ending = |name| find(name).1.finished().1;
        let root = |e: &Ending| match e {
            Ending::Skipped(f) => f.task_number(),
            other => panic!("{other:?}"),
        };
        assert!(matches!(ending("bad"), Ending::Failed(f) if f.task_number() == Some(*find("bad").0)));
        assert_eq!(root(ending("next")), Some(*find("bad").0));
        assert_eq!(root(ending("late")), Some(*find("bad").0));
        assert!(matches!(ending("foreign"), Ending::Failed(f) if matches!(f.cause(), Cause::ForeignVar(_))));
        assert!(matches!(ending("token"), Ending::Failed(f) if matches!(f.cause(), Cause::TokenDropped)));
        assert!(matches!(ending("panic"), Ending::Failed(f) if matches!(f.cause(), Cause::Panicked(_))));
        assert!(matches!(ending("wait"), Ending::Ok) && matches!(ending("gate"), Ending::Ok));
        assert!(matches!(ending("never"), Ending::Cancelled));
        for (name, started) in [("bad", true), ("next", false), ("foreign", false), ("token", true), ("never", false)] {
            assert_eq!(find(name).1.started(), started, "{name}");
        }
    });
}

#[test]
fn a_dropped_watch_frees_what_it_held() {
    #[derive(Debug)]
    struct Held(Arc<()>);
    impl std::fmt::Display for Held {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "one of {}", Arc::strong_count(&self.0))
        }
    }
    impl std::error::Error for Held {}
    deadline(20, || {
        let engine = Engine::serial();
        let held = Arc::new(());
        for drained in [false, true] {
            let mut watch = engine.observe(WatchOptions::default()).unwrap();
            for _ in 0..1000 {
                let error = Held(held.clone());
                engine.raw("bad").run(move |_| Err::<(), _>(error));
            }
            assert!(engine.wait_all().is_err());
            assert_eq!(Arc::strong_count(&held), 1001);
            if drained {
                drop(watch.drain());
                assert_eq!(Arc::strong_count(&held), 1);
            }
            drop(watch);
            assert_eq!(Arc::strong_count(&held), 1);
        }
    });
}

#[test]
fn two_engines_on_one_thread() {
    deadline(20, || {
        let engines = [Engine::serial(), Engine::serial()];
        let watches = engines.each_ref().map(|e| e.observe(WatchOptions::default()).unwrap());
        for i in 0..30 {
            engines[usize::from(i % 3 == 0)].raw("task").run(|_| ());
        }
        let traces = watches.map(varflow_engine::Watch::stop);
        traces.iter().for_each(check_whole);
        assert_eq!(traces.map(|t| t.events.len()), [80, 40]);
    });
}

/// A failure's error may do anything as it is dropped, on a thread that records or is ending as well.
#[test]
fn an_error_that_pushes_tasks_when_dropped() {
    struct Pushes(Engine);
    impl std::fmt::Debug for Pushes {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Pushes")
        }
    }
    impl std::fmt::Display for Pushes {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("pushes")
        }
    }
    impl std::error::Error for Pushes {}
    impl Drop for Pushes {
        fn drop(&mut self) {
            self.0.raw("from a drop").run(|_| ());
        }
    }
    deadline(20, || {
        let engine = Engine::serial();
        for _ in 0..3 {
            let watch = engine.observe(WatchOptions::default()).unwrap();
            let (of_this_thread, of_another) = (engine.clone(), engine.clone());
            engine.raw("bad").run(|_| Err::<(), _>(Pushes(of_this_thread)));
            std::thread::spawn(move || {
                let inner = of_another.clone();
                of_another.raw("bad").run(|_| Err::<(), _>(Pushes(inner)));
            })
            .join()
            .unwrap();
            assert!(engine.wait_all().is_err());
            drop(watch);
        }
    });
}

#[test]
fn tasks_of_any_size_have_room_for_a_number() {
    deadline(20, || {
        let engine = pool(1);
        let vars: Vec<Var> = (0..900).map(|_| engine.var()).collect();
        let watch = engine.observe(WatchOptions::default()).unwrap();
        let mut tasks = 0;
        for n in (0..20).chain([300, 600, 670, 672, 674, 676, 678, 680, 682, 684, 686, 900]) {
            let task = || vars[..n].iter().fold(engine.raw("task"), varflow_engine::RawTask::read);
            task().run(|_| ());
            let (one, many) = ([n as u64; 1], [n as u64; 16]);
            task().run(move |_| assert_eq!(one, [n as u64; 1]));
            task().run(move |_| assert_eq!(many, [n as u64; 16]));
            tasks += 3;
        }
        engine.wait_all().unwrap();
        let trace = watch.stop();
        assert_eq!((trace.events.len(), by_task(&trace).len()), (4 * tasks, tasks));
        let sum: usize = by_task(&trace).keys().map(|n| n.get()).sum();
        assert_eq!(sum, tasks * (tasks + 1) / 2, "each number once");
    });
}
