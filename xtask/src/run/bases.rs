//! `cargo xtask bases`: what the `FROM` lines stand on, and how that changes.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::{Workbench, confirm_host_package, hold, prepare_host};
use crate::{
    bases::{
        self, Base, Entry, Lock, Origin, Rebuild,
        provide::{Provider, Workshop},
        upstream,
    },
    clean,
    cli::{BaseOptions, LabOptions, SourceChoice},
    elevate,
    engine::Lock as EngineLock,
    files,
    image::Platform,
    progress::Progress,
    project::Project,
};

/// Prints every base: reference, source, identity.
pub fn list(project: &Project) -> Result<ExitCode> {
    let platform = Platform::here().to_string();
    let known = bases::Bases::load(project, &platform)?;
    let lock = Lock::load(project)?;
    for base in known.iter() {
        match lock.get(&base.name, &platform) {
            Some(entry) => {
                let otherwise = if entry.otherwise().is_some() {
                    ", else stand-in"
                } else {
                    ""
                };
                let id = entry.id().unwrap_or_else(|| "not resolved".to_owned());
                println!("{:<40} {}{otherwise} {id}", base.written, entry.source());
            }
            None => println!(
                "{:<40} not locked for {platform}: cargo xtask bases update {0}",
                base.written
            ),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes a reference known and locks it.
pub fn add(project: &Project, reference: &str, options: &BaseOptions) -> Result<ExitCode> {
    let path = project.experiments().join("bases.toml");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    files::write_atomic(&path, bases::add_base(&text, reference, None)?)?;
    let updated = update(project, &[reference.to_owned()], None, options);
    match &updated {
        Ok(_) => println!("added {reference} to experiments/bases.toml"),
        // A reference that the lock does not know would stop every later run.
        Err(_) => files::write_atomic(&path, text)?,
    }
    updated
}

/// Resolves bases again and prints what moved in the lock, which is written
/// when everything has been made, and not before.
pub fn update(
    project: &Project,
    names: &[String],
    source: Option<SourceChoice>,
    options: &BaseOptions,
) -> Result<ExitCode> {
    let platform = Platform::here();
    let platform_name = platform.to_string();
    let known = bases::Bases::load(project, &platform_name)?;
    let chosen = chosen(&known, names)?;
    let source_of = |base: &Base, lock: &Lock| {
        let old = lock.get(&base.name, &platform_name);
        source
            .or_else(|| old.map(choice_of))
            .unwrap_or_else(|| first_choice(base))
    };
    let to_make = |lock: &Lock| {
        let bases = chosen.iter().copied();
        let made = bases.filter(|base| is_made_here(base, source_of(base, lock)));
        made.collect::<Vec<_>>()
    };
    if !elevate::is_root() && !to_make(&Lock::load(project)?).is_empty() {
        confirm_host_package(project, &options.lab)?;
        return elevate::rerun_through_sudo();
    }
    let held = hold(project, &options.lab)?;
    // Whoever held the lab may have moved it.
    let old = Lock::load(project)?;
    let mut lock = old.clone();
    lock.retain_known(&known);
    for base in &chosen {
        lock.set(entry(base, source_of(base, &old), &platform_name)?);
    }
    // It keeps the lab to the end: whoever waits for that finds the new lock.
    let mut bench = None;
    let wanted = to_make(&old);
    if !wanted.is_empty() {
        let progress = Progress::to_stderr();
        let bench = bench.insert(open(project, held, &options.lab, &progress)?);
        let provider = Provider {
            project,
            platform: &platform,
            bases: &known,
            lock: &lock,
            archives: options.base_archives.as_deref(),
            progress: &progress,
        };
        lock = make(&provider, &wanted, bench)?;
    }
    if lock != old {
        lock.save(project)?;
    }
    match bases::diff(&old, &lock).as_slice() {
        [] => println!("nothing moved"),
        lines => lines.iter().for_each(|line| println!("{line}")),
    }
    Ok(ExitCode::SUCCESS)
}

/// A lab with a builder.
fn open(
    project: &Project,
    held: EngineLock,
    options: &LabOptions,
    progress: &Progress,
) -> Result<Workbench> {
    clean::sweep(project)?;
    prepare_host(project, options)?;
    let mut bench = Workbench::open(project, held, options, progress)?;
    bench.start_builder()?;
    Ok(bench)
}

/// What a rebuild gives is known when it has been made: makes these bases anew,
/// and those that they stand on where they are not in hand.
fn make<'a>(provider: &Provider<'a>, bases: &[&'a Base], bench: &Workbench) -> Result<Lock> {
    let workshop = Workshop {
        lab: bench.lab(),
        builder: bench.builder()?,
    };
    let wanted: Vec<_> = bases.iter().map(|base| &base.name).collect();
    let (mut made, mut lock) = (Vec::new(), provider.lock.clone());
    for base in provider.order(&wanted)? {
        let ready = if wanted.contains(&&base.name) {
            None
        } else {
            provider.ready(base, &made)?
        };
        let provided = match ready {
            Some(ready) => ready,
            None => provider.make(base, &made, &workshop)?,
        };
        lock.set(provided.entry.clone());
        made.push(provided);
    }
    Ok(lock)
}

/// Whether an engine is needed to know what it is.
fn is_made_here(base: &Base, source: SourceChoice) -> bool {
    source != SourceChoice::Upstream && base.recipes().next().is_some()
}

fn chosen<'a>(known: &'a bases::Bases, names: &[String]) -> Result<Vec<&'a Base>> {
    if names.is_empty() {
        return Ok(known.iter().collect());
    }
    let find = |name: &String| {
        known
            .iter()
            .find(|base| base.written == *name || base.name.context_key() == *name)
            .with_context(|| {
                format!(
                    "`{name}` is not in experiments/bases.toml; mend: cargo xtask bases add {name}"
                )
            })
    };
    names.iter().map(find).collect()
}

/// The entry that a base gets from `source`.
fn entry(base: &Base, source: SourceChoice, platform: &str) -> Result<Entry> {
    let rebuild = |recipe: &bases::Recipe| Rebuild {
        recipe_id: recipe.id.short(),
        packages: vec![],
        toolchain: vec![],
    };
    let (digest, origin) = match source {
        SourceChoice::Upstream => {
            let resolved = upstream::resolve(&base.name.full(), platform)?;
            (Some(resolved.digest), Origin::Upstream)
        }
        SourceChoice::Rebuilt => match (&base.recipe, &base.stand_in) {
            (Some(recipe), _) => (None, Origin::Rebuilt(rebuild(recipe))),
            (None, Some(stand_in)) => (None, Origin::StandIn(rebuild(stand_in))),
            (None, None) => bail!(
                "{}: bases.toml gives it no recipe; mend: --source upstream",
                base.written
            ),
        },
        SourceChoice::Archive => match &base.archive {
            Some(archive) => (
                None,
                Origin::Archive {
                    file: archive.file.clone(),
                    sha256: archive.sha256.clone(),
                    otherwise: base.stand_in.as_ref().map(rebuild),
                },
            ),
            None => bail!(
                "{}: bases.toml names no archive of it; mend: --source upstream",
                base.written
            ),
        },
    };
    Ok(Entry {
        name: base.name.clone(),
        platform: platform.to_owned(),
        digest,
        origin,
    })
}

fn choice_of(entry: &Entry) -> SourceChoice {
    match entry.origin {
        Origin::Upstream => SourceChoice::Upstream,
        Origin::Archive { .. } => SourceChoice::Archive,
        Origin::Rebuilt(_) | Origin::StandIn(_) => SourceChoice::Rebuilt,
    }
}

/// The first source that works anywhere.
fn first_choice(base: &Base) -> SourceChoice {
    if base.recipe.is_some() {
        SourceChoice::Rebuilt
    } else if base.archive.is_some() {
        SourceChoice::Archive
    } else {
        SourceChoice::Upstream
    }
}
