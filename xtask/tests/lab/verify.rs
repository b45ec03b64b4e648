//! `verify` builds again and compares, and leaves what is committed alone.

use anyhow::{Result, ensure};

use crate::{sandbox::Sandbox, tiny};

pub fn it_finds_what_drifted_and_writes_nothing() -> Result<()> {
    let sandbox = tiny::sandbox("verified")?;
    tiny::add(&sandbox, "one", &tiny::dockerfile(""))?;
    tiny::add(&sandbox, "two", &tiny::dockerfile("listen_after_ms=1"))?;
    sandbox.run(&["size"])?.expect(0)?;
    let committed = exact(&sandbox)?;

    let run = sandbox.run(&["verify"])?.expect(0)?;
    ensure!(
        run.stdout == "2 images, 2 layers and 0 bases came out as committed\n",
        "{}",
        run.said()
    );
    ensure!(exact(&sandbox)? == committed, "it wrote into results/");
    ensure!(
        !sandbox.path("target/lab/verify").exists(),
        "it left what agrees"
    );

    // The row now states what is not built; the image in target/lab still agrees.
    let one = sandbox
        .sizes()?
        .rows()
        .find(|row| row.variant == "one")
        .cloned();
    let bytes = one.and_then(|row| row.transfer_bytes).unwrap_or_default();
    let (now, forged) = (format!(",{bytes},"), format!(",{},", bytes + 1));
    sandbox.write("results/sizes.csv", committed.0.replacen(&now, &forged, 1))?;
    let run = sandbox.run(&["verify", "tiny/one"])?.expect(1)?;
    let said = format!(
        "tiny/one\n  transfer_bytes: committed {}, built {bytes}\n  no input drifted: the build does not repeat\n",
        bytes + 1
    );
    ensure!(run.stdout.starts_with(&said), "{}", run.said());
    sandbox.write("results/sizes.csv", &committed.0)?;

    let files = committed.2.replacen(",/server,", ",/other,", 1);
    sandbox.write("results/files.csv", files)?;
    let run = sandbox.run(&["verify", "tiny/one"])?.expect(1)?;
    ensure!(
        run.stdout
            .starts_with("tiny/one\n  file 1 path: committed /other, built /server\n"),
        "{}",
        run.said()
    );
    sandbox.write("results/files.csv", &committed.2)?;

    let row = committed.0.lines().find(|line| line.contains(",one,"));
    let gone = row.unwrap_or_default().replace("one", "gone");
    sandbox.write("results/sizes.csv", format!("{}{gone}\n", committed.0))?;
    let run = sandbox.run(&["verify", "tiny/one"])?.expect(1)?;
    ensure!(
        run.stdout
            .contains("results/sizes.csv\n  holds rows of what is not declared"),
        "{}",
        run.said()
    );
    sandbox.write("results/sizes.csv", &committed.0)?;

    tiny::set(&sandbox, "two", &tiny::dockerfile("listen_after_ms=2"))?;
    let run = sandbox.run(&["verify"])?.expect(1)?;
    ensure!(
        run.stdout.starts_with("tiny/two\n") && run.stdout.contains("\n  drifted: Dockerfile\n"),
        "{}",
        run.said()
    );
    ensure!(
        run.stdout
            .ends_with("1 image, 1 layer and 0 bases came out as committed\n"),
        "{}",
        run.said()
    );
    ensure!(exact(&sandbox)? == committed, "it wrote into results/");
    let kept = sandbox.path("target/lab/verify/images/tiny/two/index.json");
    ensure!(kept.is_file(), "what differs is to be looked at");
    Ok(())
}

fn exact(sandbox: &Sandbox) -> Result<(String, String, String)> {
    Ok((
        sandbox.read("results/sizes.csv")?,
        sandbox.read("results/layers.csv")?,
        sandbox.read("results/files.csv")?,
    ))
}
