//! The timing files of one machine: summaries, samples and the environment.
//!
//! Times are measured in nanoseconds and summarised in microseconds, because a
//! reviewer reads the summaries and nothing that is published is known better.

use super::{
    cell::{ErrorWord, Id, Mark},
    row::{Cells, Field, Unexpected, of_variant, row},
};
use crate::stats::Summary;

/// A phase in three cells: its median and how well that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phase {
    pub median_us: Option<u64>,
    pub low_us: Option<u64>,
    pub high_us: Option<u64>,
}

/// A headline time: the phase and how its samples spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    pub phase: Phase,
    pub mad_us: Option<u64>,
    pub min_us: Option<u64>,
    pub max_us: Option<u64>,
    pub p90_us: Option<u64>,
    pub p95_us: Option<u64>,
    pub outliers: Option<u64>,
}

impl Phase {
    /// Summarises samples of nanoseconds; empty where there are none.
    pub fn of_ns(samples: &[u64]) -> Self {
        Spread::of_ns(samples).phase
    }
}

impl Spread {
    /// Summarises samples of nanoseconds; empty where there are none.
    pub fn of_ns(samples: &[u64]) -> Self {
        Summary::of(samples).map_or_else(Self::default, |summary| Self {
            phase: Phase {
                median_us: Some(us(summary.median)),
                low_us: summary.interval.map(|interval| us(interval.low)),
                high_us: summary.interval.map(|interval| us(interval.high)),
            },
            mad_us: Some(us(summary.mad)),
            min_us: Some(us(summary.min)),
            max_us: Some(us(summary.max)),
            p90_us: summary.p90.map(us),
            p95_us: summary.p95.map(us),
            outliers: Some(summary.outliers as u64),
        })
    }
}

/// Nanoseconds in microseconds, rounded to the nearest, a half upwards.
fn us(ns: u64) -> u64 {
    ns / 1000 + u64::from(ns % 1000 >= 500)
}

impl Field for Phase {
    const FORM: &'static str = "integer";
    const SUFFIXES: &'static [&'static str] = &["_median_us", "_low_us", "_high_us"];

    fn write(&self, cells: &mut Vec<String>) {
        for cell in [self.median_us, self.low_us, self.high_us] {
            cell.write(cells);
        }
    }

    fn read(cells: &mut Cells<'_>) -> Result<Self, Unexpected> {
        Ok(Self {
            median_us: cells.take()?,
            low_us: cells.take()?,
            high_us: cells.take()?,
        })
    }
}

impl Field for Spread {
    const FORM: &'static str = "integer";
    const SUFFIXES: &'static [&'static str] = &[
        "_median_us",
        "_low_us",
        "_high_us",
        "_mad_us",
        "_min_us",
        "_max_us",
        "_p90_us",
        "_p95_us",
        "_outliers",
    ];

    fn write(&self, cells: &mut Vec<String>) {
        self.phase.write(cells);
        for cell in [
            self.mad_us,
            self.min_us,
            self.max_us,
            self.p90_us,
            self.p95_us,
            self.outliers,
        ] {
            cell.write(cells);
        }
    }

    fn read(cells: &mut Cells<'_>) -> Result<Self, Unexpected> {
        Ok(Self {
            phase: Phase::read(cells)?,
            mad_us: cells.take()?,
            min_us: cells.take()?,
            max_us: cells.take()?,
            p90_us: cells.take()?,
            p95_us: cells.take()?,
            outliers: cells.take()?,
        })
    }
}

row! {
    /// From the pull request to the first answer on an empty node: one row per
    /// variant, profile, scenario and file system.
    NodeRow, key (
        suite: String, variant: String, platform: String,
        profile: String, scenario: String, data_root_fs: String
    ) {
        /// One application with its Dockerfile variants.
        suite: String,
        /// One Dockerfile of the suite.
        variant: String,
        /// Operating system and architecture, as `linux/amd64`.
        platform: String,
        /// The network between registry and subject: `unshaped`, `100mbit`.
        profile: String,
        /// `node_cold`: pull, create, start, first 200, nothing in between.
        /// `pull_durable`: a pull and `syncfs`. `redeploy`: the base layers are
        /// present, the layers of the Dockerfile are not.
        scenario: String,
        /// The file system of the subject's data root.
        data_root_fs: String,
        /// Samples that count; 5 are those of a quick run.
        n: Option<u64>,
        /// Pull request written to response EOF.
        pull: Spread,
        /// Pull request written to the last byte of the first 200.
        node_total: Spread,
        /// Pull request to the first layer GET.
        resolve: Phase,
        /// First layer GET to the last layer byte.
        download: Phase,
        /// Last layer byte to response EOF.
        tail: Phase,
        /// Create request to its response.
        create: Phase,
        /// Start request to the kernel's exec of the container's init.
        engine: Phase,
        /// Exec to the last byte of the first 200.
        app: Phase,
        /// Create request to the last byte of the first 200.
        start_total: Phase,
        /// Pull request written to EOF and `syncfs`; empty on tmpfs, where
        /// `syncfs` does nothing.
        durable: Phase,
        /// The median rate at which layers arrived while any was on its way.
        delivered_bytes_per_s: Option<u64>,
        /// Samples that do not count, with their reasons in `samples/`.
        invalid: Option<u64>,
        /// Why there are no numbers.
        error: Option<ErrorWord>,
        /// The session was disturbed throughout by other work on the machine.
        noisy: Mark,
        /// The inputs moved since, and measuring again was put off.
        stale: Mark,
        /// The session that measured the row: only rows of one session compare.
        session: String,
        /// The inputs of the image, as in `sizes.csv`.
        inputs: Option<Id>,
    }
}

row! {
    /// From the create request to the first answer, with the image there: one
    /// row per variant, scenario and file system.
    StartRow, key (
        suite: String, variant: String, platform: String,
        profile: String, scenario: String, data_root_fs: String
    ) {
        /// One application with its Dockerfile variants.
        suite: String,
        /// One Dockerfile of the suite.
        variant: String,
        /// Operating system and architecture, as `linux/amd64`.
        platform: String,
        /// The profile of the session that measured the row; the network has
        /// no part in these times.
        profile: String,
        /// `warm`: started before. `cache_dropped`: after `sync` and
        /// `drop_caches`, where only `app` compares.
        scenario: String,
        /// The file system of the subject's data root.
        data_root_fs: String,
        /// Samples that count; 5 are those of a quick run.
        n: Option<u64>,
        /// Create request to the last byte of the first 200.
        start_total: Spread,
        /// Exec to the last byte of the first 200.
        app: Spread,
        /// Create request to its response.
        create: Phase,
        /// Start request to the kernel's exec of the container's init.
        engine: Phase,
        /// How readiness was seen: `namespace` (from within the container's
        /// network namespace) or `published_port`; the two do not compare.
        probe: String,
        /// Samples that do not count, with their reasons in `samples/`.
        invalid: Option<u64>,
        /// Why there are no numbers.
        error: Option<ErrorWord>,
        /// The session was disturbed throughout by other work on the machine.
        noisy: Mark,
        /// The inputs moved since, and measuring again was put off.
        stale: Mark,
        /// The session that measured the row: only rows of one session compare.
        session: String,
        /// The inputs of the image, as in `sizes.csv`.
        inputs: Option<Id>,
    }
}

row! {
    /// Every timed repetition of one session, in the order they were made.
    /// Warm-up cycles are not among them.
    SampleRow, key (block: u64, order: u64, retry: u64) {
        /// One random permutation of all cells, counted from 0.
        block: u64,
        /// The cell's place in the block, counted from 0.
        order: u64,
        /// 0, and counted up for the samples that replace an invalid one.
        retry: u64,
        /// The variant that was measured; `control` for the container that does
        /// nothing but answer.
        variant: String,
        /// As in `node.csv` and `start.csv`; beside these `control`, and
        /// `pull_direct`: a cold pull that does not pass the recording proxy.
        scenario: String,
        /// Pull request written to response EOF.
        pull_ns: Option<u64>,
        /// Pull request to the first layer GET.
        resolve_ns: Option<u64>,
        /// First layer GET to the last layer byte.
        download_ns: Option<u64>,
        /// Last layer byte to response EOF.
        tail_ns: Option<u64>,
        /// Pull request written to EOF and `syncfs`.
        durable_ns: Option<u64>,
        /// Create request to its response.
        create_ns: Option<u64>,
        /// Start request to the kernel's exec of the container's init.
        engine_ns: Option<u64>,
        /// Exec to the last byte of the first 200.
        app_ns: Option<u64>,
        /// Create request to the last byte of the first 200.
        start_total_ns: Option<u64>,
        /// Pull request written to the last byte of the first 200.
        node_total_ns: Option<u64>,
        /// Blob bytes that the registry served for this sample.
        served_bytes: Option<u64>,
        /// The rate at which layers arrived while any was on its way.
        delivered_bytes_per_s: Option<u64>,
        /// The most layers that were on their way at once.
        concurrent_downloads: Option<u64>,
        /// Whether every expected blob was served in full, and nothing more.
        cold: Option<bool>,
        /// Requests of the probe up to and including the first 200.
        probe_attempts: Option<u64>,
        /// CPU that others used, in thousandths of one core.
        foreign_cpu_permille: Option<u64>,
        /// CPU that the hypervisor gave to others, in thousandths of one core.
        steal_cpu_permille: Option<u64>,
        /// Why the sample does not count.
        invalid: Option<ErrorWord>,
    }
}

row! {
    /// Whether the harness tells a true difference from none: what
    /// `cargo xtask selftest` found, computed from the samples beside it.
    ProofRow, key (proof: String) {
        /// `aa_significant`: comparisons of one digest under two names with a p
        /// of at most 5 %. `aa_flagged`: those with a verdict of worse or
        /// better. `injected_found`: comparisons with an image whose cold start
        /// was made 10 % longer, with a verdict of worse. `limits_violated`: rows
        /// of `limits.csv` that are faster than the machine can be.
        proof: String,
        /// Comparisons, each of fifteen blocks; rows for `limits_violated`.
        comparisons: u64,
        /// How many of them were what `proof` says.
        found: u64,
        /// `found` ÷ `comparisons`, in thousandths.
        rate_permille: Option<u64>,
        /// The lower end of the rate's exact 95 % interval.
        low_permille: u64,
        /// The upper end of it.
        high_permille: u64,
        /// What METHODOLOGY.md claims: at least for `injected_found`, at most for
        /// the others.
        claim_permille: u64,
        /// Whether the interval leaves the claim standing.
        holds: bool,
        /// The session that took the samples.
        session: String,
    }
}

row! {
    /// On what, with what and when a session was measured. The only file with
    /// a point in time.
    EnvironmentRow, key (session: String, fact: String) {
        /// The session, as in `node.csv` and `start.csv`.
        session: String,
        /// What is stated.
        fact: String,
        /// Its value.
        value: String,
    }
}

of_variant!(NodeRow, StartRow);

impl SampleRow {
    /// Whether anything was timed before the sample was given up.
    pub fn has_times(&self) -> bool {
        self.pull_ns.is_some() || self.start_total_ns.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::row::{Row, columns};

    #[test]
    fn a_summary_becomes_microseconds() {
        let samples: Vec<u64> = (0..30).map(|i| 1_000_499 + i * 1_000).collect();
        let spread = Spread::of_ns(&samples);
        assert_eq!(spread.min_us, Some(1_000)); // 1000.499
        assert_eq!(spread.max_us, Some(1_029)); // 1029.499
        assert_eq!(spread.phase.median_us, Some(1_015)); // 1014.999
        assert_eq!(spread.phase.low_us, Some(1_009)); // the 10th of 30
        assert_eq!(spread.phase.high_us, Some(1_020)); // the 21st
        assert_eq!(spread.p90_us, Some(1_026));
        assert_eq!((spread.p95_us, spread.outliers), (None, Some(0)));
        assert_eq!(
            (us(499), us(500), us(u64::MAX)),
            (0, 1, 18_446_744_073_709_552)
        );
    }

    #[test]
    fn without_samples_every_cell_is_empty() {
        let row = NodeRow {
            pull: Spread::of_ns(&[]),
            ..NodeRow::default()
        };
        assert!(row.cells().iter().all(String::is_empty));
    }

    #[test]
    fn one_sample_has_a_median_and_no_interval() {
        let phase = Phase::of_ns(&[5_000]);
        assert_eq!((phase.median_us, phase.low_us), (Some(5), None));
    }

    #[test]
    fn headline_times_stand_first_and_units_last() {
        insta::assert_snapshot!(columns::<StartRow>().join("\n"), @"
        suite
        variant
        platform
        profile
        scenario
        data_root_fs
        n
        start_total_median_us
        start_total_low_us
        start_total_high_us
        start_total_mad_us
        start_total_min_us
        start_total_max_us
        start_total_p90_us
        start_total_p95_us
        start_total_outliers
        app_median_us
        app_low_us
        app_high_us
        app_mad_us
        app_min_us
        app_max_us
        app_p90_us
        app_p95_us
        app_outliers
        create_median_us
        create_low_us
        create_high_us
        engine_median_us
        engine_low_us
        engine_high_us
        probe
        invalid
        error
        noisy
        stale
        session
        inputs
        ");
        for column in columns::<NodeRow>() {
            assert!(!column.contains("_us_"), "{column}");
        }
    }
}
