//! Schedules that take turns.

use crate::engine::Engine;
use crate::name::Name;
use crate::recorded::InsideVar;
use crate::recorder::Recorder;
use crate::sync::{Arc, AtomicBool, Mutex, Ordering, lock};
use crate::var::{Var, VarPin};
use std::collections::HashMap;
use std::sync::Weak;

/// Schedules behind one gate take turns: a run of any of them begins when the run submitted before, of whichever of them, has
/// ended. So they can have vars [inside](Recorder::keep_inside) in common: what one leaves there, the next one finds, poison
/// included.
///
/// ```
/// use varflow_engine::Engine;
/// # fn main() -> Result<(), varflow_engine::Error> {
/// let engine = Engine::builder().cpu_workers(2).build()?;
/// let (x, gradient) = (engine.data(3), engine.data(0));
/// let gate = engine.gate();
/// let mut forward = gate.recorder("forward");
/// let square = forward.data(0); // inside both
/// engine.task("square").read(&x).write(&square).record(&mut forward, |x, square| *square = x * x);
/// let forward = forward.finish()?;
/// let mut backward = gate.recorder("backward");
/// engine.task("cube'").read(&square).write(&gradient).record(&mut backward, |square, g| *g = 3 * square);
/// let backward = backward.finish()?;
/// forward.submit();
/// backward.submit();
/// assert_eq!(gradient.wait()?, 27);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Gate(Arc<State>);

struct State {
    var: Var,
    /// So that no schedule keeps it inside.
    _pin: VarPin,
    /// The vars inside any of the schedules, by address. Their schedules keep them.
    inside: Mutex<HashMap<usize, Weak<InsideVar>>>,
    /// Whether a var may be poisoned or fenced. Set before the tasks that it concerns are let go, within a run; runs follow each
    /// other, so one flag does for all schedules.
    troubled: AtomicBool,
}

impl Gate {
    pub(crate) fn new(engine: &Engine) -> Gate {
        let var = engine.var();
        Gate(Arc::new(State {
            _pin: var.pin(),
            var,
            inside: Mutex::new(HashMap::new()),
            troubled: AtomicBool::new(false),
        }))
    }

    /// Starts recording a schedule behind this gate.
    pub fn recorder(&self, name: impl Into<Name>) -> Recorder {
        // Those of schedules that are gone.
        lock(&self.0.inside).retain(|_, var| var.strong_count() > 0);
        Recorder::new(&Engine::from_core(self.0.var.core().clone()), self.clone(), name.into())
    }

    /// The var that each run holds from its beginning to its end, and poisons if one of its tasks fails.
    pub(crate) fn var(&self) -> &Var {
        &self.0.var
    }

    /// Whether a var inside some schedule is inside those of this gate: then what keeps it there.
    pub(crate) fn inside(&self, address: usize) -> Option<Arc<InsideVar>> {
        lock(&self.0.inside).get(&address)?.upgrade()
    }

    /// Makes a var one of the gate's schedules' own. `None` when others use it.
    pub(crate) fn keep_inside(&self, var: &Var) -> Option<Arc<InsideVar>> {
        if !var.state().keep_inside() {
            return None;
        }
        let kept = Arc::new(InsideVar(var.pin()));
        // Held until the flag is set: a run that ends meanwhile clears it before, or finds the var.
        let mut inside = lock(&self.0.inside);
        inside.insert(var.state_ptr().addr().get(), Arc::downgrade(&kept));
        if var.state().is_troubled() {
            // By tasks before it was inside.
            self.trouble();
        }
        Some(kept)
    }

    pub(crate) fn is_troubled(&self) -> bool {
        self.0.troubled.load(Ordering::Relaxed)
    }

    /// Says that a var of the run may be poisoned or fenced. Relaxed: seen by whom the caller lets go.
    pub(crate) fn trouble(&self) {
        self.0.troubled.store(true, Ordering::Relaxed);
    }

    /// A run ends that met trouble: the next one meets what is left of it inside.
    pub(crate) fn end_troubled_run(&self) {
        let inside = lock(&self.0.inside);
        let is_troubled = inside.values().filter_map(Weak::upgrade).any(|var| var.0.state().is_troubled());
        // Relaxed: seen by the next run, which begins after this one.
        self.0.troubled.store(is_troubled, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "gate of {:?}", self.0.var)
    }
}
