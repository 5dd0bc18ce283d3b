//! The systems that varflow is compared with: where they come from, whether they are there.

use crate::{Result, paths};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A system from somewhere else.
pub struct Peer {
    /// As results and options call it.
    pub name: &'static str,
    source: Source,
}

enum Source {
    /// Debian packages, and a file that is there when they are.
    Debian { packages: &'static [&'static str], file: &'static str },
    /// Packages of the Python index, in an environment of their own, and the one that is imported.
    Python { packages: &'static [&'static str], module: &'static str },
}

/// gcc's OpenMP tasks.
pub const OPENMP: Peer = Peer { name: "openmp", source: Source::Debian { packages: &["g++"], file: "/usr/bin/g++" } };
/// oneTBB's flow graph.
pub const ONETBB: Peer = Peer {
    name: "onetbb",
    source: Source::Debian { packages: &["g++", "libtbb-dev"], file: "/usr/include/tbb/version.h" },
};
/// StarPU.
pub const STARPU: Peer = Peer {
    name: "starpu",
    source: Source::Debian { packages: &["g++", "libstarpu-dev"], file: "/usr/include/starpu/1.3/starpu.h" },
};
/// MXNet 1.9.1: its engine, its training.
pub const MXNET: Peer =
    Peer { name: "mxnet", source: Source::Python { packages: &["mxnet==1.9.1", "numpy<1.24"], module: "mxnet" } };
/// PyTorch.
pub const TORCH: Peer =
    Peer { name: "torch", source: Source::Python { packages: &["torch", "numpy"], module: "torch" } };

const ALL: [&Peer; 5] = [&OPENMP, &ONETBB, &STARPU, &MXNET, &TORCH];

impl Peer {
    /// Whether it can be measured; if not, how to get it.
    pub fn check(&self) -> Result<()> {
        let is_there = match &self.source {
            Source::Debian { file, .. } => Path::new(file).exists(),
            Source::Python { module, .. } => self.module(module).is_ok(),
        };
        if is_there { Ok(()) } else { Err(format!("{} is not installed: {}", self.name, self.command()?).into()) }
    }

    /// One shell command that installs it.
    fn command(&self) -> Result<String> {
        Ok(match &self.source {
            Source::Debian { packages, .. } => format!("apt-get install -y {}", packages.join(" ")),
            Source::Python { packages, .. } => {
                let folder = paths::peers()?.join(self.name);
                let folder = folder.display();
                let packages: Vec<String> = packages.iter().map(|p| format!("'{p}'")).collect();
                let packages = packages.join(" ");
                format!("python3 -m venv '{folder}' && '{folder}/bin/pip' install {packages}")
            }
        })
    }

    fn install(&self) -> Result<()> {
        let command = self.command()?;
        println!("{}: {command}", self.name);
        let status = Command::new("sh").args(["-c", &command]).status()?;
        if !status.success() {
            return Err(format!("{}: \"{command}\" failed, {status}", self.name).into());
        }
        self.check()
    }

    /// The Python that has it.
    pub fn python(&self) -> Result<PathBuf> {
        Ok(paths::peers()?.join(self.name).join("bin/python"))
    }

    /// The folder of a module in its Python environment.
    pub fn module(&self, module: &str) -> Result<PathBuf> {
        let lib = paths::peers()?.join(self.name).join("lib");
        let pythons = fs::read_dir(&lib).map_err(|e| format!("{}: {e}", lib.display()))?;
        let folders = pythons.filter_map(|p| Some(p.ok()?.path().join("site-packages").join(module)));
        let found = folders.into_iter().find(|f| f.is_dir());
        found.ok_or_else(|| format!("{} has no Python module {module}", lib.display()).into())
    }
}

/// `varflow-bench peers`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Say which peers are there, and how to install the others
    List,
    /// Install peers: all, or those named
    Install {
        /// Names as `list` shows them
        names: Vec<String>,
    },
}

/// Lists or installs.
///
/// # Errors
/// An unknown name, or an installation that fails.
pub fn run(args: &Args) -> Result<()> {
    let Some(Action::Install { names }) = &args.action else {
        for peer in ALL {
            match peer.check() {
                Ok(()) => println!("{}: installed", peer.name),
                Err(e) => println!("{e}"),
            }
        }
        return Ok(());
    };
    if let Some(unknown) = names.iter().find(|n| ALL.iter().all(|p| p.name != **n)) {
        let known = ALL.map(|p| p.name).join(", ");
        return Err(format!("there is no peer \"{unknown}\": wanted one of {known}").into());
    }
    let wanted = |p: &&Peer| names.is_empty() || names.iter().any(|n| n == p.name);
    for peer in ALL.into_iter().filter(wanted) {
        match peer.check() {
            Ok(()) => println!("{}: installed", peer.name),
            Err(_) => peer.install()?,
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_with_its_command() {
        let nowhere = Peer {
            name: "nowhere",
            source: Source::Debian { packages: &["libnowhere-dev"], file: "/nowhere/nowhere.h" },
        };
        let text = nowhere.check().unwrap_err().to_string();
        assert_eq!(text, "nowhere is not installed: apt-get install -y libnowhere-dev");
        assert!(MXNET.command().unwrap().contains("install 'mxnet==1.9.1' 'numpy<1.24'"));
    }

    #[test]
    fn unknown_names_are_refused() {
        let names = vec!["nosuch".to_string()];
        let text = run(&Args { action: Some(Action::Install { names }) }).unwrap_err().to_string();
        assert!(text.contains("\"nosuch\"") && text.contains("openmp"), "{text}");
    }
}
