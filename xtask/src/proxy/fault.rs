//! Deliberate failures, so that tests can show that the harness sees them.

use std::{sync::Mutex, time::Duration};

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request waits before it reaches the registry.
    Delay(Duration),
    /// One bit of the body's first byte is flipped.
    Corrupt,
    /// The connection is cut after so many body bytes.
    CutAfter(u64),
    /// This status instead of the registry's answer.
    Answer(u16),
}

/// When it goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// A part of the request's path: a digest, a repository, `/manifests/`.
    pub path_contains: String,
    pub fault: Fault,
    /// How many requests it hits; None hits them all.
    pub times: Option<u32>,
}

/// The rules that still apply.
pub struct Faults(Mutex<Vec<Rule>>);

impl Faults {
    pub fn new(rules: Vec<Rule>) -> Self {
        Self(Mutex::new(rules))
    }

    pub fn set(&self, rules: Vec<Rule>) {
        *self.0.lock().unwrap() = rules;
    }

    /// The first fault that is due for `path`.
    pub fn due(&self, path: &str) -> Option<Fault> {
        let mut rules = self.0.lock().unwrap();
        let rule = rules
            .iter_mut()
            .find(|rule| rule.times != Some(0) && path.contains(&rule.path_contains))?;
        rule.times = rule.times.map(|left| left - 1);
        Some(rule.fault.clone())
    }
}
