//! What an image can do beside serving: not what its base promises, but what a
//! container of it was seen to do.
//!
//! `service` starts the image's own service in ways that not every image stands.
//! `witness` brings a static program into a container of it, which asks from
//! within (`inside`); so even an image of a single file can be asked. `matrix`
//! is the table that a person sees.

mod matrix;
mod service;
mod witness;

use std::time::Duration;

use anyhow::Result;

pub use matrix::Matrix;
pub use witness::Witness;

use crate::{
    clock::MonoNs,
    engine::{Client, LabEngine, Setting},
    measure::{
        subject::{LabSubject, Subject as _},
        visit::{Invalid, Target},
    },
    record::cell::{Answer, Capability},
};

/// What tells these questions from those that were asked before: while it stays,
/// no image is asked again.
pub fn questions() -> String {
    let (service, witness) = (service::QUESTIONS_VERSION, witness::questions_id());
    format!("service {service}, witness {witness}")
}

/// How often the engine is asked whether a container has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What an image answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub capability: Capability,
    pub answer: Answer,
    /// The same text whenever the same is found.
    pub detail: String,
}

impl Finding {
    fn yes_if(is_so: bool, capability: Capability, detail: impl Into<String>) -> Self {
        Self {
            capability,
            answer: if is_so { Answer::Yes } else { Answer::No },
            detail: detail.into(),
        }
    }
}

/// Asks an image everything, on an engine whose store it leaves empty.
///
/// Method: METHODOLOGY.md, "Capabilities".
///
/// # Errors
/// Why it cannot be asked: its service does not even answer as it is meant to
/// be run, or the witness failed.
pub fn ask(
    subject: &LabEngine,
    witness: &Witness,
    target: &Target,
) -> Result<Vec<Finding>, Invalid> {
    let client = subject.client();
    let asked = client
        .pull(&target.direct)
        .map_err(Invalid::because("pull_failed"))
        .and_then(|_| {
            let mut findings = service::findings(subject, target)?;
            findings.extend(witness.findings(client, &target.direct)?);
            complete(findings)
        });
    let emptied = LabSubject(subject).empty();
    emptied.map_err(Invalid::because("pull_failed"))?;
    asked
}

/// Every capability once, in their order.
fn complete(mut findings: Vec<Finding>) -> Result<Vec<Finding>, Invalid> {
    findings.sort_by_key(|finding| finding.capability);
    let found = findings.iter().map(|finding| finding.capability);
    if found.eq(Capability::ALL.iter().map(|(capability, ..)| *capability)) {
        return Ok(findings);
    }
    Err(Invalid::new(
        "probe_failed",
        format!("some questions have no answer, or several: {findings:?}"),
    ))
}

/// A container of the image for as long as `ask` takes.
fn in_container<T>(
    client: &Client,
    image: &str,
    setting: &Setting,
    ask: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Result<T, Invalid> {
    let because = Invalid::because("start_failed");
    let (container, _) = client.create_with(image, setting).map_err(&because)?;
    let asked = ask(&container);
    client.remove_container(&container).map_err(&because)?;
    asked
}

/// The exit code of a container that ends by `deadline`; none of one that does
/// not.
fn exit_code(client: &Client, container: &str, deadline: MonoNs) -> Result<Option<i64>> {
    loop {
        let code = client.exit_code(container)?;
        if code.is_some() || MonoNs::now() >= deadline {
            return Ok(code);
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

#[cfg(test)]
mod inside;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_twice_or_forgotten() {
        let all: Vec<Finding> = Capability::ALL
            .iter()
            .rev()
            .map(|(capability, ..)| Finding::yes_if(true, *capability, ""))
            .collect();
        let sorted = complete(all.clone()).unwrap();
        assert_eq!(sorted[0].capability, Capability::CaRoots);
        let twice = [all.clone(), all[..1].to_vec()].concat();
        for wrong in [all[1..].to_vec(), twice] {
            assert_eq!(complete(wrong).unwrap_err().word, "probe_failed");
        }
    }
}
