//! The engine under tokio: async functions await vars and values, and block no thread of the runtime.

use std::error::Error;
use std::time::Duration;
use varflow_engine::{Data, Engine};

/// What a request asks for: computed by the engine's workers, awaited here.
async fn sum_of_squares(engine: &Engine, n: u64) -> Result<u64, varflow_engine::Error> {
    let squares = engine.data(Vec::new());
    engine.task("squares").write(&squares).run(move |squares| squares.extend((1..=n).map(|i| i * i)));
    engine.task("sum").read(&squares).compute(|squares| squares.iter().sum()).await
}

/// A task that ends when an async operation does: its token moves into the runtime.
fn fetch(engine: &Engine, into: &Data<u64>) {
    let runtime = tokio::runtime::Handle::current();
    engine.raw("fetch").write(into.var()).run_async(move |_, token| {
        runtime.spawn(async move {
            tokio::time::sleep(Duration::from_millis(5)).await; // stands for a network
            token.complete(Ok(()));
        });
    });
}

/// Serves a few requests at once.
#[tokio::main(worker_threads = 2)]
pub async fn main() -> Result<(), Box<dyn Error>> {
    let engine = Engine::builder().cpu_workers(2).build()?;

    let requests: Vec<_> = [10, 100, 1000]
        .map(|n| {
            let engine = engine.clone();
            tokio::spawn(async move { sum_of_squares(&engine, n).await })
        })
        .into();
    for request in requests {
        println!("a sum of squares: {}", request.await??);
    }

    let page = engine.data(0);
    fetch(&engine, &page);
    engine.task("use").write(&page).run(|page| *page += 1);
    page.var().await?;
    println!("the page came, and was used {} time", page.clone().await?);

    // Waits that block belong on a thread for such.
    let all = engine.clone();
    tokio::task::spawn_blocking(move || all.wait_all()).await??;

    // Who loses patience drops the future; the task goes on.
    let slow = engine.data(0);
    engine.task("slow").write(&slow).run(|slow| {
        std::thread::sleep(Duration::from_millis(50));
        *slow = 1;
    });
    if tokio::time::timeout(Duration::from_millis(1), slow.var()).await.is_err() {
        println!("that took too long");
    }
    println!("and yet it ended: {}", slow.await?);
    Ok(())
}
