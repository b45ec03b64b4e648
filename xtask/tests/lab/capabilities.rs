//! Images of a file or two, asked what they can do: each lacks something else.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use xtask::record::cell::Capability;

use crate::{
    chain,
    sandbox::{Sandbox, copy},
    tiny,
};

/// Where a variant with a shell has its files, in the context.
const ROOT: &str = "experiments/tiny/src/root";

/// A shell, and nobody's name.
const WITH_SHELL: &str = "FROM scratch\nCOPY server /\nCOPY root /\n";

pub fn an_image_says_what_it_has_and_what_it_lacks() -> Result<()> {
    let sandbox = tiny::sandbox("capabilities")?;
    add_shell(&sandbox)?;
    tiny::add(&sandbox, "bare", &tiny::dockerfile(""))?;
    let polite = r#"CMD ["/bin/sh", "-c", "trap 'exit 3' TERM; /server 8080 & wait"]"#;
    let polite = format!("{WITH_SHELL}USER 65532\n{polite}\n");
    tiny::add(&sandbox, "polite", &polite)?;
    let writes = r#"CMD ["/bin/sh", "-c", "echo > /written && exec /server 8080"]"#;
    tiny::add(&sandbox, "writes", &format!("{WITH_SHELL}{writes}\n"))?;
    add_files_only(&sandbox)?;
    let run = sandbox.run(&["capabilities"])?.expect(0)?;
    ensure!(
        run.stderr.contains("ask       4 images"),
        "the plan does not say it:\n{}",
        run.said()
    );

    // A static server has no handler, and process 1 no default action.
    let bare = Answers::of(&sandbox, "bare")?;
    bare.are(&[
        ("ca_roots", "no", "none where TLS clients look"),
        ("time_zones", "no", "no Asia/Seoul where time zones lie"),
        ("dns", "yes", "hosts file and DNS server; no nsswitch.conf"),
        ("libc_dns", "no", "no C library"),
        ("user_names", "no", "no /etc/passwd"),
        ("non_root_default", "no", "uid 0, without a name"),
        ("non_root", "yes", "first 200"),
        ("shell", "no", "/bin/sh does not run"),
        ("package_manager", "no", ""),
        ("read_only_root", "yes", "first 200"),
        ("sigterm", "no", "still running after 10 s"),
    ])?;
    ensure!(bare.0.len() == Capability::ALL.len(), "{:?}", bare.0);
    Answers::of(&sandbox, "polite")?.are(&[
        (
            "dns",
            "yes",
            "hosts file and DNS server; nsswitch.conf: files dns",
        ),
        ("libc_dns", "unknown", "glibc, and no getent to ask it with"),
        ("user_names", "yes", "uid 65534 is nobody"),
        ("non_root_default", "yes", "uid 65532, without a name"),
        ("shell", "yes", "/bin/sh is sh"),
        ("sigterm", "yes", "exit code 3 within 1 s"),
    ])?;
    Answers::of(&sandbox, "writes")?.are(&[
        ("non_root", "no", "exited"),
        ("read_only_root", "no", "exited"),
    ])?;
    Answers::of(&sandbox, "files-only")?.are(&[(
        "dns",
        "no",
        "the hosts file alone; nsswitch.conf: files",
    )])?;

    let before = chain::state(&sandbox)?;
    let again = sandbox.run(&["capabilities"])?.expect(0)?;
    ensure!(
        again.stdout.contains("nothing was written"),
        "{}",
        again.said()
    );
    let moved = chain::differences(&before, &chain::state(&sandbox)?);
    ensure!(moved.is_empty(), "it wrote {moved:?}");
    a_missing_program_is_the_images_own_fault(&sandbox)
}

/// The engine's words come without a status where it says that it cannot execute
/// the program, which under a restriction is an answer; a fault of its own has one.
fn a_missing_program_is_the_images_own_fault(sandbox: &Sandbox) -> Result<()> {
    let dockerfile = tiny::dockerfile("").replace("/server\"", "/absent\"");
    tiny::add(sandbox, "absent", &dockerfile)?;
    let run = sandbox.run(&["capabilities", "tiny/absent"])?.expect(1)?;
    let said = "tiny/absent: start_failed: cannot start container ";
    ensure!(
        run.stderr.contains(said) && !run.stderr.contains("status code"),
        "{}",
        run.said()
    );
    Ok(())
}

/// An image that wants no DNS.
fn add_files_only(sandbox: &Sandbox) -> Result<()> {
    sandbox.write("experiments/tiny/src/files-only", "hosts: files\n")?;
    let copies = "COPY server /\nCOPY files-only /etc/nsswitch.conf";
    let dockerfile = tiny::dockerfile("").replace("COPY server /", copies);
    tiny::add(sandbox, "files-only", &dockerfile)
}

/// Capability, answer and detail of a variant.
struct Answers(Vec<(String, String, String)>);

impl Answers {
    fn of(sandbox: &Sandbox, variant: &str) -> Result<Self> {
        let table = sandbox.capabilities()?;
        let rows = table.rows().filter(|row| row.variant == variant);
        let answers = rows.map(|row| {
            let answer = row.answer.map(|answer| answer.word().to_owned());
            let answer = answer.with_context(|| format!("no answer: {row:?}"))?;
            anyhow::Ok((row.capability.clone(), answer, row.detail.clone()))
        });
        Ok(Self(answers.collect::<Result<_>>()?))
    }

    fn are(&self, expected: &[(&str, &str, &str)]) -> Result<()> {
        for (capability, answer, detail) in expected {
            let found = self.0.iter().find(|it| it.0 == *capability);
            let found = found.map(|(_, answer, detail)| (answer.as_str(), detail.as_str()));
            ensure!(
                found == Some((*answer, *detail)),
                "{capability}: {found:?} instead of {answer} ({detail})"
            );
        }
        Ok(())
    }
}

/// This machine's shell under that name, with the C library that it needs.
fn add_shell(sandbox: &Sandbox) -> Result<()> {
    let root = sandbox.path(ROOT);
    let bring = |from: &str, to: &str| -> Result<()> {
        let to = root.join(to.trim_start_matches('/'));
        fs::create_dir_all(to.parent().context("a file needs a folder")?)?;
        copy(&fs::canonicalize(from)?, &to)
    };
    bring("/bin/sh", "/bin/sh")?;
    for library in libraries("/bin/sh")? {
        bring(&library, &library)?;
    }
    let etc = |name: &str, text: &str| {
        let path: PathBuf = [ROOT, "etc", name].iter().collect();
        sandbox.write(&path.to_string_lossy(), text)
    };
    etc("passwd", "nobody:x:65534:65534::/:/sbin/nologin\n")?;
    etc("nsswitch.conf", "hosts: files dns\n")
}

/// What the loader would load, itself included: the absolute paths that `ldd`
/// prints.
fn libraries(program: &str) -> Result<Vec<String>> {
    let output = Command::new("ldd").arg(program).output()?;
    let text = String::from_utf8(output.stdout)?;
    let words = text.split_whitespace();
    let paths = words.filter(|word| word.starts_with('/'));
    Ok(paths.map(str::to_owned).collect())
}
