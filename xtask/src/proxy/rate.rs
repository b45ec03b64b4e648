//! A limit on the bytes per second over all connections together.

use std::{
    future::Future as _,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

use super::exchange::now_ns;

const NANOS: u128 = 1_000_000_000;

/// The largest piece that is sent at once: at 100 Mbit/s a 16 KiB piece takes
/// 1.3 ms, so three downloads share the rate evenly.
const PIECE_BYTES: u64 = 16 * 1024;

/// A token bucket: at any time t after the first byte, at most
/// `bits_per_second / 8 · t + burst_bytes` body bytes have been sent.
///
/// The burst should cover a few milliseconds of the rate (64 KiB at 100 Mbit/s):
/// the proxy's timer is a millisecond coarse, and what a late wake-up leaves
/// unused beyond the burst is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub bits_per_second: u64,
    pub burst_bytes: u64,
}

impl Rate {
    fn piece_bytes(self) -> u64 {
        self.burst_bytes.clamp(1, PIECE_BYTES)
    }

    /// How long the rate alone takes for `bytes`, rounded up: never too fast.
    fn nanos(self, bytes: u64) -> u64 {
        let rate = u128::from(self.bits_per_second.max(1));
        u64::try_from((u128::from(bytes) * 8 * NANOS).div_ceil(rate)).unwrap_or(u64::MAX)
    }
}

/// The bucket, as the time until which the bytes let through so far occupy the
/// link (a generic cell rate algorithm): one number, no refill task.
#[derive(Debug)]
pub struct Bucket {
    rate: Rate,
    occupied_until_ns: u64,
}

impl Bucket {
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            occupied_until_ns: 0,
        }
    }

    /// Reserves the link for `bytes` (at most the burst) and tells when they
    /// may be sent. Reservations keep their order.
    pub fn reserve(&mut self, now_ns: u64, bytes: u64) -> u64 {
        let start = self.occupied_until_ns.max(now_ns);
        self.occupied_until_ns = start.saturating_add(self.rate.nanos(bytes));
        // Rounded down by the nanosecond that `nanos` may have added.
        let head_start = self.rate.nanos(self.rate.burst_bytes).saturating_sub(1);
        self.occupied_until_ns
            .saturating_sub(head_start)
            .max(now_ns)
    }
}

/// The one bucket of a proxy, or none.
pub struct Shaper(Mutex<Option<Arc<Mutex<Bucket>>>>);

impl Shaper {
    pub fn new(rate: Option<Rate>) -> Self {
        let shaper = Self(Mutex::new(None));
        shaper.set(rate);
        shaper
    }

    pub fn set(&self, rate: Option<Rate>) {
        *self.0.lock().unwrap() = rate.map(|rate| Arc::new(Mutex::new(Bucket::new(rate))));
    }

    /// A body's access to the bucket.
    pub fn pacer(&self) -> Option<Pacer> {
        let bucket = Arc::clone(self.0.lock().unwrap().as_ref()?);
        Some(Pacer { bucket, wait: None })
    }
}

/// Lets one body's bytes through when their turn comes.
pub struct Pacer {
    bucket: Arc<Mutex<Bucket>>,
    /// The piece that waits for its turn.
    wait: Option<(Pin<Box<Sleep>>, u64)>,
}

impl Pacer {
    /// How many of the `available` bytes may go now.
    pub fn poll_admit(&mut self, context: &mut Context<'_>, available: u64) -> Poll<u64> {
        let (mut sleep, piece) = match self.wait.take() {
            Some(waiting) => waiting,
            None => {
                let (wait, piece) = self.reserve(available);
                // The timer's shortest sleep is a millisecond, and a piece that
                // the burst covers has none to wait for.
                if wait.is_zero() {
                    return Poll::Ready(piece);
                }
                let sleep = tokio::time::sleep_until(Instant::now() + wait);
                (Box::pin(sleep), piece)
            }
        };
        if sleep.as_mut().poll(context).is_pending() {
            self.wait = Some((sleep, piece));
            return Poll::Pending;
        }
        Poll::Ready(piece)
    }

    fn reserve(&self, available: u64) -> (Duration, u64) {
        let mut bucket = self.bucket.lock().unwrap();
        let piece = available.min(bucket.rate.piece_bytes());
        let now = now_ns();
        (
            Duration::from_nanos(bucket.reserve(now, piece) - now),
            piece,
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_bucket_lets_the_burst_through_and_then_the_rate() {
        let mut bucket = Bucket::new(Rate {
            bits_per_second: 8_000,
            burst_bytes: 100,
        });
        // 1 byte per millisecond.
        assert_eq!(bucket.reserve(0, 60), 0);
        assert_eq!(bucket.reserve(0, 40), 1);
        assert_eq!(bucket.reserve(0, 50), 50_000_001);
        // 200 ms idle refill the burst and nothing beyond it.
        assert_eq!(bucket.reserve(350_000_000, 100), 350_000_001);
        assert_eq!(bucket.reserve(350_000_000, 1), 351_000_001);
    }

    proptest! {
        #[test]
        fn no_window_ever_carries_more_than_rate_and_burst(
            bits_per_second in 1_u64..20_000_000_000,
            burst_bytes in 1_u64..1_000_000,
            asked in prop::collection::vec((0_u64..50_000_000, 0.0_f64..=1.0), 1..60),
        ) {
            let rate = Rate { bits_per_second, burst_bytes };
            let mut bucket = Bucket::new(rate);
            let mut now = 0;
            let mut sent = Vec::new();
            for (pause, share) in asked {
                now += pause;
                let bytes = ((burst_bytes as f64 * share) as u64).max(1);
                sent.push((bucket.reserve(now, bytes), bytes));
            }
            for from in 0..sent.len() {
                let mut total = 0;
                for &(time, bytes) in &sent[from..] {
                    prop_assert!(time >= sent[from].0, "reservations keep their order");
                    total += u128::from(bytes);
                    let earned = u128::from(time - sent[from].0) * u128::from(bits_per_second);
                    let allowed = earned + u128::from(burst_bytes) * 8 * NANOS;
                    prop_assert!(total * 8 * NANOS <= allowed, "{total} bytes after {time}");
                }
            }
        }
    }
}
