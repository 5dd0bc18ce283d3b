//! How much of the machine others used while something was measured.

use std::fs;
use std::time::Instant;

/// Ticks a second of the times in `/proc`; fixed in the kernel's interface.
const TICKS: f64 = 100.0;

/// A moment, and the processor time used until then by all processes that are not niced, and by this one and its finished
/// children.
pub struct Watch {
    start: Instant,
    all: f64,
    own: f64,
}

impl Watch {
    /// Starts to watch.
    pub fn start() -> Watch {
        Watch { start: Instant::now(), all: all_seconds(), own: own_seconds() }
    }

    /// How many cores others used on average since then; niced work, which yields, left out.
    pub fn others(&self) -> f64 {
        let used = (all_seconds() - self.all) - (own_seconds() - self.own);
        (used / self.start.elapsed().as_secs_f64().max(1e-3)).max(0.0)
    }
}

/// From `/proc/stat`: user, system, interrupts and steal. 0 where there is no such file: then nobody is ever seen.
fn all_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let times = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let times: Vec<f64> = times.filter_map(|t| t.parse().ok()).collect();
    [0, 2, 5, 6, 7].iter().filter_map(|i| times.get(*i)).sum::<f64>() / TICKS
}

/// From `/proc/self/stat`: utime, stime, cutime, cstime, which stand 12th to 15th after the name.
fn own_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.split_whitespace().skip(11).take(4).filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() / TICKS
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn children_are_not_others() {
        let before = own_seconds();
        let spin = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        assert!(Command::new("sh").args(["-c", spin]).status().unwrap().success());
        assert!(own_seconds() > before, "a finished child's time must be counted as ours");
        assert!(all_seconds() > 0.0);
    }
}
