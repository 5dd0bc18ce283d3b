//! Checks of what an operator says to planners of memory: which outputs may take the place of inputs, whether its output is a view,
//! and whether it works on samples one by one.

use super::cases::Case;
use super::child::{Finding, Passed, Teller};
use super::guarded::Place;
use super::operator::Subject;
use super::site::{PLAIN, Site, Sites};
use super::stage::{How, Instance, Order, Stage, explain};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use varflow::ops::{Shape, TensorDesc};

/// Each declared in-place pair alone and all together, against the same run with memory apart.
pub(crate) fn in_place(subject: &Subject, teller: &mut Teller) -> Finding {
    let declared =
        |what: &'static str, pairs: &[(usize, usize)]| pairs.iter().map(move |p| (what, *p)).collect::<Vec<_>>();
    let mut untried: BTreeSet<_> = declared("forward", &subject.table.inplace).into_iter().collect();
    if let Some(backward) = subject.table.backward.as_ref().filter(|_| subject.backward.is_some()) {
        untried.extend(declared("backward", &backward.inplace));
    }
    if untried.is_empty() {
        return Ok(Passed::Skipped("it declares no in-place pairs".to_string()));
    }
    for site in subject.sites(subject.dtype, teller)? {
        let (instance, mut apart) = site.open(Place::Amidst, teller)?;
        site.run(&mut apart, PLAIN, teller)?;
        let mut pairs = site.case.op.inplace(&site.case.params);
        pairs.retain(|(i, o)| fits(&site.case.inputs[*i], &site.case.outputs[*o]));
        untried.retain(|(what, pair)| *what != site.what || !pairs.contains(pair));
        let mut uses: Vec<Vec<(usize, usize)>> = pairs.iter().map(|p| vec![*p]).collect();
        uses.extend(Some(together(&pairs)).filter(|all| all.len() > 1));
        for pairs in uses {
            let list: Vec<_> = pairs.iter().map(|(i, o)| format!("output {o} in the place of input {i}")).collect();
            let list = list.join(" and ");
            let mut stage = Stage::new(&site.case, instance.clone(), &pairs, Place::Amidst)?;
            teller.doing(format!("{}, {list}", site.text()), stage.blocks())?;
            for order in [Order::Up, Order::Down] {
                site.run(&mut stage, How { order, ..PLAIN }, teller)?;
                if stage.output_bytes() != apart.output_bytes() {
                    let down =
                        if order == Order::Down { ", where its loop goes from the end to the start," } else { "" };
                    return Err(site.fail(&format!("{list}{down} gives other results than apart from it")));
                }
            }
        }
    }
    if let Some((what, (i, o))) = untried.first() {
        return Err(format!(
            "{what} declares that output {o} may take the memory of input {i}, and in no use that was tried are there both, of as many \
             bytes and one dtype: wanted an example where there are, or no such pair"
        ));
    }
    Ok(Passed::Ok("the same bits as with memory apart".to_string()))
}

/// As planners ask before they use a pair.
fn fits(input: &TensorDesc, output: &TensorDesc) -> bool {
    input.dtype == output.dtype && input.len_bytes() == output.len_bytes() && input.len_bytes() > 0
}

/// The pairs that a planner uses where no input is needed any more: the best first, each input and output once.
fn together(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut used: Vec<(usize, usize)> = Vec::new();
    for (i, o) in pairs {
        if used.iter().all(|(a, b)| a != i && b != o) {
            used.push((*i, *o));
        }
    }
    used
}

/// The forward kernel with each case.
fn forward_sites(subject: &Subject, teller: &mut Teller) -> Result<Vec<Site>, String> {
    Ok(subject.sites(subject.dtype, teller)?.into_iter().filter(|s| s.what == "forward").collect())
}

/// What is said to be a view has the bytes that the kernel writes.
pub(crate) fn view(subject: &Subject, teller: &mut Teller) -> Finding {
    let mut views = 0;
    for site in forward_sites(subject, teller)? {
        let ([input, ..], [output, others @ ..]) = (&site.case.inputs[..], &site.case.outputs[..]) else { continue };
        let Some(start) = site.case.op.view(&site.case.params, input, output) else { continue };
        let says = format!("says that its output lies in input 0 from byte {start} on");
        let (n, size) = (output.len_bytes(), output.dtype.size_bytes());
        let end = start.checked_add(n).filter(|end| *end <= input.len_bytes());
        let (Some(end), true) = (end, start.is_multiple_of(size)) else {
            let most = input.len_bytes().checked_sub(n).map_or("none".to_string(), |most| format!("at most {most}"));
            return Err(site.fail(&format!("{says}, wanted {most}, and a multiple of {size}")));
        };
        if !others.is_empty() || input.dtype != output.dtype {
            let text = format!("{says}, wanted one output, of the dtype of the input");
            return Err(site.fail(&text));
        }
        let (_, mut stage) = site.open(Place::Amidst, teller)?;
        site.run(&mut stage, PLAIN, teller)?;
        let (said, written) = (&site.values[0][start..end], stage.output(0));
        if let Some(k) = said.chunks(size).zip(written.chunks(size)).position(|(a, b)| a != b) {
            return Err(site.fail(&format!("{says}, and its kernel writes another element {k}")));
        }
        views += 1;
    }
    if views == 0 {
        return Ok(Passed::Skipped("its output is no view of its input".to_string()));
    }
    Ok(Passed::Ok(format!("in {views} uses the kernel copies what it says that its output is")))
}

/// What is said to work on samples one by one gives the same bits for a batch as for its parts.
pub(crate) fn per_sample(subject: &Subject, teller: &mut Teller) -> Finding {
    let mut split = 0;
    for site in forward_sites(subject, teller)? {
        let Some(inputs) = site.case.op.per_sample(&site.case.params, &site.case.inputs) else { continue };
        let says = format!("says that it works on samples one by one, which inputs {inputs:?} hold");
        let Some(samples) = samples(&site.case, &inputs) else {
            let text = format!(
                "{says}, wanted inputs that it has, with as many elements along their first axis as each output"
            );
            return Err(site.fail(&text));
        };
        if samples < 2 {
            continue;
        }
        let parts = [0..samples / 2, samples / 2..samples];
        let (whole, whole_states) = run(&site, &site.case, &site.values, teller)?;
        let mut states = site.values.clone();
        for part in parts {
            let case =
                cut(&site.case, &inputs, &part).map_err(|e| site.fail(&format!("{says}, and of a part: {e}")))?;
            let bytes_of = |desc: &TensorDesc| desc.len_bytes() / samples;
            let piece = |all: &[u8], n: usize| all[part.start * n..part.end * n].to_vec();
            let values: Vec<Vec<u8>> = (0..states.len())
                .map(|i| {
                    if inputs.contains(&i) {
                        piece(&site.values[i], bytes_of(&site.case.inputs[i]))
                    } else {
                        states[i].clone()
                    }
                })
                .collect();
            let (outputs, after) = run(&site, &case, &values, teller)?;
            for (o, desc) in site.case.outputs.iter().enumerate() {
                if outputs[o] != piece(&whole[o], bytes_of(desc)) {
                    let text = format!(
                        "{says}, and of samples {part:?} of {samples} alone gives another output {o} than of all"
                    );
                    return Err(site.fail(&text));
                }
            }
            after.into_iter().for_each(|(i, bytes)| states[i] = bytes);
        }
        if let Some((i, _)) = whole_states.iter().find(|(i, bytes)| states[*i] != *bytes) {
            return Err(
                site.fail(&format!("{says}, and leaves another input {i} behind after two parts than after all"))
            );
        }
        split += 1;
    }
    if split == 0 {
        return Ok(Passed::Skipped("it does not say that it works on samples one by one".to_string()));
    }
    Ok(Passed::Ok(format!("in {split} uses two parts of a batch give the bits of the whole")))
}

/// How many samples there are, if these inputs and all outputs have as many.
fn samples(case: &Case, inputs: &[usize]) -> Option<usize> {
    let of = |desc: &TensorDesc| desc.shape.dims().first().copied();
    let samples = of(case.inputs.get(*inputs.first()?)?)?;
    let inputs = inputs.iter().map(|i| case.inputs.get(*i).and_then(of));
    inputs.chain(case.outputs.iter().map(of)).all(|n| n == Some(samples)).then_some(samples)
}

/// The use of some of the samples.
fn cut(case: &Case, inputs: &[usize], part: &Range<usize>) -> Result<Case, String> {
    let of_part = |desc: &TensorDesc| {
        let mut dims = desc.shape.dims().to_vec();
        dims[0] = part.len();
        Shape::new(&dims)
    };
    let of =
        |(i, desc): (usize, &TensorDesc)| Some(if inputs.contains(&i) { of_part(desc) } else { desc.shape.clone() });
    let known: Vec<Option<Shape>> = case.inputs.iter().enumerate().map(of).collect();
    let made = Case::infer(&case.op, &case.params, &known, case.inputs[0].dtype)?;
    for (o, (desc, whole)) in made.outputs.iter().zip(&case.outputs).enumerate() {
        if desc.shape != of_part(whole) {
            return Err(format!("output {o} has shape {}, wanted {}", desc.shape, of_part(whole)));
        }
    }
    Ok(made)
}

/// Outputs of an inference run.
type Outputs = Vec<Vec<u8>>;
/// Inputs that it changes, by position, as it leaves them.
type States = Vec<(usize, Vec<u8>)>;

fn run(site: &Site, case: &Case, values: &[Vec<u8>], teller: &mut Teller) -> Result<(Outputs, States), String> {
    teller.doing(case.text("forward"), Vec::new())?;
    let wanted = vec![true; case.outputs.len()];
    let made = Instance::create_for(&site.kernel.table, case, &wanted, false).map_err(|e| site.fail(&explain(&e)))?;
    let mut stage = Stage::new(case, Arc::new(made), &[], Place::Amidst)?;
    teller.doing(case.text("forward"), stage.blocks())?;
    stage.run(values, PLAIN).map_err(|e| site.fail(&explain(&e)))?;
    let states = case.op.mutates(&case.params).into_iter().map(|i| (i, stage.input(i).to_vec())).collect();
    Ok((stage.output_bytes(), states))
}
