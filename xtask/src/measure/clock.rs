//! One clock for everything that is timed.
//!
//! The kernel stamps its process events with CLOCK_MONOTONIC nanoseconds, but
//! `std::time::Instant` hides the same reading. The probe, the proxy and the
//! engine's requests are therefore stamped with [`MonoNs`], so that any two
//! points of a sample can be subtracted.

use std::{ops::Add, thread, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// A point in time: nanoseconds of CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonoNs(pub u64);

impl MonoNs {
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        // CLOCK_MONOTONIC starts near zero at boot, so neither part is negative.
        Self(now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs())
    }

    /// The time from `earlier` to here; `None` when `earlier` is in truth the
    /// later one, because a swapped pair of points must not become a number.
    pub fn since(self, earlier: Self) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_nanos)
    }

    /// How long it still takes from now; zero once it has passed.
    pub fn remaining(self) -> Duration {
        self.since(Self::now()).unwrap_or_default()
    }

    /// Sleeps until this point; returns at once when it has passed.
    pub fn sleep_until(self) {
        thread::sleep(self.remaining());
    }
}

impl Add<Duration> for MonoNs {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(by))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn it_is_the_clock_that_std_reads() {
        // The outer pair encloses the inner one, so their spans bound each other.
        let (outer, inner) = (MonoNs::now(), Instant::now());
        thread::sleep(Duration::from_millis(20));
        let inner = inner.elapsed();
        let outer = MonoNs::now().since(outer).unwrap();
        assert!(outer >= inner, "{outer:?} encloses {inner:?}");
        assert!(
            outer - inner < Duration::from_millis(10),
            "{outer:?} {inner:?}"
        );
    }

    #[test]
    fn differences_know_their_direction() {
        let early = MonoNs(1_000);
        let late = early + Duration::from_micros(3);
        assert_eq!(late.since(early), Some(Duration::from_nanos(3_000)));
        assert_eq!(early.since(late), None);
        assert_eq!(early.since(early), Some(Duration::ZERO));
    }

    #[test]
    fn sleeping_ends_at_the_point_and_never_before() {
        let until = MonoNs::now() + Duration::from_millis(5);
        assert!(until.remaining() > Duration::ZERO);
        until.sleep_until();
        assert!(MonoNs::now() >= until);
        assert_eq!(until.remaining(), Duration::ZERO);
    }
}
