//! `cargo xtask bases`: what the `FROM` lines stand on, and how that changes.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::{State, Workbench, hold, prepare_host};
use crate::{
    bases::{self, Base, Entry, Lock, Origin, Rebuild, provide::Workshop, upstream},
    clean,
    cli::{BaseOptions, LabOptions, SourceChoice, Step},
    elevate, files,
    progress::Progress,
    project::Project,
};

/// Prints every base: reference, source, identity.
pub fn list(project: &Project) -> Result<ExitCode> {
    let platform = super::state::host_platform()?.to_string();
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
    println!("added {reference} to experiments/bases.toml");
    update(project, &[reference.to_owned()], None, options)
}

/// Resolves bases again and prints what moved in the lock.
pub fn update(
    project: &Project,
    names: &[String],
    source: Option<SourceChoice>,
    options: &BaseOptions,
) -> Result<ExitCode> {
    let platform = super::state::host_platform()?.to_string();
    let known = bases::Bases::load(project, &platform)?;
    let old = Lock::load(project)?;
    let mut lock = old.clone();
    lock.retain_known(&known);
    for base in chosen(&known, names)? {
        lock.set(entry(
            base,
            lock.get(&base.name, &platform),
            source,
            &platform,
        )?);
    }
    let rebuilds = lock
        .iter()
        .any(|entry| entry.platform == platform && entry.rebuild().is_some());
    if rebuilds && !elevate::is_root() {
        return elevate::rerun_through_sudo();
    }
    // What a rebuild gives is known when it has been made; the lock is written
    // first, so that the provider finds the source that was asked for.
    lock.save(project)?;
    if let Err(error) = make(project, &known, options, rebuilds) {
        old.save(project)?;
        return Err(error.context("bases.lock stays as it was"));
    }
    let moved = bases::diff(&old, &Lock::load(project)?);
    match moved.as_slice() {
        [] => println!("nothing moved"),
        lines => lines.iter().for_each(|line| println!("{line}")),
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes every base once, so that the lock gets its identity.
fn make(
    project: &Project,
    known: &bases::Bases,
    options: &BaseOptions,
    rebuilds: bool,
) -> Result<()> {
    if !rebuilds {
        return Ok(());
    }
    let progress = Progress::to_stderr();
    let step = step_of(options);
    let held = hold(project, &options.lab)?;
    clean::sweep(project)?;
    prepare_host(project, &options.lab)?;
    let mut state = State::load(project, &step)?;
    let mut bench = Workbench::open(project, held, &options.lab, &progress)?;
    bench.start_builder()?;
    let (mut made, mut lock) = (Vec::new(), state.lock.clone());
    {
        let provider = state.provider(&progress);
        let workshop = Workshop {
            lab: Some(bench.lab()),
            builder: bench.builder()?,
        };
        let all: Vec<_> = known.iter().map(|base| &base.name).collect();
        let all: Vec<_> = all
            .into_iter()
            .filter_map(|name| state.bases.get(name))
            .map(|base| &base.name)
            .collect();
        for base in provider.order(&all)? {
            // A rebuilt base is made anew: that is what was asked for.
            let provided = provider.make(base, &made, &workshop)?;
            lock.set(provided.entry.clone());
            made.push(provided);
        }
    }
    state.save_lock(lock)
}

fn step_of(options: &BaseOptions) -> Step {
    Step {
        selection: Vec::new(),
        base_archives: options.base_archives.clone(),
        locked: false,
        lab: LabOptions {
            ..options.lab.clone()
        },
    }
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

/// The entry that a base gets: the source that was asked for, else the one it
/// has, else the first that works anywhere.
fn entry(
    base: &Base,
    old: Option<&Entry>,
    source: Option<SourceChoice>,
    platform: &str,
) -> Result<Entry> {
    let source = source
        .or_else(|| old.map(choice_of))
        .unwrap_or(first_choice(base));
    let rebuild = |recipe: &bases::Recipe| Rebuild {
        recipe_id: recipe.id.short(),
        packages: vec![],
        toolchain: vec![],
    };
    let (digest, origin) = match source {
        SourceChoice::Upstream => {
            let resolved = upstream::resolve(&base.name.full(), platform).map_err(|failure| {
                anyhow::anyhow!("{failure}\n  mend: {}", failure.class.remedy())
            })?;
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

fn first_choice(base: &Base) -> SourceChoice {
    if base.recipe.is_some() {
        SourceChoice::Rebuilt
    } else if base.archive.is_some() {
        SourceChoice::Archive
    } else {
        SourceChoice::Upstream
    }
}
