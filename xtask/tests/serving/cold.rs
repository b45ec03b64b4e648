//! The proof of cold and the phases of a pull, on logs written by hand.

use std::ops::Range;

use hyper::Method;
use proptest::prelude::*;
use xtask::{
    digest::Digest,
    proxy::{
        End, Exchange, Kind,
        cold::{Blob, Doubt, prove_cold},
        phases::{NoPhases, delivered_bits_per_second, phases},
    },
};

const MS: u64 = 1_000_000;

fn blob(name: &str, size: u64) -> Blob {
    let digest = Digest::of(name);
    Blob { digest, size }
}

/// A complete GET of `blob`, of `range` where it is a part, under way in `time`.
fn get(blob: &Blob, range: Option<Range<u64>>, time: Range<u64>) -> Exchange {
    Exchange {
        method: Method::GET,
        path: String::new(),
        kind: Kind::Blob {
            repository: "gin/alpine".into(),
            digest: blob.digest.clone(),
        },
        status: Some(if range.is_some() { 206 } else { 200 }),
        body_bytes: range.as_ref().map_or(blob.size, |r| r.end - r.start),
        range,
        started_ns: time.start,
        first_byte_ns: Some(time.start),
        last_byte_ns: Some(time.end),
        end: End::Complete,
    }
}

fn doubts(expected: &[&Blob], log: &[Exchange]) -> Vec<Doubt> {
    let expected: Vec<Blob> = expected.iter().map(|&blob| blob.clone()).collect();
    prove_cold(&expected, log).err().map_or(vec![], |not| not.0)
}

#[test]
fn every_blob_once_is_cold_and_other_requests_do_not_matter() {
    let (config, layer) = (blob("config", 300), blob("layer", 5000));
    let mut head = get(&layer, None, 0..1);
    head.method = Method::HEAD;
    head.body_bytes = 0;
    let mut refused = get(&layer, None, 1..2);
    refused.status = Some(404);
    refused.body_bytes = 19;
    let log = [
        head,
        refused,
        get(&config, None, 2..3),
        get(&layer, None, 2..9),
    ];
    assert_eq!(doubts(&[&config, &layer, &layer], &log), []);
}

#[test]
fn ranges_in_any_order_make_a_whole() {
    let layer = blob("layer", 1000);
    let range = |range| get(&layer, Some(range), 0..1);
    let rest = range(400..1000);
    assert_eq!(doubts(&[&layer], &[rest.clone(), range(0..400)]), []);

    let (digest, size) = (layer.digest.clone(), 1000);
    let served_bytes = 999;
    let short = Doubt::Short {
        digest: digest.clone(),
        size,
        served_bytes,
    };
    assert_eq!(doubts(&[&layer], &[rest.clone(), range(0..399)]), [short]);

    let sent_bytes = 1010;
    let repeated = Doubt::Repeated {
        digest,
        size,
        sent_bytes,
    };
    assert_eq!(doubts(&[&layer], &[range(0..410), rest]), [repeated]);
}

#[test]
fn what_is_missing_broken_repeated_or_foreign_is_named() {
    let (a, b) = (blob("a", 10), blob("b", 20));
    let once = || get(&a, None, 0..1);
    let missing = Doubt::Missing {
        digest: b.digest.clone(),
    };
    assert_eq!(doubts(&[&a, &b], &[once()]), [missing]);

    let foreign = Doubt::Foreign {
        digest: b.digest.clone(),
    };
    assert_eq!(doubts(&[&a], &[once(), get(&b, None, 0..1)]), [foreign]);

    let repeated = &doubts(&[&a], &[once(), once()])[0];
    assert!(
        repeated
            .to_string()
            .ends_with("20 bytes were sent for 10: parts went out twice")
    );

    let mut broken = once();
    broken.end = End::Broken("reset".into());
    broken.body_bytes = 4;
    let doubt = &doubts(&[&a], &[broken, once()])[0];
    assert!(matches!(doubt, Doubt::Broken { why, .. } if why == "reset"));

    let mut left = once();
    left.end = End::ClientLeft;
    left.body_bytes = 4;
    assert!(matches!(doubts(&[&a], &[left])[..], [Doubt::Short { .. }]));

    let text = prove_cold(&[a, b], &[]).unwrap_err().to_string();
    assert_eq!(text.matches("was never asked for").count(), 2, "{text}");
}

proptest! {
    #[test]
    fn any_cut_of_a_blob_into_ranges_is_whole_and_less_is_not(
        size in 1_u64..10_000,
        cuts in prop::collection::vec(0.0_f64..1.0, 0..8),
        lost in any::<prop::sample::Index>(),
    ) {
        let layer = blob("layer", size);
        let mut edges: Vec<u64> = cuts.iter().map(|cut| (cut * size as f64) as u64).collect();
        edges.extend([0, size]);
        edges.sort_unstable();
        edges.dedup();
        let parts = edges.windows(2).map(|edge| edge[0]..edge[1]);
        let mut log: Vec<_> = parts.map(|part| get(&layer, Some(part), 0..1)).collect();
        prop_assert_eq!(doubts(&[&layer], &log), []);
        log.remove(lost.index(log.len()));
        prop_assert_eq!(doubts(&[&layer], &log).len(), 1);
    }
}

#[test]
fn phases_follow_the_layers_and_sum_to_the_total() {
    let (config, one, two) = (blob("config", 3), blob("one", 10), blob("two", 20));
    let layers = [one.digest.clone(), two.digest.clone()];
    let log = [
        get(&config, None, 110 * MS..120 * MS),
        get(&one, None, 150 * MS..200 * MS),
        get(&two, None, 260 * MS..300 * MS),
    ];
    let phases = phases(100 * MS, 350 * MS, &layers, &log).unwrap();
    assert_eq!(phases.resolve_ns, 50 * MS);
    assert_eq!(phases.download_ns, 150 * MS);
    assert_eq!(phases.transferring_ns, 90 * MS);
    assert_eq!(phases.tail_ns, 50 * MS);
}

#[test]
fn a_log_of_another_pull_gives_no_phases() {
    let layer = blob("layer", 10);
    let layers = [layer.digest.clone()];
    let log = [get(&layer, None, 10..20)];
    assert_eq!(phases(0, 30, &layers, &[]), Err(NoPhases::NoLayer));
    assert_eq!(phases(11, 30, &layers, &log), Err(NoPhases::OutsideThePull));
    assert_eq!(phases(0, 19, &layers, &log), Err(NoPhases::OutsideThePull));
}

#[test]
fn the_delivered_rate_counts_only_the_time_in_which_something_was_sent() {
    let (one, two) = (blob("one", 1_000_000), blob("two", 1_500_000));
    let log = [
        get(&one, None, 0..100 * MS),
        get(&two, None, 50 * MS..200 * MS),
        get(&one, None, 900 * MS..950 * MS),
    ];
    // 3.5 MB in 250 ms.
    assert_eq!(delivered_bits_per_second(&log), Some(112_000_000));
    assert_eq!(delivered_bits_per_second(&[]), None);
}
