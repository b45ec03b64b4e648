//! The two sides of a diff: what `results/` and `experiments/` say in a git
//! revision, in a folder or in the working tree.
//!
//! A side is a handful of texts first, wherever they lie. What they mean is
//! read from these alone.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow};

use crate::{
    bases::Lock,
    problem::Problems,
    project::Project,
    record::{
        capabilities::CapabilityRow,
        exact::{BaseRow, LayerRow, SizeRow},
        paths,
        row::{Row, columns},
        table::Table,
        timings::{NodeRow, StartRow},
    },
    shell,
    suite::{self, Budget},
};

/// The branch that requests are merged into: here, and at the origin. Either may
/// be the newer one, or the only one.
const MAINS: [&str; 2] = ["refs/heads/main", "refs/remotes/origin/main"];

/// One side.
#[derive(Debug)]
pub struct State {
    /// As the reader of a report knows it.
    pub name: String,
    pub sizes: Table<SizeRow>,
    pub layers: Table<LayerRow>,
    pub bases: Table<BaseRow>,
    pub capabilities: Table<CapabilityRow>,
    /// Columns of `sizes.csv` that either this side or this program lacks.
    pub strange_columns: Vec<String>,
    /// By the folders of `results/`.
    pub machines: BTreeMap<String, Machine>,
    /// None where there are only results.
    pub lock: Option<Lock>,
    /// The suite.toml of each suite.
    manifests: BTreeMap<String, Text>,
}

/// The summaries of one machine's sessions.
#[derive(Debug)]
pub struct Machine {
    pub node: Table<NodeRow>,
    pub start: Table<StartRow>,
}

/// A file's content, and where a person finds it.
#[derive(Clone, Debug)]
pub struct Text {
    pub shown: PathBuf,
    pub text: String,
}

/// The files of a side, by where they lie in a project.
pub type Texts = BTreeMap<String, Text>;

/// The sides that the command line names, or those of a request: what main and
/// HEAD have in common, and the working tree.
///
/// # Errors
/// When a name means nothing, there is nothing in common, or a file is broken.
pub fn both(project: &Project, base: Option<&str>, head: Option<&str>) -> Result<(State, State)> {
    let base = match base {
        Some(word) => Source::named(project, word)?,
        None => Source::merge_base(project)?,
    };
    let head = match head {
        Some(word) => Source::named(project, word)?,
        None => Source::working_tree(project),
    };
    Ok((base.state()?, head.state()?))
}

/// Where a side lies.
struct Source {
    name: String,
    place: Place,
}

enum Place {
    Revision {
        root: PathBuf,
        commit: String,
    },
    Folder {
        results: PathBuf,
        experiments: PathBuf,
    },
}

impl Source {
    /// A revision goes before a folder of the same name; `./NAME` is always the
    /// folder.
    fn named(project: &Project, word: &str) -> Result<Self> {
        let is_path = word.starts_with(['.', '/']);
        if !is_path && let Some(commit) = shell::commit(project.root(), word) {
            return Ok(Self::revision(project, word, commit));
        }
        let found = folder(Path::new(word)).map(|place| Self {
            name: word.to_owned(),
            place,
        });
        found.with_context(|| {
            format!(
                "`{word}` is neither a git revision nor a folder with results in it; mend: `git log \
                 --oneline --all` lists revisions, `git fetch --unshallow` brings those that a \
                 shallow clone lacks"
            )
        })
    }

    fn working_tree(project: &Project) -> Self {
        Self {
            name: "the working tree".to_owned(),
            place: Place::Folder {
                results: project.results(),
                experiments: project.experiments(),
            },
        }
    }

    fn merge_base(project: &Project) -> Result<Self> {
        let root = project.root();
        let mains: Vec<&str> = MAINS
            .into_iter()
            .filter(|name| shell::commit(root, name).is_some())
            .collect();
        let found = merge_base(root, &mains).ok_or_else(|| no_merge_base(root, &mains))?;
        Ok(Self::revision(project, "the merge base with main", found))
    }

    fn revision(project: &Project, name: &str, commit: String) -> Self {
        Self {
            name: format!("{name} ({})", short(&commit)),
            place: Place::Revision {
                root: project.root().to_owned(),
                commit,
            },
        }
    }

    fn state(self) -> Result<State> {
        let texts = match &self.place {
            Place::Revision { root, commit } => texts_of_revision(root, commit),
            Place::Folder {
                results,
                experiments,
            } => texts_of_folders(results, experiments),
        };
        texts
            .and_then(|texts| State::of(self.name.clone(), texts))
            .with_context(|| format!("cannot compare {}", self.name))
    }
}

/// A folder with `results/` in it, or a folder of results.
fn folder(folder: &Path) -> Option<Place> {
    let results = folder.join("results");
    if results.is_dir() {
        let experiments = folder.join("experiments");
        return Some(Place::Folder {
            results,
            experiments,
        });
    }
    paths::sizes(folder).is_file().then(|| Place::Folder {
        results: folder.to_owned(),
        experiments: folder.join("../experiments"),
    })
}

/// With several branches, the newest commit that HEAD shares with any of them.
fn merge_base(root: &Path, mains: &[&str]) -> Option<String> {
    if mains.is_empty() {
        return None;
    }
    let mut arguments = vec!["merge-base", "HEAD"];
    arguments.extend(mains);
    git(root, &arguments)
}

/// What git answers; none where it fails.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    shell::read(&mut shell::git(root, arguments)).ok()
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// Why there is none, and the command that mends it.
fn no_merge_base(root: &Path, mains: &[&str]) -> anyhow::Error {
    let Some(shallow) = git(root, &["rev-parse", "--is-shallow-repository"]) else {
        return anyhow!(
            "{} is no git checkout, so there is no merge base to compare with; mend: name both sides, \
             as in `cargo xtask diff OLD-FOLDER NEW-FOLDER`",
            root.display()
        );
    };
    let (why, mend) = if shallow == "true" {
        (
            "this clone is shallow",
            "`git fetch --unshallow origin main:refs/remotes/origin/main`, or ",
        )
    } else if mains.is_empty() {
        (
            "git knows no branch main here",
            "`git fetch origin main:refs/remotes/origin/main`, or ",
        )
    } else {
        ("they have no commit in common", "")
    };
    anyhow!(
        "there is no merge base of main and HEAD: {why}; mend: {mend}name the base, as in \
         `cargo xtask diff HEAD~1`"
    )
}

/// Whether a comparison reads the file that lies there in a project. What follows
/// from others is not read: costs, and the largest files of the layers.
fn is_read(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(
        parts.as_slice(),
        [
            "results",
            "sizes.csv" | "layers.csv" | "bases.csv" | "capabilities.csv"
        ] | ["results", _, "node.csv" | "start.csv"]
            | ["experiments", "bases.lock"]
            | ["experiments", _, "suite.toml"]
    )
}

fn texts_of_revision(root: &Path, commit: &str) -> Result<Texts> {
    let list = [
        "ls-tree",
        "-r",
        "-z",
        "--name-only",
        commit,
        "results",
        "experiments",
    ];
    let list = shell::read(&mut shell::git(root, &list))?;
    let read = |path: &str| -> Result<(String, Text)> {
        // The project need not be all of its repository.
        let object = format!("{commit}:./{path}");
        let text = Text {
            shown: format!("{}:{path}", short(commit)).into(),
            text: shell::read(&mut shell::git(root, &["show", &object]))?,
        };
        Ok((path.to_owned(), text))
    };
    list.split('\0')
        .filter(|path| is_read(path))
        .map(read)
        .collect()
}

fn texts_of_folders(results: &Path, experiments: &Path) -> Result<Texts> {
    let mut texts = Texts::new();
    for (top, folder) in [("results", results), ("experiments", experiments)] {
        for inner in two_deep(folder)? {
            let path = format!("{top}/{inner}");
            if is_read(&path) {
                let shown = folder.join(inner);
                let text = fs::read_to_string(&shown)
                    .with_context(|| format!("cannot read {}", shown.display()))?;
                texts.insert(path, Text { shown, text });
            }
        }
    }
    Ok(texts)
}

/// The files in `folder` and in its folders, named from there.
fn two_deep(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for name in names(folder)? {
        let path = folder.join(&name);
        if path.is_dir() {
            let inner = names(&path)?.into_iter();
            found.extend(inner.map(|inner| format!("{name}/{inner}")));
        } else {
            found.push(name);
        }
    }
    Ok(found)
}

/// What lies in `folder`; nothing where there is no such folder.
fn names(folder: &Path) -> Result<Vec<String>> {
    let unreadable = || format!("cannot read {}", folder.display());
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(unreadable)?,
    };
    entries
        .map(|entry| {
            let name = entry.with_context(unreadable)?.file_name();
            anyhow::Ok(name.to_string_lossy().into_owned())
        })
        .collect()
}

impl State {
    /// # Errors
    /// [`Problems`] with the lines of a file that are none of its rows.
    pub fn of(name: String, texts: Texts) -> Result<Self> {
        let (sizes, strange_columns) = table(&texts, "results/sizes.csv")?;
        let lock = texts
            .get("experiments/bases.lock")
            .map(|lock| Lock::parse(lock.shown.clone(), &lock.text))
            .transpose()?;
        Ok(Self {
            name,
            sizes,
            layers: table(&texts, "results/layers.csv")?.0,
            bases: table(&texts, "results/bases.csv")?.0,
            capabilities: table(&texts, "results/capabilities.csv")?.0,
            strange_columns,
            machines: machines(&texts)?,
            lock,
            manifests: manifests(texts),
        })
    }

    /// What each suite and variant may weigh at most.
    ///
    /// # Errors
    /// [`Problems`] with everything that is wrong with this side's suite.toml
    /// files.
    pub fn budgets(&self) -> Result<BTreeMap<(String, String), Budget>, Problems> {
        let (mut budgets, mut problems) = (BTreeMap::new(), Vec::new());
        for (suite, manifest) in &self.manifests {
            match suite::budgets(manifest.shown.clone(), &manifest.text) {
                Ok(found) => {
                    let named = found.into_iter();
                    budgets.extend(named.map(|(variant, it)| ((suite.clone(), variant), it)));
                }
                Err(Problems(found)) => problems.extend(found),
            }
        }
        Problems::none_or(problems)?;
        Ok(budgets)
    }
}

fn machines(texts: &Texts) -> Result<BTreeMap<String, Machine>, Problems> {
    let names: BTreeSet<&str> = texts
        .keys()
        .filter(|path| path.ends_with("/node.csv") || path.ends_with("/start.csv"))
        .filter_map(|path| middle(path))
        .collect();
    let read = |name: &str| -> Result<(String, Machine), Problems> {
        let machine = Machine {
            node: table(texts, &format!("results/{name}/node.csv"))?.0,
            start: table(texts, &format!("results/{name}/start.csv"))?.0,
        };
        Ok((name.to_owned(), machine))
    };
    names.into_iter().map(read).collect()
}

fn manifests(texts: Texts) -> BTreeMap<String, Text> {
    texts
        .into_iter()
        .filter(|(path, _)| path.ends_with("/suite.toml"))
        .filter_map(|(path, text)| Some((middle(&path)?.to_owned(), text)))
        .collect()
}

/// `gin` of `experiments/gin/suite.toml`.
fn middle(path: &str) -> Option<&str> {
    path.split('/').nth(1)
}

/// The rows of a file and its strange columns; none where there is no file.
fn table<R: Row>(texts: &Texts, path: &str) -> Result<(Table<R>, Vec<String>), Problems> {
    let Some(file) = texts.get(path) else {
        return Ok((Table::empty(Path::new(path)), Vec::new()));
    };
    let (text, strange) = with_todays_columns::<R>(&file.text);
    Ok((Table::parse(&file.shown, &text)?, strange))
}

/// The file with the columns that this program knows, and the names of those
/// that are not in both: a change that adds a column can be reviewed like any
/// other. A text that is no such file is left for its reader to refuse.
fn with_todays_columns<R: Row>(text: &str) -> (Cow<'_, str>, Vec<String>) {
    let today = columns::<R>();
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .has_headers(false)
        .from_reader(text.as_bytes());
    let mut lines = reader.records().map_while(Result::ok);
    let header = lines.next().unwrap_or_default();
    let place = |name: &str| header.iter().position(|found| found == name);
    let strange: Vec<String> = today
        .iter()
        .map(String::as_str)
        .filter(|name| place(name).is_none())
        .chain(
            header
                .iter()
                .filter(|name| !today.iter().any(|it| it == name)),
        )
        .map(str::to_owned)
        .collect();
    if strange.is_empty() || R::KEY.iter().any(|key| place(key).is_none()) {
        return (Cow::Borrowed(text), Vec::new());
    }
    let places: Vec<Option<usize>> = today.iter().map(|name| place(name)).collect();
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    writer.write_record(&today).expect("memory takes any bytes");
    for line in lines {
        let cells = places.iter().map(|at| at.and_then(|at| line.get(at)));
        let cells = cells.map(Option::unwrap_or_default);
        writer.write_record(cells).expect("memory takes any bytes");
    }
    let bytes = writer.into_inner().expect("memory takes any bytes");
    let text = String::from_utf8(bytes).expect("cells are text");
    (Cow::Owned(text), strange)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        files,
        review::testing::{size, text_of},
    };

    fn place(path: &Path) -> State {
        let source = Source {
            name: "x".to_owned(),
            place: folder(path).expect("results are there"),
        };
        source.state().unwrap()
    }

    /// A project's folder with one row and a budget for it.
    fn project() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let sizes = text_of([size("scratch", 5)]);
        let write = |path: &str, text: &str| {
            files::write_atomic(&folder.path().join(path), text).unwrap();
        };
        write("results/sizes.csv", &sizes);
        write("results/m1/samples/never-read.csv", "x");
        write(
            "results/m1/node.csv",
            &Table::<NodeRow>::empty(Path::new("x")).text(),
        );
        write(
            "experiments/gin/suite.toml",
            "title = 'a'\ncontext = 'src'\nprobe.body = 'b'\n[[variant]]\nname = 'scratch'\n\
             reason = 'r'\nbudget.transfer_bytes = 4\n",
        );
        folder
    }

    #[test]
    fn a_folder_holds_results_or_is_them() {
        let folder = project();
        for path in [folder.path().to_owned(), folder.path().join("results")] {
            let state = place(&path);
            assert_eq!(state.sizes.rows().count(), 1);
            assert_eq!(state.machines.keys().collect::<Vec<_>>(), ["m1"]);
            assert!(state.lock.is_none());
            let budgets = state.budgets().unwrap();
            let of_scratch = &budgets[&("gin".to_owned(), "scratch".to_owned())];
            assert_eq!(of_scratch["transfer_bytes"], 4);
        }
        assert!(super::folder(&folder.path().join("experiments")).is_none());
    }

    #[test]
    fn a_broken_file_is_named_with_its_side() {
        let folder = project();
        files::write_atomic(&folder.path().join("results/sizes.csv"), "<<<<<<< HEAD\n").unwrap();
        let source = Source {
            name: "OLD".to_owned(),
            place: super::folder(folder.path()).unwrap(),
        };
        let error = format!("{:#}", source.state().unwrap_err());
        assert!(error.starts_with("cannot compare OLD: "), "{error}");
        assert!(
            error.contains("results/sizes.csv:1: a merge conflict"),
            "{error}"
        );
    }

    #[test]
    fn a_column_that_only_one_side_has_is_no_obstacle() {
        let today = text_of([size("scratch", 5)]);
        let (same, none) = with_todays_columns::<SizeRow>(&today);
        assert_eq!((&*same, none.len()), (today.as_str(), 0));

        let other = today.replacen(",files,", ",inodes,", 1);
        let (read, strange) = with_todays_columns::<SizeRow>(&other);
        assert_eq!(strange, ["files", "inodes"]);
        let table = Table::<SizeRow>::parse(Path::new("x"), &read).unwrap();
        let row = table.rows().next().unwrap();
        assert_eq!((row.transfer_bytes, row.files), (Some(5), None));

        let no_table = "a,b\n1,2\n";
        assert_eq!(with_todays_columns::<SizeRow>(no_table).0, no_table);
    }

    #[test]
    fn only_what_is_compared_is_read() {
        for path in [
            "results/sizes.csv",
            "results/m/start.csv",
            "experiments/gin/suite.toml",
        ] {
            assert!(is_read(path), "{path}");
        }
        for path in [
            "results/cost.csv",
            "results/files.csv",
            "results/m/samples/a.csv",
            "sizes.csv",
            "experiments/a",
        ] {
            assert!(!is_read(path), "{path}");
        }
    }
}
