//! Checks of a kvstore reduction: it is called as if it were a kernel, on the same watched memory.
#![expect(unsafe_code, reason = "calls the functions of a plug-in's reduction")]

use super::cases::{Case, decode};
use super::child::{Check, Finding, Passed, Teller};
use super::guarded::Place;
use super::protocol::Title;
use super::site::{PLAIN, Site, Sites, access, guards, leaks, threads};
use std::ffi::c_void;
use std::sync::Arc;
use varflow::ops::plugin::{KernelTable, ReductionTable};
use varflow::ops::{DType, DeviceKind, Operator, Params, Schema, Shape, Shapes, TensorDesc};
use varflow_abi::{self as abi, Completion, Message, Run, Status, status};

const KEY: &std::ffi::CStr = c"checked";
/// How many devices push.
const DEVICES: [usize; 4] = [1, 2, 3, 5];

/// What the shims below are handed as their context.
struct Called {
    table: abi::Reduction,
    is_reduce: bool,
}

/// The reduction under check.
struct Subject {
    table: ReductionTable,
    called: [Arc<Called>; 2],
    op: Arc<dyn Operator>,
    dtype: DType,
}

/// The checks of a reduction.
pub(crate) fn checks<'a>(table: &ReductionTable) -> Vec<Check<'a>> {
    let called = [true, false].map(|is_reduce| Arc::new(Called { table: table.table, is_reduce }));
    let op = Arc::new(Named { name: table.name.clone(), schema: Schema::new() });
    let subject = Arc::new(Subject { table: table.clone(), called, op, dtype: DType::F32 });
    type Body = fn(&Subject, &mut Teller) -> Finding;
    let all: [(&str, &'static [&'static str], Body); 6] = [
        ("schema", &[], schema),
        ("meaning", &[], meaning),
        ("access", &["meaning"], |s, t| access(s, t)),
        ("guard pages", &["meaning"], |s, t| guards(s, t)),
        ("threads", &["meaning", "access"], |s, t| threads(s, t)),
        ("leaks", &["meaning"], |s, t| leaks(s, t)),
    ];
    let check = |(name, needs, body): (&str, &'static [&'static str], Body)| {
        let subject = subject.clone();
        let title = Title { subject: format!("reduction {}", subject.table.name), check: name.to_string() };
        Check { title, needs, body: Box::new(move |teller| body(&subject, teller)) }
    };
    all.into_iter().map(check).collect()
}

/// Cases are uses of operators: this is one in name.
struct Named {
    name: String,
    schema: Schema,
}

impl Operator for Named {
    fn name(&self) -> &str {
        &self.name
    }

    fn doc(&self) -> &str {
        ""
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    /// It may draw random numbers.
    fn is_deterministic(&self) -> bool {
        false
    }

    fn infer_shape(&self, _: &Params, _: &mut Shapes) -> varflow::Result<()> {
        Ok(())
    }

    fn mutates(&self, _: &Params) -> Vec<usize> {
        Vec::new()
    }
}

/// # Safety
/// `context` leads to a [`Called`]; the rest is as the header says of kernels.
unsafe extern "C" fn run(context: *mut c_void, _: *mut c_void, run: *const Run, message: *mut Message) -> Status {
    // SAFETY: by the contract.
    let Called { table, is_reduce } = unsafe { &*context.cast::<Called>() };
    let function = if *is_reduce { table.reduce } else { table.broadcast };
    let Some(function) = function else { return status::UNSUPPORTED };
    // SAFETY: a function of the table, called as the header says.
    unsafe { function(table.context, KEY.as_ptr(), run, message) }
}

/// # Safety
/// As [`run`].
unsafe extern "C" fn run_async(
    context: *mut c_void,
    _: *mut c_void,
    run: *const Run,
    done: Completion,
    message: *mut Message,
) -> Status {
    // SAFETY: by the contract.
    let Called { table, is_reduce } = unsafe { &*context.cast::<Called>() };
    let function = if *is_reduce { table.reduce_async } else { table.broadcast_async };
    let Some(function) = function else { return status::UNSUPPORTED };
    // SAFETY: a function of the table, called as the header says.
    unsafe { function(table.context, KEY.as_ptr(), run, done, message) }
}

impl Called {
    fn kernel(self: &Arc<Self>) -> KernelTable {
        let is_async =
            if self.is_reduce { self.table.reduce_async.is_some() } else { self.table.broadcast_async.is_some() };
        let table = abi::Kernel {
            struct_size: size_of::<abi::Kernel>() as u32,
            device: abi::device::CPU,
            num_dtypes: 0,
            dtypes: std::ptr::null(),
            context: Arc::as_ptr(self).cast_mut().cast(),
            create: None,
            destroy: None,
            run: (!is_async).then_some(run),
            run_async: is_async.then_some(run_async),
        };
        KernelTable { table, device: DeviceKind::Cpu, dtypes: None }
    }
}

impl Sites for Subject {
    fn dtype(&self) -> DType {
        self.dtype
    }

    fn sites(&self, dtype: DType, _: &mut Teller) -> Result<Vec<Site>, String> {
        let mut sites = Vec::new();
        for n in DEVICES {
            for dims in [&[7][..], &[3, 5], &[1]] {
                let all = |n| vec![TensorDesc::new(Shape::new(dims), dtype); n];
                for (called, inputs, outputs) in [(&self.called[0], all(n), all(1)), (&self.called[1], all(1), all(n))]
                {
                    let case = Case { op: self.op.clone(), params: Params::default(), inputs, outputs };
                    let what = if called.is_reduce { "reduce" } else { "broadcast" }.to_string();
                    sites.push(Site { what, kernel: called.kernel(), values: case.values(1), case });
                }
            }
        }
        Ok(sites)
    }
}

fn schema(subject: &Subject, _: &mut Teller) -> Finding {
    if subject.table.doc.trim().is_empty() {
        return Err("it has no doc, wanted what it does".to_string());
    }
    Ok(Passed::Ok("documented".to_string()))
}

/// What it makes of many, and whether it hands one out as it is.
fn meaning(subject: &Subject, teller: &mut Teller) -> Finding {
    let mut meanings = ["sum", "mean"].to_vec();
    for site in subject.sites(subject.dtype, teller)? {
        let (_, mut stage) = site.open(Place::Amidst, teller)?;
        site.run(&mut stage, PLAIN, teller)?;
        let inputs: Vec<Vec<f64>> = site.values.iter().map(|v| decode(subject.dtype, v)).collect();
        if site.what == "broadcast" {
            let other = (0..site.case.outputs.len()).find(|o| stage.output(*o) != site.values[0]);
            if let Some(o) = other {
                return Err(site.fail(&format!("output {o} is not the input, bit for bit")));
            }
            continue;
        }
        let found = decode(subject.dtype, stage.output(0));
        meanings.retain(|meaning| {
            let scale = if *meaning == "mean" { 1.0 / inputs.len() as f64 } else { 1.0 };
            let wanted = |k: usize| inputs.iter().map(|v| v[k]).sum::<f64>() * scale;
            found.iter().enumerate().all(|(k, f)| (f - wanted(k)).abs() <= 1e-5 * (1.0 + wanted(k).abs()))
        });
    }
    let meaning = meanings.first().map_or("neither their sum nor their mean", |m| m);
    Ok(Passed::Ok(format!("of 1, 2, 3 and 5 tensors it gives: {meaning}; broadcast copies")))
}
