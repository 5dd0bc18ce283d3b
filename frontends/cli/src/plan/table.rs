//! Plans as text.

use super::Told;
use crate::failure::{Failure, say};
use varflow::symbol::plan::human_bytes;

type Row = (&'static str, fn(&Told<'_>) -> usize);

const ROWS: [Row; 13] = [
    ("intermediates, naive", |told| told.naive_bytes),
    ("intermediates, planned", |told| told.planned_bytes),
    ("intermediates, lower bound", |told| told.lower_bound_bytes),
    ("  the largest workspace", |told| told.workspace_bytes),
    ("parameters", |told| told.parameter_bytes),
    ("gradients", |told| told.gradient_bytes),
    ("auxiliary states", |told| told.auxiliary_bytes),
    ("optimizer states", |told| told.optimizer_bytes),
    ("constants", |told| told.constant_bytes),
    ("data and labels", |told| told.data_bytes),
    ("outputs", |told| told.output_bytes),
    ("total, planned", |told| told.total_bytes()),
    ("total, naive", |told| told.total_bytes().saturating_sub(told.planned_bytes).saturating_add(told.naive_bytes)),
];

impl Told<'_> {
    fn total_bytes(&self) -> usize {
        let of_users = [
            self.parameter_bytes,
            self.gradient_bytes,
            self.auxiliary_bytes,
            self.optimizer_bytes,
            self.constant_bytes,
            self.data_bytes,
            self.output_bytes,
        ];
        of_users.into_iter().fold(self.planned_bytes, usize::saturating_add)
    }
}

/// Prints plans side by side, `with_ratio` how the last compares to the first.
pub(super) fn print(columns: &[(&str, &Told<'_>)], with_ratio: bool) -> Result<(), Failure> {
    let titles: String = columns.iter().map(|(title, _)| format!("{title:>30}")).collect();
    say(&format!("{:<26}{titles}{}", "", if with_ratio { "     ratio" } else { "" }))?;
    for (label, bytes) in ROWS {
        let cells = columns.iter().map(|(_, told)| format!("{:>12} {:>17}", human_bytes(bytes(told)), bytes(told)));
        let ratio = match columns {
            [(_, first), .., (_, last)] if with_ratio && bytes(first) > 0 => {
                format!("{:>10.3}", bytes(last) as f64 / bytes(first) as f64)
            }
            _ => String::new(),
        };
        say(&format!("{label:<26}{}{ratio}", cells.collect::<String>()))?;
    }
    let row = |label: &str, cell: fn(&Told<'_>) -> String| {
        let cells: String = columns.iter().map(|(_, told)| format!("{:>30}", cell(told))).collect();
        say(&format!("{label:<26}{cells}"))
    };
    if columns.iter().any(|(_, told)| told.extra_time_ratio > 0.0 || told.extra_flops_ratio > 0.0) {
        row("extra time, predicted", |told| percent(told.extra_time_ratio))?;
        row("extra operations", |told| percent(told.extra_flops_ratio))?;
    }
    row("edges added", |told| told.edges.map_or("not counted".to_string(), |e| e.added.to_string()))?;
    row("  beyond what data says", |told| told.edges.map_or("not counted".to_string(), |e| e.beyond_data.to_string()))
}

fn percent(ratio: f64) -> String {
    format!("{:.2} %", 100.0 * ratio)
}

/// Prints when most is alive, and who is.
pub(super) fn print_peak(told: &Told<'_>) -> Result<(), Failure> {
    let Some(peak) = &told.peak else { return Ok(()) };
    say("")?;
    say(&format!(
        "peak of {}: {} in step {} of {}, {}; alive then:",
        told.mode,
        human_bytes(peak.alive_bytes),
        peak.step,
        peak.steps,
        peak.node
    ))?;
    for held in &peak.alive {
        say(&format!("{:>12} {:>17}  {}", human_bytes(held.bytes), held.bytes, held.name))?;
    }
    match peak.alive_count - peak.alive.len() {
        0 => Ok(()),
        more => say(&format!("{:>30}  and {more} more", "")),
    }
}

/// Prints who waits for whom only so that memory can be shared.
pub(super) fn print_edges(mode: &str, lines: &Option<Vec<String>>) -> Result<(), Failure> {
    say("")?;
    match lines {
        None => say(&format!("{mode}: too many edges to be told")),
        Some(lines) if lines.is_empty() => say(&format!("{mode}: nothing waits for what it does not need")),
        Some(lines) => {
            say(&format!("{mode}: {} times a node waits for one that it needs nothing of:", lines.len()))?;
            lines.iter().try_for_each(|line| say(&format!("  {line}")))
        }
    }
}
