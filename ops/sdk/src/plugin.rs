//! What a plug-in brings, and the symbol that it exports.
#![expect(unsafe_code, reason = "reads the host's table")]

use crate::boundary::{catch, leak_list, leak_text, leak_texts};
use crate::place::locate_panics;
use crate::{DataIter, Operator, Reduction, UpdateRule, tables};
use std::sync::OnceLock;
use varflow_abi::{Host, OLDEST, VERSION};

/// What a plug-in brings. The macro [`plugin!`](crate::plugin!) makes one of its arguments; tests may make one themselves.
#[derive(Default)]
pub struct Plugin {
    name: String,
    version: String,
    doc: String,
    preference: i32,
    operators: Vec<*const varflow_abi::Operator>,
    iterators: Vec<*const varflow_abi::Iterator>,
    reductions: Vec<*const varflow_abi::Reduction>,
    update_rules: Vec<*const varflow_abi::UpdateRule>,
}

impl Plugin {
    /// An empty one.
    #[must_use]
    pub fn new(name: &str, version: &str) -> Self {
        Plugin { name: name.to_string(), version: version.to_string(), ..Plugin::default() }
    }

    /// What it is for.
    #[must_use]
    pub fn doc(self, doc: &str) -> Self {
        Plugin { doc: doc.to_string(), ..self }
    }

    /// Among two of one name the one of higher preference is used; equal ones are an error. Built-in ones have 0.
    #[must_use]
    pub fn preference(self, preference: i32) -> Self {
        Plugin { preference, ..self }
    }

    /// Adds an operator.
    #[must_use]
    pub fn operator<O: Operator>(mut self) -> Self {
        self.operators.push(tables::operator::table::<O>());
        self
    }

    /// Adds a kind of data iterators.
    #[must_use]
    pub fn iterator<I: DataIter>(mut self) -> Self {
        self.iterators.push(tables::iterator::table::<I>());
        self
    }

    /// Adds a kvstore reduction.
    #[must_use]
    pub fn reduction(mut self, reduction: impl Reduction) -> Self {
        self.reductions.push(tables::reduction::table(reduction));
        self
    }

    /// Adds an optimizer's update rule.
    #[must_use]
    pub fn update_rule(mut self, rule: UpdateRule) -> Self {
        self.update_rules.push(Box::leak(Box::new(varflow_abi::UpdateRule {
            struct_size: tables::size::<varflow_abi::UpdateRule>(),
            flags: 0,
            name: leak_text(rule.name),
            doc: leak_text(rule.doc),
            op: leak_text(rule.op),
            states: leak_texts(rule.states),
        })));
        self
    }

    /// The table that the host reads. It stays for the rest of the process.
    #[must_use]
    pub fn leak(self) -> &'static varflow_abi::Plugin {
        let operators = leak_list(self.operators);
        let iterators = leak_list(self.iterators);
        let reductions = leak_list(self.reductions);
        let update_rules = leak_list(self.update_rules);
        Box::leak(Box::new(varflow_abi::Plugin {
            abi_version: VERSION,
            struct_size: tables::size::<varflow_abi::Plugin>(),
            abi_oldest: OLDEST,
            preference: self.preference,
            name: leak_text(&self.name),
            version: leak_text(&self.version),
            doc: leak_text(&self.doc),
            num_operators: operators.len(),
            operators: operators.as_ptr(),
            num_iterators: iterators.len(),
            iterators: iterators.as_ptr(),
            num_reductions: reductions.len(),
            reductions: reductions.as_ptr(),
            num_update_rules: update_rules.len(),
            update_rules: update_rules.as_ptr(),
        }))
    }
}

/// What the exported symbol does: builds the table once. Null for a host that is too old, and where building it panics.
///
/// # Safety
/// `host` is null or the host's table.
#[doc(hidden)]
pub unsafe fn entry(
    host: *const Host,
    table: &OnceLock<Option<&'static varflow_abi::Plugin>>,
    build: fn() -> Plugin,
) -> *const varflow_abi::Plugin {
    // SAFETY: by the contract; no reference to the whole, of which an older host may have less.
    let version = if host.is_null() { 0 } else { unsafe { (*host).abi_version } };
    if version < OLDEST {
        return std::ptr::null();
    }
    locate_panics();
    table.get_or_init(|| catch(|| Ok(build().leak())).ok()).map_or(std::ptr::null(), std::ptr::from_ref)
}

/// Exports what a plug-in brings, as the one symbol that the host looks for. Once in a crate, of crate type `cdylib`.
///
/// ```ignore
/// varflow_sdk::plugin! {
///     name: "mine",                          // must be there; the rest in this order, or left out
///     doc: "Activations of my own.",
///     preference: 1,                         // above built-in ones of the same name
///     operators: [Swish, Mish],              // types
///     iterators: [SyntheticStream],          // types
///     reductions: [TreeSum { width: 4 }],    // values
///     update_rules: [LION],                  // values
/// }
/// ```
///
/// The version is the crate's. The symbol is `unsafe(no_mangle)` inside the macro; the crate may still forbid `unsafe_code`.
#[macro_export]
macro_rules! plugin {
    (
        name: $name:expr
        $(, doc: $doc:expr)?
        $(, preference: $preference:expr)?
        $(, operators: [$($operator:ty),* $(,)?])?
        $(, iterators: [$($iterator:ty),* $(,)?])?
        $(, reductions: [$($reduction:expr),* $(,)?])?
        $(, update_rules: [$($rule:expr),* $(,)?])?
        $(,)?
    ) => {
        #[cfg(panic = "abort")]
        compile_error!("a plug-in must unwind: with panic = \"abort\" its panics would end the host");

        /// What varflow looks for.
        ///
        /// # Safety
        /// `host` is null or the host's table.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn varflow_plugin(host: *const $crate::abi::Host) -> *const $crate::abi::Plugin {
            static TABLE: ::std::sync::OnceLock<::std::option::Option<&'static $crate::abi::Plugin>> =
                ::std::sync::OnceLock::new();
            fn build() -> $crate::Plugin {
                $crate::Plugin::new($name, ::std::option_env!("CARGO_PKG_VERSION").unwrap_or("0.0.0"))
                    $(.doc($doc))?
                    $(.preference($preference))?
                    $($(.operator::<$operator>())*)?
                    $($(.iterator::<$iterator>())*)?
                    $($(.reduction($reduction))*)?
                    $($(.update_rule($rule))*)?
            }
            // SAFETY: as the host promises.
            unsafe { $crate::entry(host, &TABLE, build) }
        }
    };
}
