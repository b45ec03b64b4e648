//! What the image's own service does when it is run otherwise than on a
//! developer's machine. It is ready when the measured one is: at the first 200
//! with the expected body.

use std::{os::fd::AsFd as _, time::Duration};

use super::{Finding, exit_code, in_container};
use crate::{
    clock::MonoNs,
    engine::{LabEngine, Setting},
    measure::{
        probe::{NotReady, Signs, Woken},
        subject::LabSubject,
        visit::{Invalid, Target},
        watch::{Outcome, StartFailure, Started, open_process},
    },
    record::cell::Capability,
};

/// The number that Linux itself keeps for nobody; no name is needed for it.
const NOBODY: &str = "65534";

/// Ends that take longer are felt in every deployment.
const SOON: Duration = Duration::from_secs(1);
/// What `docker stop` waits until it kills.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the engine may take to notice that a process has ended.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(10);

/// # Errors
/// When the service does not answer even as it is meant to be run.
pub fn findings(subject: &LabEngine, target: &Target) -> Result<Vec<Finding>, Invalid> {
    let service = Service { subject, target };
    let read_only = Setting {
        read_only_root: true,
        ..Setting::default()
    };
    let nobody = Setting {
        user: Some(NOBODY.to_owned()),
        ..Setting::default()
    };
    Ok(vec![
        // First: it shows that the service answers at all.
        service.sigterm()?,
        service.answers(Capability::ReadOnlyRoot, &read_only)?,
        service.answers(Capability::NonRoot, &nobody)?,
    ])
}

struct Service<'a> {
    subject: &'a LabEngine,
    target: &'a Target,
}

impl Service<'_> {
    fn sigterm(&self) -> Result<Finding, Invalid> {
        self.in_container(&Setting::default(), |container| {
            let started = self
                .start(container)?
                .map_err(|failure| Invalid::new(failure.word(), &failure))?;
            let (is_soon, detail) = self.terminate(container, &started)?;
            Ok(Finding::yes_if(is_soon, Capability::Sigterm, detail))
        })
    }

    /// Whether a running service ends soon after SIGTERM, and how it ends.
    fn terminate(&self, container: &str, started: &Started) -> Result<(bool, String), Invalid> {
        let client = self.subject.client();
        let failed = |error: NotReady| Invalid::new(error.word(), error);
        let process = open_process(started.pid).map_err(failed)?;
        let signs = Signs {
            exit: Some(process.as_fd()),
            stop: None,
        };
        let sent = MonoNs::now();
        client
            .signal(container, "SIGTERM")
            .map_err(Invalid::because("probe_failed"))?;
        let woken = signs.wait(None, sent + STOP_TIMEOUT).map_err(failed)?;
        let took = MonoNs::now().since(sent).unwrap_or_default();
        if woken != Woken::Exited {
            let seconds = STOP_TIMEOUT.as_secs();
            return Ok((false, format!("still running after {seconds} s")));
        }
        let code = exit_code(client, container, MonoNs::now() + NOTICE_TIMEOUT)
            .map_err(Invalid::because("probe_failed"))?
            .ok_or_else(|| Invalid::new("probe_failed", "the engine misses the end"))?;
        Ok((took <= SOON, ended(code, took)))
    }

    /// Whether the service answers under a restriction. It has answered without
    /// one, so whatever keeps it from that is an answer, too.
    fn answers(&self, capability: Capability, setting: &Setting) -> Result<Finding, Invalid> {
        self.in_container(setting, |container| {
            let answered = match self.start(container) {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(failure)) if is_ours(&failure) => {
                    return Err(Invalid::new(failure.word(), &failure));
                }
                Ok(Err(StartFailure::NoExec)) => Err(self.unseen(container)?),
                Ok(Err(failure)) => Err(failure.word()),
                Err(refused) if refused.word == "start_failed" => Err(refused.word),
                Err(full) => return Err(full),
            };
            let detail = answered.err().unwrap_or("first 200");
            Ok(Finding::yes_if(answered.is_ok(), capability, detail))
        })
    }

    /// The word for a start that nobody saw. A service may end so soon that its
    /// exec cannot be told from others, and must not have two words for that.
    fn unseen(&self, container: &str) -> Result<&'static str, Invalid> {
        let code = self.subject.client().exit_code(container);
        let ended = code.map_err(Invalid::because("probe_failed"))?.is_some();
        let failure = if ended {
            NotReady::Exited.into()
        } else {
            StartFailure::NoExec
        };
        Ok(failure.word())
    }

    fn start(&self, container: &str) -> Result<Outcome, Invalid> {
        let (_, outcome) = LabSubject(self.subject)
            .start_watched(container, &self.target.probe)
            .map_err(Invalid::because("start_failed"))?;
        Ok(outcome)
    }

    fn in_container<T>(
        &self,
        setting: &Setting,
        ask: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Result<T, Invalid> {
        in_container(self.subject.client(), &self.target.direct, setting, ask)
    }
}

/// Whether it says something of the watching and nothing of the service.
fn is_ours(failure: &StartFailure) -> bool {
    matches!(
        failure,
        StartFailure::Events(_) | StartFailure::NotReady(NotReady::Stopped | NotReady::Io { .. })
    )
}

/// How it ended, in classes that do not wobble from run to run.
fn ended(code: i64, took: Duration) -> String {
    let when = if took <= SOON {
        "within"
    } else {
        "after more than"
    };
    format!("exit code {code} {when} {} s", SOON.as_secs())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::measure::exec_events::EventsError;

    #[test]
    fn the_time_to_the_end_is_a_class() {
        let ms = Duration::from_millis;
        for quick in [0, 3, 1_000] {
            assert_eq!(ended(143, ms(quick)), "exit code 143 within 1 s");
        }
        assert_eq!(ended(0, ms(1_001)), "exit code 0 after more than 1 s");
    }

    #[test]
    fn what_the_watching_lacks_is_no_answer_of_the_service() {
        let io = || NotReady::Io {
            what: "wait",
            error: io::Error::other("x"),
        };
        for ours in [
            StartFailure::Events(EventsError::Dropped),
            io().into(),
            NotReady::Stopped.into(),
        ] {
            assert!(is_ours(&ours), "{ours}");
        }
        for its in [NotReady::Exited, NotReady::NeverListened { port: 1 }] {
            assert!(!is_ours(&its.into()));
        }
        assert!(!is_ours(&StartFailure::NoExec));
    }
}
