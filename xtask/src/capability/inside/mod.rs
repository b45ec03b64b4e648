//! What can be asked from within an image by a program that needs nothing of it.
//! Nothing here says what an image ought to have: each answer is what was tried
//! and what came of it.

mod certificates;
pub mod names;
mod programs;
mod users;
mod zone;

use std::fmt;

/// A capability and the way to ask for it.
pub type Question = (&'static str, fn() -> Answer);

pub const QUESTIONS: [Question; 8] = [
    ("ca_roots", certificates::roots),
    ("time_zones", zone::seoul),
    ("dns", names::own_lookup),
    ("libc_dns", names::libc_lookup),
    ("user_names", users::nobody),
    ("non_root_default", users::default),
    ("shell", programs::shell),
    ("package_manager", programs::package_manager),
];

/// What came of a question. The detail is the same each time.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    word: &'static str,
    detail: String,
}

impl Answer {
    fn yes(detail: impl Into<String>) -> Self {
        Self::new("yes", detail)
    }

    fn no(detail: impl Into<String>) -> Self {
        Self::new("no", detail)
    }

    /// Nothing here can be asked.
    fn unknown(detail: impl Into<String>) -> Self {
        Self::new("unknown", detail)
    }

    fn yes_if(is_so: bool, detail: impl Into<String>) -> Self {
        Self::new(if is_so { "yes" } else { "no" }, detail)
    }

    fn new(word: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { word, detail }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}", self.word, self.detail)
    }
}
