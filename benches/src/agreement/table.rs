//! How agreement is shown and kept.

use super::compare::GOAL;
use super::row::{DOUBLE_GOAL, Row, Verdict};
use crate::Result;
use crate::report::aligned;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// Prints a row for each operator, with the worst of its cases.
pub fn print_operators(rows: &[Row]) {
    let mut by_operator: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    rows.iter().for_each(|r| by_operator.entry(&r.subject).or_default().push(r));
    let mut table = vec![format!("operator | cases | {HEADINGS}")];
    for (operator, rows) in by_operator {
        let worst = rows.iter().max_by(|a, b| rank(a).total_cmp(&rank(b)));
        table.extend(worst.map(|row| format!("{operator} | {} | {}", rows.len(), cells(row))));
    }
    println!("\n## Operators\n\n{}", aligned(&table));
}

/// Prints a row for each network.
pub fn print_networks(rows: &[Row]) {
    let mut table = vec![format!("network | tensors | draw | {HEADINGS}")];
    table.extend(rows.iter().map(|r| format!("{} | {} | {} | {}", r.name, r.single.tensors, r.draw + 1, cells(r))));
    println!("\n## Networks\n\n{}", aligned(&table));
}

/// Prints what the tables mean, and all that deviates or is left out.
pub fn print_notes(rows: &[Row], origin: &str) {
    println!(
        "Compared with {origin}. The error of a tensor is its largest difference over MXNet's largest magnitude (at least \
         1e-3 of that of its kind in the case: outputs, gradients, states); shown is the largest of all tensors and which \
         has it. Elements beyond: |a - b| > 1e-5 + 1e-4 |b|. float64: both computed in it. To reach: {GOAL:e}, or where \
         rounding grows beyond it (rounding) {DOUBLE_GOAL:e} in float64 and no more than four times MXNet's own error. \
         Parameters of a network that is past {GOAL:e} for rounding alone are drawn anew, up to six times, and the draw that is \
         least apart is shown. Dropout drops nothing in networks.\n"
    );
    for row in rows {
        match &row.verdict {
            Verdict::Deviates(why) => println!("deviates: {}: {why}", row.name),
            Verdict::Excused(why) => println!("excused: {}: {why}", row.name),
            Verdict::Agrees | Verdict::Rounding => {}
        }
    }
    for row in rows.iter().filter(|r| !r.drawn.is_empty()) {
        println!("drawn at random, compared in shape: {}: {}", row.name, row.drawn.join(", "));
    }
}

const HEADINGS: &str = "error | at | elements beyond | error in float64 | varflow's own | MXNet's own | verdict";

fn cells(row: &Row) -> String {
    let optional = |x: Option<f64>| x.map_or_else(|| "-".to_string(), error);
    let d = &row.single;
    let verdict = match &row.verdict {
        Verdict::Agrees => "agrees",
        Verdict::Rounding => "rounding",
        Verdict::Excused(_) => "excused",
        Verdict::Deviates(_) => "deviates",
    };
    let double = optional(row.double.as_ref().map(|d| d.relative));
    let (ours, theirs) = (optional(row.ours), optional(row.theirs));
    let at = if d.relative == 0.0 { "-" } else { &d.tensor };
    format!("{} | {at} | {} of {} | {double} | {ours} | {theirs} | {verdict}", error(d.relative), d.beyond, d.elements)
}

fn error(x: f64) -> String {
    if x == 0.0 { "0".to_string() } else { format!("{x:.1e}") }
}

/// The more, the worse.
fn rank(row: &Row) -> f64 {
    row.single.relative + if matches!(row.verdict, Verdict::Deviates(_)) { 1e30 } else { 0.0 }
}

/// Appends a line for each row.
///
/// # Errors
/// The file operation that failed.
pub fn append_json(path: &Path, rows: &[Row], origin: &str) -> Result<()> {
    let mut lines = String::new();
    for row in rows {
        let (verdict, why) = match &row.verdict {
            Verdict::Agrees => ("agrees", None),
            Verdict::Rounding => ("rounding", None),
            Verdict::Excused(why) => ("excused", Some(why)),
            Verdict::Deviates(why) => ("deviates", Some(why)),
        };
        let line = json!({
            "table": "agreement",
            "against": origin,
            "case": row.name,
            "draw": row.draw + 1,
            "subject": row.subject,
            "error": row.single.relative,
            "tensor": row.single.tensor,
            "tensors": row.single.tensors,
            "elements": row.single.elements,
            "beyond": row.single.beyond,
            "error_float64": row.double.as_ref().map(|d| d.relative),
            "varflow_from_float64": row.ours,
            "mxnet_from_float64": row.theirs,
            "verdict": verdict,
            "why": why,
        });
        lines.push_str(&format!("{line}\n"));
    }
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut f| f.write_all(lines.as_bytes())).map_err(|e| format!("{}: {e}", path.display()).into())
}
