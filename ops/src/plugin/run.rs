//! What a kernel or reduction of a plug-in is handed when it runs.
#![expect(unsafe_code, reason = "functions that plug-ins call back")]

use super::call::{Place, call, error, given_message};
use super::tensors::Tensors;
use crate::async_run::AsyncRun;
use crate::{Error, KernelCtx, Philox, Result};
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use varflow_abi::{self as abi, DLTensor, Message, Status};
use varflow_engine::TaskCtx;

/// What [`abi::Run::host`] leads to.
struct Host<'a> {
    /// None in an asynchronous run: its loops run on the thread that calls for them.
    task: Option<&'a TaskCtx<'a>>,
    rng: Philox,
    draws: Draws,
    /// Whether a loop did not come to its end.
    broken: AtomicBool,
    /// Whether random numbers were asked for that it may not have.
    drew: AtomicBool,
}

/// Whether what runs may ask for random numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Draws {
    Allowed,
    /// Its operator does not say that it does: passes over graphs take results of it that look alike for the same.
    Refused,
}

impl Host<'_> {
    fn new<'a>(task: Option<&'a TaskCtx<'a>>, rng: Philox, draws: Draws) -> Host<'a> {
        Host { task, rng, draws, broken: AtomicBool::new(false), drew: AtomicBool::new(false) }
    }

    /// Whether all loops came to their ends, and no numbers were drawn that may not be.
    fn ended(&self) -> Result<()> {
        // Relaxed: as `broken`; a thread of the plug-in's own ends its work before the run ends.
        if self.drew.load(Ordering::Relaxed) {
            let wanted = "wanted its flag VF_RANDOM, which is IS_RANDOM in Rust";
            return Err(Error::Contract(format!("draws random numbers, and its operator does not say so: {wanted}")));
        }
        // Relaxed: see `parallel_for`.
        if self.broken.load(Ordering::Relaxed) {
            return Err(Error::Plugin("called parallel_for without a body, or its loop panicked".to_string()));
        }
        Ok(())
    }
}

/// A pointer of a plug-in that may go to other threads: the header says that its loops run on several.
#[derive(Clone, Copy)]
struct Closure(*mut c_void);
// SAFETY: only the plug-in follows the pointer.
unsafe impl Sync for Closure {}

impl Closure {
    fn pointer(self) -> *mut c_void {
        self.0
    }
}

/// # Safety
/// `host` leads to a [`Host`]; `body` and `closure` are as the header says.
unsafe extern "C" fn parallel_for(host: *mut c_void, n: usize, body: Option<abi::Body>, closure: *mut c_void) {
    // SAFETY: by the contract.
    let host = unsafe { &*host.cast::<Host<'_>>() };
    let closure = Closure(closure);
    let ended = body.is_some_and(|body| {
        // SAFETY: by the contract, for each i below n.
        let each = |i| unsafe { body(closure.pointer(), i) };
        let all = || match host.task {
            Some(task) => task.parallel_for(n, &each),
            None => (0..n).for_each(each),
        };
        catch_unwind(AssertUnwindSafe(all)).is_ok()
    });
    if !ended {
        // Relaxed: read by the thread that ran the kernel, which this call came from or which waited for the one that it did.
        host.broken.store(true, Ordering::Relaxed);
    }
}

/// # Safety
/// `host` leads to a [`Host`]; `out` has room for `n` numbers.
unsafe extern "C" fn random(host: *mut c_void, first: u64, out: *mut u32, n: usize) {
    // SAFETY: by the contract.
    let host = unsafe { &*host.cast::<Host<'_>>() };
    if host.draws == Draws::Refused {
        host.drew.store(true, Ordering::Relaxed);
        if n > 0 {
            // SAFETY: by the contract.
            unsafe { ptr::write_bytes(out, 0, n) };
        }
        return;
    }
    let rng = host.rng;
    let mut done = 0;
    while done < n {
        let at = first.wrapping_add(done as u64);
        let block = rng.block(at / 4);
        let part = &block[(at % 4) as usize..];
        let part = &part[..part.len().min(n - done)];
        // SAFETY: these places are below `n`.
        unsafe { ptr::copy_nonoverlapping(part.as_ptr(), out.add(done), part.len()) };
        done += part.len();
    }
}

fn run_table(tensors: &[DLTensor], num_inputs: usize, ctx: &KernelCtx<'_>, host: *const Host<'_>) -> abi::Run {
    let (inputs, outputs) = tensors.split_at(num_inputs);
    let workspace = ctx.workspace_view();
    abi::Run {
        struct_size: size_of::<abi::Run>() as u32,
        reserved: 0,
        num_inputs,
        num_outputs: outputs.len(),
        inputs: inputs.as_ptr(),
        outputs: outputs.as_ptr(),
        workspace: workspace.map_or(ptr::null_mut(), |w| w.address().cast()),
        workspace_bytes: workspace.map_or(0, |w| w.desc().len_bytes()),
        stream: ptr::null_mut(),
        host: host.cast_mut().cast(),
        width: ctx.width(),
        parallel_for: Some(parallel_for),
        random: Some(random),
    }
}

/// Calls `function` with all that `ctx` has, and waits for it.
///
/// # Errors
/// What the function says; tensors other than it was made for.
pub(super) fn run(
    tensors: &Tensors,
    ctx: &KernelCtx<'_>,
    draws: Draws,
    function: impl FnOnce(*const abi::Run, *mut Message) -> Status,
) -> Result<()> {
    let filled = tensors.fill(ctx)?;
    let host = Host::new(ctx.task(), ctx.rng(), draws);
    let run = run_table(&filled, tensors.inputs().len(), ctx, &raw const host);
    call(|message| function(&raw const run, message))?;
    host.ended()
}

/// An asynchronous run that a plug-in has begun, with all that it may use until it completes it.
struct Pending {
    run: AsyncRun,
    place: Place,
    table: Arc<Table>,
}

/// What the plug-in's pointers lead to. Shared, so that it stays where it is.
struct Table {
    run: abi::Run,
    _tensors: Vec<DLTensor>,
    host: Arc<Host<'static>>,
    _prepared: Arc<dyn std::any::Any + Send + Sync>,
}

/// The runs that are begun and not completed, by token. A token is a number that is never used again, so that a run that is
/// completed twice is found once; and it says nothing of whose run it is, so that the table is the process's.
static PENDING: Mutex<BTreeMap<u64, Pending>> = Mutex::new(BTreeMap::new());
static NEXT_TOKEN: AtomicU64 = AtomicU64::new(1);

fn take(token: u64) -> Option<Pending> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner).remove(&token)
}

/// # Safety
/// `message` is null or ends in a zero byte.
unsafe extern "C" fn complete(token: *mut c_void, status: Status, message: abi::Text) {
    // Out of the table first: what it lets go may complete others.
    let Some(pending) = take(token as u64) else { return };
    let result = if status == abi::status::OK {
        pending.table.host.ended()
    } else {
        // SAFETY: by the contract.
        Err(error(status, &unsafe { given_message(message) }))
    };
    let result = result.map_err(|e| e.at(pending.place.to_string()));
    // A panic of a task that this lets go is that task's, and not the plug-in's.
    let _ = catch_unwind(AssertUnwindSafe(|| pending.run.complete(result)));
}

/// Calls `function` with all that `run` has; it completes it then or later. `prepared` owns `tensors`.
pub(super) fn start(
    tensors: &Tensors,
    prepared: Arc<dyn std::any::Any + Send + Sync>,
    mut run: AsyncRun,
    place: &Place,
    draws: Draws,
    function: impl FnOnce(*const abi::Run, abi::Completion, *mut Message) -> Status,
) {
    let ctx = run.ctx();
    let filled = match tensors.fill(&ctx) {
        Ok(filled) => filled.into_vec(),
        Err(e) => {
            drop(ctx);
            return run.complete(Err(e.at(place.to_string())));
        }
    };
    let host = Arc::new(Host::new(None, ctx.rng(), draws));
    let table = run_table(&filled, tensors.inputs().len(), &ctx, Arc::as_ptr(&host));
    drop(ctx);
    let table = Arc::new(Table { run: table, _tensors: filled, host, _prepared: prepared });
    let at = &raw const table.run;
    // Relaxed: only that no number comes twice counts.
    let token = NEXT_TOKEN.fetch_add(1, Ordering::Relaxed);
    let pending = Pending { run, place: place.clone(), table };
    PENDING.lock().unwrap_or_else(PoisonError::into_inner).insert(token, pending);
    let done = abi::Completion { token: token as *mut c_void, complete: Some(complete) };
    if let Err(e) = call(|message| function(at, done, message))
        && let Some(pending) = take(token)
    {
        pending.run.complete(Err(e.at(pending.place.to_string())));
    }
}
