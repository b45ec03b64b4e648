//! What may stand in one cell of a CSV file.
//!
//! Every type has one text for a value, and reads exactly that text back, so
//! that a file which is read and written again does not move.

use std::fmt;

use crate::digest::Digest;

/// A value that fills one cell.
pub trait Cell: Sized {
    /// What the cell holds, for the column dictionary and for errors.
    const FORM: &'static str;

    fn text(&self) -> String;

    fn parse(text: &str) -> Option<Self>;
}

/// Free text on one line.
impl Cell for String {
    const FORM: &'static str = "text";

    fn text(&self) -> String {
        self.clone()
    }

    fn parse(text: &str) -> Option<Self> {
        (!text.contains(['\n', '\r'])).then(|| text.to_owned())
    }
}

impl Cell for u64 {
    const FORM: &'static str = "integer";

    fn text(&self) -> String {
        self.to_string()
    }

    fn parse(text: &str) -> Option<Self> {
        canonical(text)
    }
}

impl Cell for i64 {
    const FORM: &'static str = "signed integer";

    fn text(&self) -> String {
        self.to_string()
    }

    fn parse(text: &str) -> Option<Self> {
        canonical(text)
    }
}

/// Reads a number only from the text that it would be written as: `+1` and
/// `007` are typing errors, not numbers.
fn canonical<T: std::str::FromStr + fmt::Display>(text: &str) -> Option<T> {
    text.parse()
        .ok()
        .filter(|number: &T| number.to_string() == text)
}

impl Cell for bool {
    const FORM: &'static str = "`yes` or `no`";

    fn text(&self) -> String {
        if *self { "yes" } else { "no" }.to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        }
    }
}

impl Cell for Digest {
    const FORM: &'static str = "sha256:<64 hex>";

    fn text(&self) -> String {
        self.to_string()
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// Not measured, or not known: the empty cell. It is never written as 0.
impl<T: Cell> Cell for Option<T> {
    const FORM: &'static str = T::FORM;

    fn text(&self) -> String {
        self.as_ref().map(T::text).unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            Some(None)
        } else {
            T::parse(text).map(Some)
        }
    }
}

/// A remark that applies or does not: `yes`, or an empty cell, so that it
/// catches the eye only where it is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark(pub bool);

impl Cell for Mark {
    const FORM: &'static str = "`yes` or empty";

    fn text(&self) -> String {
        if self.0 { "yes" } else { "" }.to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "yes" => Some(Self(true)),
            "" => Some(Self(false)),
            _ => None,
        }
    }
}

/// The first 12 hex digits of a sha256: enough to tell two inputs apart, short
/// enough to be read in a review.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(String);

impl Id {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&Digest> for Id {
    fn from(digest: &Digest) -> Self {
        Self(digest.short())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Cell for Id {
    const FORM: &'static str = "12 hex digits";

    fn text(&self) -> String {
        self.0.clone()
    }

    fn parse(text: &str) -> Option<Self> {
        let hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (text.len() == 12 && hex).then(|| Self(text.to_owned()))
    }
}

/// Declares an enum whose values are fixed words of the CSV files, each with
/// the meaning that the column dictionary prints.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $(#[doc = $meaning:literal] $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $(#[doc = $meaning] $variant,)+ }

        impl $name {
            /// Every word and its meaning.
            pub const ALL: &'static [(Self, &'static str, &'static str)] =
                &[$((Self::$variant, $word, $meaning),)+];

            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }

        impl Cell for $name {
            const FORM: &'static str = concat!("one of", $(" `", $word, "`"),+);

            fn text(&self) -> String {
                self.word().to_owned()
            }

            fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().find(|(_, word, _)| *word == text).map(|(value, ..)| *value)
            }
        }
    };
}

words! {
    /// Why a row has no numbers, or a sample does not count. The words are
    /// fixed, so that rows do not move with the wording of somebody's error
    /// message; the whole story is in the log.
    ErrorWord {
        /// The Dockerfile did not build.
        BuildFailed = "build_failed",
        /// The data root or the disk was full.
        OutOfSpace = "out_of_space",
        /// The engine refused or broke off the pull.
        PullFailed = "pull_failed",
        /// The registry did not serve every expected blob: something was already there.
        NotCold = "not_cold",
        /// The engine refused to create or start the container.
        StartFailed = "start_failed",
        /// The kernel dropped events, so the start of the process may have been missed.
        EventsDropped = "events_dropped",
        /// The kernel gives no process events here.
        NoEvents = "no_events",
        /// The container never executed its entry point.
        NoExec = "no_exec",
        /// The application ended before it answered.
        Exited = "exited",
        /// Nothing listened on the port before the deadline.
        NeverListened = "never_listened",
        /// Something listened, but no answer came before the deadline.
        NeverAnswered = "never_answered",
        /// It answered until the deadline, but never with the expected status.
        NeverReady = "never_ready",
        /// An answer began and did not go on.
        Hung = "hung",
        /// The connection closed within the answer.
        Truncated = "truncated",
        /// The status was the expected one, the body was not.
        WrongBody = "wrong_body",
        /// The answer was longer than any that is expected.
        TooLarge = "too_large",
        /// What answered does not speak HTTP.
        NotHttp = "not_http",
        /// The probe was told to stop.
        Stopped = "stopped",
        /// The probe itself failed.
        ProbeFailed = "probe_failed",
        /// Other work on the machine was above the noise limit.
        Disturbed = "disturbed",
        /// Faster than the machine can be: the numbers are kept, and they are a bug.
        LimitViolated = "limit_violated",
    }
}

words! {
    /// Where a layer comes from.
    Origin {
        /// The layer came with the base image and kept its bytes.
        Base = "base",
        /// The Dockerfile made the layer.
        App = "app",
    }
}

words! {
    /// How a limit was taken.
    Limit {
        /// The image's layers by plain GETs.
        RawGet = "raw_get",
        /// Every layer hashed, inflated and hashed.
        InflateHash = "inflate_hash",
        /// The files of every layer made out of memory.
        Untar = "untar",
        /// The image's program without engine and `runc`.
        BareExec = "bare_exec",
        /// The image's program in namespaces of its own.
        NamespacesExec = "namespaces_exec",
        /// `runc run` until the program is there.
        RuncExec = "runc_exec",
        /// `runc run` until the program answers.
        RuncRun = "runc_run",
    }
}

words! {
    /// What can be asked of an image.
    Capability {
        /// A TLS client finds the roots of the public web, at least 50 certificates, in a place where it looks for them.
        CaRoots = "ca_roots",
        /// The time zone Asia/Seoul can be loaded, and is UTC+9.
        TimeZones = "time_zones",
        /// A program with a resolver of its own, which obeys `/etc/nsswitch.conf`, finds a name in the hosts file and one that only a DNS server knows.
        Dns = "dns",
        /// The image's C library finds these two names.
        LibcDns = "libc_dns",
        /// The user id 65534 has a name.
        UserNames = "user_names",
        /// The image runs as another user than root where nobody asks for that.
        NonRootDefault = "non_root_default",
        /// The service gives its first 200 as user and group 65534.
        NonRoot = "non_root",
        /// `/bin/sh` runs.
        Shell = "shell",
        /// A program that installs packages runs.
        PackageManager = "package_manager",
        /// The service gives its first 200 on a root file system that nobody can write.
        ReadOnlyRoot = "read_only_root",
        /// The service, as process 1, ends within a second of SIGTERM.
        Sigterm = "sigterm",
    }
}

words! {
    /// What an image said to a question.
    Answer {
        /// It was tried, and it works.
        Yes = "yes",
        /// It was tried, and it does not work.
        No = "no",
        /// Nothing in the image can be asked.
        Unknown = "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: Cell + PartialEq + fmt::Debug>(value: T, text: &str) {
        assert_eq!(value.text(), text);
        assert_eq!(T::parse(text), Some(value));
    }

    #[test]
    fn every_value_has_one_text() {
        round_trip(0_u64, "0");
        round_trip(u64::MAX, "18446744073709551615");
        round_trip(-12_i64, "-12");
        round_trip(true, "yes");
        round_trip(None::<bool>, "");
        round_trip(Some(false), "no");
        round_trip(None::<u64>, "");
        round_trip(Mark(true), "yes");
        round_trip(Mark(false), "");
        round_trip("a, b \"c\"".to_owned(), "a, b \"c\"");
        round_trip(Id::from(&Digest::of("")), "e3b0c44298fc");
        round_trip(Origin::Base, "base");
        round_trip(Some(Limit::RawGet), "raw_get");
        round_trip(Some(Answer::Unknown), "unknown");
        for (value, word, _) in ErrorWord::ALL {
            round_trip(Some(*value), word);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in ["", "+1", "007", "1.5", "-1", " 1", "1_000"] {
            assert_eq!(u64::parse(bad), None, "{bad}");
        }
        assert_eq!(bool::parse("true"), None);
        assert_eq!(Mark::parse("no"), None);
        assert_eq!(ErrorWord::parse("broken"), None);
        assert_eq!(String::parse("a\nb"), None);
        for bad in ["e3b0c44298f", "E3B0C44298FC", "e3b0c44298fc1"] {
            assert_eq!(Id::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn words_are_snake_case_and_explained() {
        let errors = ErrorWord::ALL.iter().map(|it| (it.1, it.2));
        let capabilities = Capability::ALL.iter().map(|it| (it.1, it.2));
        for (word, meaning) in errors.chain(capabilities) {
            assert!(word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
            assert!(meaning.trim().ends_with('.'), "{word}");
        }
    }
}
