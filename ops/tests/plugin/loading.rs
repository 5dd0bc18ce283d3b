//! What is loaded, what is refused, and how.

use super::compile::build;
use super::{attrs, builtin, engine};
use std::fs;
use varflow_ops::plugin::Library;
use varflow_ops::{DType, Kind, Registry, Run, Tensor, Value, invoke};

/// What is said of the minimal plug-in, broken by these macros.
fn refusal(options: &[&str]) -> String {
    let built = build("minimal.c", options);
    let text = match builtin().load(built.path()) {
        Ok(library) => panic!("{options:?}: loaded {library}"),
        Err(e) => e.to_string(),
    };
    let place = format!("({}): ", built.path().display());
    let rest = text.split_once(&place).unwrap_or_else(|| panic!("{text:?} does not name the file {place:?}"));
    format!("{}: {}", rest.0, rest.1)
}

#[test]
fn tables_are_copied() {
    let built = build("minimal.c", &[]);
    let library = Library::open(&built.path()).unwrap();
    assert_eq!((library.name(), library.version(), library.doc()), ("minimal", "1", "One operator."));
    assert_eq!((library.path(), library.preference(), library.abi_version()), (&*built.path(), 0, 3));
    let [op] = library.operators() else { panic!("one operator") };
    assert_eq!(
        (&*op.name, &*op.doc, &*op.inputs, &*op.outputs),
        ("Copy", "Copies.", &["data".into()][..], &["output".into()][..])
    );
    let [param] = op.schema.params() else { panic!("one parameter") };
    assert_eq!((&*param.name, &param.kind, &param.default), ("p", &Kind::Int(0, 5), &Some(Value::Int(3))));
    assert_eq!((op.kernels.len(), op.kernels[0].dtypes.as_deref()), (1, Some(&[DType::F32][..])));
    assert!(op.table.flops.is_none() && op.backward.is_none());
}

#[test]
fn a_deleted_file_goes_on_working() {
    let (e, mut registry) = (engine(), Registry::new());
    let built = build("minimal.c", &[]);
    registry.load(built.path()).unwrap();
    drop(built);
    let x = Tensor::from_slice(&e, [2], &[1.0_f32, 2.0]).unwrap();
    let y = invoke(&registry, &e, "Copy", &attrs(&[]), &[x], Run::default()).unwrap();
    assert_eq!(y[0].to_vec::<f32>().unwrap(), [1.0, 2.0]);
}

#[test]
fn what_is_no_plugin_is_refused() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("text.so");
    let refused = |path| Library::open(path).unwrap_err().to_string();
    assert!(refused(&file).starts_with(&format!("plug-in {}: No such file", file.display())), "{}", refused(&file));
    fs::write(&file, "no dylib").unwrap();
    let text = refused(&file);
    assert!(
        text.starts_with(&format!("plug-in \"text.so\" ({}): the system cannot load it: ", file.display())),
        "{text}"
    );
    let whole = fs::read(build("minimal.c", &[]).path()).unwrap();
    for len in [0, 10, 64, 500, 2000, whole.len() / 2] {
        fs::write(&file, &whole[..len]).unwrap();
        let text = refused(&file);
        assert!(text.contains("the system cannot load it: ") || text.contains("is cut off: it has "), "{len}: {text}");
    }
    let text = refused(folder.path());
    assert!(text.ends_with(": is not a file"), "{text}");
    assert_eq!(refusal(&["-DNO_ENTRY"]), "plug-in \"libplugin.so\" : exports no function varflow_plugin");
    let unwilling = "plug-in \"libplugin.so\" : its function varflow_plugin returned NULL: it does not want to work with varflow 0.1.0 with ABI 3, which accepts 1 to 3, or failed to begin, and has then said why on standard error";
    assert_eq!(refusal(&["-DUNWILLING"]), unwilling);
}

#[test]
fn other_versions_are_refused() {
    let text = refusal(&["-DABI=4", "-DNEEDS=4"]);
    let wanted = "plug-in \"libplugin.so\" : was built for ABI 4 and needs a host of at least 4; this is varflow 0.1.0 with ABI 3, which accepts 1 to 3";
    assert_eq!(text, wanted);
    let text = refusal(&["-DABI=0", "-DNEEDS=0"]);
    assert!(text.contains("was built for ABI 0 and needs a host of at least 0; this is varflow"), "{text}");
}

#[test]
fn broken_tables_are_refused() {
    let text = refusal(&["-DPLUGIN_SIZE=16"]);
    assert!(
        text.contains("its table says that its struct_size is 16, wanted 104 at least; it is 104 in ABI 3"),
        "{text}"
    );
    for (option, wanted) in [
        ("-DSIZE=8", "operator number 0 says that its struct_size is 8, wanted 192 at least; it is 224 in ABI 3"),
        ("-DKERNEL_SIZE=0", "operator Copy: kernel number 0 says that its struct_size is 0, wanted "),
        ("-DNAME=NULL", "the name of operator number 0 is NULL, wanted a text"),
        ("-DNAME=\"\"", "the name of operator number 0 is \"\", wanted a text without spaces that is not empty"),
        ("-DNAME=\"\\xff\"", "the name of operator number 0 \"\\xff\" is not UTF-8"),
        ("-DDOC=NULL", "operator Copy: its doc is NULL, wanted a text"),
        ("-DDEVICE=9", "operator Copy: kernel number 0: has device 9, wanted 1 (cpu) or 2 (gpu)"),
        ("-DFLAGS=64", "operator Copy: has flags 0x40, of which this varflow knows 0x7"),
        (
            "-DFLAGS=VF_VARIADIC",
            "operator Copy: takes any number of inputs, and so must have an integer parameter num_args",
        ),
        ("-DKIND=12", "operator Copy: parameter p: has kind 12, wanted one from 1 to 7"),
        ("-DKIND=VF_CHOICE", "operator Copy: parameter p: has no choices, wanted one at least"),
        (
            "-DDEFAULT=\"six\"",
            "operator Copy: parameter p: its default: parameter \"p\" is \"six\", wanted an integer from 0 to 5",
        ),
        ("-DBITS=7", "operator Copy: kernel number 0: {code 2, bits 7, lanes 1} is no dtype"),
        (
            "-DRUN=(sizeof(int) == 4 ? NULL : run)",
            "operator Copy: kernel number 0: has no run and no run_async, wanted one of them",
        ),
        ("-DNUM=5000", "operator Copy: has 5000 kernels, wanted at most 4096"),
        ("-DTWICE", "brings operator Copy twice"),
        ("-DNULL_TABLE", "operator number 1 is NULL"),
        ("-DOPERATORS=NULL", "has 1 operators, but their list is NULL"),
    ] {
        let text = refusal(&[option]);
        assert!(text.contains(wanted), "{option}: {text}\nwanted {wanted}");
        assert!(text.starts_with("plug-in \"minimal\" : "), "{text}");
    }
}

#[test]
fn a_name_that_is_there_is_refused_unless_preferred() {
    let text = refusal(&["-DNAME=\"Convolution\""]);
    let wanted =
        "provider \"minimal\" brings operator Convolution with preference 0, which \"varflow\" has brought already";
    assert!(text.starts_with("plug-in \"minimal\" : provider"), "{text}");
    assert!(text.contains("brings operator Convolution with preference 0, which \""), "{text}\nwanted {wanted}");
    let (one, other) = (build("minimal.c", &[]), build("minimal.c", &[]));
    let mut registry = Registry::new();
    registry.load(one.path()).unwrap();
    let text = registry.load(other.path()).unwrap_err().to_string();
    assert!(text.ends_with("brings operator Copy with preference 0, which \"minimal\" has brought already"), "{text}");
}
