//! The committed files in a folder that a test may write into.

use std::{fs, path::Path};

use tempfile::TempDir;

/// A project with the committed experiments, sources and results, and nothing else.
pub fn committed() -> TempDir {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for part in ["experiments", "results", "app"] {
        copy(&workspace.join(part), &folder.path().join(part));
    }
    folder
}

/// A folder with all that is in it, build products aside.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_name() == "target" {
            continue;
        } else if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
