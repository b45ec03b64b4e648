//! One suite.toml, its folders and Dockerfiles, checked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::{
    Budget, Context, DEFAULT_PORT, DEFAULT_STATUS, Ignore, MANIFEST, NAME_RULE, Probe, Suite,
    Variant, budget::budget, dockerfile_folders, ignore_file, is_name,
};
use crate::{
    digest::Digest,
    dockerfile::Dockerfile,
    manifest::{self, At, Section, nearest},
    problem::{Problem, Problems, shown},
    project::Project,
};

/// The suite, where enough of it is right to make one, and all its problems.
pub(super) fn suite(
    project: &Project,
    name: &str,
    platform: &str,
) -> (Option<Suite>, Vec<Problem>) {
    let mut reader = Reader {
        root: project.root(),
        name,
        folder: project.experiments().join(name),
        platform,
        elsewhere: Vec::new(),
    };
    let file = reader.folder.join(MANIFEST);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) => {
            let none = reader.unreadable(&file, &error);
            return (none, reader.elsewhere);
        }
    };
    let shown_file = shown(&file, project.root());
    let (suite, mut found) = manifest::read(shown_file, &text, |top| reader.suite(top));
    found.append(&mut reader.elsewhere);
    (suite.flatten(), found)
}

/// What each variant may weigh at most, as `text`, a suite.toml, says. The
/// suite's own budget holds where a variant's names no other number.
///
/// # Errors
/// [`Problems`] with everything that is wrong with the text.
pub fn budgets(file: PathBuf, text: &str) -> Result<BTreeMap<String, Budget>, Problems> {
    let (written, found) = manifest::read(file, text, written);
    Problems::none_or(found)?;
    Ok(written.map(Written::budgets).unwrap_or_default())
}

struct Reader<'a> {
    root: &'a Path,
    name: &'a str,
    folder: PathBuf,
    platform: &'a str,
    /// Problems in other files than suite.toml.
    elsewhere: Vec<Problem>,
}

/// A suite.toml as it is written: all that can be said of it without a look at
/// its folders.
struct Written {
    title: Option<At<String>>,
    context: Option<At<String>>,
    port: Option<At<u64>>,
    probe: Option<Probe>,
    budget: Budget,
    variants: Vec<At<Declared>>,
}

/// A `[[variant]]` as it is written.
struct Declared {
    name: Option<At<String>>,
    reason: Option<At<String>>,
    article_bytes: Option<u64>,
    budget: Budget,
}

impl Written {
    fn budgets(self) -> BTreeMap<String, Budget> {
        let Self {
            budget, variants, ..
        } = self;
        let of_variant = |variant: At<Declared>| {
            let mut own = budget.clone();
            own.extend(variant.value.budget);
            Some((variant.value.name?.value, own))
        };
        variants.into_iter().filter_map(of_variant).collect()
    }
}

impl Reader<'_> {
    fn suite(&mut self, top: &Section<'_>) -> Option<Suite> {
        if !is_name(self.name) {
            top.problem(
                0,
                format!("`{}` is no name for a suite", self.name),
                format!("rename the folder: {NAME_RULE}"),
            );
        }
        let written = written(top);
        let context = written.context.and_then(|it| self.context(top, &it));
        let variants = self.variants(top, written.variants, context.as_deref());
        Some(Suite {
            name: self.name.to_owned(),
            title: written.title?.value,
            context: context?,
            port: written.port.map_or(DEFAULT_PORT, |port| small(port.value)),
            probe: written.probe?,
            variants,
        })
    }

    fn context(&self, top: &Section<'_>, written: &At<String>) -> Option<PathBuf> {
        let wrong = |what: &str, mend: &str| {
            let what = format!("context `{}` {what}", written.value);
            top.problem(written.line, what, mend);
        };
        if Path::new(&written.value).is_absolute() {
            wrong(
                "is an absolute path",
                "write it relative to the suite's folder, as in `context = \"src\"`",
            );
            return None;
        }
        let path = match self.folder.join(&written.value).canonicalize() {
            Ok(path) if path.is_dir() => path,
            _ => {
                wrong(
                    "is no folder",
                    "create the folder and move the service's files there, or correct `context`",
                );
                return None;
            }
        };
        if !path.starts_with(self.root) {
            wrong(
                "lies outside the project",
                "move it into the project: what is built must be part of the checkout",
            );
        } else if self.folder.starts_with(&path) {
            wrong(
                "holds suite.toml and the Dockerfiles, so that adding a variant would move every \
                 image",
                "move the service's files to a folder of their own, as in `context = \"src\"`",
            );
        } else {
            return Some(path);
        }
        None
    }

    fn variants(
        &mut self,
        top: &Section<'_>,
        declared: Vec<At<Declared>>,
        context: Option<&Path>,
    ) -> Vec<Variant> {
        let mut present = dockerfile_folders(&self.folder).unwrap_or_default();
        present.retain(|name| Some(self.folder.join(name).as_path()) != context);
        let known: Vec<String> = declared
            .iter()
            .filter_map(|variant| Some(variant.value.name.as_ref()?.value.clone()))
            .collect();
        present.retain(|name| !known.contains(name));
        if declared.is_empty() {
            top.problem(
                0,
                "no variant is declared",
                format!("`cargo xtask new {}/NAME` makes one", self.name),
            );
        }
        let mut variants = Vec::new();
        let mut seen = BTreeSet::new();
        for variant in declared {
            let Some(name) = &variant.value.name else {
                continue;
            };
            if !seen.insert(name.value.clone()) {
                top.problem(
                    name.line,
                    format!("variant `{}` is declared twice", name.value),
                    "give it another name, or remove one of the two",
                );
            } else if self.check_folder(top, name, &present, context) {
                variants.extend(self.variant(variant.value, context));
            }
        }
        for name in &present {
            self.undeclared(name);
        }
        variants
    }

    /// Whether the variant's Dockerfile is where it must be.
    fn check_folder(
        &self,
        top: &Section<'_>,
        name: &At<String>,
        undeclared: &[String],
        context: Option<&Path>,
    ) -> bool {
        let folder = self.folder.join(&name.value);
        let path = format!("{}/{}", self.name, name.value);
        if !is_name(&name.value) {
            top.problem(
                name.line,
                format!("`{}` is no name for a variant", name.value),
                format!("use {NAME_RULE}, and the same for its folder"),
            );
        } else if context.is_some_and(|context| folder.starts_with(context)) {
            top.problem(
                name.line,
                format!("the Dockerfile of {path} lies in the build context"),
                "move it to a folder outside `context`, and name the variant like that folder",
            );
        } else if !folder.join("Dockerfile").is_file() {
            let mend = match nearest(&name.value, undeclared.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`? else `cargo xtask new {path}`"),
                None => format!("`cargo xtask new {path}` makes it; else remove these lines"),
            };
            top.problem(
                name.line,
                format!("there is no experiments/{path}/Dockerfile"),
                mend,
            );
        } else {
            return true;
        }
        false
    }

    fn undeclared(&mut self, name: &str) {
        let file = self.folder.join(name).join("Dockerfile");
        let mend = if is_name(name) {
            format!(
                "`cargo xtask new {}/{name}` declares it; else remove the folder",
                self.name
            )
        } else {
            format!("rename the folder ({NAME_RULE}) and declare it, or remove it")
        };
        self.elsewhere.push(Problem {
            file: shown(&file, self.root),
            line: 0,
            what: format!(
                "no [[variant]] of experiments/{}/{MANIFEST} is called `{name}`",
                self.name
            ),
            mend,
        });
    }

    fn variant(&mut self, declared: Declared, context: Option<&Path>) -> Option<Variant> {
        let name = declared.name?.value;
        let dockerfile = self.folder.join(&name).join("Dockerfile");
        let text = match fs::read_to_string(&dockerfile) {
            Ok(text) => text,
            Err(error) => return self.unreadable(&dockerfile, &error),
        };
        let images = Dockerfile::read(&shown(&dockerfile, self.root), &text, self.platform)
            .map_err(|found| self.elsewhere.extend(found));
        let context_id = context.and_then(|context| self.context_id(context, &dockerfile));
        Some(Variant {
            name,
            reason: declared.reason?.value,
            article_bytes: declared.article_bytes,
            dockerfile_id: Digest::of(&text),
            context_id: context_id?,
            images: images.ok()?,
            dockerfile,
        })
    }

    fn context_id(&mut self, context: &Path, dockerfile: &Path) -> Option<Digest> {
        let (file, text) = match ignore_file(context, dockerfile) {
            Ok(found) => found,
            Err(error) => return self.unreadable(dockerfile, &error),
        };
        let ignore = match Ignore::parse(&text) {
            Ok(ignore) => ignore,
            Err((line, what)) => {
                return self.problem_elsewhere(Problem {
                    file: shown(&file, self.root),
                    line,
                    what,
                    mend: "correct the pattern; the rules: \
                           https://docs.docker.com/build/concepts/context/#dockerignore-files"
                        .to_owned(),
                });
            }
        };
        match Context::read(context, &ignore).and_then(|context| context.id()) {
            Ok(id) => Some(id),
            Err(error) => self.problem_elsewhere(Problem {
                file: shown(context, self.root),
                line: 0,
                what: format!("{error:#}"),
                mend: "remove it, mend its permissions, or name it in .dockerignore".to_owned(),
            }),
        }
    }

    /// Several variants may share one ignore file and one context; a problem
    /// there is said once.
    fn problem_elsewhere<T>(&mut self, problem: Problem) -> Option<T> {
        if !self.elsewhere.contains(&problem) {
            self.elsewhere.push(problem);
        }
        None
    }

    fn unreadable<T>(&mut self, file: &Path, error: &std::io::Error) -> Option<T> {
        self.problem_elsewhere(Problem {
            file: shown(file, self.root),
            line: 0,
            what: format!("cannot be read: {error}"),
            mend: "make it a UTF-8 text file that you may read".to_owned(),
        })
    }
}

fn written(top: &Section<'_>) -> Written {
    let title = top.required_text("title", "\"Go, Gin\"");
    let context = top.required_text("context", "\"src\"");
    let port = top.number("port", 1..65_536);
    let probe = top.section("probe", probe);
    if !top.has("probe") {
        top.problem(
            0,
            "`[probe]` is missing",
            "add `[probe]` and below it `body = \"…\"`: what the service answers",
        );
    }
    Written {
        title,
        context,
        port,
        probe: probe.and_then(|probe| probe.value),
        budget: own_budget(top),
        variants: top.sections("variant", declared),
    }
}

fn own_budget(section: &Section<'_>) -> Budget {
    section
        .section("budget", budget)
        .map(|budget| budget.value)
        .unwrap_or_default()
}

fn probe(probe: &Section<'_>) -> Option<Probe> {
    let path = probe.text("path");
    if let Some(path) = path.as_ref().filter(|path| !path.value.starts_with('/')) {
        probe.problem(
            path.line,
            format!("[probe] `path` is `{}`, not a path", path.value),
            format!("write `path = \"/{}\"`", path.value),
        );
    }
    let status = probe.number("status", 100..600);
    let body = probe.required_text("body", "'{\"message\":\"hello\"}'");
    Some(Probe {
        path: path.map_or_else(|| "/".to_owned(), |path| path.value),
        status: status.map_or(DEFAULT_STATUS, |status| small(status.value)),
        body: body?.value,
    })
}

fn declared(variant: &Section<'_>) -> Declared {
    Declared {
        name: variant.required_text("name", "\"alpine\""),
        reason: variant.required_text("reason", "\"why this variant exists\""),
        article_bytes: variant
            .number("article_bytes", 1..u64::MAX)
            .map(|bytes| bytes.value),
        budget: own_budget(variant),
    }
}

/// A number whose range was checked when it was read.
fn small(number: u64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
