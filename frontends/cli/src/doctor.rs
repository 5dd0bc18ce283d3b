//! The command `doctor`.

use crate::failure::{Failure, say};
use crate::plugins::Plugins;
use std::path::Path;
use varflow::io::default_data_dir;
use varflow::ops::plugin::Library;
use varflow::{PLUGIN_PATH, registry};

/// The environment variables that varflow looks at, and what each is for.
const VARIABLES: [(&str, &str); 3] = [
    ("VARFLOW_CACHE", "folder of fetched data"),
    (PLUGIN_PATH, "plug-ins to load: files and folders, separated as in PATH"),
    ("XDG_CACHE_HOME", "its parent, if VARFLOW_CACHE is not set; else ~/.cache"),
];

/// Prints what there is, plug-ins that cannot be loaded included: with the reason.
pub(crate) fn run(plugins: &Plugins) -> Result<(), Failure> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let operators = registry()?.operators().filter(|op| !op.is_hidden()).count();
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
        say(&format!("  {name:<19} {value:<24} {doc}"))
    })?;
    match plugins.files() {
        Err(e) => say(&format!("plug-ins   {e}")),
        Ok(files) if files.is_empty() => say("plug-ins   none"),
        Ok(files) => {
            say("plug-ins")?;
            files.iter().try_for_each(|file| say(&format!("  {}", plugin(file))))
        }
    }
}

/// What a plug-in is and brings, or why it cannot be loaded.
fn plugin(file: &Path) -> String {
    let library = match Library::open(file) {
        Ok(library) => library,
        Err(e) => return e.to_string(),
    };
    let sorts: [(&str, Vec<&str>); 4] = [
        ("operators", library.operators().iter().map(|o| &o.name[..]).collect()),
        ("iterators", library.iterators().iter().map(|i| &i.name[..]).collect()),
        ("reductions", library.reductions().iter().map(|r| &r.name[..]).collect()),
        ("optimizers", library.update_rules().iter().map(|u| &u.name[..]).collect()),
    ];
    let brought = sorts.iter().filter(|(_, names)| !names.is_empty());
    let brought: Vec<_> = brought.map(|(sort, names)| format!("{sort} {}", names.join(", "))).collect();
    let brings = if brought.is_empty() { "nothing".to_string() } else { brought.join("; ") };
    let (name, version, abi) = (library.name(), library.version(), library.abi_version());
    format!("{name} {version} ({}), ABI {abi}: {brings}", library.path().display())
}
