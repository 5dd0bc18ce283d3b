//! What is run, in order.

/// Nodes in execution order, cut into phases. A node may stand there several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    steps: Vec<usize>,
    /// For each phase the position behind its last step.
    ends: Vec<usize>,
}

impl Script {
    pub(crate) fn new(phases: &[Vec<usize>]) -> Script {
        let mut script = Script { steps: Vec::new(), ends: Vec::with_capacity(phases.len()) };
        for phase in phases {
            script.steps.extend(phase);
            script.ends.push(script.steps.len());
        }
        script
    }

    /// The nodes of all phases.
    pub(crate) fn steps(&self) -> &[usize] {
        &self.steps
    }

    /// The nodes of each phase.
    pub(crate) fn phases(&self) -> impl Iterator<Item = &[usize]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.steps[start..*end])
    }

    /// Puts nodes before the step at `position`, in its phase.
    pub(super) fn insert(&mut self, position: usize, nodes: &[usize]) {
        self.steps.splice(position..position, nodes.iter().copied());
        self.ends.iter_mut().filter(|end| **end > position).for_each(|end| *end += nodes.len());
    }

    /// Takes out the step at `position`.
    pub(super) fn remove(&mut self, position: usize) {
        self.steps.remove(position);
        self.ends.iter_mut().filter(|end| **end > position).for_each(|end| *end -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_put_into_the_phase_of_the_step_that_they_precede() {
        let mut script = Script::new(&[vec![0, 1], vec![], vec![2, 3]]);
        script.insert(2, &[7, 8]);
        script.insert(0, &[9]);
        let phases: Vec<_> = script.phases().map(<[usize]>::to_vec).collect();
        assert_eq!(phases, [vec![9, 0, 1], vec![], vec![7, 8, 2, 3]]);
        script.remove(1);
        script.remove(3);
        let phases: Vec<_> = script.phases().map(<[usize]>::to_vec).collect();
        assert_eq!(phases, [vec![9, 1], vec![], vec![7, 2, 3]]);
    }
}
