//! What stands for a lane when tasks are pushed.

use super::Core;
use crate::sync::Arc;
use std::fmt;

/// A lane of one engine, as tasks name it.
#[derive(Clone)]
pub struct LaneHandle {
    pub(crate) core: Arc<Core>,
    pub(crate) index: u16,
}

impl fmt::Debug for LaneHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LaneHandle({})", self.name())
    }
}

impl LaneHandle {
    /// The lane's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.core.lane(self.index).name()
    }

    /// How many of its tasks can run at once.
    #[must_use]
    pub fn width(&self) -> usize {
        self.core.lane(self.index).width()
    }
}
