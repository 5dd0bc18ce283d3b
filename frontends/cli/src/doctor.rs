//! The command `doctor`.

use crate::failure::{Failure, say};
use varflow::io::default_data_dir;
use varflow::runtime;

/// The environment variables that varflow looks at, and what each is for.
const VARIABLES: [(&str, &str); 2] = [
    ("VARFLOW_CACHE", "folder of fetched data"),
    ("XDG_CACHE_HOME", "its parent, if VARFLOW_CACHE is not set; else ~/.cache"),
];

/// Prints what there is.
pub(crate) fn run() -> Result<(), Failure> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let rt = runtime(1)?;
    let operators = rt.registry.operators().filter(|op| !op.is_hidden()).count();
    let cache = default_data_dir("NAME").map_or_else(|e| e.to_string(), |dir| dir.display().to_string());
    let devices = match varflow::cuda::devices() {
        Ok(devices) if devices.is_empty() => "none".to_string(),
        Ok(devices) => devices.iter().map(|d| format!("gpu({}) {}", d.id, d.name)).collect::<Vec<_>>().join(", "),
        Err(e) => e.to_string(),
    };
    say(&format!("version    {}", env!("CARGO_PKG_VERSION")))?;
    say(&format!("target     {} {}", std::env::consts::ARCH, std::env::consts::OS))?;
    say(&format!("cores      {cores}"))?;
    say(&format!("gpus       {devices}"))?;
    say(&format!("operators  {operators}"))?;
    say(&format!("data sets  {cache}"))?;
    say("environment variables")?;
    VARIABLES.iter().try_for_each(|(name, doc)| {
        let value = std::env::var(name).unwrap_or_else(|_| "(not set)".to_string());
        say(&format!("  {name:<16} {value:<24} {doc}"))
    })
}
