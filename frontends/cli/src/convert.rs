//! The command `convert`: models from one form of file to another.

use crate::args::ConvertArgs;
use crate::failure::{Failure, say};
use crate::plugins::Plugins;
use std::io::Write;
use std::path::{Path, PathBuf};
use varflow::ops::{PartialShape, StagedFile};
use varflow::symbol::{HostArray, json, onnx, params, params::safetensors};
use varflow::{Error, Files};

/// What a file holds, by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Params,
    Safetensors,
    Onnx,
}

impl Form {
    const ALL: [(&str, Form); 3] =
        [(".params", Form::Params), (".safetensors", Form::Safetensors), (".onnx", Form::Onnx)];

    fn of(path: &Path) -> Option<Form> {
        let name = path.file_name()?.to_str()?;
        Form::ALL.into_iter().find(|(end, _)| name.ends_with(end)).map(|(_, form)| form)
    }
}

/// Converts a file.
pub(crate) fn run(args: &ConvertArgs, plugins: &Plugins) -> Result<(), Failure> {
    let (source, target) = (&args.source, &args.target);
    let usage = |what: String| Err(Failure::Usage(what));
    let Some(from) = Form::of(source) else {
        return usage(format!(
            "SOURCE is {}, wanted a file ending in .params, .safetensors or .onnx",
            source.display()
        ));
    };
    if from != Form::Onnx && !args.input_shapes.is_empty() {
        return usage(format!("--input-shape is for .onnx files, and SOURCE is {}", source.display()));
    }
    match (from, Form::of(target)) {
        (Form::Onnx, None) => import(args, plugins),
        (Form::Onnx, Some(_)) => usage(format!(
            "TARGET is {}, wanted a prefix such as out/model: a model becomes PREFIX-symbol.json and PREFIX-0000.params",
            target.display()
        )),
        (_, Some(Form::Params)) => convert(&read(source, from)?, target, |file, arrays| params::save(file, arrays)),
        (_, Some(Form::Safetensors)) => {
            convert(&read(source, from)?, target, |file, arrays| safetensors::save(file, arrays))
        }
        (_, Some(Form::Onnx)) => usage(format!("TARGET is {}: ONNX models are read, not written", target.display())),
        (_, None) => usage(format!("TARGET is {}, wanted a file ending in .params or .safetensors", target.display())),
    }
}

fn read(source: &Path, form: Form) -> Result<Vec<(String, HostArray)>, Error> {
    if form == Form::Params { params::load(source) } else { safetensors::load(source) }
}

fn convert(
    arrays: &[(String, HostArray)],
    target: &Path,
    save: impl Fn(&Path, &[(String, HostArray)]) -> Result<(), Error>,
) -> Result<(), Failure> {
    make_folder(target)?;
    save(target, arrays)?;
    say(&format!("{}: {}", target.display(), count(arrays)))
}

fn import(args: &ConvertArgs, plugins: &Plugins) -> Result<(), Failure> {
    let (registry, _libraries) = plugins.registry()?;
    let shapes: Vec<_> = args.input_shapes.iter().map(|(name, shape)| (name.clone(), shape.clone())).collect();
    let model = onnx::load(&args.source, &registry, &shapes)?;
    let place = |e: Error| e.at(args.source.display().to_string());
    let graph = model.symbol.resolve(&registry).map_err(place)?;
    let Some(prefix) = args.target.to_str() else {
        return Err(Failure::Usage(format!("TARGET is {}, wanted a prefix in UTF-8", args.target.display())));
    };
    let files = Files::new(prefix, 0);
    make_folder(&files.params)?;
    // Both are written before either is replaced: a network and another's parameters would be no model.
    let failed = |e| Error::io(format!("cannot write {}", files.symbol.display()), e);
    let place = files.params.display().to_string();
    StagedFile::commit_all(vec![
        StagedFile::write(&files.symbol, |out| out.write_all(json::to_string(&graph).as_bytes()).map_err(failed))?,
        StagedFile::write(&files.params, |out| params::write(out, &place, &model.params))?,
    ])?;
    for (name, shape) in &model.inputs {
        say(&format!("input {name} {shape}"))?;
    }
    for name in graph.list_outputs() {
        say(&format!("output {name}"))?;
    }
    say(&format!("{}: {} nodes", files.symbol.display(), graph.nodes.len()))?;
    say(&format!("{}: {}", files.params.display(), count(&model.params)))
}

fn count(arrays: &[(String, HostArray)]) -> String {
    let bytes: usize = arrays.iter().map(|(_, array)| array.bytes.len()).sum();
    format!("{} arrays, {bytes} bytes", arrays.len())
}

fn make_folder(file: &Path) -> Result<(), Error> {
    let folder: PathBuf = file.parent().map(Path::to_path_buf).unwrap_or_default();
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(&folder).map_err(|e| Error::io(format!("cannot make the folder {}", folder.display()), e))
}

/// Reads `data=1,3,224,224`; `?` stands for an extent that stays open.
pub(crate) fn input_shape(text: &str) -> Result<(String, PartialShape), String> {
    let wanted = "wanted NAME=EXTENTS such as data=1,3,224,224, with ? for an extent to be left open";
    let (name, extents) = text.rsplit_once('=').filter(|(name, _)| !name.is_empty()).ok_or(wanted)?;
    let extent = |text: &str| match text.trim() {
        "?" => Ok(None),
        text => text.parse().map(Some).map_err(|_| format!("\"{text}\" is no extent: {wanted}")),
    };
    let extents: Vec<Option<usize>> = extents.split(',').map(extent).collect::<Result<_, _>>()?;
    Ok((name.to_string(), PartialShape::new(extents)))
}
