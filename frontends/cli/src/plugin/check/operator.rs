//! Checks of an operator whose kernels are called through their tables.

use super::cases::{Case, cases, decode, encode, slope};
use super::child::{Check, Finding, Passed, Teller};
use super::guarded::Place;
use super::node_gradient;
use super::planning::{in_place, per_sample, view};
use super::protocol::Title;
use super::site::{PLAIN, Site, Sites, access, guards, leaks, threads, wanted};
use super::stage::{Stage, explain};
use std::sync::Arc;
use varflow::Result;
use varflow::ops::plugin::{KernelTable, OperatorTable};
use varflow::ops::{DType, DeviceKind, KernelCall, Operator, Registry, Shape};

/// The operator under check.
pub(crate) struct Subject {
    pub(crate) registry: Arc<Registry>,
    pub(crate) op: Arc<dyn Operator>,
    pub(super) backward: Option<(Arc<dyn Operator>, KernelTable)>,
    pub(crate) table: OperatorTable,
    kernel: KernelTable,
    pub(crate) dtype: DType,
}

/// The checks of an operator.
///
/// # Errors
/// When the registry does not know it.
pub(crate) fn checks<'a>(registry: &Arc<Registry>, table: &OperatorTable) -> Result<Vec<Check<'a>>> {
    let op = registry.operator(&table.name)?.clone();
    let on_cpu = |kernels: &[KernelTable]| kernels.iter().find(|k| k.device == DeviceKind::Cpu).cloned();
    let Some(kernel) = on_cpu(&table.kernels) else { return Ok(Vec::new()) };
    let backward = match table.backward.as_ref().and_then(|b| on_cpu(&b.kernels)) {
        Some(kernel) => Some((registry.operator(&format!("_backward_{}", table.name))?.clone(), kernel)),
        None => None,
    };
    let serves = |d: DType| {
        let all = std::iter::once(&kernel).chain(backward.iter().map(|(_, k)| k));
        all.into_iter().all(|k| k.dtypes.as_ref().is_none_or(|served| served.contains(&d)))
    };
    let dtype = [DType::F64, DType::F32].into_iter().find(|d| serves(*d));
    let dtype = dtype.or(kernel.dtypes.as_ref().and_then(|d| d.first().copied())).unwrap_or(DType::F32);
    let subject = Arc::new(Subject { registry: registry.clone(), op, backward, table: table.clone(), kernel, dtype });
    type Body = fn(&Subject, &mut Teller) -> Finding;
    const RUNS: &[&str] = &["inference"];
    const SOUND: &[&str] = &["inference", "access"];
    let all: [(&str, &'static [&'static str], Body); 14] = [
        ("schema", &[], schema),
        ("inference", &[], inference),
        ("dtypes", RUNS, dtypes),
        ("access", RUNS, |s, t| access(s, t)),
        ("guard pages", RUNS, |s, t| guards(s, t)),
        ("threads", SOUND, |s, t| threads(s, t)),
        ("wanted", SOUND, |s, t| wanted(s, t)),
        ("in place", SOUND, in_place),
        ("view", SOUND, view),
        ("per sample", SOUND, per_sample),
        ("gradient", SOUND, gradient),
        ("node gradient", SOUND, node_gradient::check),
        ("leaks", RUNS, |s, t| leaks(s, t)),
        ("errors", &[], errors),
    ];
    let check = |(name, needs, body): (&str, &'static [&'static str], Body)| {
        let subject = subject.clone();
        let title = Title { subject: format!("operator {}", subject.table.name), check: name.to_string() };
        Check { title, needs, body: Box::new(move |teller| body(&subject, teller)) }
    };
    Ok(all.into_iter().map(check).collect())
}

impl Sites for Subject {
    fn dtype(&self) -> DType {
        self.dtype
    }

    fn sites(&self, dtype: DType, teller: &mut Teller) -> Result<Vec<Site>, String> {
        let mut sites = Vec::new();
        for case in cases(&self.op, &self.table, dtype)? {
            let values = case.values(1);
            let site = Site { what: "forward".to_string(), kernel: self.kernel.clone(), case, values };
            if let Some(backward) = self.backward_site(&site, teller)? {
                sites.push(backward);
            }
            sites.push(site);
        }
        Ok(sites)
    }
}

impl Subject {
    fn backward_site(&self, site: &Site, teller: &mut Teller) -> Result<Option<Site>, String> {
        let (Some((op, kernel)), Some(table)) = (&self.backward, &self.table.backward) else { return Ok(None) };
        let (_, mut stage) = site.open(Place::Amidst, teller)?;
        site.run(&mut stage, PLAIN, teller)?;
        let forward = &site.case;
        let visible = self.op.num_visible_outputs(&forward.params);
        let grads = Case { inputs: forward.outputs[..visible].to_vec(), ..forward.clone() };
        let mut values = grads.values(2);
        values.extend(table.inputs.iter().map(|i| site.values[*i].clone()));
        values.extend(table.outputs.iter().map(|o| stage.output(*o).to_vec()));
        let mut inputs = grads.inputs;
        inputs.extend(table.inputs.iter().map(|i| forward.inputs[*i].clone()));
        inputs.extend(table.outputs.iter().map(|o| forward.outputs[*o].clone()));
        let of = (0..self.op.inputs(&forward.params).len()).filter(|i| !table.no_gradient.contains(i));
        let outputs = of.map(|i| forward.inputs[i].clone()).collect();
        let case = Case { op: op.clone(), params: forward.params.clone(), inputs, outputs };
        Ok(Some(Site { what: "backward".to_string(), kernel: kernel.clone(), case, values }))
    }
}

fn schema(subject: &Subject, _: &mut Teller) -> Finding {
    let table = &subject.table;
    let missing = table.schema.params().iter().find(|p| p.doc.trim().is_empty());
    if let Some(p) = missing {
        return Err(format!("parameter \"{}\" has no doc, wanted what it means, with units", p.name));
    }
    if table.doc.trim().is_empty() {
        return Err("it has no doc, wanted what it computes".to_string());
    }
    Ok(Passed::Ok(format!("{} parameters, {} examples", table.schema.params().len(), table.examples.len())))
}

fn inference(subject: &Subject, teller: &mut Teller) -> Finding {
    let sites = subject.sites(subject.dtype, teller)?;
    for site in &sites {
        site.case.infer_back().map_err(|e| site.fail(&e))?;
        let (_, mut stage) = site.open(Place::Amidst, teller)?;
        for (o, written) in site.written(&mut stage, teller)?.iter().enumerate() {
            let shape = &site.case.outputs[o].shape;
            let n = written.iter().take_while(|w| **w).count();
            let is_prefix = n < written.len() && written[n..].iter().all(|w| !w);
            let beyond = stage.strayed().filter(|(name, ..)| *name == format!("output {o}")).map_or(0, |(_, _, b)| b);
            let wrote = n + beyond / site.case.outputs[o].dtype.size_bytes();
            let like = site.case.inputs.iter().position(|d| d.shape.len() == wrote && wrote != shape.len());
            if let Some(i) = like.filter(|_| is_prefix || beyond > 0) {
                let input = &site.case.inputs[i].shape;
                return Err(site.fail(&format!(
                    "output {o} has the inferred shape {shape}, but the kernel wrote {wrote} elements, as many as input {i} \
                     of shape {input} has: the inferred shape is wrong"
                )));
            }
        }
    }
    Ok(Passed::Ok(format!("{} uses, {}", sites.len(), subject.dtype)))
}

fn dtypes(subject: &Subject, teller: &mut Teller) -> Finding {
    let mut claimed = subject.kernel.dtypes.clone().unwrap_or(DType::ALL.to_vec());
    // That of the other checks first, which find what is wrong with all.
    claimed.sort_by_key(|d| *d != subject.dtype);
    let mut is_whole_elsewhere = true;
    for dtype in &claimed {
        let fail = |e: String| format!("{dtype} is claimed but not served: {e}");
        let sites = subject.sites(*dtype, teller).map_err(fail)?;
        for site in &sites {
            let (_, mut stage) = site.open(Place::Amidst, teller).map_err(fail)?;
            let written = site.written(&mut stage, teller).map_err(fail)?;
            let whole = written.iter().flatten().all(|w| *w);
            is_whole_elsewhere &= whole || *dtype != subject.dtype;
            if is_whole_elsewhere && !whole {
                return Err(fail(site.fail("an output is not written wholly, as it is for other dtypes")));
            }
        }
    }
    let names: Vec<_> = claimed.iter().map(|d| d.name()).collect();
    Ok(Passed::Ok(names.join(", ")))
}

/// Compares each gradient with central differences of the outputs' product with random numbers.
fn gradient(subject: &Subject, teller: &mut Teller) -> Finding {
    let Some(table) = &subject.table.backward else {
        return Ok(Passed::Skipped("it has no backward kernel".to_string()));
    };
    let dtype = subject.dtype;
    let params = cases(&subject.op, &subject.table, dtype)?;
    if params.iter().any(|c| subject.op.is_loss(&c.params)) {
        return Ok(Passed::Skipped("it is a loss: its gradient is not its output's".to_string()));
    }
    let (step, tolerance) = match dtype {
        DType::F64 => (1e-4, 1e-5),
        DType::F32 => (1e-2, 1e-2),
        _ => return Ok(Passed::Skipped(format!("{dtype} is too coarse for differences"))),
    };
    let mut compared = 0;
    for case in params {
        let mut site =
            Site { what: "forward".to_string(), kernel: subject.kernel.clone(), values: case.values(1), case };
        let (_, mut stage) = site.open(Place::Amidst, teller)?;
        site.run(&mut stage, PLAIN, teller)?;
        let outputs = |stage: &Stage| stage.output_bytes().iter().map(|b| decode(dtype, b)).collect::<Vec<_>>();
        if outputs(&stage).iter().flatten().any(|v| !v.is_finite()) {
            // Such as of a logarithm: it is looked into where it has values.
            site.values = site.case.values_between(1, 0.1, 2.0);
        }
        let Some(backward) = subject.backward_site(&site, teller)? else { continue };
        let (_, mut back) = backward.open(Place::Amidst, teller)?;
        backward.run(&mut back, PLAIN, teller)?;
        let found = outputs(&back);
        let visible = subject.op.num_visible_outputs(&site.case.params);
        let heads: Vec<_> = backward.values[..visible].iter().map(|b| decode(dtype, b)).collect();
        let (_, mut stage) = site.open(Place::Amidst, teller)?;
        let inputs = (0..subject.op.inputs(&site.case.params).len()).filter(|i| !table.no_gradient.contains(i));
        for (g, i) in inputs.enumerate() {
            if site.case.inputs[i].dtype != dtype {
                continue;
            }
            let at = decode(dtype, &site.values[i]);
            for k in (0..at.len()).take(24).chain(at.len().saturating_sub(1).max(24)..at.len()) {
                let mut there = |x: f64| -> Result<Vec<Vec<f64>>, String> {
                    let mut moved = at.clone();
                    moved[k] = x;
                    site.values[i] = encode(dtype, &moved);
                    stage.run(&site.values, PLAIN).map_err(|e| explain(&e))?;
                    Ok(outputs(&stage))
                };
                // Near a kink a smaller step may still see one side only.
                let mut slopes = Vec::new();
                for h in [step, step / 4.0, step / 16.0] {
                    slopes.extend(slope(&there(at[k] + h)?, &there(at[k] - h)?, &heads, 2.0 * h));
                }
                site.values[i] = encode(dtype, &at);
                let fits = |s: &f64| (s - found[g][k]).abs() <= tolerance * (1.0 + s.abs());
                if let Some(wanted) = slopes.first().filter(|_| !slopes.iter().any(fits)) {
                    return Err(backward.fail(&format!(
                        "the gradient of element {k} of input {i} is {}, central differences of forward give {wanted}",
                        found[g][k]
                    )));
                }
                compared += usize::from(!slopes.is_empty());
            }
        }
    }
    if compared == 0 {
        return Ok(Passed::Skipped("forward gave no finite number to compare with; give examples".to_string()));
    }
    Ok(Passed::Ok(format!("as central differences, {dtype}")))
}

/// What does not fit is refused with a message, and nothing dies of it.
fn errors(subject: &Subject, teller: &mut Teller) -> Finding {
    let op = &subject.op;
    let mut refused = 0;
    // Shapes that contradict each other may fit or not, but whoever refuses them says why.
    for case in cases(op, &subject.table, subject.dtype)? {
        for (odd, dims) in
            (0..case.inputs.len()).flat_map(|i| [(i, &[][..]), (i, &[0][..]), (i, &[1, 1, 1, 1, 1, 1, 1][..])])
        {
            let known: Vec<Option<Shape>> = (0..case.inputs.len())
                .map(|i| Some(if i == odd { Shape::new(dims) } else { case.inputs[i].shape.clone() }))
                .collect();
            teller.doing(
                format!("infer_shape of {} with input {odd} of shape {}", op.name(), Shape::new(dims)),
                Vec::new(),
            )?;
            let said = Case::infer(op, &case.params, &known, subject.dtype);
            refused += usize::from(said.is_err());
            if said.is_err_and(|e| e.contains("it gave no message")) {
                let shape = Shape::new(dims);
                return Err(format!("{} refuses input {odd} of shape {shape} without a message", op.name()));
            }
        }
    }
    let claimed = subject.kernel.dtypes.clone().unwrap_or(DType::ALL.to_vec());
    if let Some(dtype) = DType::ALL.into_iter().find(|d| !claimed.contains(d)) {
        let uses = cases(op, &subject.table, subject.dtype)?;
        let Some(Ok(case)) = uses.first().map(|case| {
            let shapes: Vec<_> = case.inputs.iter().map(|d| Some(d.shape.clone())).collect();
            Case::infer(op, &case.params, &shapes, dtype)
        }) else {
            return Ok(Passed::Ok(format!("{refused} contradictions are refused with a message")));
        };
        let wanted = vec![true; case.outputs.len()];
        let (params, inputs, outputs) = (&case.params, &case.inputs[..], &case.outputs[..]);
        let call = KernelCall { op: &**op, node: "checked", params, inputs, outputs, wanted: &wanted, is_train: true };
        if subject.registry.kernel(DeviceKind::Cpu, &call).is_ok() {
            return Err(format!("{} takes {dtype}, which it does not claim", op.name()));
        }
    }
    if refused == 0 {
        return Ok(Passed::Ok("no shape contradicts another; other dtypes are refused".to_string()));
    }
    Ok(Passed::Ok(format!("{refused} contradictions are refused with a message")))
}
