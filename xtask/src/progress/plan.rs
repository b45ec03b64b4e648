//! What a run is about to do, printed before it does any of it.

use std::{fmt, time::Duration};

use crate::human;

/// The work of a run. Everything that is up to date is left out of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Variants that are built, as `suite/variant`, with the reason.
    pub builds: Vec<(String, String)>,
    /// Variants whose image is there and whose row is not.
    pub counts: usize,
    /// Variants whose images are asked what they can do.
    pub asks: usize,
    /// What is fetched from elsewhere, if anybody knows: bases and packages.
    pub download_bytes: u64,
    /// Space that the run needs at its peak, and where.
    pub space_bytes: u64,
    pub space_at: String,
    pub sessions: Vec<PlannedSession>,
    pub expected: Duration,
    /// Rows that are up to date and stay.
    pub kept: usize,
}

/// A suite and profile that is measured in one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedSession {
    pub suite: String,
    pub profile: String,
    pub cells: usize,
    pub blocks_max: u32,
    /// Why it is measured: the first reason stands for all.
    pub reason: String,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.builds.is_empty() && self.sessions.is_empty() && self.counts + self.asks == 0
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            let kept = human::count(self.kept, "row");
            return writeln!(f, "Everything is up to date ({kept}): nothing to do.");
        }
        writeln!(f, "This run will")?;
        for (variant, reason) in &self.builds {
            writeln!(f, "  build     {variant}: {reason}")?;
        }
        if self.counts > 0 {
            writeln!(f, "  count     {}", human::count(self.counts, "image"))?;
        }
        if self.asks > 0 {
            let images = human::count(self.asks, "image");
            writeln!(f, "  ask       {images} what they can do")?;
        }
        for session in &self.sessions {
            writeln!(f, "  measure   {session}")?;
        }
        if self.download_bytes > 0 {
            writeln!(f, "  download  about {}", human::bytes(self.download_bytes))?;
        }
        if self.space_bytes > 0 {
            let space = human::bytes(self.space_bytes);
            writeln!(f, "  need      {space} in {}", self.space_at)?;
        }
        if self.kept > 0 {
            let kept = human::count(self.kept, "row");
            writeln!(f, "  keep      {kept} that are up to date")?;
        }
        writeln!(f, "  take      about {}", human::wait(self.expected))
    }
}

impl fmt::Display for PlannedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            suite,
            profile,
            cells,
            blocks_max,
            reason,
        } = self;
        let cells = human::count(*cells, "cell");
        write!(
            f,
            "{suite} {profile}: {cells}, up to {blocks_max} blocks ({reason})"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_names_the_work_the_space_and_the_time() {
        let plan = Plan {
            builds: vec![
                ("gin/alpine".to_owned(), "its Dockerfile moved".to_owned()),
                ("gin/scratch".to_owned(), "never built here".to_owned()),
            ],
            counts: 2,
            asks: 2,
            download_bytes: 411_500_000,
            space_bytes: 6_340_000_000,
            space_at: "target/lab".to_owned(),
            sessions: vec![PlannedSession {
                suite: "gin".to_owned(),
                profile: "unshaped".to_owned(),
                cells: 11,
                blocks_max: 30,
                reason: "the inputs of gin/alpine node_cold moved".to_owned(),
            }],
            expected: Duration::from_secs(25 * 60),
            kept: 7,
        };
        insta::assert_snapshot!(plan, @"
        This run will
          build     gin/alpine: its Dockerfile moved
          build     gin/scratch: never built here
          count     2 images
          ask       2 images what they can do
          measure   gin unshaped: 11 cells, up to 30 blocks (the inputs of gin/alpine node_cold moved)
          download  about 412 MB
          need      6.3 GB in target/lab
          keep      7 rows that are up to date
          take      about 25 min
        ");
    }

    #[test]
    fn with_nothing_to_do_it_says_so() {
        let plan = Plan {
            kept: 12,
            ..Plan::default()
        };
        assert_eq!(
            plan.to_string(),
            "Everything is up to date (12 rows): nothing to do.\n"
        );
    }
}
