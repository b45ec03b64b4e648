//! The recording proxy: what passes through it arrives unchanged, is written
//! down exactly, obeys the rate, and fails where it is told to.

use std::{
    collections::HashMap,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::support::{Asked, Caller, Reply, Scripted, blob_path, noise};
use xtask::{
    digest::Digest,
    proxy::{
        End, Exchange, Fault, Kind, Options, Proxy, Rate, Rule,
        cold::{Blob, prove_cold},
        now_ns, phases,
    },
};

type Contents = Vec<(Blob, Arc<Vec<u8>>)>;

/// A registry of blobs, by path; it knows ranges and HEAD.
fn blobs(sizes: &[usize]) -> (Scripted, Contents) {
    let blobs: Contents = sizes
        .iter()
        .zip(1..)
        .map(|(&size, seed)| {
            let bytes = noise(seed, size);
            let (digest, size) = (Digest::of(&bytes), size as u64);
            (Blob { digest, size }, Arc::new(bytes))
        })
        .collect();
    let by_path: HashMap<_, _> = blobs
        .iter()
        .map(|(blob, bytes)| (blob_path(&blob.digest), Arc::clone(bytes)))
        .collect();
    let server = Scripted::start(move |asked| match by_path.get(&asked.path) {
        Some(bytes) => part(asked, bytes),
        None => Reply::new(404, "no such blob"),
    });
    (server, blobs)
}

fn part(asked: &Asked, bytes: &Arc<Vec<u8>>) -> Reply {
    let Some(range) = asked.headers.get("range") else {
        return Reply::ok(bytes);
    };
    let (first, last) = range
        .strip_prefix("bytes=")
        .unwrap()
        .split_once('-')
        .unwrap();
    let first: usize = first.parse().unwrap();
    let last = last.parse().unwrap_or(bytes.len() - 1);
    Reply::new(206, &bytes[first..=last]).header(
        "Content-Range",
        format!("bytes {first}-{last}/{}", bytes.len()),
    )
}

fn start(server: &Scripted, options: Options) -> Proxy {
    Proxy::start(server.address, options).unwrap()
}

fn fault(path_contains: impl ToString, fault: Fault) -> Options {
    Options {
        faults: vec![Rule {
            path_contains: path_contains.to_string(),
            fault,
            times: Some(1),
        }],
        ..Options::default()
    }
}

/// The log, once it has `count` entries: a client that hangs up learns nothing
/// of when the proxy notices.
fn log_of(proxy: &Proxy, count: usize) -> Vec<Exchange> {
    let mut log = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(10);
    while log.len() < count {
        assert!(Instant::now() < deadline, "only {log:?}");
        log.extend(proxy.take_log());
        thread::sleep(Duration::from_millis(1));
    }
    log
}

#[test]
fn concurrent_bodies_arrive_unchanged_and_the_log_is_exact() {
    let (server, blobs) = blobs(&[0, 1, 70_000, 3_000_000, 8_000_001]);
    let proxy = start(&server, Options::default());
    let before = now_ns();
    let ends: Vec<u64> = thread::scope(|scope| {
        let threads: Vec<_> = blobs
            .iter()
            .map(|(blob, bytes)| {
                scope.spawn(|| {
                    let mut caller = Caller::to(proxy.address());
                    for _ in 0..3 {
                        let answer = caller.get(&blob_path(&blob.digest));
                        assert_eq!(answer.status, 200);
                        assert!(answer.body == **bytes, "{} changed", blob.digest);
                    }
                    now_ns()
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let log = proxy.take_log();
    assert_eq!(
        log.len(),
        3 * blobs.len(),
        "recorded before the client knew"
    );
    assert!(proxy.take_log().is_empty());
    for ((blob, _), end) in blobs.iter().zip(ends) {
        let of_blob: Vec<_> = log
            .iter()
            .filter(|e| e.served_blob() == Some(&blob.digest))
            .collect();
        assert_eq!(of_blob.len(), 3);
        for exchange in of_blob {
            assert_eq!(exchange.end, End::Complete);
            assert_eq!(exchange.body_bytes, blob.size);
            let first = exchange.first_byte_ns.unwrap_or(exchange.started_ns);
            let last = exchange.last_byte_ns.unwrap_or(first);
            let order = [before, exchange.started_ns, first, last, end];
            assert!(order.is_sorted(), "{order:?}");
            assert_eq!(exchange.first_byte_ns.is_some(), blob.size > 0);
        }
    }
}

#[test]
fn ranges_heads_uploads_and_redirects_pass_as_they_are() {
    let (server, blobs) = blobs(&[1000]);
    let (blob, bytes) = &blobs[0];
    let proxy = start(&server, Options::default());
    let mut caller = Caller::to(proxy.address());
    let path = blob_path(&blob.digest);

    let answer = caller.ask("GET", &path, &["Range: bytes=10-19"], b"");
    assert_eq!((answer.status, &answer.body[..]), (206, &bytes[10..20]));
    let answer = caller.ask("HEAD", &path, &[], b"");
    assert_eq!(answer.headers["content-length"], "1000");
    assert_eq!(caller.get("/v2/x/manifests/1").status, 404);

    let log = proxy.take_log();
    assert_eq!(log[0].range, Some(10..20));
    assert_eq!(log[0].served_range(), 10..20);
    assert_eq!((log[1].served_blob(), log[1].body_bytes), (None, 0));
    assert_eq!(log[1].end, End::Complete);
    assert_eq!(log[2].status, Some(404));
    assert!(matches!(&log[2].kind, Kind::Manifest { reference, .. } if reference == "1"));
}

#[test]
fn the_registry_sees_its_own_name_and_the_client_the_one_it_used() {
    let server = Scripted::start(|asked| {
        let host = &asked.headers["host"];
        assert!(!asked.headers.contains_key("connection"));
        let length = asked.body.len();
        Reply::new(202, length.to_string()).header(
            "Location",
            format!("http://{host}/v2/x/blobs/uploads/1?state=a"),
        )
    });
    let proxy = start(&server, Options::default());
    let mut caller = Caller::to(proxy.address());
    let body = noise(1, 3_000_000);
    let answer = caller.ask(
        "PUT",
        "/v2/x/blobs/uploads/",
        &["Connection: keep-alive"],
        &body,
    );
    assert_eq!(answer.body, b"3000000");
    let location = &answer.headers["location"];
    assert_eq!(
        location,
        "http://registry.test/v2/x/blobs/uploads/1?state=a"
    );
}

#[test]
fn an_absent_registry_is_a_502_that_says_so() {
    let (server, _) = blobs(&[]);
    let proxy = start(&server, Options::default());
    drop(server);
    let answer = Caller::to(proxy.address()).get("/v2/");
    let text = String::from_utf8(answer.body).unwrap();
    assert_eq!(answer.status, 502);
    assert!(
        text.starts_with("no answer from the registry at 127.0.0.1:"),
        "{text}"
    );
    assert_eq!(proxy.take_log()[0].kind, Kind::Ping);
}

#[test]
fn a_body_that_breaks_off_is_recorded_as_broken_whoever_broke_it() {
    let bytes = Arc::new(noise(1, 2_000_000));
    let digest = Digest::of(&*bytes);
    let server = Scripted::start(move |_| Reply {
        cut_after: Some(1_500_000),
        ..Reply::ok(&bytes)
    });
    let proxy = start(&server, Options::default());
    assert!(!Caller::to(proxy.address()).get(&blob_path(&digest)).whole);
    let log = log_of(&proxy, 1);
    assert!(matches!(log[0].end, End::Broken(_)), "{log:?}");
    assert_eq!(log[0].body_bytes, 1_500_000);

    Caller::to(proxy.address()).leave_after(&blob_path(&digest), 1000);
    let log = log_of(&proxy, 1);
    // The registry broke off as well; whichever the proxy saw first counts.
    assert_ne!(log[0].end, End::Complete);
}

#[test]
fn faults_do_what_they_are_called() {
    let (server, blobs) = blobs(&[100_000, 10]);
    let (blob, bytes) = &blobs[0];
    let path = blob_path(&blob.digest);

    let proxy = start(&server, fault(&blob.digest, Fault::Corrupt));
    let answer = Caller::to(proxy.address()).get(&path);
    assert_eq!(answer.body[0], bytes[0] ^ 1);
    assert_eq!(answer.body[1..], bytes[1..]);
    let again = Caller::to(proxy.address()).get(&path);
    assert!(again.body == **bytes, "the rule was for one request");

    for (index, keep) in [(0, 40_000), (1, 4)] {
        let digest = &blobs[index].0.digest;
        proxy.set_faults(fault(digest, Fault::CutAfter(keep)).faults);
        proxy.take_log();
        let answer = Caller::to(proxy.address()).get(&blob_path(digest));
        assert!(!answer.whole);
        let log = log_of(&proxy, 1);
        assert_eq!(log[0].end, End::Broken("cut short by a fault".into()));
        assert_eq!(log[0].body_bytes, keep);
    }

    proxy.set_faults(fault("/manifests/", Fault::Answer(503)).faults);
    let mut caller = Caller::to(proxy.address());
    assert_eq!(caller.get("/v2/x/manifests/latest").status, 503);
    assert_eq!(caller.get("/v2/x/manifests/latest").status, 404);

    proxy.set_faults(fault(&blob.digest, Fault::Delay(Duration::from_millis(80))).faults);
    proxy.take_log();
    caller.get(&path);
    let exchange = &proxy.take_log()[0];
    let waited = exchange.first_byte_ns.unwrap() - exchange.started_ns;
    assert!((80_000_000..200_000_000).contains(&waited), "{waited} ns");
}

#[test]
fn the_rate_holds_over_all_connections_and_is_reached() {
    const CONNECTIONS: u64 = 3;
    let (server, blobs) = blobs(&[400_000]);
    let path = blob_path(&blobs[0].0.digest);
    let rate = Rate {
        bits_per_second: 16_000_000,
        burst_bytes: 64 * 1024,
    };
    let options = Options {
        rate: Some(rate),
        ..Options::default()
    };
    let proxy = start(&server, options);
    let started = now_ns();
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| assert!(Caller::to(proxy.address()).get(&path).whole));
        }
    });
    let log = proxy.take_log();
    let sent = CONNECTIONS * 400_000;
    let last = log.iter().filter_map(|e| e.last_byte_ns).max().unwrap();
    // sent ≤ R·t + burst, so the 1.2 MB need at least (sent − burst) / R.
    let least_ns = (sent - rate.burst_bytes) * 8 * 1_000 / 16;
    assert!(last - started >= least_ns, "{} ns", last - started);
    let delivered = phases::delivered_bits_per_second(&log).unwrap();
    assert!(
        delivered > 14_000_000,
        "{delivered} bit/s: far below the rate"
    );

    proxy.set_rate(None);
    Caller::to(proxy.address()).get(&path);
    let free = phases::delivered_bits_per_second(&proxy.take_log()).unwrap();
    assert!(free > 10 * rate.bits_per_second, "{free} bit/s");
}

#[test]
fn a_pull_through_the_proxy_proves_cold_and_divides_into_phases() {
    let (server, blobs) = blobs(&[300, 500_000, 700_000]);
    let expected: Vec<Blob> = blobs.iter().map(|(blob, _)| blob.clone()).collect();
    let layers: Vec<Digest> = expected[1..].iter().map(|b| b.digest.clone()).collect();
    let proxy = start(&server, Options::default());
    let mut caller = Caller::to(proxy.address());
    let start_ns = now_ns();
    for blob in &expected {
        caller.get(&blob_path(&blob.digest));
    }
    let end_ns = now_ns();
    let log = proxy.take_log();
    prove_cold(&expected, &log).unwrap();
    let phases = phases::phases(start_ns, end_ns, &layers, &log).unwrap();
    assert_eq!(
        phases.resolve_ns + phases.download_ns + phases.tail_ns,
        end_ns - start_ns
    );
    assert!(phases.transferring_ns <= phases.download_ns);
}

#[test]
fn dropping_the_proxy_closes_its_connections() {
    let (server, blobs) = blobs(&[64]);
    let proxy = start(&server, Options::default());
    let mut caller = Caller::to(proxy.address());
    assert!(caller.get(&blob_path(&blobs[0].0.digest)).whole);
    drop(proxy);
    assert!(caller.is_closed());
}
