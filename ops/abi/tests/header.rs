//! The header and its mirror lie in memory alike.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};
use varflow_abi::{LAYOUTS, MAX_NDIM, OLDEST, VERSION, device, flags, kind, status, type_code};

fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("header-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn header_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("include")
}

/// What a C program prints that includes the header.
fn print_by_c(name: &str, body: &str) -> Vec<String> {
    let folder = folder();
    let (source, program) = (folder.join(format!("{name}.c")), folder.join(name));
    let text = format!(
        "#include \"varflow_plugin.h\"\n#include <stdio.h>\n#define P(x) printf(\"%lld\\n\", (long long)(x))\nint main(void) {{\n{body}return 0;\n}}\n"
    );
    fs::write(&source, text).unwrap();
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=c11", "-Wall", "-Werror", "-I"]).arg(header_folder()).arg(&source).arg("-o").arg(&program);
    let output = gcc.output().expect("gcc can be started: the plug-in tests need a C compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = Command::new(&program).output().unwrap();
    assert!(printed.status.success());
    String::from_utf8(printed.stdout).unwrap().lines().map(String::from).collect()
}

#[test]
fn every_size_and_offset_is_the_compilers() {
    let (mut body, mut wanted) = (String::new(), Vec::new());
    for layout in LAYOUTS {
        let c = layout.c_name;
        writeln!(body, "P(sizeof({c})); P(_Alignof({c}));").unwrap();
        wanted.extend([(c.to_string(), layout.size), (format!("alignment of {c}"), layout.align)]);
        for (field, offset, size) in layout.fields {
            writeln!(body, "P(offsetof({c}, {field})); P(sizeof((({c}*)0)->{field}));").unwrap();
            wanted.extend([(format!("{c}.{field}"), *offset), (format!("size of {c}.{field}"), *size)]);
        }
    }
    let printed = print_by_c("layouts", &body);
    assert_eq!(printed.len(), wanted.len());
    for ((what, ours), theirs) in wanted.iter().zip(&printed) {
        assert_eq!(&ours.to_string(), theirs, "{what}");
    }
}

/// Fields that only the header has would shift none of those that both have if they came last, but sizes and gaps show them.
#[test]
fn no_structure_has_a_gap_for_an_unknown_field() {
    for layout in LAYOUTS {
        let mut end = 0;
        for (field, offset, size) in layout.fields {
            assert!(*offset < end + 8, "{}.{field} comes after a gap", layout.c_name);
            end = offset + size;
        }
        assert!(layout.size < end + 8, "{} ends in a gap", layout.c_name);
    }
}

#[test]
fn all_structures_of_the_header_are_mirrored() {
    let header = varflow_abi::HEADER;
    let named = header.lines().filter_map(|l| l.strip_prefix("} ")?.strip_suffix(';')).filter(|n| !n.is_empty());
    let missing: Vec<_> = named.filter(|n| !LAYOUTS.iter().any(|l| l.c_name == *n)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn constants_are_the_same() {
    let pairs = [
        ("VARFLOW_ABI_VERSION", i64::from(VERSION)),
        ("VARFLOW_ABI_OLDEST", i64::from(OLDEST)),
        ("VF_MAX_NDIM", MAX_NDIM as i64),
        ("VF_OK", status::OK.into()),
        ("VF_END", status::END.into()),
        ("VF_ERROR", status::ERROR.into()),
        ("VF_BAD_SHAPE", status::BAD_SHAPE.into()),
        ("VF_BAD_DTYPE", status::BAD_DTYPE.into()),
        ("VF_BAD_PARAM", status::BAD_PARAM.into()),
        ("VF_BAD_DATA", status::BAD_DATA.into()),
        ("VF_UNSUPPORTED", status::UNSUPPORTED.into()),
        ("VF_PANICKED", status::PANICKED.into()),
        ("VF_NONE", kind::NONE.into()),
        ("VF_INT", kind::INT.into()),
        ("VF_FLOAT", kind::FLOAT.into()),
        ("VF_BOOL", kind::BOOL.into()),
        ("VF_TEXT", kind::TEXT.into()),
        ("VF_CHOICE", kind::CHOICE.into()),
        ("VF_TUPLE", kind::TUPLE.into()),
        ("VF_DTYPE", kind::DTYPE.into()),
        ("VF_VARIADIC", flags::VARIADIC.into()),
        ("VF_RANDOM", flags::RANDOM.into()),
        ("VF_LOSS", flags::LOSS.into()),
        ("kDLCPU", device::CPU.into()),
        ("kDLCUDA", device::CUDA.into()),
        ("kDLInt", type_code::INT.into()),
        ("kDLUInt", type_code::UINT.into()),
        ("kDLFloat", type_code::FLOAT.into()),
        ("kDLBfloat", type_code::BFLOAT.into()),
        ("kDLBool", type_code::BOOL.into()),
    ];
    let body: String = pairs.iter().map(|(name, _)| format!("P({name});\n")).collect();
    for ((name, ours), theirs) in pairs.iter().zip(print_by_c("constants", &body)) {
        assert_eq!(ours.to_string(), theirs, "{name}");
    }
}

/// Earlier versions of the header, as they were. A table of the first is as long as the mirror says.
#[test]
fn earlier_versions_are_beginnings_of_this_one() {
    for version in 1..VERSION {
        begins_with(version);
    }
}

fn begins_with(version: u32) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/v{version}/varflow_plugin.h"));
    let earlier = fs::read_to_string(path).unwrap();
    let fields = |header: &str, name: &str| -> Vec<String> {
        let end = header.find(&format!("\n}} {name};")).unwrap();
        let start = header[..end].rfind("typedef struct").unwrap();
        header[start..end].lines().skip(1).map(|l| l.trim().to_string()).collect()
    };
    for layout in LAYOUTS.iter().filter(|l| l.c_name.starts_with("vf_")) {
        let (old, new) = (fields(&earlier, layout.c_name), fields(varflow_abi::HEADER, layout.c_name));
        assert!(new.starts_with(&old), "{} has changed what it had in version {version}", layout.c_name);
    }
}
