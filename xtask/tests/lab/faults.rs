//! What must never become a time.

use std::{
    process::{Command, Stdio},
    sync::OnceLock,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use xtask::{
    clock::MonoNs,
    engine::{Span, Store},
    measure::{
        probe::ProbeSpec,
        scenario::Scenario,
        subject::{LabSubject, Subject},
        watch::{Answered, StartFailure},
    },
    proxy::{Fault, Rule},
    record::cell::ErrorWord,
};

use crate::{
    sandbox::{Finished, Sandbox, files_below},
    subject::Bench,
    tiny::{self, BIG_BYTES},
};

/// A bench in a sandbox with a small image and a large one, built once.
fn bench(data_root_bytes: Option<u64>) -> Result<Bench> {
    static BUILT: OnceLock<Result<Sandbox, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    let sandbox = built.as_ref().map_err(|error| anyhow!("{error}"))?;
    Bench::open(sandbox.project()?, Store::Containerd, data_root_bytes)
}

fn build() -> Result<Sandbox> {
    let sandbox = tiny::sandbox("faults")?;
    tiny::add_big_file(&sandbox)?;
    tiny::add(&sandbox, "small", &tiny::dockerfile(""))?;
    tiny::add(&sandbox, "big", &tiny::big_dockerfile())?;
    sandbox.run(&["size"])?.expect(0)?;
    Ok(sandbox)
}

pub fn a_full_data_root_is_an_error() -> Result<()> {
    let too_small = BIG_BYTES as u64 * 2 / 3;
    let bench = bench(Some(too_small))?;
    let big = bench.push("tiny", "big")?;
    let Err(invalid) = bench.node_cold(&big) else {
        bail!("{too_small} bytes were room enough");
    };
    let said = invalid.to_string();
    ensure!(
        invalid.word == "out_of_space"
            && said.contains("no space left on device")
            && said.contains("--data-root")
            && said.contains(&big.reference),
        "{said}"
    );
    let images = bench.subject.client().images()?;
    ensure!(images.is_empty(), "a half image is left: {images:?}");
    // And the engine is still good for an image that it has room for.
    let small = bench.push("tiny", "small")?;
    bench.node_cold(&small)?;
    Ok(())
}

pub fn a_warm_pull_does_not_count() -> Result<()> {
    let bench = bench(None)?;
    let target = bench.push("tiny", "small")?;
    let subject = Forgetful(LabSubject(&bench.subject));
    let visit = || bench.sample(&subject, Scenario::NodeCold, &target);
    visit()?;
    match visit() {
        Err(invalid) if invalid.word == "not_cold" => Ok(()),
        other => bail!("the image was there already, and it gave {other:?}"),
    }
}

pub fn a_corrupted_blob_is_an_error() -> Result<()> {
    let bench = bench(None)?;
    let target = bench.push("tiny", "small")?;
    for blob in &target.blobs {
        bench.proxy.set_faults(vec![Rule {
            path_contains: blob.digest.to_string(),
            fault: Fault::Corrupt,
            times: None,
        }]);
        match bench.node_cold(&target) {
            Err(invalid) if invalid.word == "pull_failed" => {}
            other => bail!("{} was corrupt, and it gave {other:?}", blob.digest),
        }
    }
    bench.proxy.set_faults(Vec::new());
    bench.node_cold(&target)?;
    Ok(())
}

/// Folders of the project on file systems that are too small, in a mount
/// namespace of the run's own.
pub fn a_full_disk_is_an_error() -> Result<()> {
    let sandbox = tiny::sandbox("full")?;
    tiny::add_big_file(&sandbox)?;
    tiny::add(&sandbox, "big", &tiny::big_dockerfile())?;
    let run = size_on_small(&sandbox, "target/lab/images", BIG_BYTES as u64 / 2)?.expect(1)?;
    let sizes = sandbox.sizes()?;
    let row = sizes.rows().next().context("a row")?;
    ensure!(
        row.error == Some(ErrorWord::OutOfSpace) && row.transfer_bytes.is_none(),
        "{row:?}\n{}",
        run.said()
    );
    // One page is room for a folder and not for a file.
    sandbox.run(&["size"])?.expect(0)?;
    let before = sandbox.read("results/sizes.csv")?;
    sandbox.write("results/sizes.csv", "")?;
    let run = size_on_small(&sandbox, "results", 4096)?.expect(1)?;
    ensure!(
        run.stderr.contains("cannot write") && run.stderr.contains("No space left on device"),
        "{}",
        run.said()
    );
    // The small file system is gone, and what it hid is as it was.
    ensure!(
        sandbox.read("results/sizes.csv")?.is_empty(),
        "it was written to"
    );
    sandbox.write("results/sizes.csv", before)?;
    let left = files_below(&sandbox.path("."))?.into_iter();
    let left: Vec<_> = left
        .filter(|path| path.to_string_lossy().contains(".tmp-"))
        .collect();
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

/// `xtask size` with `folder` on a tmpfs of its own.
fn size_on_small(sandbox: &Sandbox, folder: &str, bytes: u64) -> Result<Finished> {
    let folder = sandbox.path(folder);
    std::fs::create_dir_all(&folder)?;
    let xtask = sandbox.xtask(&["size"]);
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c"])
        .arg("mount -t tmpfs -o size=$1 tmpfs \"$2\" && shift 2 && exec \"$@\"")
        .arg("small")
        .arg(bytes.to_string())
        .arg(folder)
        .arg(xtask.get_program())
        .args(xtask.get_args())
        .stdin(Stdio::null())
        .output()?;
    Ok(Finished::from(output))
}

/// A subject that does not empty its store.
struct Forgetful<'a>(LabSubject<'a>);

impl Subject for Forgetful<'_> {
    fn empty(&self) -> Result<()> {
        Ok(())
    }

    fn forget(&self, reference: &str) -> Result<()> {
        self.0.forget(reference)
    }

    fn settle(&self) -> Result<()> {
        self.0.settle()
    }

    fn drop_caches(&self) -> Result<()> {
        self.0.drop_caches()
    }

    fn sync_data_root(&self) -> Result<MonoNs> {
        self.0.sync_data_root()
    }

    fn pull(&self, reference: &str) -> Result<Span> {
        self.0.pull(reference)
    }

    fn create(&self, reference: &str, port: u16) -> Result<(String, Span)> {
        self.0.create(reference, port)
    }

    fn start(
        &self,
        container: &str,
        probe: &ProbeSpec,
    ) -> Result<(MonoNs, Result<Answered, StartFailure>)> {
        self.0.start(container, probe)
    }

    fn remove(&self, container: &str) -> Result<()> {
        self.0.remove(container)
    }
}
