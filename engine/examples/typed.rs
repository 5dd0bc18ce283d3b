//! Typed values: a small pipeline that counts words, and what an error in it says.
//!
//! A task's body is handed `&T` for what it reads and `&mut T` for what it writes, so it cannot touch what it did not name.

use std::collections::BTreeMap;
use std::error::Error;
use varflow_engine::{Data, Engine};

const POEM: [&str; 3] = [
    "tiger tiger burning bright in the forests of the night",
    "what immortal hand or eye could frame thy fearful symmetry",
    "in what distant deeps or skies burnt the fire of thine eyes",
];

type Counts = BTreeMap<&'static str, usize>;

fn count(line: &'static str) -> Counts {
    let mut counts = Counts::new();
    line.split_whitespace().for_each(|word| *counts.entry(word).or_default() += 1);
    counts
}

/// Counts the words of all lines, the lines side by side.
fn count_all(engine: &Engine) -> Data<Counts> {
    let total = engine.data(Counts::new());
    for line in POEM {
        let line = engine.data(line);
        let counts = engine.task("count").read(&line).compute(|line| count(line));
        engine.task("add").read(&counts).write(&total).run(|counts, total| {
            counts.iter().for_each(|(word, n)| *total.entry(word).or_default() += n);
        });
    }
    total
}

/// Counts words, then does the same with a step that fails.
pub fn main() -> Result<(), Box<dyn Error>> {
    let engine = Engine::builder().cpu_workers(2).build()?;
    let total = count_all(&engine);
    let most = engine.task("most").read(&total).compute(|total| {
        let most = total.iter().max_by_key(|(_, n)| **n);
        most.map(|(word, n)| format!("\"{word}\" comes {n} times"))
    });
    println!("{}", most.wait()?.unwrap_or_else(|| "no words at all".to_string()));

    // A task that fails spoils what it writes, and what is made from that; everything else goes on.
    let text = engine.data(String::new());
    engine.task("load").write(&text).run(|text| -> std::io::Result<()> {
        *text = std::fs::read_to_string("/no/such/poem")?;
        Ok(())
    });
    let words = engine.task("split").read(&text).compute(|text| text.split_whitespace().count());
    let doubled = engine.task("double").read(&words).compute(|n| 2 * n);
    let error = doubled.var().wait().err().ok_or("the poem should not be there")?;
    println!("as it should: {error}");
    let failure = error.failure().ok_or("a task should have failed")?;
    assert_eq!(failure.task().name.as_str(), "load");
    assert!(failure.skipped().map(|task| task.name.as_str()).eq(["double", "split"]));
    assert_eq!(total.wait()?.len(), 25, "what has nothing to do with the failure is there");
    Ok(())
}
