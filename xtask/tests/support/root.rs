//! Tests that make namespaces need root; where the whole suite must run, its
//! absence is a failure.

/// Whether this test can run. Under CI it must.
pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    let must = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(root || !must, "this test makes namespaces: run it as root");
    root
}
