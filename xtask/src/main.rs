use xtask::{engine::*, project::Project};
fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).map(String::as_str) == Some(xtask::engine::init::SUBCOMMAND) {
        std::process::exit(xtask::engine::init::run(&args[2])?);
    }
    let t = std::time::Instant::now();
    let project = Project::at(".".as_ref())?;
    let lock = Lock::take(&project, true, |who| println!("waiting for {who}"))?;
    let lab = Lab::open(&project, lock)?;
    println!("open {:?}", t.elapsed());
    let b = lab.engine(
        Role::Builder,
        Store::Containerd,
        DataRoot::choose(None, "target/lab/data".as_ref(), 0)?,
    )?;
    println!("builder {:?} {}", t.elapsed(), b.pid());
    let s = lab.engine(
        Role::Subject,
        Store::Containerd,
        DataRoot::choose(None, "target/lab/data".as_ref(), 0)?,
    )?;
    println!("subject {:?}", t.elapsed());
    println!("{:?}", s.client().versions()?);
    println!(
        "{}",
        xtask::shell::read(b.command("docker").args(["buildx", "ls"]))?
    );
    if args.get(1).is_some() {
        std::thread::sleep(std::time::Duration::from_secs(600));
    }
    Ok(())
}
