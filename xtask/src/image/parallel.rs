//! One worker thread per layer, as many at once as there are cores.

use std::{
    cmp::Reverse,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::Result;

/// Runs `work` on every item and returns the results in the items' order. The
/// heaviest items start first, so that none of them is left over at the end.
///
/// # Errors
/// The first failed item's error. No item starts any more once one has failed.
pub fn in_parallel<T: Sync, R: Send + Sync>(
    items: &[T],
    weight: impl Fn(&T) -> u64,
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&index| Reverse(weight(&items[index])));
    let slots: Vec<OnceLock<Result<R>>> = items.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores.min(items.len()) {
            scope.spawn(|| {
                while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if failed.load(Ordering::Relaxed) {
                        return;
                    }
                    let result = slots[index].get_or_init(|| work(&items[index]));
                    failed.fetch_or(result.is_err(), Ordering::Relaxed);
                }
            });
        }
    });
    slots.into_iter().filter_map(OnceLock::into_inner).collect()
}
