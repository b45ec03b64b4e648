use clap::Parser as _;
use xtask::{
    cli::{Cli, Command},
    project::Project,
};
fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).map(String::as_str) == Some(xtask::engine::init::SUBCOMMAND) {
        std::process::exit(xtask::engine::init::run(&args[2])?);
    }
    let cli = Cli::parse();
    let project = Project::at(".".as_ref())?;
    match cli.command {
        Command::Doctor(o) => {
            xtask::doctor::run(&project, &o)?;
        }
        _ => {}
    }
    Ok(())
}
