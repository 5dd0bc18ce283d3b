//! How plans are shown and kept.

use super::plan::{Budgeted, MB, Planned, Row};
use super::resident::Resident;
use super::time::{Times, Variant};
use crate::report::aligned;
use serde_json::{Value, json};

/// Prints the plans.
pub fn print_plans(rows: &[Row]) {
    let mut table = vec![
        "network | batch | mode | MXNet | naive | planned | lower bound | planned / bound | planned / MXNet | ms to plan"
            .to_string(),
    ];
    for row in rows {
        let Planned { report, ms, .. } = &row.plain;
        let bytes = [report.naive_bytes, report.planned_bytes, report.lower_bound_bytes].map(mb).join(" | ");
        let (peer, ratio) = (peer(row), over_peer(&row.plain, row));
        let over_bound = row.plain.over_bound();
        table.push(format!("{} | {peer} | {bytes} | {over_bound:.3} | {ratio} | {ms:.1}", name(row)));
    }
    println!("\n## Plans, MB\n\n{}", aligned(&table));
    let heads = "planned | planned / MXNet | predicted extra time | extra operations | ms to plan";
    let mut table = vec![format!("network | batch | mode | MXNet | {heads}")];
    for (row, cheap) in rows.iter().filter_map(|r| Some((r, r.cheap.as_ref()?))) {
        table.push(format!("{} | {} | {}", name(row), peer(row), recomputed(cheap, row)));
    }
    println!("\n## With --recompute cheap, MB\n\n{}", aligned(&table));
    let mut table = vec![format!("network | batch | mode | MXNet | budget | {heads}")];
    for (row, budget) in rows.iter().filter_map(|r| Some((r, r.budget.as_ref()?))) {
        let outcome = match &budget.outcome {
            Ok(planned) => recomputed(planned, row),
            Err(_) => "refused | - | - | - | -".to_string(),
        };
        table.push(format!("{} | {} | {} | {outcome}", name(row), peer(row), mb(budget.budget_bytes)));
    }
    if table.len() > 1 {
        println!("\n## With a budget for intermediate results, MB\n\n{}", aligned(&table));
    }
    for (row, why) in rows.iter().filter_map(|r| Some((r, r.budget.as_ref()?.outcome.as_ref().err()?))) {
        println!("refused: {}, {}: {why}", row.network, row.mode);
    }
    let heads = "smallest | waits | most concurrent | waits | over the smallest | ms to plan";
    let mut table = vec![format!("network | batch | mode | {heads}")];
    for row in rows {
        let [smallest, concurrent] = [&row.plain, &row.concurrent].map(|plan| {
            let waits = plan.waits.map_or("-".to_string(), |n| n.to_string());
            format!("{} | {waits}", mb(plan.report.planned_bytes))
        });
        let ratio = row.concurrent.report.planned_bytes as f64 / row.plain.report.planned_bytes.max(1) as f64;
        table.push(format!("{} | {smallest} | {concurrent} | {ratio:.3} | {:.1}", name(row), row.concurrent.ms));
    }
    println!("\n## From the smallest plan to the most concurrent, MB\n\n{}", aligned(&table));
}

/// Prints what the plans mean.
pub fn print_notes(origin: &str) {
    println!(
        "MXNet's plans are of {origin}. Both sides plan the same symbol JSON. A MB is 2^20 bytes. Counted are intermediate \
         results and workspaces: not parameters, their gradients, auxiliary states and data. Outputs lie in MXNet's plan and \
         not in varflow's; \"planned / MXNet\" counts them. MXNet tells its plan (\"Total N MB allocated\") in whole MB, \
         rounded down, so ratios to small plans are too high. naive: every result and workspace has memory of its own. \
         Lower bound: the most that is alive at a time. Extra time is predicted from operations and bytes. \
         Waits: how often a node of a pass waits for one that it needs nothing of, because they share memory.\n"
    );
}

/// Prints measured memory.
pub fn print_resident(rows: &[Resident]) {
    let mut table = vec![
        "network | batch | mode | varflow's accounts | resident growth | ratio | MXNet's growth | varflow / MXNet"
            .to_string(),
    ];
    for row in rows {
        let (counted, grown) = (row.counted_bytes / MB, row.grown_bytes / MB);
        let peer = row.peer_bytes.map_or("-".to_string(), |b| format!("{:.1}", b / MB));
        let ratio = row.peer_bytes.map_or("-".to_string(), |b| format!("{:.2}", row.grown_bytes / b));
        let (network, batch_size, mode) = (&row.network, row.batch_size, row.mode);
        table.push(format!(
            "{network} | {batch_size} | {mode} | {counted:.1} | {grown:.1} | {:.3} | {peer} | {ratio}",
            grown / counted
        ));
    }
    println!("\n## Resident memory, MB\n\n{}", aligned(&table));
    println!(
        "Each in a process of its own, in which LeNet was bound and run before: the peak of resident memory after binding and \
         three steps, over what was resident before binding; pages of files (the program's code) left out. \
         varflow's accounts: plan, parameters, gradients, auxiliary states, data and outputs.\n"
    );
}

/// Prints measured times.
pub fn print_times(rows: &[Times]) {
    let heading =
        "network | batch | mode | with | arena, MB | without | s/step | without | extra time (least–most) | predicted";
    let mut table = vec![heading.to_string()];
    for row in rows {
        let (network, batch_size, mode, [plain, with]) = (&row.network, row.batch_size, row.mode, row.seconds);
        let how = match row.variant {
            Variant::Cheap => "cheap recomputation".to_string(),
            Variant::Budget(bytes) => format!("a budget of {} MB", mb(bytes)),
            Variant::Concurrent => "the most concurrent plan".to_string(),
            Variant::NoPasses => "no passes".to_string(),
        };
        let predicted = match row.variant {
            Variant::Cheap | Variant::Budget(_) => percent(row.predicted_ratio),
            Variant::Concurrent | Variant::NoPasses => "-".to_string(),
        };
        let [plain_arena, arena] = row.arena_bytes.map(|bytes| bytes / MB);
        let [extra, least, most] = row.extra_ratio.map(percent);
        table.push(format!(
            "{network} | {batch_size} | {mode} | {how} | {arena:.1} | {plain_arena:.1} | {with:.3} | {plain:.3} | {extra} ({least}–{most}) | {predicted}",
        ));
    }
    println!("\n## Extra time of options\n\n{}", aligned(&table));
    println!(
        "Two executors in one process take turns, one without the option and one with it; medians, and the ratios of neighbouring turns. Budgets are 40 % of MXNet's plan, taken down to the batch.\n"
    );
}

fn name(row: &Row) -> String {
    format!("{} | {} | {}", row.network, row.batch_size, row.mode)
}

fn peer(row: &Row) -> String {
    row.peer_mb.map_or("-".to_string(), |mb| mb.to_string())
}

fn over_peer(planned: &Planned, row: &Row) -> String {
    row.peer_mb.map_or("-".to_string(), |mb| format!("{:.2}", planned.with_outputs_mb() / mb as f64))
}

fn recomputed(planned: &Planned, row: &Row) -> String {
    let Planned { report, ms, .. } = planned;
    let (planned_mb, ratio) = (mb(report.planned_bytes), over_peer(planned, row));
    let (time, flops) = (percent(report.extra_time_ratio), percent(report.extra_flops_ratio));
    format!("{planned_mb} | {ratio} | {time} | {flops} | {ms:.1}")
}

fn mb(bytes: usize) -> String {
    format!("{:.1}", bytes as f64 / MB)
}

fn percent(ratio: f64) -> String {
    format!("{:.1} %", 100.0 * ratio)
}

/// One object a plan.
pub fn plan_lines(rows: &[Row], origin: &str) -> Vec<Value> {
    let mut lines = Vec::new();
    for row in rows {
        let mut push = |variant: &str, budget_bytes: Option<usize>, outcome: Result<&Planned, &String>| {
            let report = outcome.ok().map(|p| p.report);
            lines.push(json!({
                "table": "memory",
                "variant": variant,
                "against": origin,
                "network": row.network,
                "batch_size": row.batch_size,
                "mode": row.mode.to_string(),
                "mxnet_mb": row.peer_mb,
                "budget_bytes": budget_bytes,
                "naive_bytes": report.map(|r| r.naive_bytes),
                "planned_bytes": report.map(|r| r.planned_bytes),
                "lower_bound_bytes": report.map(|r| r.lower_bound_bytes),
                "extra_time_ratio": report.map(|r| r.extra_time_ratio),
                "extra_flops_ratio": report.map(|r| r.extra_flops_ratio),
                "plan_ms": outcome.ok().map(|p| p.ms),
                "waits": outcome.ok().and_then(|p| p.waits),
                "refused": outcome.err(),
            }));
        };
        push("plain", None, Ok(&row.plain));
        push("most concurrent", None, Ok(&row.concurrent));
        row.cheap.iter().for_each(|cheap| push("recompute cheap", None, Ok(cheap)));
        if let Some(Budgeted { budget_bytes, outcome }) = &row.budget {
            push("budget", Some(*budget_bytes), outcome.as_ref());
        }
    }
    lines
}

/// One object a measurement.
pub fn resident_lines(rows: &[Resident]) -> impl Iterator<Item = Value> {
    rows.iter().map(|row| {
        json!({
            "table": "memory",
            "variant": "resident",
            "network": row.network,
            "batch_size": row.batch_size,
            "mode": row.mode.to_string(),
            "counted_bytes": row.counted_bytes,
            "resident_bytes": row.grown_bytes,
            "mxnet_resident_bytes": row.peer_bytes,
        })
    })
}

/// One object a measurement.
pub fn time_lines(rows: &[Times]) -> impl Iterator<Item = Value> {
    rows.iter().map(|row| {
        json!({
            "table": "memory",
            "variant": "time",
            "network": row.network,
            "batch_size": row.batch_size,
            "mode": row.mode.to_string(),
            "with": row.variant.to_string(),
            "seconds_a_step": row.seconds[0],
            "seconds_a_step_with": row.seconds[1],
            "arena_bytes": row.arena_bytes[1],
            "arena_bytes_plain": row.arena_bytes[0],
            "extra_time_ratio": row.extra_ratio[0],
            "least_extra_time_ratio": row.extra_ratio[1],
            "most_extra_time_ratio": row.extra_ratio[2],
            "predicted_extra_time_ratio": row.predicted_ratio,
        })
    })
}
