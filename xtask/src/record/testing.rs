//! Rows of timings for tests: whose they are, and no times yet.

use super::timings::{NodeRow, StartRow};

/// A cold start of gin's `variant` on a node in memory.
pub fn node_cold(variant: &str, profile: &str) -> NodeRow {
    NodeRow {
        suite: "gin".to_owned(),
        variant: variant.to_owned(),
        platform: "linux/amd64".to_owned(),
        profile: profile.to_owned(),
        scenario: "node_cold".to_owned(),
        data_root_fs: "tmpfs".to_owned(),
        ..NodeRow::default()
    }
}

/// The same of a warm start.
pub fn warm(variant: &str) -> StartRow {
    StartRow {
        suite: "gin".to_owned(),
        variant: variant.to_owned(),
        platform: "linux/amd64".to_owned(),
        profile: "unshaped".to_owned(),
        scenario: "warm".to_owned(),
        data_root_fs: "tmpfs".to_owned(),
        ..StartRow::default()
    }
}
