//! The control cell: a container that does nothing but answer, started in every
//! block of every session. Its image never changes with a suite, so what moves
//! in its times is the engine and the machine.

use anyhow::Result;

use super::probe::ProbeSpec;
use crate::{
    bases::toolchain,
    digest::Digest,
    image::{
        Layout, LayoutWriter, Platform,
        assemble::{ImageConfig, image_from_layers},
    },
    normalise::layer_from_tar,
    project::Project,
    static_program,
};

const SOURCES: [(&str, &str); 1] = [("server.rs", include_str!("control/server.rs"))];
const PROGRAM: &str = "control";

/// How its readiness is told.
pub fn probe() -> ProbeSpec {
    ProbeSpec {
        port: 8080,
        path: "/".to_owned(),
        status: 200,
        body: b"control".to_vec(),
    }
}

/// The image, made once per toolchain: the one static program and nothing else.
///
/// # Errors
/// When rustc is missing or cannot link statically: its own words.
pub fn image(project: &Project, platform: &Platform) -> Result<Layout> {
    let compiler = toolchain::identity()?;
    let [(_, source)] = SOURCES;
    let key = Digest::of(format!("{source}\n{}\n{platform}", compiler.version)).short();
    let folder = project.lab().join("control").join(key);
    if folder.join("index.json").is_file() {
        return Layout::open(&folder);
    }
    let writer = LayoutWriter::create(&folder)?;
    let program = static_program::compile(&project.lab().join("control"), &SOURCES)?;
    let layer = layer_from_tar(&writer, &*tar_of(&program)?)?.layer;
    let config = ImageConfig {
        cmd: vec![format!("/{PROGRAM}")],
        ..ImageConfig::bare(platform.clone())
    };
    image_from_layers(
        writer,
        &[(layer, "the control program".to_owned())],
        &config,
    )
}

fn tar_of(program: &[u8]) -> Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_size(program.len() as u64);
    header.set_mode(0o755);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, PROGRAM, program)?;
    Ok(archive.into_inner()?)
}
