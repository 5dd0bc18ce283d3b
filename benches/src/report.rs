//! How results are shown and kept.

use crate::rounds::{Results, Row, median};
use crate::setting::Setting;
use crate::{Common, Result};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

/// More than this many cores taken by others makes a result doubtful.
const NOISY: f64 = 0.25;

/// A claim that results can bear out or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What is compared, and where.
    pub what: String,
    /// varflow's figure.
    pub ours: f64,
    /// What it is compared with.
    pub theirs: f64,
    /// The ratio of the two.
    pub ratio: f64,
    /// The ratio to reach.
    pub wanted: Bound,
}

/// The side of a limit on which a ratio should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// This much or more.
    AtLeast(f64),
    /// This much or less.
    AtMost(f64),
}

impl Verdict {
    /// Whether the ratio is what was wanted.
    pub fn reached(&self) -> bool {
        match self.wanted {
            Bound::AtLeast(x) => self.ratio >= x,
            Bound::AtMost(x) => self.ratio <= x,
        }
    }
}

/// Prints everything and appends the rows to the file that was asked for.
///
/// # Errors
/// When the file cannot be written, or varflow itself could not be measured.
pub fn finish(common: &Common, table: &str, results: &Results, verdicts: &[Verdict], missing: &[String]) -> Result<()> {
    print!("{}", text(results, verdicts));
    for failure in &results.failures {
        println!("failed: {failure}");
    }
    for peer in missing {
        println!("not measured: {peer}");
    }
    if let Some(path) = &common.json {
        let lines: Vec<Value> = results.rows.iter().map(|r| json_line(table, r)).collect();
        append_lines(path, &lines)?;
    }
    match results.failures.iter().find(|f| f.starts_with("varflow ")) {
        Some(failure) => Err(failure.clone().into()),
        None => Ok(()),
    }
}

/// Appends a line for each object.
///
/// # Errors
/// The file operation that failed.
pub fn append_lines(path: &Path, objects: &[Value]) -> Result<()> {
    let mut lines = String::new();
    for object in objects {
        let _ = writeln!(lines, "{object}");
    }
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut f| f.write_all(lines.as_bytes())).map_err(|e| format!("{}: {e}", path.display()).into())
}

fn json_line(table: &str, row: &Row) -> Value {
    json!({
        "system": row.system,
        "variant": row.variant,
        "version": row.version,
        "table": table,
        "workload": row.workload,
        "workers": row.workers,
        "setting": row.setting.name(),
        "unit": row.unit,
        "median": row.median(),
        "min": row.min(),
        "max": row.max(),
        "reps": row.values.len(),
        "others_cores": median(&row.others),
    })
}

fn text(results: &Results, verdicts: &[Verdict]) -> String {
    let mut out = String::new();
    for setting in [Setting::Free, Setting::Pinned, Setting::Busy] {
        let rows: Vec<&Row> = results.rows.iter().filter(|r| r.setting == setting).collect();
        for unit in distinct(rows.iter().map(|r| r.unit.as_str())) {
            let rows: Vec<&Row> = rows.iter().copied().filter(|r| r.unit == unit).collect();
            let _ = writeln!(out, "\n## {unit}, {}\n\n{}", setting.name(), matrix(&rows));
        }
    }
    if results.rows.iter().any(|r| median(&r.others) > NOISY) {
        let _ = writeln!(out, "\\* Others took more than {NOISY} cores meanwhile: measure again on a quiet machine.\n");
    }
    if !verdicts.is_empty() {
        let _ = writeln!(out, "## To reach\n\n{}", verdict_table(verdicts));
    }
    out
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut out = Vec::new();
    for name in names {
        if !out.contains(&name) {
            out.push(name);
        }
    }
    out
}

/// Systems by workloads; a cell is median (min–max).
fn matrix(rows: &[&Row]) -> String {
    let label = |r: &Row| format!("{} {} | {}", r.system, r.variant, r.workers);
    let labels: Vec<String> = rows.iter().map(|r| label(r)).collect();
    let workloads = distinct(rows.iter().map(|r| r.workload.as_str()));
    let mut table = vec![format!("system | workers | {}", workloads.join(" | "))];
    for system in distinct(labels.iter().map(String::as_str)) {
        let mut line = system.to_string();
        for workload in &workloads {
            let row = rows.iter().zip(&labels).find(|(r, l)| *l == system && r.workload == *workload);
            let cell = row.map_or_else(|| "-".to_string(), |(r, _)| cell(r));
            let _ = write!(line, " | {cell}");
        }
        table.push(line);
    }
    aligned(&table)
}

fn cell(row: &Row) -> String {
    let star = if median(&row.others) > NOISY { "*" } else { "" };
    format!("{}{star} ({}–{})", number(row.median()), number(row.min()), number(row.max()))
}

/// A row for each claim.
pub fn verdict_table(verdicts: &[Verdict]) -> String {
    let mut table = vec!["what | varflow | other | ratio | to reach | reached".to_string()];
    for v in verdicts {
        let wanted = match v.wanted {
            Bound::AtLeast(x) => format!("≥ {x}"),
            Bound::AtMost(x) => format!("≤ {x}"),
        };
        let (ours, theirs, reached) = (number(v.ours), number(v.theirs), if v.reached() { "yes" } else { "no" });
        table.push(format!("{} | {ours} | {theirs} | {:.2} | {wanted} | {reached}", v.what, v.ratio));
    }
    aligned(&table)
}

/// Three significant digits; whole numbers from 100 on.
fn number(x: f64) -> String {
    let decimals = match x.abs() {
        a if a >= 100.0 => 0,
        a if a >= 10.0 => 1,
        a if a >= 1.0 => 2,
        _ => 3,
    };
    format!("{x:.decimals$}")
}

/// A Markdown table of lines whose cells are parted by ` | `, the columns padded to equal width.
pub fn aligned(lines: &[String]) -> String {
    let cells: Vec<Vec<&str>> = lines.iter().map(|l| l.split(" | ").collect()).collect();
    let columns = cells.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| cells.iter().filter_map(|l| l.get(c)).map(|s| s.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for (i, line) in cells.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(out, "| {cell:width$} ");
        }
        out.push_str("|\n");
        if i == 0 {
            widths.iter().for_each(|w| out.extend(["|", &"-".repeat(w + 2)]));
            out.push_str("|\n");
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn row(system: &'static str, workload: &str, values: &[f64], others: f64) -> Row {
        Row {
            system,
            variant: "v".to_string(),
            version: "1".to_string(),
            workers: 2,
            workload: workload.to_string(),
            setting: Setting::Free,
            unit: "Mtasks/s".to_string(),
            values: values.to_vec(),
            others: vec![others],
        }
    }

    #[test]
    fn json_lines_have_the_documented_keys() {
        let object = json_line("engine", &row("varflow", "chain", &[2.0, 1.0, 4.0], 0.0));
        for (key, wanted) in [
            ("system", json!("varflow")),
            ("table", json!("engine")),
            ("workload", json!("chain")),
            ("setting", json!("free")),
            ("unit", json!("Mtasks/s")),
            ("median", json!(2.0)),
            ("min", json!(1.0)),
            ("max", json!(4.0)),
            ("reps", json!(3)),
            ("workers", json!(2)),
        ] {
            assert_eq!(object[key], wanted, "{key}");
        }
    }

    #[test]
    fn tables_are_markdown() {
        let rows = vec![row("varflow", "chain", &[2.0], 0.0), row("openmp", "dag", &[0.5], 1.0)];
        let results = Results { rows, failures: Vec::new() };
        let verdict =
            Verdict { what: "dag".to_string(), ours: 3.0, theirs: 1.0, ratio: 3.0, wanted: Bound::AtLeast(3.5) };
        let text = text(&results, &[verdict]);
        assert!(text.contains("| varflow v | 2       | 2.00 (2.00–2.00) | -                    |"), "{text}");
        assert!(text.contains("0.500* (0.500–0.500)"), "{text}");
        assert!(text.contains("| dag  | 3.00    | 1.00  | 3.00  | ≥ 3.5    | no      |"), "{text}");
    }

    #[test]
    fn three_digits() {
        let shown = [0.1234, 1.234, 12.34, 123.4, 12345.6].map(number);
        assert_eq!(shown, ["0.123", "1.23", "12.3", "123", "12346"]);
    }
}
