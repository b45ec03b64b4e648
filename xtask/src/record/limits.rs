//! `limits.csv`: the times of a session beside what its machine could do at
//! best, taken in the same session.

use super::{
    cell::{ErrorWord, Id, Limit},
    row::{of_variant, row},
    timings::{NodeRow, Phase, StartRow},
};

/// What the repetitions of one limit gave, in nanoseconds each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSamples {
    pub limit: Limit,
    pub ns: Vec<u64>,
    /// Why there are none, and in whole for the log.
    pub error: Option<ErrorWord>,
    pub why: Option<String>,
}

impl LimitSamples {
    /// The repetitions of both: what failed once is no limit.
    pub fn and(self, later: Self) -> Self {
        Self {
            limit: self.limit,
            error: self.error.or(later.error),
            why: self.why.or(later.why),
            ns: if self.error.or(later.error).is_some() {
                Vec::new()
            } else {
                [self.ns, later.ns].concat()
            },
        }
    }
}

row! {
    /// A median of `node.csv` or `start.csv` beside what the machine could do
    /// at best: one row per variant, profile, file system and limit.
    LimitRow, key (
        suite: String, variant: String, platform: String,
        profile: String, data_root_fs: String,
        metric: String, limit_by: Option<Limit>
    ) {
        /// One application with its Dockerfile variants.
        suite: String,
        /// One Dockerfile of the suite.
        variant: String,
        /// Operating system and architecture, as `linux/amd64`.
        platform: String,
        /// The network between registry and subject: `unshaped`, `100mbit`.
        profile: String,
        /// The file system of the subject's data root, on which `untar` writes.
        data_root_fs: String,
        /// What is held against the limit: `download` and `pull` of the
        /// scenario `node_cold`, or `app`, `engine` and `start_total` of `warm`.
        /// A pull has two stages with a limit each; the larger one is its limit.
        metric: String,
        /// How the limit was taken. `raw_get`: the layers by plain GETs at the
        /// engine's concurrency. `inflate_hash`: every layer hashed, inflated and
        /// hashed. `untar`: the files of every layer made out of memory.
        /// `bare_exec`: exec to the first 200 of the same program without engine
        /// and `runc`. `namespaces_exec`: request to exec in namespaces of its
        /// own. `runc_exec` and `runc_run`: `runc run` of the same files, request
        /// to exec and to the first 200.
        limit_by: Option<Limit>,
        /// Repetitions of the limit.
        n: Option<u64>,
        /// What the limit takes.
        limit: Phase,
        /// The median that is held against it.
        observed_median_us: Option<u64>,
        /// Observed ÷ limit.
        ratio_permille: Option<u64>,
        /// Why there are no numbers; with numbers, `limit_violated`.
        error: Option<ErrorWord>,
        /// The session that measured both: only rows of one session compare.
        session: String,
        /// The inputs of the image, as in `sizes.csv`.
        inputs: Option<Id>,
    }
}

of_variant!(LimitRow);

impl Limit {
    /// The column of `node.csv` or `start.csv` that it is the limit of.
    pub fn metric(self) -> &'static str {
        match self {
            Self::RawGet => "download",
            Self::InflateHash | Self::Untar => "pull",
            Self::BareExec => "app",
            Self::NamespacesExec | Self::RuncExec => "engine",
            Self::RuncRun => "start_total",
        }
    }

    fn observed(self, cold: &NodeRow, warm: &StartRow) -> Phase {
        match self {
            Self::RawGet => cold.download,
            Self::InflateHash | Self::Untar => cold.pull.phase,
            Self::BareExec => warm.app.phase,
            Self::NamespacesExec | Self::RuncExec => warm.engine,
            Self::RuncRun => warm.start_total.phase,
        }
    }
}

/// The rows of one variant: its limits, held against its rows of the same
/// session.
pub fn limit_rows(taken: &[LimitSamples], cold: &NodeRow, warm: &StartRow) -> Vec<LimitRow> {
    taken.iter().map(|it| limit_row(it, cold, warm)).collect()
}

fn limit_row(taken: &LimitSamples, cold: &NodeRow, warm: &StartRow) -> LimitRow {
    let limit = Phase::of_ns(&taken.ns);
    let observed = taken.limit.observed(cold, warm);
    let violated = is_violated(limit, observed).then_some(ErrorWord::LimitViolated);
    LimitRow {
        suite: cold.suite.clone(),
        variant: cold.variant.clone(),
        platform: cold.platform.clone(),
        profile: cold.profile.clone(),
        data_root_fs: cold.data_root_fs.clone(),
        metric: taken.limit.metric().to_owned(),
        limit_by: Some(taken.limit),
        n: (!taken.ns.is_empty()).then_some(taken.ns.len() as u64),
        limit,
        observed_median_us: observed.median_us,
        ratio_permille: ratio_permille(limit, observed),
        error: taken.error.or(violated),
        session: cold.session.clone(),
        inputs: cold.inputs.clone(),
    }
}

/// Rounded to the nearest, a half upwards.
fn ratio_permille(limit: Phase, observed: Phase) -> Option<u64> {
    let (limit, observed) = (limit.median_us?, observed.median_us?);
    (limit > 0).then(|| (observed * 1000 + limit / 2) / limit)
}

/// Whether what was observed is faster than the machine can be, and not by
/// chance: the two intervals lie apart. Without intervals nobody can say.
fn is_violated(limit: Phase, observed: Phase) -> bool {
    matches!((observed.high_us, limit.low_us), (Some(high), Some(low)) if high < low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::timings::Spread;

    fn samples(limit: Limit, us: &[u64]) -> LimitSamples {
        LimitSamples {
            limit,
            ns: us.iter().map(|us| us * 1_000).collect(),
            error: None,
            why: None,
        }
    }

    fn observed(low: u64, median: u64, high: u64) -> Phase {
        Phase {
            median_us: Some(median),
            low_us: Some(low),
            high_us: Some(high),
        }
    }

    fn app(limit_us: &[u64], app: Phase) -> LimitRow {
        let warm = StartRow {
            app: Spread {
                phase: app,
                ..Spread::default()
            },
            ..StartRow::default()
        };
        limit_row(
            &samples(Limit::BareExec, limit_us),
            &NodeRow::default(),
            &warm,
        )
    }

    #[test]
    fn a_ratio_is_observed_through_limit_in_permille() {
        let row = app(&[400, 390, 410, 405, 395], observed(590, 601, 610));
        assert_eq!((row.n, row.error), (Some(5), None));
        assert_eq!(row.limit, observed(390, 400, 410));
        assert_eq!(row.observed_median_us, Some(601));
        assert_eq!(row.ratio_permille, Some(1_503)); // 1502.5
    }

    #[test]
    fn faster_than_the_machine_is_marked_and_keeps_its_numbers() {
        let row = app(&[400, 390, 410, 405, 395], observed(380, 385, 389));
        assert_eq!(row.error, Some(ErrorWord::LimitViolated));
        assert_eq!(row.ratio_permille, Some(963)); // 962.5
    }

    #[test]
    fn below_one_within_the_intervals_is_chance() {
        let row = app(&[400, 390, 410, 405, 395], observed(380, 385, 390));
        assert_eq!((row.ratio_permille, row.error), (Some(963), None));
        let single = app(&[400], observed(100, 100, 100));
        assert_eq!((single.ratio_permille, single.error), (Some(250), None));
    }

    #[test]
    fn what_was_not_taken_or_not_observed_has_no_ratio() {
        let failed = LimitSamples {
            error: Some(ErrorWord::NeverListened),
            ..samples(Limit::BareExec, &[])
        };
        let rows = limit_rows(&[failed], &NodeRow::default(), &StartRow::default());
        assert_eq!((rows[0].n, rows[0].ratio_permille), (None, None));
        assert_eq!(rows[0].error, Some(ErrorWord::NeverListened));
        let unobserved = app(&[400, 400], Phase::default());
        assert_eq!((unobserved.n, unobserved.ratio_permille), (Some(2), None));
        assert_eq!(app(&[0], observed(1, 1, 1)).ratio_permille, None);
    }

    #[test]
    fn each_limit_is_held_against_the_column_it_names() {
        let spread = |us| Spread {
            phase: observed(us, us, us),
            ..Spread::default()
        };
        let cold = NodeRow {
            variant: "scratch".to_owned(),
            pull: spread(1),
            download: observed(2, 2, 2),
            ..NodeRow::default()
        };
        let warm = StartRow {
            app: spread(3),
            engine: observed(4, 4, 4),
            start_total: spread(5),
            ..StartRow::default()
        };
        let taken: Vec<_> = Limit::ALL
            .iter()
            .map(|(limit, ..)| samples(*limit, &[1]))
            .collect();
        let rows = limit_rows(&taken, &cold, &warm);
        let seen: Vec<_> = rows
            .iter()
            .map(|row| (row.metric.as_str(), row.observed_median_us.unwrap()))
            .collect();
        let pull = ("pull", 1);
        let engine = ("engine", 4);
        let expected = [
            ("download", 2),
            pull,
            pull,
            ("app", 3),
            engine,
            engine,
            ("start_total", 5),
        ];
        assert_eq!(seen, expected);
        assert!(rows.iter().all(|row| row.variant == "scratch"));
    }
}
