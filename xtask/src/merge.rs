//! `cargo xtask merge DIR…`: the rows of several machines or platforms together
//! in one results/.
//!
//! Everything is read and checked before the first byte is written. A folder
//! changes what it says otherwise than results/ does; what it says alike, or not
//! at all, stays. So a checkout of the same commit may come whole, with the rows
//! of platforms that were not its business. Two folders must not change one thing in two ways.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    cost::{self, Prices},
    files,
    problem::{Problem, Problems, shown},
    project::Project,
    record::{
        capabilities::CapabilityRow,
        exact::{BaseRow, FileRow, ImageRows, LayerRow, SizeRow},
        keep::Exact as _,
        limits::LimitRow,
        paths,
        row::{OfVariant, Row},
        table::Table,
        timings::{EnvironmentRow, NodeRow, ProofRow, SampleRow, StartRow},
    },
};

/// Merges the folders into the project's results/ and says what that moved.
///
/// # Errors
/// When a folder is none of results, a file in one is broken, or two folders
/// disagree; nothing is written then.
pub fn run(project: &Project, folders: &[PathBuf]) -> Result<ExitCode> {
    let written = merge(project, folders)?;
    if written.is_empty() {
        println!("Nothing moved: results/ says all of it already.");
    }
    for path in written {
        println!("wrote {}", shown(&path, project.root()).display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The files and the machines' folders that were written.
fn merge(project: &Project, folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let prices = Prices::load(project)?;
    let results = project.results();
    let mut rows = Rows::read(&results)?;
    let theirs: Vec<Rows> = folders
        .iter()
        .map(|folder| Rows::read(&results_in(folder)?))
        .collect::<Result<_>>()?;
    let disagreements = rows.take(&theirs);
    ensure!(
        disagreements.is_empty(),
        "the folders disagree, so nothing was written:\n{}\nmend: leave one of the two out, or run both again from \
         one commit",
        disagreements.join("\n")
    );
    rows.save(&results, prices.as_ref())
}

/// The folder of results that `folder` is or holds.
fn results_in(folder: &Path) -> Result<PathBuf> {
    let inner = folder.join("results");
    if inner.is_dir() {
        return Ok(inner);
    }
    if !paths::sizes(folder).is_file() && machines_in(folder)?.is_empty() {
        bail!(
            "{} is no folder of results: it holds neither sizes.csv nor the folder of a machine; mend: name a \
             results/ of another checkout, or what a CI job kept of it",
            folder.display()
        );
    }
    Ok(folder.to_owned())
}

/// Everything that a folder of results says, but what follows from the rest.
struct Rows {
    folder: PathBuf,
    images: BTreeMap<<SizeRow as Row>::Key, ImageRows>,
    /// All answers of an image come from one run.
    answers: BTreeMap<<SizeRow as Row>::Key, Vec<CapabilityRow>>,
    bases: BTreeMap<<BaseRow as Row>::Key, BaseRow>,
    machines: BTreeMap<String, Files>,
}

/// The files of a machine, by their paths in its folder.
type Files = BTreeMap<PathBuf, String>;

/// Whether `new` has nothing to tell who has `old`. A build that does not repeat
/// says nothing new while its inputs stay, and nothing is said of files by who
/// has no rows of them.
fn agrees(old: &ImageRows, new: &ImageRows) -> bool {
    let same_inputs = old.size.inputs.is_some() && old.size.inputs == new.size.inputs;
    let may_differ = same_inputs && !old.size.repeats() && !new.size.repeats();
    let same_files = new.files.is_empty() || old.files == new.files;
    may_differ || (old.size == new.size && plain_layers(old) == plain_layers(new) && same_files)
}

/// Without what BuildKit packed, which holds the time of the build.
fn plain_layers(image: &ImageRows) -> Vec<LayerRow> {
    let layers = image.layers.iter().cloned();
    layers
        .map(|layer| LayerRow {
            buildkit_transfer_bytes: None,
            ..layer
        })
        .collect()
}

/// The rows of the file, each with the image it is about.
fn by_image<R: Row + OfVariant>(path: &Path) -> Result<BTreeMap<<SizeRow as Row>::Key, Vec<R>>> {
    let mut rows: BTreeMap<_, Vec<R>> = BTreeMap::new();
    for row in Table::<R>::load(path)?.rows() {
        let image = (
            row.suite().to_owned(),
            row.variant().to_owned(),
            row.platform().to_owned(),
        );
        rows.entry(image).or_default().push(row.clone());
    }
    Ok(rows)
}

impl Rows {
    fn read(folder: &Path) -> Result<Self> {
        let sizes = Table::<SizeRow>::load(&paths::sizes(folder))?;
        let mut layers = by_image::<LayerRow>(&paths::layers(folder))?;
        let mut files = by_image::<FileRow>(&paths::files(folder))?;
        let images = sizes.rows().map(|size| {
            let image = ImageRows {
                size: size.clone(),
                layers: layers.remove(&size.key()).unwrap_or_default(),
                files: files.remove(&size.key()).unwrap_or_default(),
            };
            (size.key(), image)
        });
        let images = images.collect();
        let answers = by_image::<CapabilityRow>(&paths::capabilities(folder))?;
        let bases = Table::<BaseRow>::load(&paths::bases(folder))?;
        let mut machines = BTreeMap::new();
        for name in machines_in(folder)? {
            let files = machine(&paths::machine(folder, &name))?;
            machines.insert(name, files);
        }
        Ok(Self {
            folder: folder.to_owned(),
            images,
            answers,
            bases: bases.rows().map(|row| (row.key(), row.clone())).collect(),
            machines,
        })
    }

    /// Takes what the others change; what they disagree on, with their names.
    fn take(&mut self, others: &[Self]) -> Vec<String> {
        let of_image = |(suite, variant, platform): &(String, String, String)| {
            format!("{suite}/{variant} {platform}")
        };
        let of_base = |(base, platform): &(String, String)| format!("base {base} {platform}");
        [
            change(
                &mut self.images,
                &of(others, |it| &it.images),
                agrees,
                of_image,
            ),
            change(
                &mut self.answers,
                &of(others, |it| &it.answers),
                |a, b| a == b,
                |image| format!("capabilities of {}", of_image(image)),
            ),
            change(
                &mut self.bases,
                &of(others, |it| &it.bases),
                |a, b| a == b,
                of_base,
            ),
            change(
                &mut self.machines,
                &of(others, |it| &it.machines),
                |a, b| a == b,
                |name| format!("machine {name}"),
            ),
        ]
        .concat()
    }

    fn save(&self, results: &Path, prices: Option<&Prices>) -> Result<Vec<PathBuf>> {
        let images = self.images.values();
        let sizes = Table::of(
            &paths::sizes(results),
            images.clone().map(|image| image.size.clone()),
        );
        let layers = Table::of(
            &paths::layers(results),
            images.clone().flat_map(|image| image.layers.clone()),
        );
        let files = Table::of(
            &paths::files(results),
            images.flat_map(|image| image.files.clone()),
        );
        let answers = Table::of(
            &paths::capabilities(results),
            self.answers.values().flatten().cloned(),
        );
        let bases = Table::of(&paths::bases(results), self.bases.values().cloned());
        let mut written = Vec::new();
        let mut note = |moved: bool, path: &Path| {
            if moved {
                written.push(path.to_owned());
            }
        };
        note(sizes.save()?, sizes.path());
        note(layers.save()?, layers.path());
        note(files.save()?, files.path());
        note(bases.save()?, bases.path());
        note(answers.save()?, answers.path());
        if let Some(prices) = prices {
            let cost = cost::table(results, prices, prices.usage, &sizes, &layers);
            note(cost.save()?, cost.path());
        }
        for (name, files) in &self.machines {
            let folder = paths::machine(results, name);
            note(replace(&folder, files)?, &folder);
        }
        Ok(written)
    }
}

/// One part of each of the folders, with the folder.
fn of<T>(others: &[Rows], part: impl Fn(&Rows) -> &T) -> Vec<(&Path, &T)> {
    let named = others
        .iter()
        .map(|rows| (rows.folder.as_path(), part(rows)));
    named.collect()
}

/// Puts what `theirs` change into `ours`; two that change one thing in two ways
/// are named.
fn change<K: Ord + Clone, T: Clone>(
    ours: &mut BTreeMap<K, T>,
    theirs: &[(&Path, &BTreeMap<K, T>)],
    agree: impl Fn(&T, &T) -> bool,
    title: impl Fn(&K) -> String,
) -> Vec<String> {
    let mut changes: BTreeMap<&K, (&Path, &T)> = BTreeMap::new();
    let mut disagreements = Vec::new();
    for (folder, rows) in theirs {
        for (key, new) in *rows {
            if ours.get(key).is_some_and(|old| agree(old, new)) {
                continue;
            }
            let (first, earlier) = *changes.entry(key).or_insert((*folder, new));
            if !agree(earlier, new) {
                disagreements.push(format!(
                    "  {}: {} and {}",
                    title(key),
                    first.display(),
                    folder.display()
                ));
            }
        }
    }
    for (key, (_, new)) in changes {
        ours.insert(key.clone(), new.clone());
    }
    disagreements
}

/// The names of the folders that hold a machine's files.
fn machines_in(results: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for path in entries(results)? {
        let is_machine = [
            paths::environment(&path),
            paths::node(&path),
            paths::start(&path),
            paths::selftest(&path),
        ]
        .iter()
        .any(|part| part.exists());
        if let Some(name) = path
            .file_name()
            .and_then(OsStr::to_str)
            .filter(|_| is_machine)
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// What lies in `folder`, sorted; nothing where there is none. Hidden files are
/// those of a run under way.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read {}", folder.display());
    let found = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found.with_context(unreadable)?,
    };
    let mut entries = Vec::new();
    for entry in found {
        let entry = entry.with_context(unreadable)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            entries.push(entry.path());
        }
    }
    entries.sort();
    Ok(entries)
}

/// The files of a machine's folder, each of them checked.
fn machine(folder: &Path) -> Result<Files> {
    let files = files_in(folder)?;
    let mut found = Vec::new();
    for (name, text) in &files {
        if let Err(Problems(problems)) = check(&folder.join(name), name, text) {
            found.extend(problems);
        }
    }
    Problems::none_or(found)?;
    Ok(files)
}

fn files_in(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for path in entries(&next)? {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            files.insert(path.strip_prefix(folder)?.to_owned(), text);
        }
    }
    Ok(files)
}

/// Whether the text is what a machine's file of that name holds.
fn check(file: &Path, name: &Path, text: &str) -> Result<(), Problems> {
    fn rows<R: Row>(file: &Path, text: &str) -> Result<(), Problems> {
        Table::<R>::parse(file, text).map(drop)
    }
    let parts: Vec<&str> = name.iter().filter_map(OsStr::to_str).collect();
    match parts.as_slice() {
        ["node.csv"] => rows::<NodeRow>(file, text),
        ["start.csv"] => rows::<StartRow>(file, text),
        ["limits.csv"] => rows::<LimitRow>(file, text),
        ["environment.csv"] | ["selftest", "environment.csv"] => rows::<EnvironmentRow>(file, text),
        ["samples", _] | ["selftest", "samples.csv"] => rows::<SampleRow>(file, text),
        ["selftest", "proofs.csv"] => rows::<ProofRow>(file, text),
        _ => Err(Problems(vec![Problem {
            file: file.to_owned(),
            line: 0,
            what: "no file of a machine's results".to_owned(),
            mend: "remove it".to_owned(),
        }])),
    }
}

/// Makes the folder hold these files and no others; whether that moved anything.
fn replace(folder: &Path, files: &Files) -> Result<bool> {
    let old = files_in(folder)?;
    for (name, text) in files {
        if old.get(name) != Some(text) {
            files::write_atomic(&folder.join(name), text)?;
        }
    }
    for name in old.keys().filter(|name| !files.contains_key(*name)) {
        let path = folder.join(name);
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(old != *files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        digest::Digest,
        record::cell::{Id, Origin},
    };

    const AMD64: &str = "linux/amd64";
    const ARM64: &str = "linux/arm64";

    /// A project and folders to merge into it.
    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            files::create_dir_all(&place.path("project/experiments")).unwrap();
            place
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn write(&self, path: &str, text: &str) {
            files::write_atomic(&self.path(path), text).unwrap();
        }

        fn read(&self, path: &str) -> String {
            fs::read_to_string(self.path(path)).unwrap()
        }

        fn images(&self, results: &str, images: &[ImageRows]) {
            let folder = self.path(results);
            let sizes = images.iter().map(|image| image.size.clone());
            Table::of(&paths::sizes(&folder), sizes).save().unwrap();
            let layers = images.iter().flat_map(|image| image.layers.clone());
            Table::of(&paths::layers(&folder), layers).save().unwrap();
            let files = images.iter().flat_map(|image| image.files.clone());
            Table::of(&paths::files(&folder), files).save().unwrap();
        }

        /// What was written, below the project.
        fn merge(&self, folders: &[&str]) -> Result<Vec<String>> {
            let project = Project::at(&self.path("project"))?;
            let folders: Vec<PathBuf> = folders.iter().map(|folder| self.path(folder)).collect();
            let written = merge(&project, &folders)?;
            let shown = written.iter().map(|path| shown(path, project.root()));
            Ok(shown.map(|path| path.display().to_string()).collect())
        }

        /// Why it was not merged, with the folders' names alone.
        fn refused(&self, folders: &[&str]) -> String {
            let error = self.merge(folders).unwrap_err().to_string();
            error.replace(&format!("{}/", self.0.path().display()), "")
        }

        fn sizes(&self) -> Vec<(String, String, Option<u64>)> {
            let sizes = Table::<SizeRow>::load(&self.path("project/results/sizes.csv")).unwrap();
            let rows = sizes.rows();
            rows.map(|row| {
                (
                    row.variant.clone(),
                    row.platform.clone(),
                    row.transfer_bytes,
                )
            })
            .collect()
        }
    }

    fn image(variant: &str, platform: &str, layers: &[u64]) -> ImageRows {
        let bytes = layers.iter().sum();
        let size = SizeRow {
            suite: "gin".to_owned(),
            variant: variant.to_owned(),
            platform: platform.to_owned(),
            transfer_bytes: Some(bytes),
            layers: Some(layers.len() as u64),
            reproducible: Some(true),
            inputs: Some(Id::from(&Digest::of(format!("{layers:?}")))),
            ..SizeRow::default()
        };
        let layers = (1..).zip(layers).map(|(layer, bytes)| LayerRow {
            suite: size.suite.clone(),
            variant: size.variant.clone(),
            platform: size.platform.clone(),
            layer,
            transfer_bytes: Some(*bytes),
            buildkit_transfer_bytes: Some(bytes + 1),
            origin: Some(Origin::App),
            inputs: size.inputs.clone(),
            ..LayerRow::default()
        });
        ImageRows {
            layers: layers.collect(),
            files: vec![FileRow {
                suite: size.suite.clone(),
                variant: size.variant.clone(),
                platform: size.platform.clone(),
                rank: 1,
                content_bytes: bytes,
                ..FileRow::default()
            }],
            size,
        }
    }

    fn row(variant: &str, platform: &str, bytes: u64) -> (String, String, Option<u64>) {
        (variant.to_owned(), platform.to_owned(), Some(bytes))
    }

    #[test]
    fn two_platforms_come_together_and_a_second_time_moves_nothing() {
        let place = Place::new();
        place.images(
            "project/results",
            &[image("a", AMD64, &[5, 6]), image("kept", AMD64, &[1])],
        );
        place.images("one/results", &[image("a", AMD64, &[7])]);
        place.images("two", &[image("a", ARM64, &[8, 9])]);
        let exact = ["sizes", "layers", "files"].map(|name| format!("results/{name}.csv"));
        assert_eq!(place.merge(&["one", "two"]).unwrap(), exact);
        assert_eq!(
            place.sizes(),
            [
                row("a", AMD64, 7),
                row("a", ARM64, 17),
                row("kept", AMD64, 1)
            ]
        );
        let layers = place.read("project/results/layers.csv");
        let of_a = layers
            .lines()
            .filter(|line| line.starts_with("gin,a,linux/amd64,"));
        assert_eq!(of_a.count(), 1, "layers move with their image:\n{layers}");
        let files = place.read("project/results/files.csv");
        assert!(files.contains("gin,a,linux/amd64,1,,7,"), "{files}");
        assert!(!files.contains("gin,a,linux/amd64,1,,11,"), "{files}");
        assert!(place.merge(&["one", "two"]).unwrap().is_empty());
        assert!(place.merge(&["two", "one", "project"]).unwrap().is_empty());
    }

    #[test]
    fn a_checkout_may_bring_older_rows_of_what_was_not_its_business() {
        let place = Place::new();
        let old = [image("a", AMD64, &[5]), image("a", ARM64, &[6])];
        place.images("project/results", &old);
        place.images("one", &[image("a", AMD64, &[7]), old[1].clone()]);
        place.images("two", &[old[0].clone(), image("a", ARM64, &[8])]);
        place.merge(&["one", "two"]).unwrap();
        assert_eq!(place.sizes(), [row("a", AMD64, 7), row("a", ARM64, 8)]);
    }

    #[test]
    fn who_has_no_rows_of_files_takes_none_away() {
        let place = Place::new();
        let whole = image("a", AMD64, &[5]);
        let silent = ImageRows {
            files: Vec::new(),
            ..whole.clone()
        };
        place.images("project/results", std::slice::from_ref(&whole));
        place.images("one", std::slice::from_ref(&silent));
        assert!(place.merge(&["one"]).unwrap().is_empty());
        // The other way round they are taken.
        place.images("project/results", &[silent]);
        place.images("two", &[whole]);
        let files = "project/results/files.csv";
        fs::remove_file(place.path(files)).unwrap();
        assert_eq!(place.merge(&["two"]).unwrap(), ["results/files.csv"]);
    }

    #[test]
    fn the_answers_of_an_image_come_as_a_whole() {
        let place = Place::new();
        let answers = |results: &str, capabilities: &[&str]| {
            let row = |capability: &&str| CapabilityRow {
                suite: "gin".to_owned(),
                variant: "a".to_owned(),
                platform: AMD64.to_owned(),
                capability: (*capability).to_owned(),
                ..CapabilityRow::default()
            };
            let path = paths::capabilities(&place.path(results));
            Table::of(&path, capabilities.iter().map(row))
                .save()
                .unwrap();
        };
        place.images("one", &[image("a", AMD64, &[5])]);
        answers("project/results", &["dns", "gone"]);
        answers("one", &["dns", "shell"]);
        place.merge(&["one"]).unwrap();
        let text = place.read("project/results/capabilities.csv");
        let keys: Vec<&str> = text
            .lines()
            .map(|line| line.split(",,").next().unwrap())
            .collect();
        assert_eq!(
            keys[1..],
            ["gin,a,linux/amd64,dns", "gin,a,linux/amd64,shell"]
        );
    }

    #[test]
    fn two_that_disagree_are_named_and_nothing_is_written() {
        let place = Place::new();
        place.images("one", &[image("a", AMD64, &[5]), image("b", AMD64, &[1])]);
        place.images("two", &[image("a", AMD64, &[6]), image("b", AMD64, &[1])]);
        insta::assert_snapshot!(place.refused(&["one", "two"]), @"
        the folders disagree, so nothing was written:
          gin/a linux/amd64: one and two
        mend: leave one of the two out, or run both again from one commit
        ");
        assert!(!place.path("project/results").exists());
    }

    #[test]
    fn what_may_differ_between_two_builds_is_no_disagreement() {
        let place = Place::new();
        let jitter = |bytes| {
            let mut image = image("a", AMD64, &[5]);
            image.layers[0].buildkit_transfer_bytes = Some(bytes);
            image
        };
        let changing = |bytes| {
            let mut image = image("b", AMD64, &[7]);
            image.size.reproducible = Some(false);
            image.size.transfer_bytes = Some(bytes);
            image
        };
        place.images("one", &[jitter(8), changing(70)]);
        place.images("two", &[jitter(9), changing(71)]);
        place.merge(&["one", "two"]).unwrap();
        assert_eq!(place.sizes(), [row("a", AMD64, 5), row("b", AMD64, 70)]);
        assert!(place.merge(&["two"]).unwrap().is_empty());
    }

    #[test]
    fn bases_come_by_their_platform_and_costs_follow() {
        let place = Place::new();
        let base = |platform: &str| BaseRow {
            base: "alpine:3.22".to_owned(),
            platform: platform.to_owned(),
            transfer_bytes: Some(5),
            ..BaseRow::default()
        };
        place.write(
            "project/experiments/prices.toml",
            "[usage]\nversions = 1\npulls = 0\nnodes = 0\n[[price]]\nname = 'a'\ndate = '2026-11'\nsource = 's'\n\
             gb_bytes = 1_000_000_000\nstorage_microusd_per_gb_month = 1\n[[price.path]]\nname = 'p'\n\
             microusd_per_gb = 1\n",
        );
        for (folder, platform) in [("one", AMD64), ("two", ARM64)] {
            place.images(folder, &[image("a", platform, &[5])]);
            Table::of(&paths::bases(&place.path(folder)), [base(platform)])
                .save()
                .unwrap();
        }
        let written = place.merge(&["one", "two"]).unwrap();
        let exact =
            ["sizes", "layers", "files", "bases", "cost"].map(|name| format!("results/{name}.csv"));
        assert_eq!(written, exact);
        assert_eq!(place.read("project/results/bases.csv").lines().count(), 3);
        let costs = place.read("project/results/cost.csv");
        assert_eq!(
            costs.lines().count(),
            5,
            "a variant and a suite on each platform:\n{costs}"
        );
    }

    const NODE: &str = "session,fact,value\n1f,kernel,6.1\n";

    #[test]
    fn a_machine_is_copied_whole_and_what_it_no_longer_has_goes() {
        let place = Place::new();
        let samples = Table::of(Path::new("x"), std::iter::once(SampleRow::default())).text();
        place.write("project/results/m/environment.csv", "session,fact,value\n");
        place.write("project/results/m/samples/gin-unshaped-old.csv", &samples);
        place.write("project/results/other/environment.csv", NODE);
        place.write("one/m/environment.csv", NODE);
        place.write("one/m/samples/gin-unshaped-1f.csv", &samples);
        place.write("one/m/.tmp-x", "half");
        assert_eq!(place.merge(&["one"]).unwrap(), ["results/m"]);
        assert_eq!(place.read("project/results/m/environment.csv"), NODE);
        let left = files_in(&place.path("project/results/m/samples")).unwrap();
        assert_eq!(
            left.keys().collect::<Vec<_>>(),
            [Path::new("gin-unshaped-1f.csv")]
        );
        assert_eq!(place.read("project/results/other/environment.csv"), NODE);
        assert!(place.merge(&["one"]).unwrap().is_empty());
    }

    #[test]
    fn one_machine_with_two_contents_is_refused() {
        let place = Place::new();
        place.write("one/m/environment.csv", NODE);
        place.write("two/m/environment.csv", &NODE.replace("6.1", "6.2"));
        let refused = place.refused(&["one", "two"]);
        assert!(
            refused.contains("\n  machine m: one and two\n"),
            "{refused}"
        );
        assert!(!place.path("project/results").exists());
    }

    #[test]
    fn a_broken_or_unknown_file_stops_it_before_anything_is_written() {
        let place = Place::new();
        place.images("one", &[image("a", AMD64, &[5])]);
        place.write("two/m/environment.csv", NODE);
        place.write("two/m/node.csv", "nonsense\n");
        place.write("two/m/notes.txt", "");
        let refused = place.refused(&["one", "two"]);
        assert!(
            refused.contains("two/m/node.csv:1: column `suite` is missing"),
            "{refused}"
        );
        assert!(
            refused.contains("two/m/notes.txt: no file of a machine's results"),
            "{refused}"
        );
        assert!(!place.path("project/results").exists());
        let refused = place.refused(&["project/experiments"]);
        assert!(
            refused.starts_with("project/experiments is no folder of results"),
            "{refused}"
        );
    }
}
