//! Many threads over the same schedules, vars, fences and tokens, thousands of times. What is wrong shows as a contended
//! lock, a hang, or in a sanitizer.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;
use support::deadline;
use varflow_engine::{Engine, OnDrop, SimDevice};

#[test]
fn schedules_submitted_from_many_threads_beside_tasks_waits_and_fences() {
    deadline(60, || {
        let device = SimDevice::start("device").unwrap();
        for round in 0..12 {
            let on_drop = if round % 3 == 2 { OnDrop::Cancel } else { OnDrop::Drain };
            let mut builder = Engine::builder().cpu_workers(1 + round % 3).on_drop(on_drop);
            if round % 2 == 0 {
                builder = builder.max_pending_tasks(50).max_pending_bytes(1000);
            }
            let engine = builder.build().unwrap();
            let queue = device.queue("queue", Duration::ZERO);
            let lane = engine.add_lane(queue.clone()).unwrap();
            let shared: Vec<_> = (0..3).map(|i| engine.sized_data(0_u64, 100 * i)).collect();
            let threads = (0..3).map(|t| {
                let (engine, queue, lane, shared) = (engine.clone(), queue.clone(), lane.clone(), shared.clone());
                std::thread::spawn(move || {
                    let mut recorder = engine.recorder("step");
                    let (inside, far) = (recorder.data(0_u64), recorder.var());
                    engine.task("in").read(&shared[t]).write(&inside).record(&mut recorder, |x, y| *y = x + 1);
                    let issue = queue.clone();
                    engine
                        .raw("far")
                        .lane(&lane)
                        .read(inside.var())
                        .overwrite(&far)
                        .record_async(&mut recorder, move |_, token| token.fence(issue.issue(|| Ok(()))));
                    engine.raw("near").read(&far).record_async(&mut recorder, |_, token| {
                        std::thread::spawn(move || token.complete(Ok(())));
                    });
                    engine.task("out").read(&inside).write(&shared[(t + 1) % 3]).record(&mut recorder, |x, y| *y ^= x);
                    let step = recorder.finish().unwrap();
                    for i in 0..100 {
                        step.submit();
                        engine.task("add").write(&shared[(t + i) % 3]).run(|x| *x += 1);
                        if i % 10 == 0 {
                            let (var, step) = (shared[i % 3].clone(), step.clone());
                            engine.task("waits").run_with(move |ctx| {
                                ctx.parallel_for(3, &|_| ());
                                var.var().wait()?;
                                step.submit();
                                Ok::<(), varflow_engine::Error>(())
                            });
                        }
                    }
                })
            });
            for thread in threads.collect::<Vec<_>>() {
                thread.join().unwrap();
            }
            if round % 4 == 0 {
                engine.wait_all().unwrap();
            }
            // The vars outlive the engine.
            drop(engine);
            assert!(shared.iter().all(|x| x.wait().is_err()));
        }
    });
}
