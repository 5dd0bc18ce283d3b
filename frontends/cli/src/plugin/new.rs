//! `varflow plugin new`: a project that builds a plug-in and passes `varflow plugin check`, to begin from.

use crate::failure::{Failure, say};
use clap::{Args, ValueEnum};
use std::fs;
use std::path::{Path, PathBuf};
use varflow::Error;
use varflow_abi::templates as c;
use varflow_sdk::templates as rust;

/// What `plugin new` is asked for.
#[derive(Args)]
pub(crate) struct NewArgs {
    /// What the plug-in brings.
    #[arg(long, value_enum, default_value = "op")]
    kind: Kind,
    /// The language that it is written in.
    #[arg(long, value_enum, default_value = "rust")]
    lang: Lang,
    /// Folder to make; by default the name in snake case, here.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Folder of the crate varflow-sdk, for Rust; by default that of the sources that this program was built from, or the
    /// published crate where they are gone.
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
    /// Name of the operator, iterator or reduction: a letter, then letters, digits and underscores, such as Swish.
    #[arg(value_parser = identifier)]
    name: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// An operator, with its gradient.
    Op,
    /// A data iterator.
    Iter,
    /// A kvstore reduction.
    Reduction,
}

#[derive(Clone, Copy, ValueEnum)]
enum Lang {
    Rust,
    C,
}

fn identifier(text: &str) -> Result<String, String> {
    let mut chars = text.chars();
    let begins = chars.next().is_some_and(|c| c.is_ascii_alphabetic());
    if begins && chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(text.to_string());
    }
    Err("wanted a letter, then letters, digits and underscores".to_string())
}

/// `HardSigmoid` becomes `hard_sigmoid`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut before = '_';
    for c in name.chars() {
        if c.is_ascii_uppercase() && before != '_' && !before.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
        before = c;
    }
    out
}

/// `my_op` becomes `MyOp`, `LSTMCell` stays.
fn pascal(name: &str) -> String {
    let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    name.split('_').filter(|word| !word.is_empty()).map(capital).collect()
}

/// Words that name no crate, or nothing in Rust or C.
const RESERVED: [&str; 63] = [
    "abstract", "alloc", "as", "async", "auto", "await", "become", "box", "break", "case", "char", "const", "continue",
    "core", "crate", "default", "do", "double", "dyn", "else", "enum", "extern", "final", "float", "fn", "for", "goto",
    "if", "impl", "in", "inline", "int", "let", "long", "loop", "macro", "main", "match", "mod", "move", "mut", "pub",
    "ref", "register", "return", "self", "short", "signed", "static", "std", "struct", "super", "switch", "test",
    "trait", "type", "union", "unsafe", "use", "void", "volatile", "where", "while",
];
/// Types that the template uses, in which a new one of the same name would hide them.
const TAKEN: [&str; 29] = [
    "Batch",
    "Call",
    "Context",
    "DType",
    "DTypes",
    "DataIter",
    "Err",
    "Error",
    "Field",
    "Float",
    "Gradient",
    "Graph",
    "Next",
    "None",
    "Ok",
    "Operator",
    "Option",
    "Param",
    "Params",
    "Part",
    "PartialShape",
    "Pending",
    "Reduction",
    "Result",
    "Self",
    "Shapes",
    "Some",
    "Vec",
    "View",
];

/// The crate, plug-in and folder of a name.
fn crate_name(name: &str) -> String {
    let name = snake(name);
    if RESERVED.contains(&name.as_str()) { name + "_plugin" } else { name }
}

/// The type of a name.
fn type_name(name: &str) -> String {
    let name = pascal(name);
    if TAKEN.contains(&name.as_str()) { name + "Plugin" } else { name }
}

/// Makes the project.
pub(crate) fn run(args: &NewArgs) -> Result<(), Failure> {
    let crate_name = crate_name(&args.name);
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(&crate_name));
    if fs::read_dir(&dir).is_ok_and(|mut files| files.next().is_some()) {
        let text = format!("{} is there already and not empty: choose another folder with --dir", dir.display());
        return Err(Error::Param(text).into());
    }
    let files = match args.lang {
        Lang::Rust => rust_project(args, &crate_name)?,
        Lang::C => c_project(args, &crate_name),
    };
    for (name, text) in &files {
        write(&dir.join(name), text)?;
    }
    let (build, file) = match args.lang {
        Lang::Rust => ("cargo build --release".to_string(), format!("target/release/{}", dylib(&crate_name))),
        Lang::C => {
            let file = dylib(&crate_name);
            (c::Template::build_command(&file), file)
        }
    };
    say(&format!("{} holds a plug-in with {} {}. Next:", dir.display(), args.kind.noun(), args.name))?;
    say(&format!("  cd {}", dir.display()))?;
    say(&format!("  {build}"))?;
    say(&format!("  varflow plugin check {file}"))
}

impl Kind {
    fn noun(self) -> &'static str {
        match self {
            Kind::Op => "operator",
            Kind::Iter => "iterator",
            Kind::Reduction => "reduction",
        }
    }
}

fn dylib(name: &str) -> String {
    format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |e| Error::io(format!("cannot write {}", path.display()), e);
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
    fs::write(path, text).map_err(failed)
}

type File = (&'static str, String);

fn c_project(args: &NewArgs, crate_name: &str) -> Vec<File> {
    let template = match args.kind {
        Kind::Op => &c::OPERATOR,
        Kind::Iter => &c::ITERATOR,
        Kind::Reduction => &c::REDUCTION,
    };
    let source = template.named(&args.name, crate_name);
    vec![("plugin.c", source), ("varflow_plugin.h", varflow_abi::HEADER.to_string())]
}

fn rust_project(args: &NewArgs, crate_name: &str) -> Result<Vec<File>, Failure> {
    let template = match args.kind {
        Kind::Op => &rust::OPERATOR,
        Kind::Iter => &rust::ITERATOR,
        Kind::Reduction => &rust::REDUCTION,
    };
    let manifest = format!(
        "[package]\nname = \"{crate_name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[lib]\ncrate-type = [\"cdylib\"]\n\n[dependencies]\nvarflow-sdk = {}\n\n# A workspace of its own, wherever this folder lies.\n[workspace]\n",
        dependency(args)?
    );
    Ok(vec![
        ("Cargo.toml", manifest),
        ("src/lib.rs", template.named(&args.name, &type_name(&args.name), crate_name)),
        (".gitignore", "/target\n".to_string()),
    ])
}

/// Where cargo is to find the SDK.
fn dependency(args: &NewArgs) -> Result<String, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ops/sdk");
    let dir = match &args.sdk {
        Some(dir) => dir,
        None if built_from.join("Cargo.toml").is_file() => &built_from,
        None => return Ok(format!("\"{version}\"")),
    };
    let absolute = dir.canonicalize().map_err(|e| Error::io(format!("cannot find {}", dir.display()), e))?;
    if !absolute.join("Cargo.toml").is_file() {
        let text = format!("--sdk {}: there is no Cargo.toml in it, wanted the folder of varflow-sdk", dir.display());
        return Err(Failure::Usage(text));
    }
    // As a TOML string: Rust's escapes of a path's characters are a subset of TOML's.
    Ok(format!("{{ path = {:?} }}", absolute.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_crates() {
        let pairs =
            [("HardSigmoid", "hard_sigmoid"), ("my_op", "my_op"), ("LSTMCell", "lstmcell"), ("Conv2D", "conv2_d")];
        pairs.iter().for_each(|(name, wanted)| assert_eq!(&snake(name), wanted));
    }

    #[test]
    fn names_become_types() {
        let pairs = [("HardSigmoid", "HardSigmoid"), ("my_op", "MyOp"), ("a__2", "A2")];
        pairs.iter().for_each(|(name, wanted)| assert_eq!(&pascal(name), wanted));
    }

    #[test]
    fn names_that_mean_something_else_are_lengthened() {
        let names = ["If", "Float", "Result", "std", "Swish"].map(|name| (crate_name(name), type_name(name)));
        let wanted = [
            ("if_plugin", "If"),
            ("float_plugin", "FloatPlugin"),
            ("result", "ResultPlugin"),
            ("std_plugin", "Std"),
            ("swish", "Swish"),
        ];
        assert_eq!(names, wanted.map(|(a, b)| (a.to_string(), b.to_string())));
    }

    #[test]
    fn only_identifiers_are_names() {
        assert!(identifier("Swish2_x").is_ok());
        ["", "2x", "a-b", "_x", "a b", "ä"].iter().for_each(|name| assert!(identifier(name).is_err(), "{name}"));
    }
}
