//! Checkpoints: `PREFIX-symbol.json` (the network), `PREFIX-%04d.params` (its parameters, keys `arg:…` and `aux:…`) and
//! `PREFIX-%04d.states` (see [`States`]). Each file is replaced whole or not at all. The first two are MXNet's.

use crate::module::Module;
use crate::params::{self, Param};
use crate::states::{Progress, States};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use varflow_ops::{Error, Result, Runtime, Shape, save_atomically};
use varflow_symbol::{HostArray, json};

/// The files of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The network; shared by all checkpoints of the prefix.
    pub symbol: PathBuf,
    /// The parameters.
    pub params: PathBuf,
    /// The optimizer's states and the run's progress.
    pub states: PathBuf,
}

impl Files {
    /// Those of a prefix, which may contain folders, and an epoch.
    #[must_use]
    pub fn new(prefix: &str, epoch: u64) -> Self {
        Files {
            symbol: format!("{prefix}-symbol.json").into(),
            params: format!("{prefix}-{epoch:04}.params").into(),
            states: format!("{prefix}-{epoch:04}.states").into(),
        }
    }
}

/// Arrays of a parameter file that are not yet compared with the network.
pub(crate) struct Loaded {
    path: PathBuf,
    arrays: BTreeMap<String, HostArray>,
}

impl Loaded {
    fn read(path: &Path) -> Result<Loaded> {
        let arrays = varflow_symbol::params::load(path)?.into_iter().collect();
        Ok(Loaded { path: path.to_path_buf(), arrays })
    }

    /// The array of a parameter, under its name with or without `arg:` or `aux:`.
    pub(crate) fn shape(&self, name: &str) -> Option<&Shape> {
        let keys = [format!("arg:{name}"), format!("aux:{name}"), name.to_string()];
        keys.iter().find_map(|key| self.arrays.get(key)).map(|array| &array.desc.shape)
    }

    /// Sets the parameters if the arrays fit, each of them.
    pub(crate) fn set(&self, params: &[Param]) -> Result<()> {
        let fitted = params::set_all(params, &self.arrays);
        fitted.map_err(|e| e.at(format!("checkpoint {} does not fit the network", self.path.display())))
    }
}

impl Module {
    /// Writes checkpoint number `epoch`, once all updates so far are done. The states file is written if there is an
    /// optimizer.
    ///
    /// # Errors
    /// Parameters without values, a failed update, a file that cannot be written: then files that were there are as
    /// they were.
    pub fn save(&self, prefix: &str, epoch: u64) -> Result<()> {
        if !self.is_set {
            return Err(Error::Contract("there are no parameter values to save".to_string()));
        }
        let files = Files::new(prefix, epoch);
        self.save_symbol(prefix)?;
        match self.states()? {
            Some(states) => {
                let bytes = states.to_bytes()?;
                let failed = |e| Error::io(format!("cannot write {}", files.states.display()), e);
                save_atomically(&files.states, |file| file.write_all(&bytes).map_err(failed))?;
            }
            // Those of an earlier run would not belong to these parameters.
            None => remove_file(&files.states)?,
        }
        let arrays = self.params().iter().map(|p| Ok((p.key(), p.to_array()?))).collect::<Result<Vec<_>>>()?;
        varflow_symbol::params::save(&files.params, &arrays)
    }

    /// Writes `PREFIX-symbol.json` only. Makes the folder that the prefix names, if there is none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_symbol(&self, prefix: &str) -> Result<()> {
        let path = Files::new(prefix, 0).symbol;
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            let failed = |e| Error::io(format!("cannot make the folder {} of checkpoints", folder.display()), e);
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        json::save(path, self.graph())
    }

    /// The module of checkpoint number `epoch`: network, parameters and, if there is a states file, what training needs
    /// to go on as if it had not stopped.
    ///
    /// # Errors
    /// A file that is missing or malformed; operators that the runtime does not have.
    pub fn load(runtime: &Runtime, prefix: &str, epoch: u64) -> Result<Module> {
        let symbol = json::load(Files::new(prefix, epoch).symbol)?;
        let mut module = Module::new(runtime, symbol)?;
        module.load_params(prefix, epoch)?;
        Ok(module)
    }

    /// Takes parameters and states of checkpoint number `epoch` into a module whose network comes from elsewhere.
    ///
    /// # Errors
    /// As [`load`](Self::load); arrays that do not fit the network, if it is bound: else [`bind`](Self::bind) tells.
    pub fn load_params(&mut self, prefix: &str, epoch: u64) -> Result<()> {
        let files = Files::new(prefix, epoch);
        let loaded = Loaded::read(&files.params)?;
        let states = match std::fs::read(&files.states) {
            Ok(bytes) => Some(States::from_bytes(&bytes, &files.states)?),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => return Err(Error::io(format!("cannot read {}", files.states.display()), e)),
        };
        if self.params().is_empty() {
            self.loaded = Some(loaded);
        } else {
            loaded.set(self.params())?;
            self.is_set = true;
        }
        self.progress = states.as_ref().map_or(Progress { epoch, ..Progress::default() }, |s| s.progress);
        self.seed = states.as_ref().map_or(self.seed, |s| s.seed);
        self.resumed = states;
        Ok(())
    }
}

fn remove_file(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("cannot remove {}", path.display()), e))
        }
        _ => Ok(()),
    }
}
