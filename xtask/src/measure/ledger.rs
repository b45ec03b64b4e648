//! Where a session's time goes: what is timed, and everything that has to be
//! done so that it may be.

use std::{
    cell::Cell,
    fmt,
    time::{Duration, Instant},
};

use super::scenario::Scenario;
use crate::human;

/// What time is spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Between the first and the last time stamp of a sample, warm-ups included.
    Samples,
    /// Removing what the sample before has left, and pulling what must be there.
    Preparing,
    /// Waiting until dirty pages are written back.
    Settling,
    /// What the session proves about itself: the control container, the pulls
    /// past the proxy, the limits.
    Proofs,
}

impl Part {
    pub const ALL: [Self; 4] = [Self::Samples, Self::Preparing, Self::Settling, Self::Proofs];

    /// The fact's name in the environment file; in seconds.
    pub fn fact(self) -> &'static str {
        match self {
            Self::Samples => "spent_samples_s",
            Self::Preparing => "spent_preparing_s",
            Self::Settling => "spent_settling_s",
            Self::Proofs => "spent_proofs_s",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::Preparing => "preparing",
            Self::Settling => "settling",
            Self::Proofs => "proofs",
        }
    }

    /// What taking a sample of the scenario is for.
    pub fn of(scenario: Scenario) -> Self {
        match scenario {
            Scenario::Control | Scenario::PullDirect => Self::Proofs,
            _ => Self::Samples,
        }
    }
}

/// Time by what it was spent on, since the ledger was opened.
#[derive(Debug)]
pub struct Ledger {
    opened: Instant,
    spent: [Cell<Duration>; Part::ALL.len()],
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            opened: Instant::now(),
            spent: Default::default(),
        }
    }
}

impl Ledger {
    /// Does `work` and books its time.
    pub fn book<T>(&self, part: Part, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let done = work();
        let spent = &self.spent[part as usize];
        spent.set(spent.get() + begin.elapsed());
        done
    }

    pub fn spent(&self, part: Part) -> Duration {
        self.spent[part as usize].get()
    }

    pub fn total(&self) -> Duration {
        self.opened.elapsed()
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        write!(f, "{}", human::elapsed(total))?;
        let share = |time: Duration| 100.0 * time.as_secs_f64() / total.as_secs_f64().max(1e-9);
        for (at, part) in Part::ALL.into_iter().enumerate() {
            let mark = if at == 0 { ": " } else { ", " };
            write!(f, "{mark}{} {:.0} %", part.word(), share(self.spent(part)))?;
        }
        let booked: Duration = Part::ALL.into_iter().map(|part| self.spent(part)).sum();
        write!(f, ", other {:.0} %", share(total.saturating_sub(booked)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_booked_where_it_was_spent() {
        let ledger = Ledger::default();
        let wait = Duration::from_millis(20);
        let answer = ledger.book(Part::Settling, || {
            std::thread::sleep(wait);
            7
        });
        assert_eq!(answer, 7);
        ledger.book(Part::Settling, || std::thread::sleep(wait));
        assert!(ledger.spent(Part::Settling) >= 2 * wait);
        assert_eq!(ledger.spent(Part::Samples), Duration::ZERO);
        assert!(ledger.total() >= ledger.spent(Part::Settling));
        let text = ledger.to_string();
        assert!(text.contains("samples 0 %"), "{text}");
    }

    #[test]
    fn what_proves_the_session_is_no_sample() {
        assert_eq!(Part::of(Scenario::Control), Part::Proofs);
        assert_eq!(Part::of(Scenario::Warm), Part::Samples);
    }
}
