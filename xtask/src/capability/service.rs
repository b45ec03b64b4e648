//! What the image's own service does when it is run otherwise than on a
//! developer's machine. It is ready when the measured one is: at the first 200
//! with the expected body.

use std::{os::fd::AsFd as _, time::Duration};

use anyhow::Result;

use super::{Finding, exit_code, in_container};
use crate::{
    clock::MonoNs,
    engine::{CannotExecute, LabEngine, Setting},
    measure::{
        probe::{NotReady, Signs, Woken},
        subject::LabSubject,
        visit::{Invalid, Target},
        watch::{Outcome, StartFailure, Started, open_process},
    },
    record::cell::Capability,
};

/// Counted up when a question of this file, or what counts as its answer, becomes
/// another one: then every image is asked again.
pub const QUESTIONS_VERSION: u32 = 2;

/// User and group by the number that Linux itself keeps for nobody: neither needs
/// a name, and the group does not come out of the image's passwd.
const NOBODY: &str = "65534:65534";

/// The word for a container that the engine does not start.
const START_FAILED: &str = "start_failed";

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
                .start(container)
                .map_err(Invalid::because(START_FAILED))?
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
    /// one, so what keeps it from that now is an answer, too.
    fn answers(&self, capability: Capability, setting: &Setting) -> Result<Finding, Invalid> {
        self.in_container(setting, |container| {
            let obstacle = obstacle(self.start(container), || self.has_ended(container))?;
            let detail = obstacle.unwrap_or("first 200");
            Ok(Finding::yes_if(obstacle.is_none(), capability, detail))
        })
    }

    fn has_ended(&self, container: &str) -> Result<bool, Invalid> {
        let code = self.subject.client().exit_code(container);
        Ok(code.map_err(Invalid::because("probe_failed"))?.is_some())
    }

    fn start(&self, container: &str) -> Result<Outcome> {
        let (_, outcome) = LabSubject(self.subject).start_watched(container, &self.target.probe)?;
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

/// The word for what keeps a service from its first 200; none where nothing does.
///
/// # Errors
/// What says something of the engine or of the watching, and nothing of the
/// service: it is to be asked again.
fn obstacle(
    start: Result<Outcome>,
    has_ended: impl FnOnce() -> Result<bool, Invalid>,
) -> Result<Option<&'static str>, Invalid> {
    let failure = match start {
        Ok(Ok(_)) => return Ok(None),
        Ok(Err(failure)) => failure,
        Err(error) if error.is::<CannotExecute>() => return Ok(Some(START_FAILED)),
        Err(error) => return Err(Invalid::because(START_FAILED)(error)),
    };
    match failure {
        // A service may end so soon that its exec cannot be told from others, and
        // must not have two words for that.
        StartFailure::NoExec if has_ended()? => Ok(Some(NotReady::Exited.word())),
        ours if is_ours(&ours) => Err(Invalid::new(ours.word(), &ours)),
        its => Ok(Some(its.word())),
    }
}

/// Whether it says something of the watching and nothing of the service. The exec
/// of a container that runs has happened, so it was missed.
fn is_ours(failure: &StartFailure) -> bool {
    matches!(
        failure,
        StartFailure::Events(_)
            | StartFailure::NoExec
            | StartFailure::NotReady(NotReady::Stopped | NotReady::Io { .. })
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

    fn of(start: Result<Outcome>, has_ended: bool) -> Result<Option<&'static str>, &'static str> {
        obstacle(start, || Ok(has_ended)).map_err(|invalid| invalid.word)
    }

    fn failed(failure: impl Into<StartFailure>) -> Result<Outcome> {
        Ok(Err(failure.into()))
    }

    #[test]
    fn what_the_watching_lacks_is_no_answer_of_the_service() {
        let io = NotReady::Io {
            what: "wait",
            error: io::Error::other("x"),
        };
        let dropped = EventsError::Dropped;
        assert_eq!(of(failed(dropped), false), Err("events_dropped"));
        assert_eq!(
            of(failed(NotReady::Stopped), true),
            Err(NotReady::Stopped.word())
        );
        let word = io.word();
        assert_eq!(of(failed(io), true), Err(word));
        assert_eq!(of(failed(NotReady::Exited), true), Ok(Some("exited")));
        let silent = NotReady::NeverListened { port: 1 };
        assert_eq!(of(failed(silent), false), Ok(Some("never_listened")));
    }

    #[test]
    fn an_unseen_exec_is_an_answer_only_of_a_container_that_has_ended() {
        assert_eq!(of(failed(StartFailure::NoExec), true), Ok(Some("exited")));
        assert_eq!(of(failed(StartFailure::NoExec), false), Err("no_exec"));
    }

    #[test]
    fn only_a_program_that_cannot_be_executed_is_an_answer_of_the_engine() {
        let refused = CannotExecute {
            container: "a".to_owned(),
            said: "permission denied".to_owned(),
        };
        assert_eq!(of(Err(refused.into()), true), Ok(Some("start_failed")));
        let broken = || anyhow::anyhow!("the kernel gives no events");
        assert_eq!(of(Err(broken()), true), Err("start_failed"));
        let full = anyhow::anyhow!("mkdir /a: no space left on device");
        assert_eq!(of(Err(full), true), Err("out_of_space"));
    }
}
