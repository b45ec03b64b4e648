//! The engine that is measured, as the measuring part sees it: few verbs, each
//! either a stamped span or an error. A scripted fake stands in for it where
//! order and faults are tested.

use std::{
    io,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    exec_events::ExecEvents,
    pids::EngineNs,
    probe::ProbeSpec,
    watch::{Answered, Outcome, StartFailure, watch_start},
};
use crate::{
    clock::MonoNs,
    engine::{LabEngine, Span},
};

/// A service that has not answered by then never will: the slowest start seen
/// was 0.3 s.
pub const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// What may still be dirty when a sample starts: creating a container flushes
/// the whole file system's dirty pages, and these would be on its bill.
const SETTLED_KILOBYTES: u64 = 4 * 1024;
/// A machine that does not settle by then is writing for somebody else.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

/// An engine under measurement.
pub trait Subject {
    /// Removes every container and image that is ours, so that the next pull is
    /// cold.
    fn empty(&self) -> Result<()>;
    /// Removes one image, and every layer that no other image has.
    fn forget(&self, reference: &str) -> Result<()>;
    /// Waits until what earlier samples wrote has reached its file system.
    fn settle(&self) -> Result<()>;
    /// Drops the machine's clean page cache, so that files come from the disk.
    fn drop_caches(&self) -> Result<()>;
    /// Writes the data root's file system back; when that was done.
    fn sync_data_root(&self) -> Result<MonoNs>;
    /// Pulls an image: request written → response EOF.
    fn pull(&self, reference: &str) -> Result<Span>;
    /// Creates a container whose service will listen on `port`: its id, and the
    /// request's span.
    fn create(&self, reference: &str, port: u16) -> Result<(String, Span)>;
    /// Starts a container and follows it to its first complete right answer: when
    /// the request was sent, and the outcome. A service that does not get ready
    /// is an outcome; an error is what the engine says when it cannot start it.
    fn start(
        &self,
        container: &str,
        probe: &ProbeSpec,
    ) -> Result<(MonoNs, Result<Answered, StartFailure>)>;
    /// Ends and removes a container.
    fn remove(&self, container: &str) -> Result<()>;
}

/// The lab's subject.
pub struct LabSubject<'a>(pub &'a LabEngine);

impl LabSubject<'_> {
    /// [`Subject::start`], with everything that the lab sees of a start.
    pub fn start_watched(&self, container: &str, probe: &ProbeSpec) -> Result<(MonoNs, Outcome)> {
        let events = ExecEvents::subscribe()?;
        let engine = EngineNs {
            init_pid: self.0.pid(),
        };
        let watch = watch_start(events, engine, probe.clone(), MonoNs::now() + READY_TIMEOUT)?;
        match self.0.client().start(container) {
            Ok(span) => Ok((span.start, watch.join())),
            Err(error) => {
                // The engine's own words say more than that nothing started.
                let _ = watch.cancel();
                Err(error)
            }
        }
    }
}

impl Subject for LabSubject<'_> {
    fn empty(&self) -> Result<()> {
        let client = self.0.client();
        client.remove_our_containers()?;
        client
            .images()?
            .iter()
            .try_for_each(|image| client.remove_image(image))?;
        self.0.forget_unfinished_pulls()
    }

    fn forget(&self, reference: &str) -> Result<()> {
        self.0.client().remove_image(reference)
    }

    fn settle(&self) -> Result<()> {
        settle_this_machine()
    }

    fn drop_caches(&self) -> Result<()> {
        // Page cache, and directory entries and inodes with it (Linux,
        // Documentation/admin-guide/sysctl/vm.rst).
        write_to_kernel("/proc/sys/vm/drop_caches", "3")
    }

    fn sync_data_root(&self) -> Result<MonoNs> {
        self.0.sync_data_root()?;
        Ok(MonoNs::now())
    }

    fn pull(&self, reference: &str) -> Result<Span> {
        self.0.client().pull(reference)
    }

    // Its containers have no network that a port could be published in.
    fn create(&self, reference: &str, _port: u16) -> Result<(String, Span)> {
        self.0.client().create(reference)
    }

    fn start(
        &self,
        container: &str,
        probe: &ProbeSpec,
    ) -> Result<(MonoNs, Result<Answered, StartFailure>)> {
        let (sent, outcome) = self.start_watched(container, probe)?;
        Ok((sent, outcome.map(Answered::from)))
    }

    fn remove(&self, container: &str) -> Result<()> {
        self.0.client().remove_container(container)
    }
}

/// Waits until what has been written has reached its device, whoever wrote it.
///
/// # Errors
/// When the machine goes on writing for a minute.
pub(super) fn settle_this_machine() -> Result<()> {
    rustix::fs::sync();
    let deadline = Instant::now() + SETTLE_TIMEOUT;
    while dirty_kilobytes()? > SETTLED_KILOBYTES {
        if Instant::now() > deadline {
            bail!(
                "this machine keeps writing: {} kB are dirty after a minute",
                dirty_kilobytes()?
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A file of the kernel takes a word and keeps no bytes: there is nothing to
/// rename.
fn write_to_kernel(path: &str, word: &str) -> Result<()> {
    use io::Write as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {path}"))?;
    file.write_all(word.as_bytes())
        .with_context(|| format!("cannot write {word} to {path}"))
}

fn dirty_kilobytes() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':')
            .trim()
            .trim_end_matches(" kB")
            .parse::<u64>()
            .ok()
    };
    let absent = || io::Error::other("/proc/meminfo has no Dirty or Writeback");
    Ok(field("Dirty").ok_or_else(absent)? + field("Writeback").ok_or_else(absent)?)
}
