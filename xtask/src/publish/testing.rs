//! The committed rows, for the tests of this folder.

use std::{collections::BTreeSet, path::Path};

use super::{Evidence, Settings};
use crate::project::Project;

pub fn project() -> Project {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    Project::at(root).unwrap()
}

/// What is committed, as if all of it had been measured in full: a test of what
/// publishing does must not depend on whether today's rows are fit for it. A
/// variant that nobody has measured yet is not in it.
pub fn fit_evidence() -> Evidence {
    let project = project();
    let mut evidence = Evidence::read(&project, Settings::load(&project).unwrap()).unwrap();
    let images = evidence.node.iter();
    let timed: BTreeSet<_> = images
        .map(|row| (row.suite.clone(), row.variant.clone()))
        .collect();
    for suite in &mut evidence.suites {
        let name = suite.name.clone();
        let variants = &mut suite.variants;
        variants.retain(|it| timed.contains(&(name.clone(), it.name.clone())));
    }
    let of_timed =
        |suite: &String, variant: &String| timed.contains(&(suite.clone(), variant.clone()));
    evidence
        .sizes
        .retain(|row| of_timed(&row.suite, &row.variant));
    let sizes = evidence.sizes.clone();
    let inputs = |suite: &String, variant: &String| {
        let row = sizes
            .iter()
            .find(|it| (&it.suite, &it.variant) == (suite, variant));
        row.and_then(|row| row.inputs.clone())
    };
    for row in &mut evidence.node {
        row.inputs = inputs(&row.suite, &row.variant);
        row.n = row.n.max(Some(15));
        (row.error, row.noisy.0, row.stale.0) = (None, false, false);
    }
    for row in &mut evidence.start {
        row.inputs = inputs(&row.suite, &row.variant);
        row.n = row.n.max(Some(15));
        (row.error, row.noisy.0, row.stale.0) = (None, false, false);
    }
    for row in &mut evidence.limits {
        row.inputs = inputs(&row.suite, &row.variant);
        row.error = None;
    }
    for row in &mut evidence.proofs {
        row.holds = true;
    }
    evidence.cost = evidence.cost_due.clone();
    evidence
}
