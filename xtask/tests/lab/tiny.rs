//! A suite of one file: a service that needs no base and no network to build,
//! and whose way to readiness its Dockerfile chooses.

use std::{fs, path::PathBuf, process::Command, sync::OnceLock};

use anyhow::{Result, anyhow, ensure};

use crate::sandbox::{Sandbox, folder};

/// What `big` adds to an image, in bytes that no codec makes smaller.
pub const BIG_BYTES: usize = 64 << 20;

const SUITE: &str = r#"title = "One static file"
context = "src"
port = 8080

[probe]
path = "/"
status = 200
body = "hello"
"#;

/// A sandbox whose only suite is `tiny`, as yet without variants.
pub fn sandbox(name: &str) -> Result<Sandbox> {
    let sandbox = Sandbox::new(name)?;
    sandbox.write("experiments/bases.toml", "# The suite stands on nothing.\n")?;
    add_suite(&sandbox)?;
    Ok(sandbox)
}

/// Adds the suite to what is there.
pub fn add_suite(sandbox: &Sandbox) -> Result<()> {
    sandbox.write("experiments/tiny/suite.toml", SUITE)?;
    fs::create_dir_all(sandbox.path("experiments/tiny/src"))?;
    fs::copy(server()?, sandbox.path("experiments/tiny/src/server"))?;
    Ok(())
}

/// Declares a variant: its folder and three lines.
pub fn add(sandbox: &Sandbox, variant: &str, dockerfile: &str) -> Result<()> {
    let suite = "experiments/tiny/suite.toml";
    let lines = format!("\n[[variant]]\nname = \"{variant}\"\nreason = \"A test needs it.\"\n");
    sandbox.write(suite, sandbox.read(suite)? + &lines)?;
    set(sandbox, variant, dockerfile)
}

/// Changes a variant's Dockerfile.
pub fn set(sandbox: &Sandbox, variant: &str, dockerfile: &str) -> Result<()> {
    sandbox.write(
        &format!("experiments/tiny/{variant}/Dockerfile"),
        dockerfile,
    )
}

/// Puts the large file into the context.
pub fn add_big_file(sandbox: &Sandbox) -> Result<()> {
    sandbox.write("experiments/tiny/src/big", noise(BIG_BYTES))
}

/// A Dockerfile of the service, started with `options`.
pub fn dockerfile(options: &str) -> String {
    let words: String = options
        .split_whitespace()
        .map(|word| format!(", \"{word}\""))
        .collect();
    format!("FROM scratch\nCOPY server /\nCMD [\"/server\", \"8080\"{words}]\n")
}

/// One whose build writes the time of day into a file.
pub fn stamped_dockerfile() -> String {
    let plain = dockerfile("");
    let run = "RUN [\"/server\", \"0\", \"write_time=/stamp\"]";
    plain.replace("CMD", &format!("{run}\nCMD"))
}

/// One whose image does not fit into a small data root.
pub fn big_dockerfile() -> String {
    dockerfile("").replace("COPY server /", "COPY server big /")
}

/// The service, linked so that it needs nothing beside it.
fn server() -> Result<PathBuf> {
    static SERVER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let made = SERVER.get_or_init(|| compile().map_err(|error| format!("{error:#}")));
    made.clone().map_err(|error| anyhow!(error))
}

fn compile() -> Result<PathBuf> {
    let target = folder().join("server");
    fs::create_dir_all(folder())?;
    let compiler = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let output = Command::new(compiler)
        .args(["--edition=2024", "-Copt-level=2", "-Cstrip=symbols"])
        .args(["-Ctarget-feature=+crt-static", "-o"])
        .arg(&target)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/support/server.rs"
        ))
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "cannot compile the service:\n{said}"
    );
    Ok(target)
}

/// The same bytes each time (xorshift64), so that a cached image stays right.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..bytes / 8).flat_map(|_| next()).collect()
}
