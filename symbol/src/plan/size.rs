//! Sizes as people read them.

/// A number of bytes to about three digits, in the largest unit of which there is at least one.
///
/// ```
/// use varflow_symbol::plan::human_bytes;
/// assert_eq!([1023, 1536, 50 << 20, 3 << 40].map(human_bytes), ["1023 B", "1.5 KiB", "50 MiB", "3 TiB"]);
/// ```
#[must_use]
pub fn human_bytes(bytes: usize) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut value, mut unit) = (bytes as f64, "B");
    for next in UNITS {
        // What would be shown as 1024 of a unit is shown as 1 of the next.
        if value < 1023.5 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    let text = format!("{value:.decimals$}");
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{short} {unit}")
}
