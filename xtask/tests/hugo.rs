//! The post that `cargo xtask publish article --hugo` writes, built by Hugo as a
//! blog would build it.
//!
//! Hugo comes from PATH or, unpacked under `target/tools`, from its Debian
//! package. Where neither can be had the test counts as ignored, by name; under
//! CI that is a failure.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

const NO_HUGO: &str = "no hugo in PATH, and its Debian package cannot be had: apt-get update";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trial = Trial::ignorable_test("a_blog_builds_the_post", || match hugo() {
        Some(hugo) => {
            a_blog_builds_the_post(&hugo);
            Ok(Completion::Completed)
        }
        None if std::env::var("CI").is_ok_and(|value| value == "true") => {
            Err(Failed::from(NO_HUGO))
        }
        None => Ok(Completion::ignored_with(NO_HUGO)),
    });
    libtest_mimic::run(&arguments, vec![trial]).exit_code()
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The program, and where the libraries of its package lie.
struct Hugo {
    program: PathBuf,
    libraries: String,
}

fn hugo() -> Option<Hugo> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path);
    let found = folders.map(|it| it.join("hugo")).find(|it| it.is_file());
    if let Some(program) = found {
        return Some(Hugo {
            program,
            libraries: String::new(),
        });
    }
    unpacked()
}

/// The package and the libraries it needs beyond those that every Debian has.
const UNPACK: &str = r#"set -eu
mkdir -p "$1" && cd "$1"
for package in hugo libsass1 libwebp7 libsharpyuv0; do
    if apt-cache show "$package" > package.txt 2>&1; then apt-get download "$package" > package.txt 2>&1; fi
done
for deb in ./*.deb; do dpkg -x "$deb" root; done"#;

fn unpacked() -> Option<Hugo> {
    let folder = workspace().join("target/tools/hugo");
    let program = folder.join("root/usr/bin/hugo");
    if !program.is_file() {
        let shell = Command::new("sh")
            .args(["-c", UNPACK, "sh"])
            .arg(&folder)
            .output();
        shell.ok().filter(|it| it.status.success())?;
    }
    let libraries = fs::read_dir(folder.join("root/usr/lib")).ok()?;
    let libraries = libraries
        .flatten()
        .map(|it| it.path().display().to_string());
    program.is_file().then(|| Hugo {
        program,
        libraries: libraries.collect::<Vec<_>>().join(":"),
    })
}

/// A site with the least that Hugo needs to show a post.
fn site(folder: &Path) {
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "config.toml",
        "baseURL = \"https://blog.example/\"\ntitle = \"blog\"\n",
    );
    write(
        "layouts/_default/single.html",
        "<h1>{{ .Title }}</h1><time>{{ .Date }}</time>{{ range .Params.tags }}<i>{{ . }}</i>{{ end }}\
         <b>{{ .Params.comments }}</b>{{ .Content }}",
    );
    write(
        "layouts/_default/list.html",
        "{{ range .Pages }}{{ .Title }}{{ end }}",
    );
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() && !path.ends_with("target") {
            copy(&path, &to);
        } else if path.is_file() {
            fs::copy(path, to).unwrap();
        }
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}:\n{out}\n{err}");
    out + &err
}

fn a_blog_builds_the_post(hugo: &Hugo) {
    let folder = tempfile::tempdir().unwrap();
    let (project, blog) = (folder.path().join("project"), folder.path().join("blog"));
    for part in ["experiments", "results", "app", "docs"] {
        copy(&workspace().join(part), &project.join(part));
    }
    fs::copy(workspace().join("README.md"), project.join("README.md")).unwrap();
    site(&blog);
    // A draft, because this is no test of whether today's rows are fit.
    run(Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["publish", "article", "--draft", "--hugo"])
        .arg(&blog)
        .arg("--project")
        .arg(&project));
    let told = run(Command::new(&hugo.program)
        .args(["--buildDrafts", "--buildFuture", "--source"])
        .arg(&blog)
        .env("LD_LIBRARY_PATH", &hugo.libraries));
    assert!(!told.contains("WARN"), "{told}");
    let built = blog.join("public/posts/container-image-cost-test/index.html");
    let page = fs::read_to_string(&built).unwrap_or_else(|_| panic!("no {built:?}:\n{told}"));
    every_part_is_there(&page);
    every_picture_is_there(&page, &blog.join("public"));
}

fn every_part_is_there(page: &str) {
    for part in [
        "<h1>Base image",
        "<i>컨테이너</i>",
        "<b>true</b>",
        "<table>",
        "<figure>",
        " MB",
    ] {
        assert!(page.contains(part), "no {part} in {page}");
    }
    for left in [
        "<!--",
        "raw HTML omitted",
        "{{",
        "charts/",
        ".md)",
        "<!-- n:",
    ] {
        assert!(!page.contains(left), "{left} is left in {page}");
    }
}

fn every_picture_is_there(page: &str, public: &Path) {
    let sources: Vec<&str> = page
        .split("src=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(sources.len() > 5, "{sources:?}");
    assert!(sources.iter().any(|it| it.ends_with(".png")), "{sources:?}");
    for source in sources {
        assert!(
            public.join(source.trim_start_matches('/')).is_file(),
            "{source}"
        );
    }
}
