//! What one image may cost whoever reads it, however it was made.
//!
//! A layer of a few megabytes can hold millions of entries, megabytes of
//! attributes for each, or terabytes of zeros, and a manifest may list it a
//! thousand times. So all layers of an image draw on one budget.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};

use super::entry::Entry;

/// What names, links and attributes of all layers may take in memory. The
/// largest image that we know of has 400,000 entries: a fifth of it.
const KEPT_BYTES_MAX: u64 = 1 << 30;

/// What all layers may be read as, packed and unpacked. That is far above any
/// image, and minutes of one core.
const READ_BYTES_MAX: u64 = 64 << 30;

/// The same of a small image: so many times its size, and this much in any case.
/// Layers shrink to a fifth, files of zeros to a thousandth; half a minute of one
/// core.
const READ_RATIO: u64 = 100;
const READ_BYTES_ALWAYS: u64 = 16 << 30;

/// What an entry takes beside its own texts: the allocation of its name, and the
/// name's places in the layer's tree and in the root filesystem.
const PLACES_BYTES: u64 = 160;

/// What is left for the layers that are still to come, shared by the threads
/// that read them.
#[derive(Debug)]
pub struct Budget {
    kept_bytes: AtomicU64,
    read_bytes: AtomicU64,
    read_allowed_bytes: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self::of(KEPT_BYTES_MAX, READ_BYTES_MAX)
    }
}

impl Budget {
    /// Of `kept_bytes` in memory and `read_bytes` of work.
    pub fn of(kept_bytes: u64, read_bytes: u64) -> Self {
        Self {
            kept_bytes: AtomicU64::new(kept_bytes),
            read_bytes: AtomicU64::new(read_bytes),
            read_allowed_bytes: read_bytes,
        }
    }

    /// Of an image whose layers have so many bytes, packed.
    pub fn of_packed(bytes: u64) -> Self {
        let read = READ_BYTES_ALWAYS.saturating_add(bytes.saturating_mul(READ_RATIO));
        Self::of(KEPT_BYTES_MAX, read.min(READ_BYTES_MAX))
    }

    /// # Errors
    /// When the image's entries would take more memory than they may.
    pub(super) fn keep(&self, entry: &Entry) -> Result<()> {
        let fixed = size_of::<Entry>() as u64 + PLACES_BYTES;
        self.keep_text(fixed + entry.text_bytes())
    }

    /// The same for a name that an entry gets beside its own.
    pub(super) fn keep_text(&self, bytes: u64) -> Result<()> {
        ensure!(
            take(&self.kept_bytes, bytes),
            "the image has more names and attributes than any that can be used: they take \
             more than the {KEPT_BYTES_MAX} bytes of memory allowed"
        );
        Ok(())
    }

    /// # Errors
    /// When the image would keep its reader busy for longer than it may.
    pub(super) fn read(&self, bytes: u64) -> Result<()> {
        ensure!(
            take(&self.read_bytes, bytes),
            "the image's layers, packed and unpacked, are more than the {} bytes that one of \
             its size may have",
            self.read_allowed_bytes
        );
        Ok(())
    }
}

fn take(left: &AtomicU64, bytes: u64) -> bool {
    let less = |left: u64| left.checked_sub(bytes);
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_gone_and_what_is_not_there_stays_untaken() {
        let budget = Budget::of(0, 10);
        budget.read(7).unwrap();
        assert!(
            budget
                .read(4)
                .unwrap_err()
                .to_string()
                .contains("packed and unpacked")
        );
        budget.read(3).unwrap();
    }

    #[test]
    fn what_may_be_read_grows_with_the_image_up_to_a_limit() {
        let allowed = |packed| Budget::of_packed(packed).read_allowed_bytes;
        assert_eq!(allowed(8 << 20), (16 << 30) + (800 << 20));
        assert_eq!(allowed(1 << 30), 64 << 30);
        assert_eq!(allowed(u64::MAX), 64 << 30);
    }
}
