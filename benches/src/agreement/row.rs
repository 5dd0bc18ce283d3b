//! One case compared: how far apart, and what that means.

use super::case::Case;
use super::compare::{Distance, GOAL, compare};
use super::mxnet::Mxnet;
use super::references::{Reference, References, chosen};
use super::sketch::Sketch;
use super::varflow;
use crate::Result;
use ::varflow::Runtime;
use ::varflow::ops::DType;

/// The same in float64. MXNet keeps some parameters of operators in float32, so it is not smaller.
pub const DOUBLE_GOAL: f64 = 1e-6;
/// How much less exact than MXNet varflow may be where rounding grows beyond the goal.
const AS_EXACT: f64 = 4.0;

/// How many of the tensors that are too far apart are named.
const NAMED: usize = 6;

/// What a case is compared with.
pub enum Against {
    /// MXNet itself.
    Mxnet(Mxnet),
    /// What it once gave.
    Stored(References),
}

/// What a comparison means.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Within the goal.
    Agrees,
    /// The two compute the same, as they show in float64, but rounding grows beyond the goal; varflow is as exact as MXNet.
    Rounding,
    /// Not the same, or not comparable, and that is known: why.
    Excused(String),
    /// Not the same, or not comparable: why.
    Deviates(String),
}

/// One case compared.
pub struct Row {
    /// The case.
    pub name: String,
    /// Its operator or network.
    pub subject: String,
    /// Which draw of its inputs.
    pub draw: u64,
    /// In float32.
    pub single: Distance,
    /// In float64, where it runs there.
    pub double: Option<Distance>,
    /// varflow in float32 from MXNet in float64.
    pub ours: Option<f64>,
    /// MXNet in float32 from MXNet in float64.
    pub theirs: Option<f64>,
    /// Tensors drawn at random, of which only the shape is compared.
    pub drawn: Vec<String>,
    /// What it means.
    pub verdict: Verdict,
}

impl Row {
    /// Compares one case. With MXNet there, what it gave comes back beside the row.
    pub fn new(rt: &Runtime, case: &Case, against: &mut Against) -> (Row, Option<Reference>) {
        let mut row = Row::empty(&case.name, &case.subject, Verdict::Agrees);
        let reference = row.fill(rt, case, against).unwrap_or_else(|e| {
            row.verdict = Verdict::Deviates(e.to_string());
            None
        });
        if let (Verdict::Deviates(_), Some(why)) = (&row.verdict, case.excuse) {
            row.verdict = Verdict::Excused(why.to_string());
        }
        (row, reference)
    }

    /// Of a case that cannot be made.
    pub fn failed(name: &str, why: String) -> Row {
        Row::empty(name, name, Verdict::Deviates(why))
    }

    fn empty(name: &str, subject: &str, verdict: Verdict) -> Row {
        Row {
            name: name.to_string(),
            subject: subject.to_string(),
            draw: 0,
            single: Distance::default(),
            double: None,
            ours: None,
            theirs: None,
            drawn: Vec::new(),
            verdict,
        }
    }

    fn fill(&mut self, rt: &Runtime, case: &Case, against: &mut Against) -> Result<Option<Reference>> {
        let sketches = |float, seed| -> Result<(Vec<Sketch>, Option<String>)> {
            let outcome = varflow::run(rt, case, float, seed)?;
            Ok((outcome.arrays.iter().map(Sketch::new).collect::<Result<_>>()?, outcome.no_training))
        };
        let (ours, no_training) = sketches(DType::F32, 1).map_err(|e| format!("varflow: {e}"))?;
        if case.is_random() {
            let (again, _) = sketches(DType::F32, 2)?;
            let differs = |(a, b): &(&Sketch, &Sketch)| a.at != b.at;
            self.drawn = ours.iter().zip(&again).filter(differs).map(|(a, _)| a.name.clone()).collect();
        }
        let (single, double, made) = match against {
            Against::Stored(references) => {
                let wanted = case.fingerprint()?;
                let found = references.cases.get(&case.name).filter(|r| r.inputs == wanted);
                let found =
                    found.ok_or("there is no stored reference with these inputs: make one by --peers --store")?;
                (found.single.clone(), Some(found.double.clone()).filter(|d| !d.is_empty()), None)
            }
            Against::Mxnet(mxnet) => {
                let single = mxnet.run(case, DType::F32).map_err(|e| format!("MXNet: {e}"))?;
                // What MXNet does not do in float64 has no second opinion.
                let double = mxnet.run(case, DType::F64).ok();
                let double = double.filter(|d| d.len() == single.len());
                let made = Reference {
                    inputs: case.fingerprint()?,
                    draw: 0,
                    single: chosen(&single),
                    double: double.as_deref().map(chosen).unwrap_or_default(),
                };
                (single, double, Some(made))
            }
        };
        self.single = compare(&ours, &single, &self.drawn);
        if let Some(double) = double {
            self.ours = Some(compare(&ours, &double, &self.drawn).relative);
            self.theirs = Some(compare(&single, &double, &self.drawn).relative);
            if let Ok((ours, _)) = sketches(DType::F64, 1) {
                self.double = Some(compare(&ours, &double, &self.drawn));
            }
        }
        self.verdict = self.judge(no_training);
        Ok(made)
    }

    /// Whether nothing but rounding tells the two apart, as far as float64 shows.
    pub fn is_same(&self) -> bool {
        let is_same = |d: &Distance| d.faults.is_empty() && d.relative <= DOUBLE_GOAL;
        self.single.tensors > 0 && self.single.faults.is_empty() && self.double.as_ref().is_none_or(is_same)
    }

    fn judge(&self, no_training: Option<String>) -> Verdict {
        if !self.single.faults.is_empty() {
            let why = no_training.map_or(String::new(), |e| format!(" ({e})"));
            return Verdict::Deviates(format!("{}{why}", self.single.faults.join("; ")));
        }
        if self.single.relative <= GOAL {
            return Verdict::Agrees;
        }
        let same = self.double.is_some() && self.is_same();
        match (self.ours, self.theirs) {
            // The rounding is all MXNet's.
            (Some(ours), _) if same && ours <= GOAL => Verdict::Rounding,
            (Some(ours), Some(theirs)) if same && ours <= AS_EXACT * theirs => Verdict::Rounding,
            _ => {
                let Distance { tensor, relative, apart, tensors, .. } = &self.single;
                let first = apart[..apart.len().min(NAMED)].join(", ");
                let n = apart.len();
                Verdict::Deviates(format!(
                    "{tensor} is {relative:.1e} apart; {n} of {tensors} are beyond {GOAL:e}: {first}"
                ))
            }
        }
    }
}
