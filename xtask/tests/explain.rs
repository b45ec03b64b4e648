//! `cargo xtask explain` as a person types it, and what hostile images can do to
//! it: nothing but be refused, in bounded memory.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use assert_cmd::Command;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::digest::{Digest, Hasher};

/// Far above what any of these takes, and far below what a bomb wants.
const TIME_MAX: Duration = Duration::from_secs(120);

const ENTRIES: u64 = 1_000_000;

fn project() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let gin = folder.path().join("experiments/gin");
    fs::create_dir_all(gin.join("src")).unwrap();
    let suite = r#"
        title = "Go"
        context = "src"
        [probe]
        body = "x"
        [[variant]]
        name = "scratch"
        reason = "The smallest."
        [[variant]]
        name = "tiny"
        reason = "Another."
    "#;
    fs::write(gin.join("suite.toml"), suite).unwrap();
    for variant in ["scratch", "tiny"] {
        fs::create_dir(gin.join(variant)).unwrap();
        let dockerfile = "FROM scratch\nCOPY x /\n";
        fs::write(gin.join(variant).join("Dockerfile"), dockerfile).unwrap();
    }
    folder
}

/// Exit code and both outputs, in which the project's folder is PROJECT.
fn explain(project: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    explain_within(project, u64::MAX, words)
}

/// The same where the kernel gives the program no more than so much memory.
fn explain_within(project: &Path, memory_kb: u64, words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new("sh");
    let limit = match memory_kb {
        u64::MAX => "unlimited".to_owned(),
        kb => kb.to_string(),
    };
    let output = command
        .args(["-c", r#"ulimit -d "$1"; shift; exec "$@""#, "sh", &limit])
        .arg(env!("CARGO_BIN_EXE_xtask"))
        .arg("explain")
        .args(words)
        .arg("--project")
        .arg(project)
        .env_remove("COLUMNS")
        .timeout(TIME_MAX)
        .output()
        .unwrap();
    let root = project.canonicalize().unwrap();
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        text.replace(&*root.to_string_lossy(), "PROJECT")
            .replace(&*project.to_string_lossy(), "PROJECT")
    };
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// A layer that is written piece by piece, and packed on the way.
struct Layer {
    packed: GzEncoder<Vec<u8>>,
    hasher: Hasher,
}

impl Layer {
    fn new() -> Self {
        Self {
            packed: GzEncoder::new(Vec::new(), Compression::fast()),
            hasher: Hasher::new(),
        }
    }

    fn file(&mut self, path: &str, bytes: u64, contents: impl io::Read) {
        let mut header = tar::Header::new_ustar();
        header.set_path(path).unwrap();
        header.set_mode(0o755);
        header.set_size(bytes);
        header.set_cksum();
        self.write_all(header.as_bytes()).unwrap();
        io::copy(&mut contents.take(bytes), self).unwrap();
        let padding = bytes.next_multiple_of(512) - bytes;
        self.write_all(&vec![0; padding as usize]).unwrap();
    }

    /// The blob, and the digest of what was packed.
    fn finish(mut self) -> (Vec<u8>, Digest) {
        self.write_all(&[0; 1024]).unwrap();
        (self.packed.finish().unwrap(), self.hasher.finish())
    }
}

impl io::Write for Layer {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.hasher.update(buffer);
        self.packed.write_all(buffer)?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An archive of the older form, in which one layer is listed `times`.
fn archive(path: &Path, layer: Layer, times: usize) {
    let (blob, diff_id) = layer.finish();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/app"]},
        "history": [{"created_by": "COPY \u{1b}[31m app /"}],
        "rootfs": {"type": "layers", "diff_ids": vec![diff_id; times]},
    });
    let config = config.to_string();
    let name = format!("{}.json", Digest::of(&config).hex());
    let manifest = json!([{"Config": name, "Layers": vec!["layer.tar"; times]}]);
    let mut tar = tar::Builder::new(File::create(path).unwrap());
    for (name, contents) in [
        (&*name, config.as_bytes()),
        ("layer.tar", &blob),
        ("manifest.json", manifest.to_string().as_bytes()),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, contents).unwrap();
    }
    tar.into_inner().unwrap();
}

fn left_in_the_lab(project: &Path) -> usize {
    fs::read_dir(project.join("target/lab")).map_or(0, Iterator::count)
}

#[test]
fn the_help_says_what_may_be_named() {
    let project = project();
    let (_, help, _) = explain(project.path(), &["--help"]);
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let help = help.join("\n");
    insta::assert_snapshot!(help, @r#"
    Where an image's bytes are: layers, largest, wasted and duplicated files, what other bases save

    Of a variant that was built, or of any OCI layout or archive; no engine is needed. Every digest is
    checked and every file hashed on the way. Of a variant that results/ knows it also says what the
    same application weighs on other bases, and the phases of its start.

    Usage: cargo xtask explain [OPTIONS] <SUITE/VARIANT|PATH>

    Arguments:
      <SUITE/VARIANT|PATH>
              A variant, a folder that holds an OCI layout, or an image in one file

    Options:
          --json
              Write all of it as JSON

          --project <DIR>
              The workspace; by default the nearest folder upwards that holds experiments/

          --top <N>
              So many of the largest files, folders, wasted and duplicated files

              [default: 10]

          --platform <OS/ARCH>
              Which one of several images [default: the only one, or the one for this machine]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      cargo xtask explain gin/debian-slim               a variant that was built
      cargo xtask explain gin/debian-slim --json        for a program: docs/explain.schema.json
      docker save nginx -o nginx.tar; cargo xtask explain nginx.tar   any image

    A file may be an OCI layout in a tar archive or what docker save writes, packed or not. How to read
    it, and
    where other tools count otherwise: docs/EXPLAIN.md.
    "#);
}

#[test]
fn a_name_that_is_nothing_says_what_to_type() {
    let project = project();
    let said = |name: &str| explain(project.path(), &[name]).2;
    insta::assert_snapshot!(said("gin/scratch"), @"error: gin/scratch is not built yet; mend: cargo xtask build gin/scratch");
    insta::assert_snapshot!(said("gin"), @"error: `gin` is a suite; mend: name one of its variants: gin/scratch, gin/tiny");
    insta::assert_snapshot!(said("gin/scrath"), @"error: `gin/scrath` is no archive, no OCI layout and no variant: no variant of gin is called `scrath`; did you mean `scratch`? There are: scratch, tiny");
    insta::assert_snapshot!(said("images/nginx.tar"), @"error: `images/nginx.tar` is no archive, no OCI layout and no variant: no suite is called `images`; there are: gin");
    let folder = project.path().join("empty");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("index.json"), "{}").unwrap();
    let said = said(folder.to_str().unwrap());
    assert!(said.contains("missing PROJECT/empty/oci-layout"), "{said}");
}

#[test]
fn an_archive_is_told_to_people_and_to_programs() {
    let project = project();
    let file = project.path().join("image.tar");
    let mut layer = Layer::new();
    layer.file("app", 300_000, io::repeat(b'a'));
    layer.file("srv/one", 5, &b"12345"[..]);
    layer.file("srv/two", 5, &b"12345"[..]);
    archive(&file, layer, 1);
    let name = file.to_str().unwrap();
    let (code, text, errors) = explain(project.path(), &[name]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    insta::assert_snapshot!(text, @r#"
    PROJECT/image.tar
      platform     linux/amd64
      image ID     sha256:ccbab9fc85b988509083745d87a32c91bfd79b5e63412069f205670b09b712c8
      cmd          ["/app"]
      application  /app, 300,000 B, sha256 12e1b9b179b2

      unpacked bytes           303,616
      layer file bytes         300,010
      content bytes            300,010
      wasted bytes                   0
      files                          3

    Layers, lowest first
          of   transfer    unpacked   layer files   wasted   made by
    ───────────────────────────────────────────────────────────────────────────
      1                   303,616 B     300,010 B            COPY \u{1b}[31m app /

    Largest files
           size   layer   path
    ────────────────────────────────
      300,000 B       1   /app
            5 B       1   /srv/one
            5 B       1   /srv/two

    Largest folders
      size   files   path   from layers
    ─────────────────────────────────────
      10 B       2   /srv   1

    Stored more than once: 5 B that one copy of each would save
      size   copies   paths
    ────────────────────────────
       5 B        2   /srv/one
                      /srv/two

    note: the archive holds no manifest, so the image's digest and its transfer bytes are not known
    note: its base is none of those that results/ knows
    "#);

    let (code, text, _) = explain(project.path(), &[name, "--json", "--top", "1"]);
    assert_eq!(code, Some(0));
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found["schema"], 1);
    assert_eq!(found["totals"]["content_bytes"], 300_010);
    assert_eq!(found["totals"]["transfer_bytes"], Value::Null);
    assert_eq!(
        found["largest_files"],
        json!([{
            "path": "/app", "bytes": 300_000, "layer": 1, "names": 1,
        }])
    );
    assert_eq!(found["duplicates"]["bytes"], 5);
    assert_eq!(left_in_the_lab(project.path()), 0);
}

#[test]
fn a_gigabyte_of_zeros_takes_no_memory() {
    let project = project();
    let file = project.path().join("zeros.tar");
    let mut layer = Layer::new();
    layer.file("app", 1 << 30, io::repeat(0));
    archive(&file, layer, 1);
    assert!(file.metadata().unwrap().len() < 16 << 20);
    let words = [file.to_str().unwrap(), "--json"];
    let (code, text, errors) = explain_within(project.path(), 64 << 10, &words);
    assert_eq!(code, Some(0), "{errors}");
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found["totals"]["content_bytes"], 1_u64 << 30);
}

#[test]
fn a_million_entries_are_read_and_several_millions_refused() {
    let project = project();
    let file = project.path().join("entries.tar");
    let layer = || {
        let mut layer = Layer::new();
        for number in 0..ENTRIES {
            layer.file(&format!("{number}"), 0, io::empty());
        }
        layer
    };
    archive(&file, layer(), 1);
    let words = [file.to_str().unwrap(), "--json"];
    let (code, text, errors) = explain_within(project.path(), 768 << 10, &words);
    assert_eq!(code, Some(0), "{errors}");
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found["totals"]["files"], ENTRIES);

    archive(&file, layer(), 6);
    let (code, _, errors) = explain_within(project.path(), 1536 << 10, &words);
    assert_eq!(code, Some(1), "{errors}");
    assert!(
        errors.contains("names and attributes") && errors.contains("layer sha256:"),
        "{errors}"
    );
    assert_eq!(left_in_the_lab(project.path()), 0);
}
