//! A run that ends in the middle of its work, by Ctrl-C or by SIGKILL.

use std::{
    io::Read as _,
    path::PathBuf,
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use xtask::{interrupt, measure::pids::descendants};

use crate::{
    processes::{Traces, command_line},
    sandbox::{MACHINE, Sandbox, files_below},
    tiny,
};

/// How long what ends may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(1);
/// No phase of a tiny suite is further away.
const REACHED_WITHIN: Duration = Duration::from_secs(120);
const IN_A_SESSION: &str =
    "bases, images, sizes, finished sessions and the samples of this one are kept";
/// Where an engine keeps the blobs that it is fetching.
const INGEST: &str = "var/lib/docker/containerd/daemon/io.containerd.content.v1.content/ingest";

pub fn during_a_build() -> Result<()> {
    let sandbox = tiny::sandbox("crash-build")?;
    // It binds no port: builds share the host's network.
    let never_ends = tiny::dockerfile("answer=never_listen").replace("CMD", "RUN");
    tiny::add(&sandbox, "variant", &never_ends)?;
    end_both_ways(&sandbox, Run::serves, "the bases are kept in target/lab")?;
    tiny::set(&sandbox, "variant", &tiny::dockerfile(""))?;
    goes_on(&sandbox)
}

pub fn during_a_pull() -> Result<()> {
    let sandbox = tiny::sandbox("crash-pull")?;
    tiny::add_big_file(&sandbox)?;
    tiny::add(&sandbox, "variant", &tiny::big_dockerfile())?;
    let pulls = |run: &Run| Ok(run.has_said("measure tiny") && run.fetches()?);
    end_both_ways(&sandbox, pulls, IN_A_SESSION)?;
    goes_on(&sandbox)
}

pub fn during_a_start() -> Result<()> {
    let sandbox = tiny::sandbox("crash-start")?;
    // Long enough to be met in its start, short enough to be waited for.
    tiny::add(
        &sandbox,
        "variant",
        &tiny::dockerfile("listen_after_ms=500"),
    )?;
    let starts = |run: &Run| Ok(run.has_said("measure tiny") && run.serves()?);
    end_both_ways(&sandbox, starts, IN_A_SESSION)?;
    goes_on(&sandbox)
}

/// The samples that were there stay to the digit, and the rest joins them.
pub fn during_a_session() -> Result<()> {
    const KEPT: &str = "target/lab/sessions/tiny-unshaped-tmpfs.csv";
    let sandbox = tiny::sandbox("crash-session")?;
    tiny::add(&sandbox, "one", &tiny::dockerfile(""))?;
    tiny::add(&sandbox, "two", &tiny::dockerfile(""))?;
    let lines = || -> Vec<String> {
        let text = sandbox.read(KEPT).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    let two_blocks = |_: &Run| Ok(lines().iter().any(|line| line.starts_with("2,")));
    end(&sandbox, two_blocks, Signal::KILL)?;
    let kept = lines();
    let run = sandbox.run_quick(&[])?.expect(0)?;
    ensure!(
        run.stderr.contains("goes on where it was stopped"),
        "{}",
        run.said()
    );
    let folder = format!("results/{MACHINE}/samples");
    let files = files_below(&sandbox.path(&folder))?;
    ensure!(files.len() == 1, "the samples are in {files:?}");
    let samples = sandbox.read(&format!("{folder}/{}", files[0].display()))?;
    // A visit that was broken off is made again; the second block was whole.
    let whole = kept.iter().filter(|line| !line.starts_with("2,"));
    let lost: Vec<&String> = whole.filter(|line| !samples.contains(*line)).collect();
    ensure!(lost.is_empty(), "{lost:?} is not in\n{samples}");
    ensure!(!sandbox.path(KEPT).exists(), "{KEPT} is still there");
    Ok(())
}

/// What is `kept` is what the last line says after a Ctrl-C.
fn end_both_ways(
    sandbox: &Sandbox,
    reached: impl Fn(&Run) -> Result<bool>,
    kept: &str,
) -> Result<()> {
    let (code, said) = end(sandbox, &reached, Signal::INT).context("SIGINT")?;
    let last = said.lines().last().unwrap_or_default();
    let expected = format!("stopped; {kept}; the same command goes on from here");
    ensure!(
        code == Some(interrupt::EXIT_CODE) && last == expected,
        "exit code {code:?}, last line {last:?} of\n{said}"
    );
    end(sandbox, &reached, Signal::KILL).context("SIGKILL")?;
    Ok(())
}

/// Runs until `reached`, ends the run by `signal` and looks for what is left.
fn end(
    sandbox: &Sandbox,
    reached: impl Fn(&Run) -> Result<bool>,
    signal: Signal,
) -> Result<(Option<i32>, String)> {
    let mut run = Run::start(sandbox)?;
    run.wait_until(reached)?;
    let traces = Traces::of(run.child.id(), &sandbox.path("target/lab"))?;
    kill_process(Pid::from_child(&run.child), signal)?;
    traces.are_gone_within(GONE_WITHIN)?;
    let code = run.child.wait()?.code();
    Ok((code, run.rest()))
}

/// The same command again, to its end.
fn goes_on(sandbox: &Sandbox) -> Result<()> {
    sandbox.run_quick(&[])?.expect(0)?;
    let (sizes, node) = (sandbox.sizes()?, sandbox.node()?);
    ensure!(
        sizes.rows().count() == 1 && sizes.rows().all(|row| row.error.is_none()),
        "{}",
        sizes.text()
    );
    ensure!(
        node.rows().count() == 2 && node.rows().all(|row| row.error.is_none()),
        "{}",
        node.text()
    );
    for folder in ["results", "target/lab"] {
        let files = files_below(&sandbox.path(folder))?;
        let unfinished: Vec<PathBuf> = files
            .into_iter()
            .filter(|file| file.to_string_lossy().contains(".tmp-"))
            .collect();
        ensure!(unfinished.is_empty(), "{folder} keeps {unfinished:?}");
    }
    Ok(())
}

/// `run-all --quick` under way.
struct Run {
    child: Child,
    said: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Run {
    fn start(sandbox: &Sandbox) -> Result<Self> {
        let mut child = sandbox
            .xtask(&["run-all", "--quick", "--allow-noisy", "--machine", MACHINE])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stderr = child.stderr.take().context("stderr is piped")?;
        let said = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&said);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(bytes @ 1..) = stderr.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..bytes]);
                sink.lock().unwrap().push_str(&text);
            }
        });
        Ok(Self {
            child,
            said,
            reader: Some(reader),
        })
    }

    fn wait_until(&mut self, reached: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + REACHED_WITHIN;
        while !reached(self)? {
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                bail!("the phase was never seen ({ended:?}):\n{}", self.heard());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    fn heard(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    fn has_said(&self, words: &str) -> bool {
        self.heard().contains(words)
    }

    /// Everything it has said, once it has ended.
    fn rest(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        self.heard()
    }

    /// Whether the service runs somewhere below.
    fn serves(&self) -> Result<bool> {
        let below = descendants(self.child.id())?;
        Ok(below
            .iter()
            .any(|&pid| command_line(pid).starts_with("/server ")))
    }

    /// Whether an engine below is fetching blobs.
    fn fetches(&self) -> Result<bool> {
        let below = descendants(self.child.id())?;
        Ok(below.iter().any(|pid| {
            let ingest = std::fs::read_dir(format!("/proc/{pid}/root/{INGEST}"));
            ingest.is_ok_and(|mut entries| entries.next().is_some())
        }))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
