//! Loads a plug-in.
#![expect(unsafe_code, reason = "loads a dylib, calls its entry and reads its tables")]

use super::tables::{IteratorTable, OperatorTable, ReductionTable, read_update_rule};
use super::{elf, read};
use crate::{Error, Result, UpdateRule};
use std::ffi::CString;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use varflow_abi as abi;

/// A plug-in that is loaded, with copies of its tables. Dropping it does not unload it: nothing does.
#[derive(Clone)]
pub struct Library {
    source: Arc<Source>,
    version: String,
    doc: String,
    preference: i32,
    abi_version: u32,
    operators: Vec<OperatorTable>,
    iterators: Vec<IteratorTable>,
    reductions: Vec<ReductionTable>,
    update_rules: Vec<UpdateRule>,
}

/// Which plug-in something comes from, as errors say it: `plug-in "swish" (/tmp/libswish.so)`.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plug-in \"{}\" ({})", self.name, self.path.display())
    }
}

fn refuse<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::Plugin(text.into()))
}

impl Library {
    /// Loads a dylib, asks it for its tables, and copies and checks them. The dylib stays in the process for good, whatever comes
    /// of it; the file may then be deleted.
    ///
    /// This runs code of the file, as starting a program would: load what you trust. Opened again, a dylib that is still in the same
    /// file is not loaded again, and is asked again.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read; [`Error::Plugin`], said of the file, when it is no dylib, has no entry, does
    /// not fit this version, or has a table that breaks the contract: with what it has and what is wanted.
    pub fn open(path: &Path) -> Result<Library> {
        // A path without a slash would be looked for in the system's folders.
        let path = std::path::absolute(path).map_err(|e| Error::io(format!("plug-in {}", path.display()), e))?;
        let failed = |e| Error::io(format!("plug-in {}", path.display()), e);
        let is_file = std::fs::metadata(&path).map_err(failed)?.is_file();
        let unnamed =
            Source { name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(), path: path.clone() };
        if !is_file {
            return refuse("is not a file").map_err(|e| e.at(unnamed.to_string()));
        }
        let mut file = File::open(&path).map_err(failed)?;
        let table = elf::check_whole(&mut file).and_then(|()| enter(&path)).map_err(|e| e.at(unnamed.to_string()))?;
        // SAFETY: the plug-in is trusted to keep the contract: its texts end in a zero byte.
        let name = unsafe { read::text("its name", table.name) }.map_err(|e| e.at(unnamed.to_string()))?;
        let source = Arc::new(Source { name, path });
        // SAFETY: as above: its lists are as long as they say.
        unsafe { Library::read(&table, source.clone()) }.map_err(|e| e.at(source.to_string()))
    }

    /// # Safety
    /// The table's pointers are as the header says.
    unsafe fn read(table: &abi::Plugin, source: Arc<Source>) -> Result<Library> {
        // SAFETY: by the contract, for all that the table's pointers lead to.
        let library = unsafe {
            let operators = read::tables("operator", table.num_operators, table.operators)?;
            let iterators = read::tables("iterator", table.num_iterators, table.iterators)?;
            let reductions = read::tables("reduction", table.num_reductions, table.reductions)?;
            let update_rules = read::tables("update rule", table.num_update_rules, table.update_rules)?;
            Library {
                source,
                version: read::text("its version", table.version)?,
                doc: read::text("its doc", table.doc)?,
                preference: table.preference,
                abi_version: table.abi_version,
                operators: numbered(operators, |t, i| OperatorTable::read(t, i))?,
                iterators: numbered(iterators, |t, i| IteratorTable::read(t, i))?,
                reductions: numbered(reductions, |t, i| ReductionTable::read(t, i))?,
                update_rules: numbered(update_rules, |t, i| read_update_rule(t, i))?,
            }
        };
        library.operators.iter().try_for_each(|op| op.check_pairs(library.abi_version))?;
        unlike("operator", library.operators.iter().flat_map(|o| o.aliases.iter().chain([&o.name])))?;
        unlike("iterator", library.iterators.iter().map(|i| &i.name))?;
        unlike("reduction", library.reductions.iter().map(|r| &r.name))?;
        unlike("update rule", library.update_rules.iter().map(|u| &u.name))?;
        Ok(library)
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.source.name
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.source.path
    }

    /// The plug-in's own version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What it is for.
    #[must_use]
    pub fn doc(&self) -> &str {
        &self.doc
    }

    /// See [`Provider::preference`](crate::Provider::preference).
    #[must_use]
    pub fn preference(&self) -> i32 {
        self.preference
    }

    /// The version of the contract that it was built for.
    #[must_use]
    pub fn abi_version(&self) -> u32 {
        self.abi_version
    }

    /// Its operators.
    #[must_use]
    pub fn operators(&self) -> &[OperatorTable] {
        &self.operators
    }

    /// Its kinds of data iterators.
    #[must_use]
    pub fn iterators(&self) -> &[IteratorTable] {
        &self.iterators
    }

    /// Its kvstore reductions.
    #[must_use]
    pub fn reductions(&self) -> &[ReductionTable] {
        &self.reductions
    }

    /// Its optimizers' update rules.
    #[must_use]
    pub fn update_rules(&self) -> &[UpdateRule] {
        &self.update_rules
    }

    pub(super) fn source(&self) -> &Arc<Source> {
        &self.source
    }
}

/// As errors name it: `plug-in "swish" (/tmp/libswish.so)`.
impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.source, f)
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.source, f)
    }
}

fn numbered<T, U>(tables: Vec<T>, read: impl Fn(T, usize) -> Result<U>) -> Result<Vec<U>> {
    tables.into_iter().enumerate().map(|(i, t)| read(t, i)).collect()
}

fn unlike<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return refuse(format!("brings {what} {name} twice"));
        }
    }
    Ok(())
}

#[cfg(unix)]
fn load(path: &Path) -> Result<libloading::Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    // At once, so that a symbol that is missing is an error here and not the end of the process later.
    // SAFETY: initialisers of the dylib run; who loads a plug-in trusts it.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map(Into::into)
}

#[cfg(not(unix))]
fn load(path: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: initialisers of the dylib run; who loads a plug-in trusts it.
    unsafe { libloading::Library::new(path) }
}

/// The system's own words, where it has any.
fn reason(error: &libloading::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(e) = source {
        let more = e.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = e.source();
    }
    text
}

/// Loads the dylib for good and asks it for its table.
fn enter(path: &Path) -> Result<abi::Plugin> {
    let library = load(path).or_else(|e| refuse(format!("the system cannot load it: {}", reason(&e))))?;
    // Never unloaded: its code and tables are used until the process ends.
    let library = Box::leak(Box::new(library));
    // SAFETY: the symbol, if there, is the function that the header declares.
    let entry = unsafe { library.get::<abi::EntryFn>(abi::ENTRY) };
    let entry = entry.or_else(|_| refuse(format!("exports no function {}", abi::ENTRY)))?;
    let version = CString::new(env!("CARGO_PKG_VERSION")).unwrap_or_default();
    let host = abi::Host {
        abi_version: abi::VERSION,
        struct_size: size_of::<abi::Host>() as u32,
        abi_oldest: abi::OLDEST,
        reserved: 0,
        version: version.as_ptr(),
    };
    // SAFETY: the function of the header, called as it says.
    let table = unsafe { entry(&raw const host) };
    if table.is_null() {
        let wants = format!(
            "returned NULL: it does not want to work with {}, or failed to begin, and has then said why on standard error",
            this_host()
        );
        return refuse(format!("its function {} {wants}", abi::ENTRY));
    }
    // SAFETY: the table begins with its version and size in every version, and is as long as it says.
    unsafe { accept(table) }
}

fn this_host() -> String {
    let (version, abi, oldest) = (env!("CARGO_PKG_VERSION"), abi::VERSION, abi::OLDEST);
    format!("varflow {version} with ABI {abi}, which accepts {oldest} to {abi}")
}

/// Copies the table of a plug-in whose version fits.
///
/// # Safety
/// `table` leads to a `vf_plugin` of whatever version, as long as it says.
unsafe fn accept(table: *const abi::Plugin) -> Result<abi::Plugin> {
    // SAFETY: by the contract; these fields are where they are in every version.
    let [abi_version, struct_size, abi_oldest] = unsafe { table.cast::<[u32; 3]>().read_unaligned() };
    if abi_version < abi::OLDEST || abi_oldest > abi::VERSION {
        let needs = format!("was built for ABI {abi_version} and needs a host of at least {abi_oldest}");
        return refuse(format!("{needs}; this is {}", this_host()));
    }
    let least = abi::PLUGIN_FIRST_BYTES;
    let size = struct_size as usize;
    if !(least..=1 << 16).contains(&size) {
        let ours = size_of::<abi::Plugin>();
        return refuse(format!(
            "its table says that its struct_size is {size}, wanted {least} at least; it is {ours} in ABI {}",
            abi::VERSION
        ));
    }
    let mut copy = std::mem::MaybeUninit::<abi::Plugin>::zeroed();
    // SAFETY: the table has at least as many bytes, and so has the copy, all of which may be zero.
    unsafe {
        let bytes = size.min(size_of::<abi::Plugin>());
        std::ptr::copy_nonoverlapping(table.cast::<u8>(), copy.as_mut_ptr().cast(), bytes);
        Ok(copy.assume_init())
    }
}
