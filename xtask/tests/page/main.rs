//! The report page of the committed rows in a real browser.
//!
//! Where there is none the tests count as ignored, by name; under CI that is a
//! failure.

mod browser;
mod chromium;
mod numbers;
#[path = "../support/project.rs"]
mod project;
mod reading;

use std::{fs, path::Path, process::ExitCode, sync::Arc};

use assert_cmd::Command;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tempfile::TempDir;

use crate::chromium::Chromium;

type Test = fn(&Chromium, &Path);

const TESTS: [(&str, Test); 11] = [
    ("a_head_sorts_by_click", reading::a_head_sorts_by_click),
    (
        "a_head_sorts_by_keyboard",
        reading::a_head_sorts_by_keyboard,
    ),
    (
        "a_variant_opens_by_click",
        reading::a_variant_opens_by_click,
    ),
    (
        "a_variant_opens_by_keyboard",
        reading::a_variant_opens_by_keyboard,
    ),
    (
        "an_address_opens_its_variant",
        reading::an_address_opens_its_variant,
    ),
    ("a_phone_is_wide_enough", reading::a_phone_is_wide_enough),
    (
        "both_languages_and_both_schemes",
        reading::both_languages_and_both_schemes,
    ),
    (
        "without_script_all_is_readable",
        reading::without_script_all_is_readable,
    ),
    (
        "the_slider_moves_time_and_the_fields_cost",
        numbers::the_slider_moves_time_and_the_fields_cost,
    ),
    (
        "the_script_computes_what_rust_does",
        numbers::the_script_computes_what_rust_does,
    ),
    (
        "the_script_writes_bytes_as_rust_does",
        numbers::the_script_writes_bytes_as_rust_does,
    ),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // A browser uses every core there is.
    arguments.test_threads = Some(1);
    let site = (!arguments.list).then(Site::make).flatten().map(Arc::new);
    let trials = TESTS.map(|(name, test)| {
        let site = site.clone();
        Trial::ignorable_test(name, move || match site {
            Some(site) => {
                test(&site.chromium, site.page.path());
                Ok(Completion::Completed)
            }
            None if std::env::var("CI").is_ok_and(|value| value == "true") => {
                Err(Failed::from(chromium::NONE))
            }
            None => Ok(Completion::ignored_with(chromium::NONE)),
        })
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

/// The browser, and the page it shows.
struct Site {
    chromium: Chromium,
    page: TempDir,
}

impl Site {
    fn make() -> Option<Self> {
        Some(Self {
            chromium: Chromium::unpacked()?,
            page: page(),
        })
    }
}

/// The page of the committed rows, as a draft, because this is no test of whether
/// they are fit to be published.
fn page() -> TempDir {
    let project = project::committed();
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["publish", "page", "--draft", "--project"])
        .arg(project.path())
        .assert()
        .success();
    let published = project.path().join("target/publish");
    let machines = fs::read_dir(&published).unwrap();
    let pages: Vec<_> = machines.map(|it| it.unwrap().path().join("page")).collect();
    let [page] = &pages[..] else {
        panic!("{pages:?}");
    };
    let folder = tempfile::tempdir().unwrap();
    fs::copy(page.join("index.html"), folder.path().join("index.html")).unwrap();
    folder
}
