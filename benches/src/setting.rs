//! What else the cores do while a system is measured.

use crate::{Error, Result};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::{env, fs, thread};

/// What a measured process has to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Setting {
    /// All cores.
    Free,
    /// One core, which all its threads share.
    Pinned,
    /// All cores, each with a niced busy loop on it.
    Busy,
}

impl Setting {
    /// As `--setting` and the results say.
    pub fn name(self) -> &'static str {
        match self {
            Setting::Free => "free",
            Setting::Pinned => "pinned",
            Setting::Busy => "busy",
        }
    }

    /// The command under this setting.
    pub fn command(self, program: &std::path::Path) -> Result<Command> {
        if self != Setting::Pinned {
            return Ok(Command::new(program));
        }
        let core = allowed_cores()?[0];
        let mut command = Command::new("taskset");
        command.args(["-c", &core.to_string()]).arg(program);
        Ok(command)
    }
}

/// The cores that this process may use.
fn allowed_cores() -> Result<Vec<usize>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let list = status.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:"));
    let cores = list.and_then(|l| parse_list(l.trim())).filter(|c| !c.is_empty());
    cores.ok_or_else(|| Error::from("/proc/self/status has no list of allowed cores such as 0-3,6"))
}

fn parse_list(list: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cores.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(cores)
}

/// Niced busy loops, one on each core, until dropped.
pub struct Hogs(Vec<Child>);

impl Hogs {
    /// Starts them if the setting has any.
    pub fn start(setting: Setting) -> Result<Hogs> {
        let mut hogs = Hogs(Vec::new());
        if setting == Setting::Busy {
            let program = env::current_exe()?;
            for core in allowed_cores()? {
                let mut command = Command::new("nice");
                command.args(["-n", "19", "taskset", "-c", &core.to_string()]).arg(&program).arg("hog");
                let hog = command.stdin(Stdio::piped()).spawn().map_err(|e| format!("nice, taskset: {e}"))?;
                hogs.0.push(hog);
            }
        }
        Ok(hogs)
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        for hog in &mut self.0 {
            drop(hog.stdin.take());
            // A hog that is gone already is as good.
            let _ = hog.wait();
        }
    }
}

/// A hog's life: it ends when its parent closes the pipe, or dies.
pub fn hog() -> Result<()> {
    thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    loop {
        std::hint::spin_loop();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn core_lists() {
        assert_eq!(parse_list("0-1"), Some(vec![0, 1]));
        assert_eq!(parse_list("3,6-8"), Some(vec![3, 6, 7, 8]));
        assert_eq!(parse_list("x"), None);
        assert!(!allowed_cores().unwrap().is_empty());
    }

    #[test]
    fn hogs_are_only_for_the_busy() {
        assert!(Hogs::start(Setting::Free).unwrap().0.is_empty());
    }
}
