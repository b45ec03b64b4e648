//! `experiments/bases.lock`: per base and platform, where it comes from and what
//! it is. xtask writes it; a reviewer reads its diff.

use std::{fmt, fmt::Write as _, fs, path::PathBuf, str::FromStr};

use anyhow::{Context as _, Result};
use toml::Value;

use super::Bases;
use crate::{
    digest::Digest,
    dockerfile::ImageName,
    files::write_atomic,
    manifest::{self, Section},
    problem::{Problem, Problems, shown},
    project::Project,
};

const HEADER: &str = "\
# Written by `cargo xtask bases update`; edit bases.toml instead.
# Per base and platform: where it comes from, and its identity.
";

/// All entries, sorted by reference and platform.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    entries: Vec<Entry>,
}

/// One base on one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: ImageName,
    /// `linux/amd64`
    pub platform: String,
    /// The manifest's digest; none where nobody could resolve it.
    pub digest: Option<Digest>,
    pub origin: Origin,
}

/// Where a base comes from, with what makes its identity there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The registry that the reference names, by the entry's digest.
    Upstream,
    Archive {
        file: String,
        sha256: Digest,
        /// What takes its place where the archive is not at hand; without it,
        /// that is an error.
        otherwise: Option<Rebuild>,
    },
    Rebuilt(Rebuild),
    StandIn(Rebuild),
}

/// What a recipe made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuild {
    /// [`Recipe::id`](super::Recipe::id), shortened.
    pub recipe_id: String,
    pub packages: Vec<Package>,
    /// Compilers and the like that are no packages.
    pub toolchain: Vec<Package>,
}

/// A name and a version, written `openssl 3.0.17-1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    pub name: String,
    pub version: String,
}

impl Entry {
    /// The column `base_source`.
    pub fn source(&self) -> &'static str {
        match self.origin {
            Origin::Upstream => "upstream",
            Origin::Archive { .. } => "archive",
            Origin::Rebuilt(_) => "rebuilt",
            Origin::StandIn(_) => STAND_IN,
        }
    }

    /// The column `base_id`: 12 hex digits; none for an upstream base that
    /// nobody could resolve.
    pub fn id(&self) -> Option<String> {
        match &self.origin {
            Origin::Upstream => self.digest.as_ref().map(Digest::short),
            Origin::Archive { sha256, .. } => Some(sha256.short()),
            Origin::Rebuilt(rebuild) | Origin::StandIn(rebuild) => Some(rebuild.id()),
        }
    }

    /// What the lock allows in the place of an archive that is not at hand.
    pub fn otherwise(&self) -> Option<Self> {
        match &self.origin {
            Origin::Archive { otherwise, .. } => Some(Self {
                digest: None,
                origin: Origin::StandIn(otherwise.clone()?),
                ..self.clone()
            }),
            _ => None,
        }
    }

    /// What the recipe made, or would make in the archive's place.
    pub fn rebuild(&self) -> Option<&Rebuild> {
        match &self.origin {
            Origin::Upstream => None,
            Origin::Archive { otherwise, .. } => otherwise.as_ref(),
            Origin::Rebuilt(rebuild) | Origin::StandIn(rebuild) => Some(rebuild),
        }
    }

    fn rebuild_mut(&mut self) -> Option<&mut Rebuild> {
        match &mut self.origin {
            Origin::Upstream => None,
            Origin::Archive { otherwise, .. } => otherwise.as_mut(),
            Origin::Rebuilt(rebuild) | Origin::StandIn(rebuild) => Some(rebuild),
        }
    }
}

impl Rebuild {
    /// Equal for equal recipes and versions, on any machine.
    pub fn id(&self) -> String {
        let mut text = format!("recipe {}\n", self.recipe_id);
        for (kind, list) in [("package", &self.packages), ("toolchain", &self.toolchain)] {
            let mut list: Vec<_> = list.iter().collect();
            list.sort();
            for package in list {
                text.push_str(&format!("{kind} {package}\n"));
            }
        }
        Digest::of(text).short()
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

impl FromStr for Package {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(' ') {
            Some((name, version)) if !name.is_empty() && !version.is_empty() => Ok(Self {
                name: name.to_owned(),
                version: version.to_owned(),
            }),
            _ => Err(format!("`{text}` is not `name version`")),
        }
    }
}

impl Lock {
    /// Loads the lock; an absent one has no entries.
    ///
    /// # Errors
    /// [`Problems`] with the lines that are no lock.
    pub fn load(project: &Project) -> Result<Self> {
        let file = path(project);
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.with_context(|| format!("cannot read {}", file.display()))?,
        };
        Ok(Self::parse(shown(&file, project.root()), &text)?)
    }

    /// Reads `text` as the content of `file`.
    ///
    /// # Errors
    /// The lines that are no lock.
    pub fn parse(file: PathBuf, text: &str) -> Result<Self, Problems> {
        let (entries, mut found) = manifest::read(file, text, |top| {
            let mut lock = Self::default();
            for entry in top.sections("base", entry) {
                let Some(value) = entry.value else { continue };
                if lock.get(&value.name, &value.platform).is_some() {
                    let what = format!("{} {} stands here twice", value.name, value.platform);
                    top.problem(entry.line, what, "");
                }
                lock.set(value);
            }
            lock
        });
        for problem in &mut found {
            // Nobody should have to edit a generated file.
            problem.mend = "take the committed file (`git checkout experiments/bases.lock`), \
                            or remove it and write it anew: `cargo xtask bases update`"
                .to_owned();
        }
        Problems::none_or(found)?;
        Ok(entries.unwrap_or_default())
    }

    /// Writes the lock; what has not changed keeps its text.
    pub fn save(&self, project: &Project) -> Result<()> {
        write_atomic(&path(project), self.to_string())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub fn get(&self, name: &ImageName, platform: &str) -> Option<&Entry> {
        self.position(name, platform)
            .ok()
            .map(|index| &self.entries[index])
    }

    /// Puts `entry` in the place of the one for the same base and platform.
    pub fn set(&mut self, mut entry: Entry) {
        if let Some(rebuild) = entry.rebuild_mut() {
            rebuild.packages.sort();
            rebuild.toolchain.sort();
        }
        match self.position(&entry.name, &entry.platform) {
            Ok(index) => self.entries[index] = entry,
            Err(index) => self.entries.insert(index, entry),
        }
    }

    /// Drops the entries of bases that bases.toml does not have any more.
    pub fn retain_known(&mut self, bases: &Bases) {
        self.entries
            .retain(|entry| bases.get(&entry.name).is_some());
    }

    /// A problem for each wanted base that has no entry for `platform`.
    pub fn missing<'n>(
        &self,
        project: &Project,
        wanted: impl IntoIterator<Item = &'n ImageName>,
        platform: &str,
    ) -> Vec<Problem> {
        wanted
            .into_iter()
            .filter(|name| self.get(name, platform).is_none())
            .map(|name| Problem {
                file: shown(&path(project), project.root()),
                line: 0,
                what: format!("`{}` has no entry for {platform}", name.context_key()),
                mend: format!("`cargo xtask bases update {}`", name.context_key()),
            })
            .collect()
    }

    fn position(&self, name: &ImageName, platform: &str) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|entry| (&entry.name, entry.platform.as_str()).cmp(&(name, platform)))
    }
}

const STAND_IN: &str = "stand-in";

fn path(project: &Project) -> PathBuf {
    project.experiments().join("bases.lock")
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEADER)?;
        self.entries.iter().try_for_each(|entry| {
            f.write_str("\n[[base]]\n")?;
            write_entry(f, entry)
        })
    }
}

fn write_entry(f: &mut fmt::Formatter<'_>, entry: &Entry) -> fmt::Result {
    let mut text = |key: &str, value: &str| writeln!(f, "{key} = {}", Value::from(value));
    text("reference", &entry.name.context_key())?;
    text("platform", &entry.platform)?;
    text("source", entry.source())?;
    let digest = entry.digest.as_ref().map(Digest::to_string);
    text("digest", &digest.unwrap_or_default())?;
    if let Origin::Archive {
        file,
        sha256,
        otherwise,
    } = &entry.origin
    {
        text("file", file)?;
        text("sha256", &sha256.hex())?;
        if otherwise.is_some() {
            text("otherwise", STAND_IN)?;
        }
    }
    let Some(rebuild) = entry.rebuild() else {
        return Ok(());
    };
    text("recipe_id", &rebuild.recipe_id)?;
    write_list(f, "toolchain", &rebuild.toolchain)?;
    write_list(f, "packages", &rebuild.packages)
}

/// One line each, so that a diff names the package.
fn write_list(f: &mut fmt::Formatter<'_>, key: &str, list: &[Package]) -> fmt::Result {
    if list.is_empty() {
        return Ok(());
    }
    writeln!(f, "{key} = [")?;
    for package in list {
        writeln!(f, "    {},", Value::from(package.to_string()))?;
    }
    f.write_char(']')?;
    f.write_char('\n')
}

fn entry(section: &Section<'_>) -> Option<Entry> {
    let reference = section.required_text("reference", "");
    let platform = section.required_text("platform", "");
    let name = reference.and_then(|r| parsed(section, r.line, &r.value));
    let digest = section.text("digest").filter(|d| !d.value.is_empty());
    let digest = match digest {
        None => Some(None),
        Some(digest) => parsed(section, digest.line, &digest.value).map(Some),
    };
    let origin = origin(section);
    Some(Entry {
        name: name?,
        platform: platform?.value,
        digest: digest?,
        origin: origin?,
    })
}

fn origin(section: &Section<'_>) -> Option<Origin> {
    let source = section.required_text("source", "")?;
    match source.value.as_str() {
        "upstream" => Some(Origin::Upstream),
        "archive" => {
            let file = section.required_text("file", "");
            let sha256 = section.required_text("sha256", "");
            let sha256 =
                sha256.and_then(|s| parsed(section, s.line, &format!("sha256:{}", s.value)));
            let otherwise = match section.text("otherwise") {
                None => None,
                Some(word) if word.value == STAND_IN => Some(rebuild(section)?),
                Some(word) => {
                    let what = format!("`otherwise` is `{}`, not `{STAND_IN}`", word.value);
                    section.problem(word.line, what, "");
                    return None;
                }
            };
            Some(Origin::Archive {
                file: file?.value,
                sha256: sha256?,
                otherwise,
            })
        }
        "rebuilt" => rebuild(section).map(Origin::Rebuilt),
        STAND_IN => rebuild(section).map(Origin::StandIn),
        other => {
            let what =
                format!("`source` is `{other}`, not upstream, archive, rebuilt or {STAND_IN}");
            section.problem(source.line, what, "");
            None
        }
    }
}

fn rebuild(section: &Section<'_>) -> Option<Rebuild> {
    let recipe_id = section.required_text("recipe_id", "");
    let list = |key| -> Option<Vec<Package>> {
        let texts = section.texts(key);
        texts
            .iter()
            .map(|text| parsed(section, text.line, &text.value))
            .collect()
    };
    let (toolchain, packages) = (list("toolchain"), list("packages"));
    Some(Rebuild {
        recipe_id: recipe_id?.value,
        packages: packages?,
        toolchain: toolchain?,
    })
}

fn parsed<T: FromStr<Err: fmt::Display>>(
    section: &Section<'_>,
    line: usize,
    text: &str,
) -> Option<T> {
    text.parse()
        .map_err(|error: T::Err| section.problem(line, error.to_string(), ""))
        .ok()
}
