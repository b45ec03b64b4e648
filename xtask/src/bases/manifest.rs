//! `experiments/bases.toml` and the recipe folders, as checked values.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    digest::Digest,
    dockerfile::{Dockerfile, ImageName, Reference},
    manifest::{self, At, Section, nearest},
    problem::{Problem, shown},
    project::Project,
    suite::{Context, Ignore},
};

/// One `[[base]]`: an image that Dockerfiles may name, and the ways to get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    pub name: ImageName,
    /// The reference as bases.toml has it.
    pub written: String,
    /// Its line in bases.toml.
    pub line: usize,
    /// How to rebuild it.
    pub recipe: Option<Recipe>,
    /// How to make something that takes its place, and is labelled so.
    pub stand_in: Option<Recipe>,
    pub archive: Option<Archive>,
    /// What its publisher's image weighs, and where that was read.
    pub published_transfer_bytes: Option<u64>,
    pub published_unpacked_bytes: Option<u64>,
    pub published_source: Option<String>,
    pub note: Option<String>,
}

/// A folder under experiments/bases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    pub name: String,
    /// Absolute.
    pub folder: PathBuf,
    pub script: Script,
    pub config: Config,
    /// The identity of the folder's files: the lock's `recipe_id`.
    pub id: Digest,
}

/// What a recipe runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    /// Run as root inside the lab's root; a tar of the root file system comes
    /// out on stdout.
    Rootfs(PathBuf),
    /// Built by BuildKit, on other bases.
    Dockerfile { path: PathBuf, images: Dockerfile },
}

/// `config.toml`: the image configuration of a `rootfs.sh`, which cannot give one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `NAME=value`, in order.
    pub env: Vec<String>,
    pub cmd: Vec<String>,
    pub entrypoint: Vec<String>,
    pub user: Option<String>,
    pub working_dir: Option<String>,
}

/// A file that holds the base, and how to know that it is the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    pub file: String,
    pub url: String,
    pub sha256: Digest,
}

impl Base {
    pub fn recipes(&self) -> impl Iterator<Item = &Recipe> {
        self.recipe.iter().chain(&self.stand_in)
    }
}

impl Recipe {
    /// The images that the recipe itself stands on.
    pub fn references(&self) -> &[Reference] {
        match &self.script {
            Script::Rootfs(_) => &[],
            Script::Dockerfile { images, .. } => &images.references,
        }
    }
}

/// The bases, unless the file is no TOML, and every problem. An absent file
/// holds no base.
pub(super) fn read(project: &Project, platform: &str) -> (Option<Vec<Base>>, Vec<Problem>) {
    let file = project.experiments().join("bases.toml");
    let shown_file = shown(&file, project.root());
    let text = match fs::read_to_string(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return (None, vec![unreadable(shown_file, &error)]),
        Ok(text) => text,
    };
    let recipes = Recipes {
        root: project.root(),
        folder: project.experiments().join("bases"),
        platform,
    };
    let mut elsewhere = Vec::new();
    let (bases, mut found) = manifest::read(shown_file, &text, |top| {
        let read = top.sections("base", |section| base(section, &recipes));
        let mut bases: Vec<Base> = Vec::new();
        for (base, problems) in read.into_iter().map(|read| read.value) {
            elsewhere.extend(problems);
            let Some(base) = base else { continue };
            match bases.iter().find(|other| other.name == base.name) {
                None => bases.push(base),
                Some(first) => top.problem(
                    base.line,
                    format!("`{}` stands on line {} already", base.written, first.line),
                    "remove one of the two",
                ),
            }
        }
        bases
    });
    found.append(&mut elsewhere);
    (bases, found)
}

/// One base as far as it is right, and the problems in its recipes' files.
fn base(section: &Section<'_>, recipes: &Recipes<'_>) -> (Option<Base>, Vec<Problem>) {
    let mut elsewhere = Vec::new();
    let reference = section.required_text("reference", "\"golang:1.23\"");
    let mut recipe = |key| {
        let name = section.text(key)?;
        recipes.read(section, key, &name, &mut elsewhere)
    };
    let (recipe, stand_in) = (recipe("recipe"), recipe("stand_in"));
    let archive = section.section("archive", archive).and_then(|a| a.value);
    let bytes = |key| section.number(key, 1..u64::MAX);
    let transfer = bytes("published_transfer_bytes");
    let unpacked = bytes("published_unpacked_bytes");
    let source = section.text("published_source");
    if let (Some(figure), None) = (transfer.as_ref().or(unpacked.as_ref()), &source) {
        section.problem(
            figure.line,
            "a published figure needs its source",
            "add `published_source = \"where and when it was read\"`",
        );
    }
    let note = section.text("note");
    let base = reference.and_then(|reference| {
        Some(Base {
            name: name(section, &reference)?,
            written: reference.value,
            line: reference.line,
            recipe,
            stand_in,
            archive,
            published_transfer_bytes: transfer.map(|bytes| bytes.value),
            published_unpacked_bytes: unpacked.map(|bytes| bytes.value),
            published_source: source.map(|source| source.value),
            note: note.map(|note| note.value),
        })
    });
    (base, elsewhere)
}

fn name(section: &Section<'_>, reference: &At<String>) -> Option<ImageName> {
    if reference.value == "scratch" {
        section.problem(
            reference.line,
            "`scratch` is no image: nothing has to be provided for it",
            "remove this [[base]]",
        );
        return None;
    }
    reference
        .value
        .parse()
        .map_err(|what: String| {
            section.problem(
                reference.line,
                what,
                "write it as a Dockerfile has it, for example `golang:1.23`",
            );
        })
        .ok()
}

fn archive(section: &Section<'_>) -> Option<Archive> {
    let file = section.required_text("file", "\"alpine.tar.gz\"");
    let url = section.required_text("url", "\"https://…\"");
    let sha256 = section.required_text("sha256", "\"<64 hex digits>\"");
    let sha256 = sha256.and_then(|written| {
        let digest = format!("sha256:{}", written.value).parse();
        if digest.is_err() {
            section.problem(
                written.line,
                "[base.archive] `sha256` is not 64 lowercase hex digits",
                "take what `sha256sum FILE` prints",
            );
        }
        digest.ok()
    });
    Some(Archive {
        file: file?.value,
        url: url?.value,
        sha256: sha256?,
    })
}

struct Recipes<'a> {
    root: &'a Path,
    folder: PathBuf,
    platform: &'a str,
}

impl Recipes<'_> {
    fn read(
        &self,
        section: &Section<'_>,
        key: &str,
        name: &At<String>,
        elsewhere: &mut Vec<Problem>,
    ) -> Option<Recipe> {
        let folder = self.folder.join(&name.value);
        if name.value.is_empty() || name.value.contains('/') || !folder.is_dir() {
            self.no_folder(section, key, name);
            return None;
        }
        let rootfs = folder.join("rootfs.sh");
        let dockerfile = folder.join("Dockerfile");
        let script = match (rootfs.is_file(), dockerfile.is_file()) {
            (true, false) => Script::Rootfs(rootfs),
            (false, true) => Script::Dockerfile {
                images: self.dockerfile(&dockerfile, elsewhere)?,
                path: dockerfile,
            },
            (both, _) => {
                let what = match both {
                    true => "both rootfs.sh and Dockerfile",
                    false => "neither rootfs.sh nor Dockerfile",
                };
                section.problem(
                    name.line,
                    format!("experiments/bases/{} holds {what}", name.value),
                    "leave exactly one of the two in the folder",
                );
                return None;
            }
        };
        let config = self.config(&folder, &script, elsewhere)?;
        let id = Context::read(&folder, &Ignore::default()).and_then(|context| context.id());
        let id = id.map_err(|error| {
            elsewhere.push(unreadable(shown(&folder, self.root), &format!("{error:#}")));
        });
        Some(Recipe {
            name: name.value.clone(),
            folder,
            script,
            config,
            id: id.ok()?,
        })
    }

    fn no_folder(&self, section: &Section<'_>, key: &str, name: &At<String>) {
        let known: Vec<String> = fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .filter_map(|item| item.ok()?.file_name().into_string().ok())
            .collect();
        let mend = match nearest(&name.value, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{key} = \"{near}\"`?"),
            None => "create the folder with a rootfs.sh or a Dockerfile, or remove the line".into(),
        };
        section.problem(
            name.line,
            format!("there is no folder experiments/bases/{}", name.value),
            mend,
        );
    }

    fn dockerfile(&self, file: &Path, elsewhere: &mut Vec<Problem>) -> Option<Dockerfile> {
        let shown_file = shown(file, self.root);
        match fs::read_to_string(file) {
            Ok(text) => Dockerfile::read(&shown_file, &text, self.platform)
                .map_err(|found| elsewhere.extend(found))
                .ok(),
            Err(error) => {
                elsewhere.push(unreadable(shown_file, &error));
                None
            }
        }
    }

    fn config(
        &self,
        folder: &Path,
        script: &Script,
        elsewhere: &mut Vec<Problem>,
    ) -> Option<Config> {
        let file = folder.join("config.toml");
        if !file.exists() {
            return Some(Config::default());
        }
        let shown_file = shown(&file, self.root);
        if matches!(script, Script::Dockerfile { .. }) {
            elsewhere.push(Problem {
                file: shown_file,
                line: 0,
                what: "a Dockerfile says its own configuration".to_owned(),
                mend: "move it there (ENV, CMD, ENTRYPOINT, USER, WORKDIR) and remove this file"
                    .to_owned(),
            });
            return None;
        }
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) => {
                elsewhere.push(unreadable(shown_file, &error));
                return None;
            }
        };
        let (config, found) = manifest::read(shown_file, &text, config);
        elsewhere.extend(found);
        config
    }
}

fn config(top: &Section<'_>) -> Config {
    let texts = |key| top.texts(key).into_iter().map(|text| text.value).collect();
    let text = |key| top.text(key).map(|text| text.value);
    let env = top.texts("env");
    for variable in &env {
        if !matches!(variable.value.find('='), Some(1..)) {
            top.problem(
                variable.line,
                format!("`{}` in `env` is not NAME=value", variable.value),
                "write for example `env = [\"PATH=/usr/local/bin:/usr/bin:/bin\"]`",
            );
        }
    }
    Config {
        env: env.into_iter().map(|variable| variable.value).collect(),
        cmd: texts("cmd"),
        entrypoint: texts("entrypoint"),
        user: text("user"),
        working_dir: text("working_dir"),
    }
}

fn unreadable(file: PathBuf, error: &impl ToString) -> Problem {
    Problem {
        file,
        line: 0,
        what: format!("cannot be read: {}", error.to_string()),
        mend: "make it a UTF-8 text file that you may read".to_owned(),
    }
}
