//! What the engine is to reach beside its peers.

use crate::report::{Bound, Verdict};
use crate::rounds::Row;
use crate::setting::Setting;

/// Who is to be beaten.
#[derive(Clone, Copy)]
enum Rival {
    /// MXNet's threaded engine, its best way and number of workers.
    Mxnet,
    /// oneTBB, the graph built and run.
    OneTbb,
    /// oneTBB, a graph built before.
    OneTbbRerun,
    /// OpenMP's depend clauses.
    OpenMp,
}

impl Rival {
    fn name(self) -> &'static str {
        match self {
            Rival::Mxnet => "MXNet's best",
            Rival::OneTbb => "oneTBB",
            Rival::OneTbbRerun => "oneTBB's rerun",
            Rival::OpenMp => "OpenMP",
        }
    }

    /// The way in which varflow takes it on.
    fn our_way(self) -> &'static str {
        if let Rival::OneTbbRerun = self { "recorded" } else { "raw" }
    }

    fn is(self, row: &Row) -> bool {
        match self {
            Rival::Mxnet => row.system == "mxnet" && row.variant.starts_with("Threaded"),
            Rival::OneTbb => row.system == "onetbb" && row.variant == "build and run",
            Rival::OneTbbRerun => row.system == "onetbb" && row.variant == "rerun",
            Rival::OpenMp => row.system == "openmp",
        }
    }
}

/// Throughput on a workload over a rival's: free, pinned.
const TARGETS: [(&str, Rival, f64, f64); 8] = [
    ("dag", Rival::Mxnet, 5.0, 5.0),
    ("dag", Rival::OneTbb, 3.5, 3.5),
    ("round-robin", Rival::OpenMp, 1.3, 1.0),
    ("chain", Rival::Mxnet, 4.0, 4.0),
    ("chain", Rival::OneTbb, 2.0, 2.0),
    ("independent", Rival::OpenMp, 1.5, 0.7),
    ("dag", Rival::OneTbbRerun, 2.0, 2.0),
    ("chain", Rival::OneTbbRerun, 1.5, 1.5),
];

/// A second worker costs at most this share of the throughput of one.
const SECOND_WORKER: f64 = 0.9;
/// The cost of a task at any number of pending tasks over that at the cheapest.
const FLATNESS: f64 = 1.3;
/// Observed tasks of 10 µs take at most so many times as long as unobserved ones.
const OBSERVED: f64 = 1.1;
/// Bytes of a pending task of two reads and one write.
const PENDING_BYTES: f64 = 200.0;

/// Compares what was measured with what is to be reached. What was not measured is passed over.
pub fn verdicts(rows: &[Row]) -> Vec<Verdict> {
    let mut out = Vec::new();
    for (workload, rival, free, pinned) in TARGETS {
        for (setting, wanted) in [(Setting::Free, free), (Setting::Pinned, pinned)] {
            let here: Vec<&Row> = rates(rows).filter(|r| r.workload == workload && r.setting == setting).collect();
            let ours = best(here.iter().copied().filter(|r| r.system == "varflow" && r.variant == rival.our_way()));
            let theirs = best(here.iter().copied().filter(|r| rival.is(r)));
            if let (Some(ours), Some(theirs)) = (ours, theirs) {
                let what = format!("{workload} {}, {}, over {}", rival.our_way(), setting.name(), rival.name());
                out.push(Verdict { what, ours, theirs, ratio: ours / theirs, wanted: Bound::AtLeast(wanted) });
            }
        }
    }
    out.extend(second_worker(rows));
    out.extend(pending(rows));
    out.extend(rows.iter().filter(|r| r.unit == "time over unobserved").map(|row| {
        let what = format!("{}, {}, {} worker(s)", row.workload, row.setting.name(), row.workers);
        let ratio = row.median();
        Verdict { what, ours: ratio, theirs: 1.0, ratio, wanted: Bound::AtMost(OBSERVED) }
    }));
    out
}

fn rates(rows: &[Row]) -> impl Iterator<Item = &Row> {
    rows.iter().filter(|r| r.unit == "Mtasks/s")
}

fn best<'a>(rows: impl Iterator<Item = &'a Row>) -> Option<f64> {
    rows.map(Row::median).max_by(f64::total_cmp)
}

fn second_worker(rows: &[Row]) -> impl Iterator<Item = Verdict> {
    let of = |workers| rates(rows).filter(move |r| r.system == "varflow" && r.workers == workers);
    of(2).filter_map(move |two| {
        let same = |r: &&Row| (&r.workload, &r.variant, r.setting) == (&two.workload, &two.variant, two.setting);
        let one = of(1).find(same)?;
        let what = format!("{} {}, {}, 2 workers over 1", two.workload, two.variant, two.setting.name());
        let (ours, theirs) = (two.median(), one.median());
        Some(Verdict { what, ours, theirs, ratio: ours / theirs, wanted: Bound::AtLeast(SECOND_WORKER) })
    })
}

/// Per number of workers: how flat the cost is, and the memory of the most tasks.
fn pending(rows: &[Row]) -> Vec<Verdict> {
    let mut out = Vec::new();
    for workers in [1, 2] {
        let of = |unit| {
            let is = move |r: &&Row| r.system == "varflow" && r.workers == workers && r.unit == unit;
            rows.iter().filter(is).map(Row::median).collect::<Vec<f64>>()
        };
        let costs = of("ns/task");
        let cheapest = costs.iter().copied().min_by(f64::total_cmp);
        let dearest = costs.iter().copied().max_by(f64::total_cmp);
        if let (Some(theirs), Some(ours), true) = (cheapest, dearest, costs.len() > 1) {
            let what = format!("pending tasks, {workers} worker(s): dearest ns/task over cheapest");
            out.push(Verdict { what, ours, theirs, ratio: ours / theirs, wanted: Bound::AtMost(FLATNESS) });
        }
        if let Some(ours) = of("bytes/task").last().copied() {
            let what = format!("pending tasks, {workers} worker(s): bytes/task over {PENDING_BYTES}");
            let (theirs, ratio) = (PENDING_BYTES, ours / PENDING_BYTES);
            out.push(Verdict { what, ours, theirs, ratio, wanted: Bound::AtMost(1.0) });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(system: &'static str, variant: &str, workers: usize, workload: &str, unit: &str, value: f64) -> Row {
        Row {
            system,
            variant: variant.to_string(),
            version: String::new(),
            workers,
            workload: workload.to_string(),
            setting: Setting::Free,
            unit: unit.to_string(),
            values: vec![value],
            others: vec![0.0],
        }
    }

    #[test]
    fn the_best_of_each_side_is_compared() {
        let rows = [
            row("varflow", "raw", 1, "dag", "Mtasks/s", 4.0),
            row("varflow", "raw", 2, "dag", "Mtasks/s", 3.0),
            row("mxnet", "ThreadedEnginePerDevice cached", 1, "dag", "Mtasks/s", 0.8),
            row("mxnet", "ThreadedEnginePerDevice pushed", 1, "dag", "Mtasks/s", 0.5),
            row("mxnet", "NaiveEngine cached", 1, "dag", "Mtasks/s", 3.9),
            row("onetbb", "rerun", 2, "dag", "Mtasks/s", 9.0),
            row("varflow", "recorded", 2, "dag", "Mtasks/s", 18.0),
        ];
        let verdicts = verdicts(&rows);
        assert_eq!(verdicts.len(), 3, "{verdicts:?}");
        assert_eq!((verdicts[0].ratio, verdicts[0].reached()), (5.0, true));
        assert_eq!((verdicts[1].ratio, verdicts[1].reached()), (2.0, true));
        assert_eq!((verdicts[2].ratio, verdicts[2].reached()), (0.75, false));
        assert!(verdicts[2].what.contains("2 workers over 1"));
    }

    #[test]
    fn pending_tasks_are_judged() {
        let rows = [
            row("varflow", "raw", 1, "1000 pending", "ns/task", 100.0),
            row("varflow", "raw", 1, "10000 pending", "ns/task", 150.0),
            row("varflow", "raw", 1, "1000 pending", "bytes/task", 400.0),
            row("varflow", "raw", 1, "10000 pending", "bytes/task", 190.0),
        ];
        let verdicts = verdicts(&rows);
        assert_eq!(verdicts.iter().map(Verdict::reached).collect::<Vec<_>>(), [false, true]);
    }
}
