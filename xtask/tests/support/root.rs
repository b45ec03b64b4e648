//! Tests that make namespaces need root. Without it each counts as ignored, by
//! name, which Rust's own runner cannot do while it runs; under CI, where the
//! whole suite must run, that is a failure.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

const NEEDS_ROOT: &str = "it makes namespaces: run it as root";

/// Runs the tests one after the other: two starts at once would time each other.
pub fn run(tests: &[(&str, fn())]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trials = tests
        .iter()
        .map(|&(name, test)| Trial::ignorable_test(name, move || run_or_ignore(test)));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn run_or_ignore(test: fn()) -> Result<Completion, Failed> {
    if rustix::process::geteuid().is_root() {
        test();
        return Ok(Completion::Completed);
    }
    if std::env::var("CI").is_ok_and(|value| value == "true") {
        return Err(NEEDS_ROOT.into());
    }
    Ok(Completion::ignored_with(NEEDS_ROOT))
}
