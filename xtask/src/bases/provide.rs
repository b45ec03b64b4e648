//! From a lock entry to an OCI layout: mirrored, taken from an archive, or
//! rebuilt. A source that cannot be had is an error with its remedy; it never
//! becomes another one, except where the lock itself says so.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::{
    Base, Bases, Entry, Lock, Origin, Package, Rebuild, Recipe, Script,
    toolchain::{self, Toolchain},
    upstream,
};
use crate::{
    build::{self, Builder, Order},
    digest::Digest,
    dockerfile::ImageName,
    engine::Lab,
    files,
    image::{
        Layout, LayoutWriter, Platform,
        assemble::{ImageConfig, image_from_layers, layer_from_archive},
        packages::debian_packages,
    },
    normalise::{NORMALISER_ID, layer_from_tar},
    progress::Progress,
    project::Project,
};

/// A base in hand.
pub struct Provided {
    pub name: ImageName,
    pub layout: Layout,
    /// What the lock should say of it now.
    pub entry: Entry,
    /// What the row says; differs from the entry's where its fall-back was used.
    pub source: &'static str,
    pub id: String,
}

/// Where a base will come from.
#[derive(Clone, Debug)]
enum Source<'a> {
    Upstream(Digest),
    Archive { path: PathBuf, sha256: Digest },
    Recipe(&'a Recipe),
}

/// What lies beside a base's layout: of which inputs it was made, and what the
/// lock needs to know that the layout does not tell.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    key: String,
    recipe_id: String,
    packages: Vec<String>,
    toolchain: Vec<String>,
}

/// Provides bases, one after the other, each after those it stands on.
pub struct Provider<'a> {
    pub project: &'a Project,
    pub platform: &'a Platform,
    pub bases: &'a Bases,
    pub lock: &'a Lock,
    pub archives: Option<&'a Path>,
    pub progress: &'a Progress,
}

/// The engines that a rebuild needs.
pub struct Workshop<'a> {
    pub lab: Option<&'a Lab>,
    pub builder: &'a dyn Builder,
}

impl<'a> Provider<'a> {
    /// The wanted bases and what they stand on, in an order that can be built.
    ///
    /// # Errors
    /// When the lock has no entry for one, with the command that makes it.
    pub fn order(&self, wanted: &[&'a ImageName]) -> Result<Vec<&'a Base>> {
        // The list wants the recipe out of the base that it hands in.
        let order =
            self.bases
                .in_build_order(wanted.iter().copied(), |base| match self.source(base) {
                    Ok(Source::Recipe(recipe)) => {
                        base.recipes().find(|candidate| candidate.id == recipe.id)
                    }
                    _ => None,
                });
        let names = order.iter().map(|base| &base.name);
        crate::problem::Problems::none_or(self.lock.missing(
            self.project,
            names,
            &self.platform.to_string(),
        ))?;
        Ok(order)
    }

    /// The base from `target/lab`, if it was made there of the same inputs.
    ///
    /// # Errors
    /// When its locked source is not at hand: the remedy.
    pub fn ready(&self, base: &Base, made: &[Provided]) -> Result<Option<Provided>> {
        let source = self.source(base)?;
        let folder = self.folder(base, &source);
        let Some(record) = fs::read(folder.join("base.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok())
        else {
            return Ok(None);
        };
        if record.key != self.key(&source, made)? {
            return Ok(None);
        }
        if !self.is_locked(base, &record)? {
            return Ok(None);
        }
        // A layout that was damaged since is made again.
        let Ok(layout) = Layout::open(&folder.join("layout")) else {
            return Ok(None);
        };
        self.provided(base, &source, layout, &record, made)
            .map(Some)
    }

    /// Whether a rebuilt base still is what the lock pins: a pull may have moved
    /// the lock past what was made here.
    fn is_locked(&self, base: &Base, record: &Record) -> Result<bool> {
        let locked = self.lock.get(&base.name, &self.platform.to_string());
        let Some(Origin::Rebuilt(locked)) = locked.map(|entry| &entry.origin) else {
            return Ok(true);
        };
        let unknown = locked.packages.is_empty() || locked.recipe_id != record.recipe_id;
        Ok(unknown || locked.id() == self.made(record)?.id())
    }

    fn made(&self, record: &Record) -> Result<Rebuild> {
        Ok(Rebuild {
            recipe_id: record.recipe_id.clone(),
            packages: parse(&record.packages)?,
            toolchain: parse(&record.toolchain)?,
        })
    }

    /// Makes the base now.
    ///
    /// # Errors
    /// What failed, naming the base and where the full log lies.
    pub fn make(
        &self,
        base: &Base,
        made: &[Provided],
        workshop: &Workshop<'_>,
    ) -> Result<Provided> {
        let source = self.source(base)?;
        let folder = self.folder(base, &source);
        files::create_dir_all(&folder)?;
        // Until the new one is whole there is no base here.
        let _ = fs::remove_file(folder.join("base.json"));
        let target = folder.join("layout");
        let log = self
            .project
            .logs()
            .join(format!("base-{}.log", slug(&base.name)));
        let _ = fs::remove_file(&log);
        let task = self.progress.task(format!("base {}", base.written));
        let layout = match &source {
            Source::Upstream(digest) => self.mirror(base, digest, &target)?,
            Source::Archive { path, .. } => self.unpack_archive(base, path, &target)?,
            Source::Recipe(recipe) => self
                .rebuild(recipe, made, workshop, &target, &log)
                .with_context(|| format!("{}: cannot be rebuilt", base.written))?,
        };
        let record = self.record(&source, &layout, made)?;
        files::write_atomic(
            &folder.join("base.json"),
            serde_json::to_vec_pretty(&record)?,
        )?;
        let provided = self.provided(base, &source, layout, &record, made)?;
        task.done(format!(
            "{} ({})",
            provided.source,
            crate::human::bytes(provided.layout.transfer_bytes())
        ));
        Ok(provided)
    }

    fn source(&self, base: &Base) -> Result<Source<'a>> {
        let platform = self.platform.to_string();
        let entry = self.lock.get(&base.name, &platform).with_context(|| {
            format!(
                "{} is not in bases.lock for {platform}; mend: cargo xtask bases update {0}",
                base.written
            )
        })?;
        // The caller's reference may live shorter than the list it stands in.
        let base = self
            .bases
            .get(&base.name)
            .context("bases come from bases.toml")?;
        match &entry.origin {
            Origin::Upstream => match &entry.digest {
                Some(digest) => Ok(Source::Upstream(digest.clone())),
                None => bail!(
                    "{0}: nobody has resolved its digest yet; mend: cargo xtask bases update {0}",
                    base.written
                ),
            },
            Origin::Rebuilt(_) => recipe(base, base.recipe.as_ref(), "recipe"),
            Origin::StandIn(_) => recipe(base, base.stand_in.as_ref(), "stand_in"),
            Origin::Archive {
                file,
                sha256,
                otherwise,
            } => match self.archive(file, sha256)? {
                Some(path) => Ok(Source::Archive {
                    path,
                    sha256: sha256.clone(),
                }),
                None if otherwise.is_some() => recipe(base, base.stand_in.as_ref(), "stand_in"),
                None => bail!(
                    "{}: its archive {file} is not at hand; mend: download it from {} and name the folder with --base-archives",
                    base.written,
                    base.archive
                        .as_ref()
                        .map_or("its publisher", |archive| &archive.url)
                ),
            },
        }
    }

    /// The archive in the folder that the caller named, its bytes checked.
    fn archive(&self, file: &str, sha256: &Digest) -> Result<Option<PathBuf>> {
        let Some(path) = self
            .archives
            .map(|folder| folder.join(file))
            .filter(|path| path.is_file())
        else {
            return Ok(None);
        };
        let (found, _) = Digest::of_reader(fs::File::open(&path)?)?;
        ensure!(
            found == *sha256,
            "{} has {found}, but bases.lock names {sha256}; mend: download it again",
            path.display()
        );
        Ok(Some(path))
    }

    fn folder(&self, base: &Base, source: &Source<'_>) -> PathBuf {
        let kind = match source {
            Source::Upstream(_) => "upstream",
            Source::Archive { .. } => "archive",
            Source::Recipe(_) => "recipe",
        };
        self.project
            .lab()
            .join("bases")
            .join(format!("{}-{kind}", slug(&base.name)))
    }

    /// Everything that the made base depends on and that we can know before.
    fn key(&self, source: &Source<'_>, made: &[Provided]) -> Result<String> {
        let mut text = format!("{} normaliser {NORMALISER_ID}\n", self.platform);
        match source {
            Source::Upstream(digest) => text += &format!("upstream {digest}\n"),
            Source::Archive { sha256, .. } => text += &format!("archive {sha256}\n"),
            Source::Recipe(recipe) => {
                text += &format!("recipe {}\n", recipe.id);
                if uses_toolchain(recipe) {
                    text += &format!("{}\n", toolchain::identity()?);
                }
                for reference in recipe.references() {
                    let below = made.iter().find(|base| base.name == reference.name);
                    text += &below
                        .map(|base| format!("on {}\n", base.layout.digest()))
                        .unwrap_or_default();
                }
            }
        }
        Ok(Digest::of(text).short())
    }

    fn record(&self, source: &Source<'_>, layout: &Layout, made: &[Provided]) -> Result<Record> {
        let mut record = Record {
            key: self.key(source, made)?,
            recipe_id: String::new(),
            packages: vec![],
            toolchain: vec![],
        };
        if let Source::Recipe(recipe) = source {
            record.recipe_id = recipe.id.short();
            record.packages = debian_packages(layout)?
                .iter()
                .map(|package| format!("{} {}", package.name, package.version))
                .collect();
            if uses_toolchain(recipe) {
                record.toolchain.push(toolchain::identity()?.to_string());
            }
        }
        Ok(record)
    }

    fn provided(
        &self,
        base: &Base,
        source: &Source<'_>,
        layout: Layout,
        record: &Record,
        made: &[Provided],
    ) -> Result<Provided> {
        let locked = self
            .lock
            .get(&base.name, &self.platform.to_string())
            .context("it has a source, so it has an entry")?;
        let mut entry = locked.clone();
        let (mut named, mut id) = (entry.source(), entry.id().unwrap_or_default());
        let mut stands_in = self.stands_on_stand_in(source, made);
        if matches!(source, Source::Recipe(_)) {
            let rebuild = self.made(record)?;
            id = rebuild.id();
            match &mut entry.origin {
                Origin::Rebuilt(old) | Origin::StandIn(old) => *old = rebuild,
                Origin::Archive { .. } => {
                    named = STAND_IN;
                    stands_in = true;
                }
                Origin::Upstream => {}
            }
        }
        entry.digest = Some(layout.digest().clone());
        if stands_in {
            // The lock pins the archive; what took its place today, and what was
            // built on that, is for the rows to tell.
            entry = locked.clone();
        }
        Ok(Provided {
            name: base.name.clone(),
            layout,
            entry,
            source: named,
            id,
        })
    }

    /// Whether a recipe stands on a stand-in that the lock only allows.
    fn stands_on_stand_in(&self, source: &Source<'_>, made: &[Provided]) -> bool {
        let Source::Recipe(recipe) = source else {
            return false;
        };
        let below = recipe
            .references()
            .iter()
            .filter_map(|reference| made.iter().find(|base| base.name == reference.name));
        below
            .into_iter()
            .any(|base| base.source == STAND_IN && base.entry.source() != STAND_IN)
    }

    fn mirror(&self, base: &Base, digest: &Digest, target: &Path) -> Result<Layout> {
        let reference = format!("{}/{}@{digest}", base.name.domain(), base.name.path());
        upstream::mirror(&reference, &self.platform.to_string(), target, &mut |_| ())
            .map_err(anyhow::Error::new)?;
        Layout::open(target)
    }

    fn unpack_archive(&self, base: &Base, archive: &Path, target: &Path) -> Result<Layout> {
        let config = base
            .recipes()
            .find(|recipe| !recipe.config.cmd.is_empty())
            .map(|recipe| &recipe.config);
        let writer = LayoutWriter::create(target)?;
        let layer = layer_from_archive(&writer, archive)?;
        let file = archive.file_name().unwrap_or_default().to_string_lossy();
        image_from_layers(
            writer,
            &[(layer.layer, format!("ADD {file} /"))],
            &self.image_config(config),
        )
    }

    fn rebuild(
        &self,
        recipe: &Recipe,
        made: &[Provided],
        workshop: &Workshop<'_>,
        target: &Path,
        log: &Path,
    ) -> Result<Layout> {
        match &recipe.script {
            Script::Rootfs(script) => {
                let lab = workshop.lab.context("a rootfs.sh runs in the lab engine; mend: use --engine lab, or bases update --source upstream")?;
                let epoch = crate::normalise::EPOCH_S.to_string();
                let mut run =
                    lab.script(&recipe.name, script, &[("SOURCE_DATE_EPOCH", &epoch)], log)?;
                let stdout = run.take_stdout().context("stdout is piped")?;
                let writer = LayoutWriter::create(target)?;
                let layer = layer_from_tar(&writer, fs::File::from(stdout));
                // A script that failed gives half a tar; its own words matter.
                run.wait()?;
                let created_by = format!("rootfs.sh of experiments/bases/{}", recipe.name);
                image_from_layers(
                    writer,
                    &[(layer?.layer, created_by)],
                    &self.image_config(Some(&recipe.config)),
                )
            }
            Script::Dockerfile { path, images } => {
                let toolchain = if uses_toolchain(recipe) {
                    Some(toolchain::lay_out(self.project)?)
                } else {
                    None
                };
                let bases: Vec<_> = images
                    .references
                    .iter()
                    .filter_map(|reference| made.iter().find(|base| base.name == reference.name))
                    .map(|base| (&base.name, &base.layout))
                    .collect();

                let base = images
                    .base
                    .as_ref()
                    .and_then(|name| made.iter().find(|base| base.name == *name));
                let folders: Vec<_> = toolchain
                    .iter()
                    .map(|toolchain: &Toolchain| (toolchain::CONTEXT, toolchain.folder.as_path()))
                    .collect();
                let arguments: Vec<_> = toolchain
                    .iter()
                    .map(|toolchain| ("RUST_VERSION", toolchain.version.clone()))
                    .collect();
                let order = Order {
                    dockerfile: path,
                    context: &recipe.folder,
                    bases: &bases,
                    folders: &folders,
                    arguments: &arguments,
                    base: base.map(|base| &base.layout),
                    platform: self.platform,
                    no_cache: false,
                    log,
                };
                Ok(build::build(workshop.builder, &order, target)?.layout)
            }
        }
    }

    fn image_config(&self, config: Option<&super::Config>) -> ImageConfig {
        let bare = ImageConfig::bare(self.platform.clone());
        match config {
            Some(config) => ImageConfig {
                env: config.env.clone(),
                entrypoint: config.entrypoint.clone(),
                cmd: config.cmd.clone(),
                user: config.user.clone(),
                working_dir: config.working_dir.clone(),
                ..bare
            },
            None => bare,
        }
    }
}

fn recipe<'a>(base: &Base, recipe: Option<&'a Recipe>, key: &str) -> Result<Source<'a>> {
    recipe.map(Source::Recipe).with_context(|| {
        format!("{}: bases.lock says it is made by a recipe, but bases.toml gives it no `{key}`; mend: cargo xtask bases update {0}", base.written)
    })
}

fn uses_toolchain(recipe: &Recipe) -> bool {
    match &recipe.script {
        Script::Rootfs(_) => false,
        Script::Dockerfile { path, .. } => {
            fs::read_to_string(path).is_ok_and(|text| text.contains(toolchain::CONTEXT))
        }
    }
}

fn parse(lines: &[String]) -> Result<Vec<Package>> {
    lines
        .iter()
        .map(|line| line.parse().map_err(anyhow::Error::msg))
        .collect()
}

/// The source of what takes an archive's place.
const STAND_IN: &str = "stand-in";

/// A base's name as a file name.
fn slug(name: &ImageName) -> String {
    name.context_key().replace(['/', ':', '@'], "-")
}
