//! `cargo xtask`: parse, dispatch, exit status.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::Parser as _;
use xtask::{
    clean,
    cli::{BasesCommand, Cli, Command},
    cost, doctor, elevate,
    engine::init,
    explain, human, interrupt, merge,
    project::Project,
    publish, ratios, review,
    run::{self, Upto},
    suite,
};

fn main() -> ExitCode {
    match run_as_init().unwrap_or_else(|| dispatch(Cli::parse())) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// xtask is also process 1 of its own namespaces; that is no command of a person.
fn run_as_init() -> Option<Result<ExitCode>> {
    let words: Vec<String> = std::env::args().collect();
    match words.as_slice() {
        [_, name, spec] if name == init::SUBCOMMAND => Some(
            init::run(spec)
                .map(|code| u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)),
        ),
        _ => None,
    }
}

/// What the parts say to a developer: XTASK_LOG=debug, or xtask::proxy=trace.
fn log_to_stderr() {
    let filter =
        tracing_subscriber::EnvFilter::try_from_env("XTASK_LOG").unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

fn dispatch(cli: Cli) -> Result<ExitCode> {
    log_to_stderr();
    let project = Project::at(&root(cli.project.as_deref())?)?;
    if cli.tethered {
        elevate::follow_the_tether();
    }
    if cli.tethered || elevate::is_root() || cli.command.uses_host_engine() {
        interrupt::install()?;
    }
    match cli.command {
        Command::RunAll(options) | Command::Measure(options) => {
            run::run(&project, &options, Upto::Timings)
        }
        Command::Build(step) => run::run(&project, &run::only(step), Upto::Images),
        Command::Size(step) => run::run(&project, &run::only(step), Upto::Sizes),
        Command::Capabilities(step) => run::capabilities(&project, step),
        Command::Doctor(options) => doctor::run(&project, &options),
        Command::Selftest(options) => run::selftest(&project, &options),
        Command::Limits { machine } => ratios::run(&project, machine.as_deref()),
        Command::Diff(options) => review::diff(&project, &options),
        Command::Compare(options) => run::compare(&project, &options),
        Command::Verify(options) => run::verify(&project, &options),
        Command::Cost(options) => cost::run(&project, &options),
        Command::Merge { folders } => merge::run(&project, &folders),
        Command::Publish(options) => publish::run(&project, &options),
        Command::Explain(options) => explain::run(&project, &options),
        Command::Bases(bases) => match bases.command {
            None => run::list(&project),
            Some(BasesCommand::Update {
                names,
                source,
                step,
            }) => run::update(&project, &names, source, &step),
            Some(BasesCommand::Add { reference, step }) => run::add(&project, &reference, &step),
        },
        Command::New { variant, reason } => new(&project, &variant, &reason),
        Command::Clean => {
            println!("removed {}", human::bytes(clean::run(&project)?));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn new(project: &Project, variant: &str, reason: &str) -> Result<ExitCode> {
    let added = suite::add_variant(project, variant, reason)?;
    println!(
        "wrote {} and its lines in {}",
        added.dockerfile.display(),
        added.manifest.display()
    );
    println!("next: edit the Dockerfile, then cargo xtask run-all {variant}");
    Ok(ExitCode::SUCCESS)
}

/// The workspace that the caller stands in.
fn root(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let here = std::env::current_dir()?;
    let found = here
        .ancestors()
        .find(|folder| folder.join("experiments").is_dir());
    found
        .map(Path::to_owned)
        .context("no experiments/ folder here or above; name the workspace with --project")
}
