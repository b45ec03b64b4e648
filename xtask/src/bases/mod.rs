//! What the `FROM` lines stand on: which bases are known (`manifest`, a person
//! writes it) and where each comes from (`lock`, xtask writes it).

mod add;
pub mod lock;
pub mod manifest;
mod moved;
pub mod provide;
#[cfg(test)]
mod tests;
pub mod toolchain;
pub mod upstream;

use std::collections::BTreeSet;

use anyhow::Result;

pub use add::add_base;
pub use lock::{Entry, Lock, Origin, Package, Rebuild};
pub use manifest::{Archive, Base, Config, Recipe, Script};
pub use moved::{diff, moves};

use crate::{
    dockerfile::{Dockerfile, ImageName, Reference},
    manifest::nearest,
    problem::{Problem, Problems, shown},
    project::Project,
    suite::{self, Selection, Suite},
};

/// Every base that a Dockerfile may name, in the order of bases.toml.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bases {
    list: Vec<Base>,
}

/// Loads everything that people write under experiments/ and checks it as a
/// whole: suites, bases, and that the one covers the other.
///
/// # Errors
/// [`Problems`] with everything there is to mend in all of them.
pub fn check(
    project: &Project,
    selection: &Selection,
    platform: &str,
) -> Result<(Vec<Suite>, Bases)> {
    let (suites, mut found) = suite::find(project, selection, platform)?;
    let (bases, problems) = Bases::find(project, platform);
    found.extend(problems);
    // Without a readable bases.toml every reference would seem to be missing.
    if let Some(bases) = &bases {
        found.extend(bases.uncovered(project, &suites, platform));
    }
    Problems::none_or(found)?;
    let suites = selection.keep(suites)?;
    Ok((suites, bases.unwrap_or_default()))
}

impl Bases {
    /// Loads bases.toml and the recipes; platforms are written `linux/amd64`.
    ///
    /// # Errors
    /// [`Problems`] with everything there is to mend.
    pub fn load(project: &Project, platform: &str) -> Result<Self> {
        let (bases, found) = Self::find(project, platform);
        Problems::none_or(found)?;
        Ok(bases.unwrap_or_default())
    }

    /// The bases, unless bases.toml is no TOML, and every problem.
    fn find(project: &Project, platform: &str) -> (Option<Self>, Vec<Problem>) {
        let (list, mut found) = manifest::read(project, platform);
        let Some(list) = list else {
            return (None, found);
        };
        let bases = Self { list };
        for base in &bases.list {
            for recipe in base.recipes() {
                if let Script::Dockerfile { path, images } = &recipe.script {
                    let file = shown(path, project.root());
                    found.extend(bases.unknown(&file, images, platform));
                }
            }
        }
        // A recipe may serve two bases; its problem is one.
        let mut seen = Vec::new();
        found.retain(|problem| {
            let new = !seen.contains(problem);
            seen.push(problem.clone());
            new
        });
        if found.is_empty() {
            found.extend(bases.cycle(project));
        }
        (Some(bases), found)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Base> {
        self.list.iter()
    }

    pub fn get(&self, name: &ImageName) -> Option<&Base> {
        self.list.iter().find(|base| base.name == *name)
    }

    /// The wanted bases and those that their recipes stand on, every base after
    /// the ones that it needs. `recipe_of` says by which recipe a base will be
    /// made; a base that comes ready-made needs no other.
    pub fn in_build_order<'b>(
        &'b self,
        wanted: impl IntoIterator<Item = &'b ImageName>,
        recipe_of: impl Fn(&Base) -> Option<&Recipe>,
    ) -> Vec<&'b Base> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for name in wanted {
            self.visit(name, &recipe_of, &mut seen, &mut order);
        }
        order
    }

    fn visit<'b>(
        &'b self,
        name: &ImageName,
        recipe_of: &impl Fn(&Base) -> Option<&Recipe>,
        seen: &mut BTreeSet<ImageName>,
        order: &mut Vec<&'b Base>,
    ) {
        let Some(base) = self.get(name).filter(|_| seen.insert(name.clone())) else {
            return;
        };
        for needed in recipe_of(base).iter().flat_map(|r| r.references()) {
            self.visit(&needed.name, recipe_of, seen, order);
        }
        order.push(base);
    }

    /// References of the suites that bases.toml does not cover.
    fn uncovered(&self, project: &Project, suites: &[Suite], platform: &str) -> Vec<Problem> {
        suites
            .iter()
            .flat_map(|suite| &suite.variants)
            .flat_map(|variant| {
                let file = shown(&variant.dockerfile, project.root());
                self.unknown(&file, &variant.images, platform)
            })
            .collect()
    }

    fn unknown(&self, file: &std::path::Path, images: &Dockerfile, platform: &str) -> Vec<Problem> {
        let problem = |reference: &Reference, what: String, mend: String| Problem {
            file: file.to_owned(),
            line: reference.line,
            what,
            mend,
        };
        let mut found = Vec::new();
        for reference in &images.references {
            let written = &reference.written;
            if self.get(&reference.name).is_none() && written != toolchain::CONTEXT {
                let add = format!("`cargo xtask bases add {written}`");
                let known = self.list.iter().map(|base| base.written.as_str());
                let mend = match nearest(written, known) {
                    Some(near) => format!("{add}, or use `{near}`, which is there"),
                    None => add,
                };
                let what = format!("`{written}` is not in experiments/bases.toml");
                found.push(problem(reference, what, mend));
            }
            if let Some(other) = reference.platform.as_deref().filter(|p| *p != platform) {
                found.push(problem(
                    reference,
                    format!("`--platform={other}`: bases are provided for {platform} here"),
                    "write `--platform=$BUILDPLATFORM`, or leave it out".to_owned(),
                ));
            }
        }
        found
    }

    /// A base that stands on itself could never be built.
    fn cycle(&self, project: &Project) -> Option<Problem> {
        self.list
            .iter()
            .find_map(|base| self.back_to(base, base, &mut vec![&base.name], project))
    }

    /// A way from `at` over recipes back to `start`, as a problem.
    fn back_to<'b>(
        &'b self,
        start: &Base,
        at: &'b Base,
        way: &mut Vec<&'b ImageName>,
        project: &Project,
    ) -> Option<Problem> {
        for recipe in at.recipes() {
            for needed in recipe.references() {
                if needed.name == start.name {
                    return Some(cycle_problem(recipe, needed, way, project));
                }
                let Some(next) = self.get(&needed.name) else {
                    continue;
                };
                if way.contains(&&next.name) {
                    continue;
                }
                way.push(&next.name);
                let found = self.back_to(start, next, way, project);
                if found.is_some() {
                    return found;
                }
                way.pop();
            }
        }
        None
    }
}

fn cycle_problem(
    recipe: &Recipe,
    reference: &Reference,
    way: &[&ImageName],
    project: &Project,
) -> Problem {
    let names: Vec<_> = way.iter().map(|name| name.context_key()).collect();
    let file = match &recipe.script {
        Script::Dockerfile { path, .. } | Script::Rootfs(path) => path,
    };
    Problem {
        file: shown(file, project.root()),
        line: reference.line,
        what: format!(
            "this base stands on itself: {} -> {}",
            names.join(" -> "),
            reference.written
        ),
        mend: "let one of these recipes start from another base, or from a rootfs.sh".to_owned(),
    }
}
