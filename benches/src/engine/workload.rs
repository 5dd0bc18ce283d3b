//! Which vars the tasks of each workload touch. The same list is handed to every engine.

use std::io::Write;
use std::path::Path;
use std::{fs, io};

/// The vars of the workloads that work on many.
const VARS: u32 = 1000;
/// Tasks between the source and the sink of a fan.
const FAN: u32 = 100;
/// Tasks of a tree: ten levels.
const TREE: u32 = 1023;

/// Accesses of tasks in push order: each reads some vars and writes one.
#[derive(Debug, PartialEq)]
pub struct Workload {
    vars: u32,
    tasks: u32,
    /// Task after task: how many vars it reads, those vars, the var that it writes.
    words: Vec<u32>,
}

/// One task's accesses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accesses<'a> {
    /// The vars that it reads.
    pub reads: &'a [u32],
    /// The var that it writes, which is not among them.
    pub write: u32,
}

/// A pattern of dependencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Pattern {
    /// Each task writes its own var.
    Independent,
    /// Task i writes var i modulo 1000.
    RoundRobin,
    /// All write one var.
    Chain,
    /// Each reads 2 random vars of 1000 and writes another.
    Dag,
    /// Again and again: one writes a var, 100 read it and write their own, one reads those and writes the first again.
    Fan,
    /// 1000 columns; each task reads its own and both neighbours' last values and writes its next one.
    Stencil,
    /// Binary trees of ten levels; each task reads its parent's var and writes its own.
    Tree,
}

impl Pattern {
    /// All of them.
    pub const ALL: [Pattern; 7] = [
        Pattern::Independent,
        Pattern::RoundRobin,
        Pattern::Chain,
        Pattern::Dag,
        Pattern::Fan,
        Pattern::Stencil,
        Pattern::Tree,
    ];

    /// As results say.
    pub fn name(self) -> &'static str {
        match self {
            Pattern::Independent => "independent",
            Pattern::RoundRobin => "round-robin",
            Pattern::Chain => "chain",
            Pattern::Dag => "dag",
            Pattern::Fan => "fan",
            Pattern::Stencil => "stencil",
            Pattern::Tree => "tree",
        }
    }

    /// This many tasks of this pattern.
    pub fn workload(self, tasks: u32) -> Workload {
        let vars = match self {
            Pattern::Independent => tasks,
            Pattern::RoundRobin | Pattern::Dag => VARS,
            Pattern::Chain => 1,
            Pattern::Fan => FAN + 1,
            Pattern::Stencil => 2 * VARS,
            Pattern::Tree => TREE,
        };
        let mut w = Workload::new(vars);
        let mut random = SplitMix(42);
        let leaves: Vec<u32> = (1..=FAN).collect();
        for i in 0..tasks {
            match self {
                Pattern::Independent => w.push(&[], i),
                Pattern::RoundRobin => w.push(&[], i % VARS),
                Pattern::Chain => w.push(&[], 0),
                Pattern::Dag => {
                    let [a, b, c] = random.distinct(VARS);
                    w.push(&[a, b], c);
                }
                Pattern::Fan => match i % (FAN + 2) {
                    0 => w.push(&[], 0),
                    at if at <= FAN => w.push(&[0], at),
                    _ => w.push(&leaves, 0),
                },
                Pattern::Stencil => {
                    let (column, step) = (i % VARS, i / VARS);
                    let (from, to) = (step % 2 * VARS, (step + 1) % 2 * VARS);
                    let neighbours = [column.checked_sub(1), Some(column), Some(column + 1).filter(|c| *c < VARS)];
                    let reads: Vec<u32> = neighbours.into_iter().flatten().map(|c| from + c).collect();
                    w.push(&reads, to + column);
                }
                Pattern::Tree => match i % TREE {
                    0 => w.push(&[], 0),
                    at => w.push(&[(at - 1) / 2], at),
                },
            }
        }
        w
    }
}

impl Workload {
    fn new(vars: u32) -> Workload {
        Workload { vars, tasks: 0, words: Vec::new() }
    }

    fn push(&mut self, reads: &[u32], write: u32) {
        self.words.push(reads.len() as u32);
        self.words.extend(reads);
        self.words.push(write);
        self.tasks += 1;
    }

    /// A task that writes var 0, then this many that read it and one random var of 1000 and write another: all of them
    /// wait for the first.
    pub fn pending(tasks: u32) -> Workload {
        let mut w = Workload::new(VARS + 1);
        let mut random = SplitMix(42);
        w.push(&[], 0);
        for _ in 0..tasks {
            let [a, b, _] = random.distinct(VARS);
            w.push(&[0, a + 1], b + 1);
        }
        w
    }

    /// One task on one var.
    pub fn single() -> Workload {
        Pattern::Chain.workload(1)
    }

    /// Number of vars.
    pub fn vars(&self) -> u32 {
        self.vars
    }

    /// Number of tasks.
    pub fn len(&self) -> u32 {
        self.tasks
    }

    /// The tasks, in push order.
    pub fn tasks(&self) -> impl Iterator<Item = Accesses<'_>> {
        let mut rest = &self.words[..];
        std::iter::from_fn(move || {
            let (reads, after) = rest.split_first()?;
            let (reads, after) = after.split_at_checked(*reads as usize)?;
            let (write, after) = after.split_first()?;
            rest = after;
            Some(Accesses { reads, write: *write })
        })
    }

    /// Writes it as `benches/peers/engine/peer.h` reads it: vars, tasks, then the words, as `u32` of this machine.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let mut file = io::BufWriter::new(fs::File::create(path)?);
        for word in [self.vars, self.tasks].iter().chain(&self.words) {
            file.write_all(&word.to_ne_bytes())?;
        }
        file.flush()
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no workload.
    pub fn load(path: &Path) -> io::Result<Workload> {
        let bytes = fs::read(path)?;
        let mut words = bytes.as_chunks::<4>().0.iter().map(|b| u32::from_ne_bytes(*b));
        let bad = || io::Error::new(io::ErrorKind::InvalidData, format!("{} holds no workload", path.display()));
        let (vars, tasks) = words.next().zip(words.next()).ok_or_else(bad)?;
        let w = Workload { vars, tasks, words: words.collect() };
        let in_range = |t: Accesses<'_>| t.reads.iter().chain([&t.write]).all(|v| *v < vars);
        if w.tasks().count() as u32 != tasks || !w.tasks().all(in_range) {
            return Err(bad());
        }
        Ok(w)
    }
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Three different numbers below `n`, which is three at least.
    fn distinct(&mut self, n: u32) -> [u32; 3] {
        let mut below = || (self.next() % u64::from(n)) as u32;
        loop {
            let [a, b, c] = [below(), below(), below()];
            if a != b && b != c && a != c {
                return [a, b, c];
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_gives_the_published_sequence() {
        let mut random = SplitMix(1_234_567);
        let wanted = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([random.next(), random.next(), random.next()], wanted);
    }

    #[test]
    fn every_pattern_keeps_its_promises() {
        for pattern in Pattern::ALL {
            let w = pattern.workload(5000);
            assert_eq!((w.len(), w.tasks().count()), (5000, 5000), "{pattern:?}");
            for task in w.tasks() {
                assert!(task.write < w.vars() && task.reads.iter().all(|r| *r < w.vars()), "{pattern:?} {task:?}");
                let mut vars: Vec<u32> = task.reads.to_vec();
                vars.push(task.write);
                vars.sort_unstable();
                vars.dedup();
                assert_eq!(vars.len(), task.reads.len() + 1, "{pattern:?} names a var twice: {task:?}");
            }
        }
        assert!(Pattern::Dag.workload(100).tasks().all(|t| t.reads.len() == 2));
        assert!(Pattern::Independent.workload(100).tasks().zip(0..).all(|(t, i)| t.write == i));
    }

    #[test]
    fn a_stencil_reads_what_the_step_before_wrote() {
        let w = Pattern::Stencil.workload(3 * VARS);
        let tasks: Vec<_> = w.tasks().collect();
        for (i, task) in tasks.iter().enumerate().skip(VARS as usize) {
            let before = &tasks[i - VARS as usize];
            assert!(task.reads.contains(&before.write), "task {i}");
        }
        assert_eq!(tasks[5].reads, [4, 5, 6]);
        assert_eq!(tasks[0].reads, [0, 1]);
    }

    #[test]
    fn all_pending_tasks_read_the_gate() {
        let w = Workload::pending(100);
        assert_eq!((w.len(), w.tasks().next().unwrap().write), (101, 0));
        assert!(
            w.tasks().skip(1).all(|t| t.reads.len() == 2 && t.reads[0] == 0 && t.write != 0 && t.reads[1] != t.write)
        );
    }

    #[test]
    fn files_hold_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w");
        let w = Pattern::Fan.workload(300);
        w.save(&path).unwrap();
        assert_eq!(Workload::load(&path).unwrap(), w);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 4]).unwrap();
        assert!(Workload::load(&path).unwrap_err().to_string().contains("holds no workload"));
    }
}
