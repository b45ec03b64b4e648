//! The images of the real suites, asked by others than our own arithmetic.

use std::{collections::BTreeSet, fs, io::Read, path::Path};

use anyhow::{Context, Result, ensure};
use memchr::memmem;
use serde_json::Value;
use xtask::{
    engine::Store,
    image::{Layer, Layout, unpack::LayerStream},
    record::exact::SizeRow,
};

use crate::{chain::chain, subject::Bench};

/// Where Debian keeps the CAs that an administrator has added.
const LOCAL_CAS: &str = "/usr/local/share/ca-certificates";
const CHUNK_BYTES: usize = 1 << 20;

pub fn totals_are_what_others_say() -> Result<()> {
    let sandbox = &chain()?.sandbox;
    let bench = Bench::open(sandbox.project()?, Store::Overlay2, None)?;
    for row in sandbox.sizes()?.rows() {
        let name = format!("{}/{}", row.suite, row.variant);
        let target = bench.push(&row.suite, &row.variant)?;
        let (_, digest) = target.reference.split_once('@').context("by digest")?;
        let served = bench.registry.read_back(&name, &digest.parse()?)?;
        let inspected = skopeo(&bench, &target.reference)?;
        ensure!(
            row.transfer_bytes == Some(served) && served == inspected,
            "{name}: sizes.csv has {:?}, the registry served {served}, skopeo adds up to {inspected}",
            row.transfer_bytes
        );
        // The others would pull another half gigabyte to say the same again.
        if row.suite == "gin" {
            let client = bench.subject.client();
            client.pull(&target.reference)?;
            let shown = client.shown_size(&target.reference)?;
            ensure!(
                row.layer_file_bytes == Some(shown),
                "{name}: sizes.csv has {:?}, overlay2 shows {shown}",
                row.layer_file_bytes
            );
        }
    }
    Ok(())
}

/// Manifest, config and distinct layers, as skopeo sees the image.
fn skopeo(bench: &Bench, reference: &str) -> Result<u64> {
    let mut command = bench.subject.command("skopeo");
    command
        .args(["inspect", "--raw", "--tls-verify=false"])
        .arg(format!("docker://{reference}"));
    // Straight from the pipe: its digest covers a last newline as well.
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "skopeo: {said}");
    let manifest: Value = serde_json::from_slice(&output.stdout)?;
    let layers = manifest["layers"].as_array().context("layers")?;
    let blobs: BTreeSet<(&str, u64)> = layers
        .iter()
        .chain([&manifest["config"]])
        .filter_map(|blob| Some((blob["digest"].as_str()?, blob["size"].as_u64()?)))
        .collect();
    let blobs: u64 = blobs.iter().map(|(_, bytes)| bytes).sum();
    Ok(output.stdout.len() as u64 + blobs)
}

pub fn no_trace_of_the_hosts_cas() -> Result<()> {
    let sandbox = &chain()?.sandbox;
    // The paths as a build sees them, and what the host alone can have given.
    let mut needles = vec![b"dev/ca.pem".to_vec(), b"run/host-ca.pem".to_vec()];
    needles.extend(local_certificates()?);
    let mut seen = BTreeSet::new();
    for row in sandbox.sizes()?.rows() {
        let layout = Layout::open(&sandbox.project()?.image(&row.suite, &row.variant))?;
        let name = format!("{}/{}", row.suite, row.variant);
        let config = String::from_utf8_lossy(layout.config_bytes());
        for word in [
            "ca.pem",
            "CARGO_HTTP_CAINFO",
            "NODE_EXTRA_CA_CERTS",
            "PIP_CERT",
        ] {
            ensure!(!config.contains(word), "{name}: {word} in {config}");
        }
        for layer in layout.layers() {
            if seen.insert(layer.digest.clone()) {
                let found = first_found(&layout, layer, &needles)?;
                ensure!(found.is_none(), "{name}: {} holds {found:?}", layer.digest);
            }
        }
    }
    Ok(())
}

/// A line from the middle of each certificate that this host has of its own.
fn local_certificates() -> Result<Vec<Vec<u8>>> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(Path::new(LOCAL_CAS)).into_iter().flatten() {
        let path = entry?.path();
        if path.is_file() {
            let text = fs::read_to_string(&path)?;
            lines.extend(text.lines().nth(5).map(|line| line.as_bytes().to_vec()));
        }
    }
    Ok(lines)
}

/// The first of `needles` that the unpacked layer holds anywhere.
fn first_found(layout: &Layout, layer: &Layer, needles: &[Vec<u8>]) -> Result<Option<String>> {
    let finders: Vec<_> = needles.iter().map(memmem::Finder::new).collect();
    let overlap = needles.iter().map(Vec::len).max().unwrap_or(1) - 1;
    let mut stream = LayerStream::of(layout, layer)?;
    let mut window = Vec::new();
    loop {
        let kept = window.len().min(overlap);
        window.drain(..window.len() - kept);
        let read = stream
            .by_ref()
            .take(CHUNK_BYTES as u64)
            .read_to_end(&mut window)?;
        if read == 0 {
            stream.verify(layer)?;
            return Ok(None);
        }
        let found = finders.iter().find(|it| it.find(&window).is_some());
        if let Some(finder) = found {
            return Ok(Some(String::from_utf8_lossy(finder.needle()).into_owned()));
        }
    }
}

pub fn one_binary_everywhere() -> Result<()> {
    let sizes = chain()?.sandbox.sizes()?;
    let same = |what: &str, is_one: &dyn Fn(&SizeRow) -> bool, count: usize| -> Result<()> {
        let rows: Vec<_> = sizes.rows().filter(|row| is_one(row)).collect();
        let binaries: BTreeSet<_> = rows.iter().map(|row| &row.app_sha256).collect();
        ensure!(
            rows.len() == count && binaries.len() == 1 && rows[0].app_sha256.is_some(),
            "{what}: {binaries:?} in {} variants",
            rows.len()
        );
        Ok(())
    };
    let is_static = |row: &SizeRow| {
        let shipped = ["distroless-static", "scratch", "alpine"];
        row.suite == "axum" && shipped.contains(&row.variant.as_str())
    };
    same("axum's static binary", &is_static, 3)?;
    same("gin's binary", &|row| row.suite == "gin", 6)
}
