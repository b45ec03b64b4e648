//! The committed rows, for the tests of this folder.

use std::path::Path;

use super::{Evidence, Settings};
use crate::project::Project;

pub fn project() -> Project {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    Project::at(root).unwrap()
}

/// What is committed, as if all of it had been measured in full: a test of what
/// publishing does must not depend on whether today's rows are fit for it.
pub fn fit_evidence() -> Evidence {
    let project = project();
    let mut evidence = Evidence::read(&project, Settings::load(&project).unwrap()).unwrap();
    for row in &mut evidence.node {
        row.n = row.n.max(Some(15));
        (row.error, row.noisy.0, row.stale.0) = (None, false, false);
    }
    for row in &mut evidence.start {
        row.n = row.n.max(Some(15));
        (row.error, row.noisy.0, row.stale.0) = (None, false, false);
    }
    for row in &mut evidence.limits {
        row.error = None;
    }
    for row in &mut evidence.proofs {
        row.holds = true;
    }
    evidence.cost = evidence.cost_due.clone();
    evidence
}
