//! Recorded schedules: the order of pushing, early starts and releases, errors, misuse.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use support::deadline;
use varflow_engine::{Cause, Completion, Engine, Error};

fn pool(n: usize) -> Engine {
    Engine::builder().cpu_workers(n).build().unwrap()
}

fn engines() -> Vec<Engine> {
    vec![Engine::serial(), pool(1), pool(2), pool(4)]
}

#[test]
fn runs_follow_each_other_and_what_is_pushed_between() {
    deadline(60, || {
        for engine in engines() {
            let x = engine.data(1_u64);
            let log = engine.data(Vec::new());
            let mut recorder = engine.recorder("step");
            let (a, b) = (recorder.data(0_u64), recorder.data(0_u64));
            engine.task("a").read(&x).write(&a).record(&mut recorder, |x, a| *a = x + 1);
            engine.task("b").read(&x).write(&b).record(&mut recorder, |x, b| *b = x * 2);
            engine.task("c").read(&a).read(&b).write(&x).record(&mut recorder, |a, b, x| *x = (a ^ b) % 1_000_003);
            let step = recorder.finish().unwrap();
            assert_eq!((step.len(), step.name().as_str()), (3, "step"));
            let mut wanted = (1_u64, Vec::new());
            for i in 0..200 {
                step.submit();
                engine.task("log").read(&x).write(&log).run(|x, log| log.push(*x));
                wanted.0 = ((wanted.0 + 1) ^ (wanted.0 * 2)) % 1_000_003;
                wanted.1.push(wanted.0);
                if i % 50 == 0 {
                    step.wait().unwrap();
                }
            }
            assert_eq!(log.wait().unwrap(), wanted.1);
            drop(step);
            assert_eq!(x.wait().unwrap(), wanted.0);
        }
    });
}

#[test]
fn an_outside_var_is_free_when_its_own_last_task_is_done() {
    deadline(20, || {
        let engine = pool(2);
        let (gradient, weight) = (engine.var(), engine.var());
        let (tx, rx) = channel::<Completion>();
        let tx = std::sync::Mutex::new(tx);
        let mut recorder = engine.recorder("backward");
        let inside = recorder.var();
        engine.raw("last layer").write(&gradient).write(&inside).record(&mut recorder, |_| ());
        engine.raw("first layer").read(&inside).write(&weight).record_async(&mut recorder, move |_, token| {
            tx.lock().unwrap().send(token).unwrap();
        });
        let backward = recorder.finish().unwrap();
        backward.submit();
        gradient.wait().unwrap();
        let token = rx.recv().unwrap();
        // A second submission waits for the first to end; what was pushed before it does not.
        backward.submit();
        token.complete(Ok(()));
        weight_waits(&rx);
        weight.wait().unwrap();
        backward.wait().unwrap();
    });
}

fn weight_waits(rx: &std::sync::mpsc::Receiver<Completion>) {
    rx.recv().unwrap().complete(Ok(()));
}

#[test]
fn a_run_starts_with_the_vars_that_are_free() {
    deadline(20, || {
        let engine = pool(2);
        let (first, late, out) = (engine.var(), engine.var(), engine.var());
        let (tx, rx) = channel::<Completion>();
        engine.raw("pull").write(&late).run_async(move |_, token| tx.send(token).unwrap());
        let token = rx.recv().unwrap();
        let mut recorder = engine.recorder("forward");
        let (done, ran) = channel();
        let done = std::sync::Mutex::new(done);
        let inside = recorder.var();
        engine
            .raw("layer 1")
            .read(&first)
            .write(&inside)
            .record(&mut recorder, move |_| done.lock().unwrap().send(()).unwrap());
        engine.raw("layer 2").read(&late).read(&inside).write(&out).record(&mut recorder, |_| ());
        let forward = recorder.finish().unwrap();
        forward.submit();
        ran.recv().unwrap();
        token.complete(Ok(()));
        out.wait().unwrap();
    });
}

#[test]
fn a_failure_poisons_what_comes_after_and_the_next_run_heals() {
    deadline(60, || {
        for engine in engines() {
            let (input, out, other) = (engine.var(), engine.var(), engine.var());
            let runs = Arc::new(AtomicUsize::new(0));
            let mut recorder = engine.recorder("step");
            let inside = recorder.var();
            let count = runs.clone();
            engine.raw("load").read(&input).overwrite(&inside).record(&mut recorder, move |_| {
                if count.fetch_add(1, Ordering::Relaxed) == 1 { Err("no such file") } else { Ok(()) }
            });
            engine.raw("scale").read(&inside).overwrite(&out).record(&mut recorder, |_| ());
            engine.raw("beside").overwrite(&other).record(&mut recorder, |_| ());
            let step = recorder.finish().unwrap();
            step.submit();
            step.wait().unwrap();
            step.submit();
            for e in [step.wait().unwrap_err(), out.wait().unwrap_err()] {
                assert_eq!(e.failure().unwrap().task().name.as_str(), "load");
            }
            let skipped: Vec<_> =
                out.wait().unwrap_err().failure().unwrap().skipped().map(|t| t.name.to_string()).collect();
            assert_eq!(skipped, ["scale"]);
            other.wait().unwrap();
            step.submit();
            step.wait().unwrap();
            out.wait().unwrap();
            // Poison from outside passes through.
            engine.raw("bad").overwrite(&input).run(|_| Err::<(), _>("bad"));
            step.submit();
            assert_eq!(out.wait().unwrap_err().failure().unwrap().skipped_len(), 2);
            assert!(step.wait().is_err());
            engine.raw("good").overwrite(&input).run(|_| ());
            step.submit();
            step.wait().unwrap();
            out.wait().unwrap();
            assert_eq!(runs.load(Ordering::Relaxed), 4);
        }
    });
}

#[test]
fn inside_vars_are_the_schedules_own() {
    deadline(20, || {
        let engine = pool(1);
        let mut recorder = engine.recorder("step");
        let inside = recorder.var();
        let out = engine.var();
        engine.raw("t").overwrite(&inside).overwrite(&out).record(&mut recorder, |_| ());
        let step = recorder.finish().unwrap();
        assert!(matches!(inside.wait(), Err(Error::InsideVar(_))));
        engine.raw("intruder").read(&inside).overwrite(&out).run(|_| unreachable_task());
        assert!(matches!(out.wait().unwrap_err().failure().unwrap().cause(), Cause::InsideVar(_)));
        step.submit();
        step.wait().unwrap();
        drop(step);
        engine.wait_all().unwrap_err();
        engine.raw("free again").overwrite(&inside).run(|_| ());
        inside.wait().unwrap();

        let mut one = engine.recorder("one");
        let mine = one.var();
        let mut two = engine.recorder("two");
        engine.raw("t").write(&mine).record(&mut two, |_| ());
        let text = two.finish().unwrap_err().to_string();
        assert!(
            text.contains("\"two\"") && text.contains("inside another schedule") && text.contains("recorded.rs:"),
            "{text}"
        );
        let mut late = engine.recorder("late");
        engine.raw("t").write(&out).record(&mut late, |_| ());
        late.keep_inside(&out);
        assert!(late.finish().unwrap_err().to_string().contains("keep it inside first"));
        drop(one);
        engine.raw("free again").overwrite(&mine).run(|_| ());
        mine.wait().unwrap();
    });
}

#[test]
fn empty_and_closed() {
    deadline(20, || {
        let engine = pool(1);
        let empty = engine.recorder("empty").finish().unwrap();
        assert!(empty.is_empty());
        empty.submit();
        empty.wait().unwrap();
        let out = engine.var();
        let mut recorder = engine.recorder("late");
        engine.raw("t").overwrite(&out).record(&mut recorder, |_| ());
        let late = recorder.finish().unwrap();
        drop(engine);
        late.submit();
        assert!(matches!(out.wait().unwrap_err().failure().unwrap().cause(), Cause::ShutDown));
        assert!(late.wait().is_err());
    });
}

#[test]
fn an_engine_dropped_with_runs_pending_finishes_them() {
    deadline(60, || {
        for _ in 0..20 {
            let engine = pool(2);
            let ran = Arc::new(AtomicUsize::new(0));
            let x = engine.var();
            let mut recorder = engine.recorder("step");
            for _ in 0..20 {
                let ran = ran.clone();
                let own = recorder.var();
                engine.raw("t").read(&x).write(&own).record(&mut recorder, move |_| {
                    ran.fetch_add(1, Ordering::Relaxed);
                });
            }
            let step = recorder.finish().unwrap();
            (0..50).for_each(|_| step.submit());
            drop(step);
            drop(engine);
            assert_eq!(ran.load(Ordering::Relaxed), 1000);
        }
    });
}

fn unreachable_task() {
    panic!("it was refused");
}

#[test]
fn cycles_of_waits_through_schedules_are_reported_and_only_those() {
    deadline(60, || {
        let engine = pool(2);
        let (x, y, z) = (engine.var(), engine.var(), engine.var());
        let mut recorder = engine.recorder("step");
        let inside = recorder.var();
        engine.raw("first").read(&x).write(&inside).record(&mut recorder, |_| ());
        engine.raw("second").read(&inside).write(&y).record(&mut recorder, |_| ());
        engine.raw("apart").write(&z).record(&mut recorder, |_| ());
        let step = recorder.finish().unwrap();
        // A task that holds x, and waits for what comes of it: a cycle; and for what does not: none.
        for (target, is_cycle) in [(&y, true), (&z, false)] {
            let pushed = Arc::new(std::sync::Barrier::new(2));
            let (go, target, told) = (pushed.clone(), target.clone(), engine.data(0));
            engine.raw("holder").write(&x).write(told.var()).run(move |_| {
                go.wait();
                let result = target.wait();
                assert_eq!(result.is_err(), is_cycle, "{result:?}");
                if let Err(e) = result {
                    let text = e.to_string();
                    assert!(["holder", "second", "first", "step"].iter().all(|n| text.contains(n)), "{text}");
                }
            });
            step.submit();
            pushed.wait();
            told.var().wait().unwrap();
            step.wait().unwrap();
        }
        // A recorded task that waits for the schedule's own end.
        let mut recorder = engine.recorder("selfish");
        let (y2, result) = (y.clone(), Arc::new(std::sync::Mutex::new(None)));
        let to = result.clone();
        let own = recorder.var();
        engine.raw("waits").write(&own).record(&mut recorder, move |_| *to.lock().unwrap() = Some(y2.wait()));
        engine.raw("writes").read(&own).write(&y).record(&mut recorder, |_| ());
        let selfish = recorder.finish().unwrap();
        selfish.submit();
        selfish.wait().unwrap();
        let text = result.lock().unwrap().take().unwrap().unwrap_err().to_string();
        assert!(text.contains("waits") && text.contains("writes"), "{text}");
    });
}

#[test]
fn schedules_behind_one_gate_take_turns_and_have_vars_in_common() {
    deadline(60, || {
        for engine in engines() {
            let (x, gradient) = (engine.data(1_u64), engine.data(0_u64));
            let gate = engine.gate();
            let mut forward = gate.recorder("forward");
            let (saved, scratch) = (forward.data(0_u64), engine.data(0_u64));
            engine.task("square").read(&x).overwrite(&saved).record(&mut forward, |x, s| *s = Some(x * x));
            let forward = forward.finish().unwrap();
            let mut backward = gate.recorder("backward");
            backward.keep_inside(scratch.var());
            engine.task("double").read(&saved).overwrite(&scratch).record(&mut backward, |s, to| *to = Some(2 * s));
            engine.task("add").read(&scratch).write(&gradient).record(&mut backward, |s, g| *g += s);
            let backward = backward.finish().unwrap();
            let mut wanted = 0;
            for i in 0..100 {
                engine.task("set").write(&x).run(move |x| *x = i);
                forward.submit();
                if i % 3 == 0 {
                    forward.submit();
                }
                backward.submit();
                wanted += 2 * i * i;
            }
            assert_eq!(gradient.wait().unwrap(), wanted);
            // What one keeps inside stays so for the other.
            drop(forward);
            assert!(matches!(saved.var().wait(), Err(Error::InsideVar(_))));
            backward.submit();
            assert_eq!(gradient.wait().unwrap(), wanted + 2 * 99 * 99);
            backward.wait().unwrap();
            drop(backward);
            saved.wait().unwrap();
        }
    });
}

#[test]
fn poison_goes_from_schedule_to_schedule_behind_a_gate() {
    deadline(60, || {
        for engine in engines() {
            let (out, other) = (engine.var(), engine.var());
            let gate = engine.gate();
            let mut forward = gate.recorder("forward");
            let (saved, beside) = (forward.var(), forward.var());
            engine
                .raw("load")
                .overwrite(&saved)
                .record(&mut forward, |ctx| if ctx.argument() == 1 { Err("no such file") } else { Ok(()) });
            engine.raw("beside").overwrite(&beside).record(&mut forward, |_| ());
            let forward = forward.finish().unwrap();
            let mut backward = gate.recorder("backward");
            engine.raw("back").read(&saved).overwrite(&out).record(&mut backward, |_| ());
            engine.raw("beside back").read(&beside).overwrite(&other).record(&mut backward, |_| ());
            let backward = backward.finish().unwrap();
            for step in 0..4 {
                forward.submit_with(step);
                backward.submit();
                other.wait().unwrap();
                match (step, out.wait()) {
                    (1, Err(e)) => assert_eq!(e.failure().unwrap().task().name.as_str(), "load"),
                    (step, result) => result.unwrap_or_else(|e| panic!("step {step}: {e}")),
                }
            }
        }
    });
}

#[test]
fn tasks_are_told_what_their_run_was_submitted_with() {
    deadline(60, || {
        for engine in engines() {
            let log = Arc::new(std::sync::Mutex::new(Vec::new()));
            let out = engine.var();
            let mut recorder = engine.recorder("step");
            let into = log.clone();
            engine.raw("now").write(&out).record(&mut recorder, move |ctx| into.lock().unwrap().push(ctx.argument()));
            let into = log.clone();
            engine.raw("later").write(&out).record_async(&mut recorder, move |ctx, token| {
                token.complete(Ok(()));
                into.lock().unwrap().push(100 + ctx.argument());
            });
            engine.raw("end").write(&out).record(&mut recorder, |_| ());
            let step = recorder.finish().unwrap();
            (1..50).for_each(|i| step.submit_with(i));
            step.submit();
            step.wait().unwrap();
            engine.wait_all().unwrap();
            let mut seen = std::mem::take(&mut *log.lock().unwrap());
            seen.sort_unstable();
            let wanted: Vec<u64> = (0..50).chain(100..150).collect();
            assert_eq!(seen, wanted);
            let into = log.clone();
            engine.raw("pushed").write(&out).run(move |ctx| into.lock().unwrap().push(ctx.argument()));
            out.wait().unwrap();
            assert_eq!(*log.lock().unwrap(), [0]);
        }
    });
}
