//! `cargo xtask publish article` on the committed rows, with documents of its
//! own: what it writes, and what `--check` says of a cell that moved.

#[path = "support/measured.rs"]
mod measured;
#[path = "support/project.rs"]
mod project;

use std::fs;

use assert_cmd::Command;
use tempfile::TempDir;

const DOCUMENT: &str = "# Title\n\n\
    It transfers <!-- n: sizes gin/scratch transfer kB -->?<!-- / -->.\n\n\
    <!-- table: sizes gin -->\n<!-- / -->\n\n\
    <!-- chart: gin-bytes -->\n<!-- / -->\n";
const DOCUMENTS: [&str; 4] = [
    "README.md",
    "docs/article.md",
    "docs/article.ko.md",
    "docs/AGAINST-THE-ARTICLE.md",
];

fn project() -> TempDir {
    let folder = measured::project();
    fs::create_dir(folder.path().join("docs")).unwrap();
    for name in DOCUMENTS {
        fs::write(folder.path().join(name), DOCUMENT).unwrap();
    }
    folder
}

fn publish(project: &TempDir, words: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["publish", "article"]).args(words);
    command.arg("--project").arg(project.path());
    let output = command.output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    (output.status.code().unwrap(), told)
}

fn read(project: &TempDir, name: &str) -> String {
    fs::read_to_string(project.path().join(name)).unwrap()
}

fn replace(project: &TempDir, name: &str, old: &str, new: &str) {
    let text = read(project, name);
    assert!(text.contains(old), "no {old} in {name}");
    fs::write(project.path().join(name), text.replacen(old, new, 1)).unwrap();
}

#[test]
fn a_second_run_moves_nothing_and_a_cell_that_moved_is_named() {
    let project = project();
    let (code, told) = publish(&project, &[]);
    assert_eq!(code, 0, "{told}");
    let first = DOCUMENTS.map(|name| read(&project, name));
    assert!(first[1].contains("](charts/gin-bytes.svg)"), "{}", first[1]);
    assert!(
        first[2].contains("](charts/gin-bytes.ko.svg)"),
        "{}",
        first[2]
    );
    assert!(
        first[0].contains("](docs/charts/gin-bytes.svg)"),
        "{}",
        first[0]
    );
    assert!(!publish(&project, &[]).1.contains("wrote"));
    assert_eq!(DOCUMENTS.map(|name| read(&project, name)), first);
    assert_eq!(publish(&project, &["--check"]).0, 0);

    // The first number of the row is what it transfers.
    let row = "\ngin,scratch,linux/amd64,";
    replace(&project, "results/sizes.csv", row, &format!("{row}9"));
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["cost", "--project"])
        .arg(project.path())
        .assert()
        .success();
    let (code, told) = publish(&project, &["--check"]);
    assert_eq!(code, 1, "{told}");
    assert!(
        told.contains("docs/article.md:3: `sizes gin/scratch transfer kB` is `9"),
        "{told}"
    );
    assert!(
        told.contains("table `sizes gin`: `scratch`, transfer bytes is `"),
        "{told}"
    );
    assert!(told.contains("README.md:3: "), "{told}");
    assert_eq!(
        DOCUMENTS.map(|name| read(&project, name)),
        first,
        "a check writes nothing"
    );
}

#[test]
fn a_number_that_was_typed_and_a_marker_that_names_nothing_are_told_at_once() {
    let project = project();
    replace(&project, "README.md", "It transfers", "5 MB. It transfers");
    replace(&project, "docs/article.ko.md", "gin/scratch", "gin/scrach");
    let (code, told) = publish(&project, &[]);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("README.md:3: `5 MB` is typed"), "{told}");
    assert!(
        told.contains("docs/article.ko.md:3: `sizes gin/scrach transfer`: there is no variant"),
        "{told}"
    );
    assert!(told.contains("mend: write `scratch`"), "{told}");
    assert!(
        read(&project, "docs/article.md").contains("-->?<!--"),
        "nothing is written"
    );
}

/// Another machine's numbers need not bear the sentences out, so its post is not
/// to be put on the blog as it is.
#[test]
fn a_post_of_another_machine_is_a_draft() {
    let project = project();
    let results = project.path().join("results");
    let machine = measured::machine(&project);
    project::copy(&results.join(machine), &results.join("other"));
    let blog = project.path().join("blog");
    fs::create_dir(&blog).unwrap();
    let blog_name = blog.to_str().unwrap();
    for (words, is_draft) in [
        (["--hugo", blog_name].as_slice(), "draft: false"),
        (&["--hugo", blog_name, "--machine", "other"], "draft: true"),
    ] {
        let (code, told) = publish(&project, words);
        assert_eq!(code, 0, "{told}");
        let post = read(&project, "blog/content/posts/container-image-cost-test.md");
        assert!(post.contains(&format!("\n{is_draft}\n")), "{post}");
    }
}
