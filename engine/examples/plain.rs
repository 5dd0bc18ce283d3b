//! Embeds the engine in a plain program that owns its memory: heat spreads along a rod that is cut into blocks.
//!
//! Each block has a var. A task reads the blocks that it needs of one moment and replaces one block of the next. Nothing
//! else says what must wait for what: no barrier stands between the steps, so one end of the rod may be steps ahead of
//! the other.

use std::error::Error;
use std::sync::{Arc, RwLock, RwLockReadGuard};
use varflow_engine::{Engine, Var};

const BLOCKS: usize = 8;
const BLOCK_LEN: usize = 1000;
const STEPS: usize = 100;

/// Part of the rod. The lock only tells the compiler what the engine guarantees: it is never contended.
struct Block {
    var: Var,
    heat: RwLock<Vec<f64>>,
}

/// The heat of one cell after a step, from what it and its neighbours had.
fn spread(left: f64, own: f64, right: f64) -> f64 {
    own + 0.25 * (left - 2.0 * own + right)
}

impl Block {
    fn read(&self) -> Result<RwLockReadGuard<'_, Vec<f64>>, &'static str> {
        self.heat.try_read().map_err(|_| "another task writes what this one reads")
    }
}

/// Replaces `next` by what comes after `now`, whose neighbours are `left` and `right`; ends of the rod have none.
fn step(left: Option<&Block>, now: &Block, right: Option<&Block>, next: &Block) -> Result<(), &'static str> {
    let now = now.read()?;
    let before = left.map(Block::read).transpose()?.map_or(now[0], |block| block[BLOCK_LEN - 1]);
    let after = right.map(Block::read).transpose()?.map_or(now[BLOCK_LEN - 1], |block| block[0]);
    let mut next = next.heat.try_write().map_err(|_| "another task touches what this one writes")?;
    for i in 0..BLOCK_LEN {
        let left = if i == 0 { before } else { now[i - 1] };
        let right = if i == BLOCK_LEN - 1 { after } else { now[i + 1] };
        next[i] = spread(left, now[i], right);
    }
    Ok(())
}

fn rod(engine: &Engine, heat: &[f64]) -> Vec<Arc<Block>> {
    let block = |heat: &[f64]| Arc::new(Block { var: engine.var(), heat: RwLock::new(heat.to_vec()) });
    heat.chunks(BLOCK_LEN).map(block).collect()
}

/// The same without an engine.
fn one_by_one(mut heat: Vec<f64>) -> Vec<f64> {
    for _ in 0..STEPS {
        let at = |i: usize| heat[i.min(heat.len() - 1)];
        heat = (0..heat.len()).map(|i| spread(at(i.saturating_sub(1)), at(i), at(i + 1))).collect();
    }
    heat
}

/// Spreads the heat and compares with a plain loop.
pub fn main() -> Result<(), Box<dyn Error>> {
    let engine = Engine::builder().cpu_workers(2).build()?;
    let mut heat = vec![0.0; BLOCKS * BLOCK_LEN];
    heat[BLOCKS * BLOCK_LEN / 2] = 1000.0;

    // Two moments are enough: each step reads one and replaces the other.
    let moments = [rod(&engine, &heat), rod(&engine, &heat)];
    for s in 0..STEPS {
        let (now, next) = (&moments[s % 2], &moments[(s + 1) % 2]);
        for b in 0..BLOCKS {
            let (left, right) = (b.checked_sub(1).map(|l| &now[l]), now.get(b + 1));
            let mut task = engine.raw("spread").read(&now[b].var).overwrite(&next[b].var);
            for neighbour in [left, right].into_iter().flatten() {
                task = task.read(&neighbour.var);
            }
            let (left, right) = (left.cloned(), right.cloned());
            let (own, to) = (now[b].clone(), next[b].clone());
            task.run(move |_| step(left.as_deref(), &own, right.as_deref(), &to));
        }
    }
    engine.wait_all()?;

    let mut spread_out = Vec::new();
    for block in &moments[STEPS % 2] {
        spread_out.extend_from_slice(&block.heat.read().map_err(|_| "a task panicked")?);
    }
    assert_eq!(spread_out, one_by_one(heat), "the engine gives exactly what a plain loop gives");
    let warmest = spread_out.iter().copied().fold(0.0, f64::max);
    println!("{} tasks; the warmest cell has {warmest:.3} of 1000 after {STEPS} steps", STEPS * BLOCKS);
    Ok(())
}
