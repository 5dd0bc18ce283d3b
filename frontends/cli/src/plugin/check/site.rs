//! A kernel with a case to run it on, and the checks that all kernels go through.

use super::cases::Case;
use super::child::{Finding, Passed, Teller};
use super::guarded::Place;
use super::heap::in_use as heap_bytes;
use super::stage::{How, Instance, Order, Stage, explain};
use std::sync::Arc;
use std::time::{Duration, Instant};
use varflow::ops::DType;
use varflow::ops::plugin::KernelTable;

/// How a plain run goes.
pub(crate) const PLAIN: How = How { width: 1, poison: 0, order: Order::Up };

/// One kernel with a case and values to run it on.
pub(crate) struct Site {
    pub(crate) what: String,
    pub(crate) kernel: KernelTable,
    pub(crate) case: Case,
    pub(crate) values: Vec<Vec<u8>>,
}

/// What has kernels that are checked alike.
pub(crate) trait Sites {
    /// The dtype that most checks are made with.
    fn dtype(&self) -> DType;

    /// Its kernels, each with every case, of a dtype.
    ///
    /// # Errors
    /// When there is no case, or the forward kernel fails.
    fn sites(&self, dtype: DType, teller: &mut Teller) -> Result<Vec<Site>, String>;
}

impl Site {
    pub(crate) fn text(&self) -> String {
        self.case.text(&self.what)
    }

    pub(crate) fn fail(&self, what: &str) -> String {
        format!("{}: {what}", self.text())
    }

    pub(crate) fn open(&self, place: Place, teller: &mut Teller) -> Result<(Arc<Instance>, Stage), String> {
        teller.doing(self.text(), Vec::new())?;
        let made = Instance::create(&self.kernel.table, &self.case).map_err(|e| self.fail(&explain(&e)))?;
        let instance = Arc::new(made);
        let stage = Stage::new(&self.case, instance.clone(), &[], place)?;
        teller.doing(self.text(), stage.blocks())?;
        Ok((instance, stage))
    }

    pub(crate) fn run(&self, stage: &mut Stage, how: How, _teller: &mut Teller) -> Result<(), String> {
        stage.run(&self.values, how).map_err(|e| self.fail(&explain(&e)))
    }

    /// The elements of each output that a run writes, told by two fillings.
    pub(crate) fn written(&self, stage: &mut Stage, teller: &mut Teller) -> Result<Vec<Vec<bool>>, String> {
        self.run(stage, How { width: 1, poison: 0x55, ..PLAIN }, teller)?;
        let first = stage.output_bytes();
        self.run(stage, How { width: 1, poison: 0xAA, ..PLAIN }, teller)?;
        let second = stage.output_bytes();
        let of = |((a, b), d): ((&Vec<u8>, &Vec<u8>), &varflow::ops::TensorDesc)| {
            let n = d.dtype.size_bytes();
            let kept = |(a, b): (&[u8], &[u8])| a.iter().zip(b).any(|(a, b)| *a == 0x55 && *b == 0xAA);
            a.chunks_exact(n).zip(b.chunks_exact(n)).map(|p| !kept(p)).collect()
        };
        Ok(first.iter().zip(&second).zip(&self.case.outputs).map(of).collect())
    }
}

pub(crate) fn access(subject: &dyn Sites, teller: &mut Teller) -> Finding {
    let sites = subject.sites(subject.dtype(), teller)?;
    for site in &sites {
        let mutated = site.case.op.mutates(&site.case.params);
        let (_, mut stage) = site.open(Place::Amidst, teller)?;
        let written = site.written(&mut stage, teller)?;
        if let Some(i) = (0..site.values.len()).find(|i| !mutated.contains(i) && stage.input(*i) != site.values[*i]) {
            return Err(site.fail(&format!("wrote into input {i}, which it does not declare as mutated")));
        }
        for (o, written) in written.iter().enumerate() {
            if let Some(k) = written.iter().position(|w| !w) {
                let n = written.len();
                return Err(site.fail(&format!("did not write element {k} of output {o}, which has {n}")));
            }
        }
        site.run(&mut stage, How { width: 1, poison: 0x55, ..PLAIN }, teller)?;
        let first = stage.output_bytes();
        site.run(&mut stage, How { width: 4, poison: 0xAA, ..PLAIN }, teller)?;
        if first != stage.output_bytes() {
            return Err(site.fail(
                "two runs on the same inputs differ: it reads what it has not written, or is not deterministic",
            ));
        }
        stage.fill(&site.values, 0);
        stage.protect_inputs(&mutated)?;
        stage.run_filled(PLAIN).map_err(|e| site.fail(&explain(&e)))?;
    }
    Ok(Passed::Ok("inputs unchanged, outputs wholly written, twice the same".to_string()))
}

/// Outputs that nobody wants have no memory; the others are then as ever. In training it happens to each backward kernel of
/// several inputs, one of which is data.
pub(crate) fn wanted(subject: &dyn Sites, teller: &mut Teller) -> Finding {
    let mut tried = 0;
    for site in subject.sites(subject.dtype(), teller)?.iter().filter(|s| s.case.outputs.len() > 1) {
        let (_, mut whole) = site.open(Place::Amidst, teller)?;
        site.run(&mut whole, PLAIN, teller)?;
        let all = whole.output_bytes();
        for o in 0..all.len() {
            let what = format!("output {o}, which nobody wants");
            let mut wanted = vec![true; all.len()];
            wanted[o] = false;
            let made = Instance::create_for(&site.kernel.table, &site.case, &wanted, true);
            let instance = Arc::new(made.map_err(|e| site.fail(&format!("without {what}: {}", explain(&e))))?);
            let mut stage = Stage::new(&site.case, instance, &[], Place::Amidst)?;
            stage.leave_out(o);
            teller.doing(format!("{} without {what}", site.text()), stage.blocks())?;
            stage.run(&site.values, PLAIN).map_err(|e| site.fail(&format!("without {what}: {}", explain(&e))))?;
            if let Some(p) = (0..all.len()).find(|p| *p != o && stage.output(*p) != all[*p]) {
                return Err(site.fail(&format!("output {p} is another without {what}")));
            }
            tried += 1;
        }
    }
    if tried == 0 {
        return Ok(Passed::Skipped("no kernel has several outputs".to_string()));
    }
    Ok(Passed::Ok("each output may be left out, and the others stay as they are".to_string()))
}

pub(crate) fn guards(subject: &dyn Sites, teller: &mut Teller) -> Finding {
    for site in subject.sites(subject.dtype(), teller)? {
        for place in [Place::AtEnd, Place::AtStart] {
            let (_, mut stage) = site.open(place, teller)?;
            site.run(&mut stage, PLAIN, teller)?;
            if let Some((name, before, behind)) = stage.strayed() {
                let (n, end) = if before > 0 { (before, "before the start") } else { (behind, "beyond the end") };
                return Err(site.fail(&format!("wrote up to {n} bytes {end} of {name}")));
            }
        }
    }
    Ok(Passed::Ok("nothing outside of tensors and workspace is touched".to_string()))
}

pub(crate) fn threads(subject: &dyn Sites, teller: &mut Teller) -> Finding {
    const THREADS: u64 = 4;
    const AT_LEAST: Duration = Duration::from_millis(250);
    for mut site in subject.sites(subject.dtype(), teller)?.into_iter().take(4) {
        let (shared, _) = site.open(Place::Amidst, teller)?;
        let mut works = Vec::new();
        for t in 0..THREADS {
            site.values = site.case.values(10 + t);
            let instance = if t < THREADS / 2 { shared.clone() } else { site.open(Place::Amidst, teller)?.0 };
            let mut stage = Stage::new(&site.case, instance, &[], Place::Amidst)?;
            site.run(&mut stage, PLAIN, teller)?;
            works.push((stage.output_bytes(), site.values.clone(), stage));
        }
        let until = Instant::now() + AT_LEAST;
        let differ = std::thread::scope(|scope| {
            let work = |(wanted, values, mut stage): (Vec<Vec<u8>>, Vec<Vec<u8>>, Stage)| {
                scope.spawn(move || {
                    while Instant::now() < until {
                        if stage.run(&values, PLAIN).is_err() || stage.output_bytes() != wanted {
                            return true;
                        }
                    }
                    false
                })
            };
            let all: Vec<_> = works.into_iter().map(work).collect();
            all.into_iter().any(|t| t.join().unwrap_or(true))
        });
        if differ {
            return Err(
                site.fail("results of parallel calls differ from those of the same calls one by one: a data race")
            );
        }
    }
    Ok(Passed::Ok(format!("{THREADS} threads, one instance and several")))
}

pub(crate) fn leaks(subject: &dyn Sites, teller: &mut Teller) -> Finding {
    const CALLS: usize = 200;
    if heap_bytes().is_none() {
        return Ok(Passed::Skipped("this system's allocator does not tell what is in use".to_string()));
    }
    for site in subject.sites(subject.dtype(), teller)?.into_iter().take(4) {
        let (_, mut stage) = site.open(Place::Amidst, teller)?;
        let measure = |what: &str, body: &mut dyn FnMut() -> Result<(), String>| {
            (0..CALLS).try_for_each(|_| body())?;
            let mut least = usize::MAX;
            for _ in 0..2 {
                let before = heap_bytes().unwrap_or(0);
                (0..CALLS).try_for_each(|_| body())?;
                least = least.min(heap_bytes().unwrap_or(0).saturating_sub(before));
            }
            // An allocation takes 32 bytes at least.
            if least >= CALLS * 16 {
                return Err(site.fail(&format!("{CALLS} {what} leak {least} bytes, {} each", least / CALLS)));
            }
            Ok(())
        };
        measure("runs", &mut || stage.run_filled(PLAIN).map_err(|e| explain(&e)))?;
        measure("instances", &mut || {
            Instance::create(&site.kernel.table, &site.case).map(drop).map_err(|e| explain(&e))
        })?;
    }
    Ok(Passed::Ok("neither runs nor instances keep memory".to_string()))
}
