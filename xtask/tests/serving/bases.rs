//! `cargo xtask bases update --source upstream`, led to a registry that does what
//! a test tells it to: what moves is said, and where anything is wrong the lock
//! stays as it is, byte for byte.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use crate::support::{Asked, Reply, Scripted};
use serde_json::json;
use tempfile::TempDir;
use xtask::{digest::Digest, engine::Lock, project::Project};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const TAG: &str = "library/base:1";
const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "amd64"
};

/// How long a command is watched that must not go on.
const WATCHED_FOR: Duration = Duration::from_millis(300);

type Script = Box<dyn Fn(&Asked) -> Reply + Send>;

/// A project whose one base has a recipe and a registry of its own.
struct World {
    folder: TempDir,
    reference: String,
    script: Arc<Mutex<Script>>,
    /// Until it is taken, it answers what the script says.
    server: Option<Scripted>,
}

impl World {
    /// `name` is the base's, behind its registry's.
    fn new(name: &str) -> Self {
        let script: Script = Box::new(|_| Reply::new(404, ""));
        let script = Arc::new(Mutex::new(script));
        let told = Arc::clone(&script);
        let server = Scripted::start(move |asked| {
            let script = told.lock().unwrap_or_else(PoisonError::into_inner);
            script(asked)
        });
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            reference: format!("{}/{name}", server.address),
            script,
            server: Some(server),
        };
        let base = format!(
            "[[base]]\nreference = \"{}\"\nrecipe = \"small\"\n",
            world.reference
        );
        let recipe = world.path("experiments/bases/small");
        fs::create_dir_all(&recipe).unwrap();
        fs::write(recipe.join("rootfs.sh"), "#!/bin/sh\n").unwrap();
        fs::write(world.path("experiments/bases.toml"), base).unwrap();
        world
    }

    fn answers(&self, script: impl Fn(&Asked) -> Reply + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// Whatever is asked, the answer is a refusal.
    fn refuses(&self, status: u16) {
        self.answers(move |_| Reply::new(status, "").header("Retry-After", "42"));
    }

    fn serves(&self, image: &Image) {
        let image = image.clone();
        self.answers(move |asked| image.answer(asked));
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    fn lock(&self) -> String {
        fs::read_to_string(self.path("experiments/bases.lock")).unwrap()
    }

    /// As if a recipe had made the base.
    fn lock_as_rebuilt(&self) {
        let lock = format!(
            "[[base]]\nreference = \"{}\"\nplatform = \"linux/{ARCHITECTURE}\"\n\
             source = \"rebuilt\"\ndigest = \"\"\nrecipe_id = \"0123456789ab\"\n",
            self.reference
        );
        fs::write(self.path("experiments/bases.lock"), lock).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args(["bases", "update"])
            .args(words)
            .arg("--project")
            .arg(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn update(&self, words: &[&str]) -> Finished {
        Finished::from(self.command(words).output().unwrap())
    }

    fn take_upstream(&self) -> Finished {
        self.update(&[&self.reference, "--source", "upstream"])
    }

    /// The line about the one base.
    fn line(&self, moved: &str) -> String {
        format!("{} linux/{ARCHITECTURE}: {moved}\n", self.reference)
    }

    fn holds_the_lab(&self) -> Lock {
        let project = Project::at(self.folder.path()).unwrap();
        Lock::take(&project, false, |_| ()).unwrap()
    }
}

/// An image of this machine's platform, without layers.
#[derive(Clone)]
struct Image {
    config: Vec<u8>,
    manifest: Vec<u8>,
}

impl Image {
    fn new(author: &str) -> Self {
        let config = json!({
            "architecture": ARCHITECTURE,
            "os": "linux",
            "author": author,
            "rootfs": { "type": "layers", "diff_ids": [] },
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": Digest::of(&config),
                "size": config.len(),
            },
            "layers": [],
        });
        Self {
            config,
            manifest: manifest.to_string().into_bytes(),
        }
    }

    fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    fn answer(&self, asked: &Asked) -> Reply {
        let name = asked.path.rsplit('/').next().unwrap();
        if name == Digest::of(&self.config).to_string() {
            Reply::new(200, &*self.config)
        } else {
            Reply::new(200, &*self.manifest).header("Content-Type", MANIFEST)
        }
    }
}

#[derive(Debug)]
struct Finished {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Finished {
    #[track_caller]
    fn printed(&self, text: &str) {
        assert_eq!((self.code, &*self.stdout), (Some(0), text), "{self:?}");
    }

    /// It failed, said so with these words, and printed nothing else.
    #[track_caller]
    fn refused_with(&self, words: &[&str]) {
        assert_eq!((self.code, &*self.stdout), (Some(1), ""), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word}: {self:?}");
        }
    }
}

#[test]
fn an_update_moves_the_lock_and_says_what_moved() {
    let world = World::new(TAG);
    let (old, new) = (Image::new("one"), Image::new("another"));
    world.serves(&old);
    world
        .take_upstream()
        .printed(&world.line("added, upstream"));
    let locked = world.lock();
    let pinned = format!("source = \"upstream\"\ndigest = \"{}\"\n", old.digest());
    assert!(locked.contains(&pinned), "{locked}");

    world.take_upstream().printed("nothing moved\n");
    assert_eq!(world.lock(), locked);

    world.serves(&new);
    let (from, to) = (old.digest().short(), new.digest().short());
    // What is upstream stays it, recipe or not, and nobody needs an engine to ask.
    let moved = world.line(&format!("{from} -> {to}"));
    world.update(&[&world.reference]).printed(&moved);
    let expected = locked.replace(&old.digest().to_string(), &new.digest().to_string());
    assert_eq!(world.lock(), expected);
}

#[test]
fn a_rebuilt_base_becomes_upstreams() {
    let world = World::new(TAG);
    world.lock_as_rebuilt();
    let image = Image::new("one");
    world.serves(&image);
    world
        .take_upstream()
        .printed(&world.line("rebuilt -> upstream"));
    let locked = world.lock();
    assert!(locked.contains(&image.digest().to_string()), "{locked}");
    assert!(!locked.contains("recipe_id"), "{locked}");
}

#[test]
fn a_refusal_has_a_remedy_and_the_lock_stays() {
    let world = World::new(TAG);
    world.lock_as_rebuilt();
    let before = world.lock();
    for (status, what, mend) in [
        (401, "refuses access (401)", "mend: only public images"),
        (403, "refuses access (403)", "mend: only public images"),
        (404, "it is not there (404)", "mend: check the reference"),
        (
            429,
            "too many requests (429), Retry-After: 42",
            "mend: wait, then run the command again",
        ),
        (
            503,
            "the registry fails (503)",
            "mend: the registry is in trouble",
        ),
    ] {
        world.refuses(status);
        world
            .take_upstream()
            .refused_with(&[&world.reference, what, mend]);
        assert_eq!(world.lock(), before, "{status}");
    }
}

#[test]
fn a_digest_that_is_gone_is_said_and_the_lock_stays() {
    let gone = format!("library/base@{}", Image::new("gone").digest());
    let world = World::new(&gone);
    world.lock_as_rebuilt();
    let before = world.lock();
    world.take_upstream().refused_with(&[
        &world.reference,
        "it is not there (404)",
        "cargo xtask bases update NAME --source upstream",
    ]);
    assert_eq!(world.lock(), before);
}

#[test]
fn a_registry_out_of_reach_is_said_and_no_lock_is_written() {
    let mut world = World::new(TAG);
    drop(world.server.take());
    world.take_upstream().refused_with(&[
        &world.reference,
        "no answer",
        "mend: check the network and HTTPS_PROXY",
        "--source rebuilt",
    ]);
    assert!(!world.path("experiments/bases.lock").exists());
}

#[test]
fn a_broken_lock_is_mended_by_what_its_error_says() {
    let world = World::new(TAG);
    world.serves(&Image::new("one"));
    fs::write(world.path("experiments/bases.lock"), "[[base]\n").unwrap();
    world
        .take_upstream()
        .refused_with(&["experiments/bases.lock:1", "or remove it and write it anew"]);
    assert_eq!(world.lock(), "[[base]\n");
    fs::remove_file(world.path("experiments/bases.lock")).unwrap();
    world
        .take_upstream()
        .printed(&world.line("added, upstream"));
}

#[test]
fn a_second_command_says_who_holds_the_lab_and_waits() {
    let world = World::new(TAG);
    world.serves(&Image::new("one"));
    let held = world.holds_the_lab();
    let holder = format!("is in use by process {}: ", std::process::id());
    world
        .update(&["--source", "upstream", "--no-wait"])
        .refused_with(&[&holder, "try again when that has ended"]);

    let mut waiting = world.command(&["--source", "upstream"]);
    let mut waiting = waiting
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stderr = BufReader::new(waiting.stderr.take().unwrap());
    stderr.read_line(&mut said).unwrap();
    assert!(
        said.contains(&holder) && said.ends_with("waiting for it to end\n"),
        "{said}"
    );
    thread::sleep(WATCHED_FOR);
    assert_eq!(waiting.try_wait().unwrap(), None, "it does not wait");
    assert!(!world.path("experiments/bases.lock").exists());

    drop(held);
    let finished = Finished::from(waiting.wait_with_output().unwrap());
    finished.printed(&world.line("added, upstream"));
}
