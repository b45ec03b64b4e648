//! `cargo xtask verify`: everything built again from nothing and held against
//! the committed rows, which are only read.

use std::{fmt, process::ExitCode};

use anyhow::Result;

use super::{
    confirm_host_package, hold, prepare_host, sizes::Counted, state::State, workbench::Workbench,
};
use crate::{
    bases::{self, Lock},
    clean, cli,
    dockerfile::ImageName,
    elevate, files, human,
    progress::Progress,
    project::Project,
    record::{
        cell::{Cell as _, Id, Origin},
        exact::{BaseRow, FILES_OF_IMAGE_MAX, FileRow, ImageRows, LayerRow, SizeRow},
        keep::{Drift, Exact as _, drifts, is_of},
        row::Row as _,
        table::Table,
    },
    review::{
        cause::{Kind, Locks, causes},
        plain::as_it_is,
    },
};

/// The folder of the lab in which everything is built.
const FOLDER: &str = "verify";

/// What the same inputs have to give again.
const OF_IMAGE: &[&str] = &[
    "transfer_bytes",
    "unpacked_bytes",
    "layer_file_bytes",
    "content_bytes",
    "wasted_bytes",
    "base_transfer_bytes",
    "app_transfer_bytes",
    "layers",
    "files",
    "reproducible",
    "app_sha256",
    "digest",
];
const OF_LAYER: &[&str] = &[
    "transfer_bytes",
    "unpacked_bytes",
    "layer_file_bytes",
    "files",
    "origin",
    "digest",
    "diff_id",
];
const OF_FILE: &[&str] = &["path", "content_bytes", "layer"];
const OF_BASE: &[&str] = &[
    "source",
    "transfer_bytes",
    "unpacked_bytes",
    "layers",
    "digest",
];

/// What of it can repeat where a build writes the time into its files: neither
/// packed bytes nor digests, nor, by a digit of the time, the length of a file.
const CONTENT_OF_IMAGE: &[&str] = &["unpacked_bytes", "layers", "files", "app_sha256"];
const CONTENT_OF_LAYER: &[&str] = &["unpacked_bytes", "files"];

/// # Errors
/// What keeps it from building at all. What came out otherwise than it is
/// committed is an exit code.
pub fn run(project: &Project, options: &cli::Verify) -> Result<ExitCode> {
    let step = options.step();
    let apart = project.apart(FOLDER);
    // What is wrong with what people wrote is said before anything is asked of them.
    State::load(&apart, &step)?;
    if !elevate::is_root() && !step.lab.is_host() {
        confirm_host_package(project, &step.lab)?;
        return elevate::rerun_through_sudo();
    }
    let progress = Progress::to_stderr();
    let held = hold(project, &step.lab)?;
    clean::sweep(project)?;
    files::remove_dir_all(&apart.lab())?;
    let mut state = State::load(&apart, &step)?;
    eprintln!(
        "verify builds {} twice and makes the bases, all from nothing, in target/lab/{FOLDER}; results/ and \
         bases.lock are only read",
        human::count(state.variants(), "variant")
    );
    prepare_host(project, &step.lab)?;
    let mut bench = Workbench::open(project, held, &step.lab, &progress)?;
    let lock = state.make_bases(&mut bench, &progress)?;
    state.build(&mut bench, true, &progress)?;
    let counted = state.count(&progress, |_| true)?;
    let mut report = Committed::of(&state).held_against(&counted, &lock);
    report
        .findings
        .extend(state.superseded()?.into_iter().map(Finding::of_other_rows));
    print!("{report}");
    if report.findings.is_empty() {
        files::remove_dir_all(&apart.lab())?;
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "error: {} did not come out as committed; images and logs are in target/lab/{FOLDER}\n\
         mend: where an input drifted, `cargo xtask size` takes the new rows; where none did, the build or this \
         program is to be mended",
        human::count(report.findings.len(), "row")
    );
    Ok(ExitCode::FAILURE)
}

/// What the files say, before anything is built.
struct Committed<'a> {
    sizes: &'a Table<SizeRow>,
    layers: &'a Table<LayerRow>,
    files: &'a Table<FileRow>,
    bases: &'a Table<BaseRow>,
    lock: &'a Lock,
}

/// How much came out as it is committed, and what did not.
#[derive(Debug, Default)]
struct Report {
    images: usize,
    layers: usize,
    bases: usize,
    findings: Vec<Finding>,
}

/// A base or an image that did not come out as its row says.
#[derive(Debug)]
struct Finding {
    name: String,
    drifts: Vec<Drift>,
    why: String,
}

impl<'a> Committed<'a> {
    fn of(state: &'a State) -> Self {
        Self {
            sizes: &state.sizes,
            layers: &state.layers,
            files: &state.files,
            bases: &state.base_rows,
            lock: &state.lock,
        }
    }

    /// `lock` is what the bases ask for as they were made now.
    fn held_against(&self, built: &Counted, lock: &Lock) -> Report {
        let mut report = Report::default();
        for base in &built.bases {
            match self.base(base, lock) {
                None => report.bases += 1,
                Some(finding) => report.findings.push(finding),
            }
        }
        for image in &built.images {
            match self.image(image, lock) {
                None => {
                    report.images += 1;
                    report.layers += image.layers.len();
                }
                Some(finding) => report.findings.push(finding),
            }
        }
        report
    }

    fn base(&self, built: &BaseRow, lock: &Lock) -> Option<Finding> {
        let name = format!("base {}", built.base);
        let Some(committed) = self.bases.get(&built.key()) else {
            return Some(Finding::without_row(name, "bases.csv"));
        };
        let drifts = among(drifts(committed, built), OF_BASE);
        (!drifts.is_empty()).then(|| Finding {
            name,
            drifts,
            why: self.why_base(committed, built, lock),
        })
    }

    fn image(&self, image: &ImageRows, lock: &Lock) -> Option<Finding> {
        let built = &image.size;
        let name = format!("{}/{}", built.suite, built.variant);
        let Some(committed) = self.sizes.get(&built.key()) else {
            return Some(Finding::without_row(name, "sizes.csv"));
        };
        let mut drifts = of_image(committed, built);
        if drifts.is_empty() {
            // Of an image that moved the layers and files have moved, too.
            let layers = image.layers.iter();
            drifts = layers
                .flat_map(|layer| self.of_layer(committed, layer))
                .chain(self.of_files(committed, &image.files))
                .collect();
        }
        (!drifts.is_empty()).then(|| Finding {
            name,
            drifts,
            why: self.why_image(committed, built, lock),
        })
    }

    fn of_layer(&self, image: &SizeRow, built: &LayerRow) -> Vec<Drift> {
        let name = format!("layer {}", built.layer);
        let Some(committed) = self.layers.get(&built.key()) else {
            return vec![only_one(name, "", "a layer")];
        };
        let repeats = image.repeats() || committed.origin == Some(Origin::Base);
        let compared = if repeats { OF_LAYER } else { CONTENT_OF_LAYER };
        within(&name, among(drifts(committed, built), compared))
    }

    fn of_files(&self, image: &SizeRow, built: &[FileRow]) -> Vec<Drift> {
        let committed = self.files.rows().filter(|row| is_of(*row, image));
        if !image.repeats() {
            return committed
                .filter(|row| self.is_of_base(row))
                .flat_map(|row| of_base_file(row, built))
                .collect();
        }
        let surplus = committed.filter(|row| row.rank > built.len() as u64);
        built
            .iter()
            .flat_map(|file| self.of_file(file))
            .chain(surplus.map(|row| only_one(file_name(row), &row.path, "")))
            .collect()
    }

    fn of_file(&self, built: &FileRow) -> Vec<Drift> {
        match self.files.get(&built.key()) {
            Some(committed) => within(&file_name(built), among(drifts(committed, built), OF_FILE)),
            None => vec![only_one(file_name(built), "", &built.path)],
        }
    }

    /// Whether a layer of the base brought the file.
    fn is_of_base(&self, file: &FileRow) -> bool {
        let FileRow {
            suite,
            variant,
            platform,
            layer,
            ..
        } = file.clone();
        let layer = self.layers.get(&(suite, variant, platform, layer));
        layer.is_some_and(|layer| layer.origin == Some(Origin::Base))
    }

    fn why_image(&self, committed: &SizeRow, built: &SizeRow, lock: &Lock) -> String {
        let locks = Locks {
            before: Some(self.lock),
            after: Some(lock),
        };
        let inputs: Vec<String> = causes(committed, built, locks)
            .iter()
            // The binary is what comes out of a build, and no input of it.
            .filter(|cause| !matches!(cause.kind, Kind::ApplicationBinary | Kind::Unknown))
            .map(|cause| cause.text(as_it_is))
            .collect();
        if inputs.is_empty() && built.error.is_some() {
            return format!(
                "no input drifted: see target/lab/{FOLDER}/logs/{}-{}.build.log",
                built.suite, built.variant
            );
        }
        drifted(&inputs)
    }

    fn why_base(&self, committed: &BaseRow, built: &BaseRow, lock: &Lock) -> String {
        if committed.source != built.source {
            return drifted(&[format!(
                "its source, {} -> {}",
                committed.source, built.source
            )]);
        }
        if committed.id == built.id {
            return drifted(&[]);
        }
        let name = built.base.parse::<ImageName>().ok();
        let moves = name.and_then(|name| {
            let old = self.lock.get(&name, &built.platform)?;
            let new = lock.get(&name, &built.platform)?;
            Some(bases::moves(old, new))
        });
        match moves.filter(|moves| !moves.is_empty()) {
            Some(moves) => drifted(&moves),
            None => drifted(&[format!(
                "its identity, {} -> {}",
                id(&committed.id),
                id(&built.id)
            )]),
        }
    }
}

fn of_image(committed: &SizeRow, built: &SizeRow) -> Vec<Drift> {
    if committed.error != built.error {
        return vec![Drift {
            column: "error".to_owned(),
            committed: committed.error.text(),
            measured: built.error.text(),
        }];
    }
    let compared = if committed.repeats() {
        OF_IMAGE
    } else {
        CONTENT_OF_IMAGE
    };
    among(drifts(committed, built), compared)
}

/// What of a file can repeat where others change: that it is among the largest,
/// though in another place, and what it is.
fn of_base_file(committed: &FileRow, built: &[FileRow]) -> Vec<Drift> {
    let name = file_name(committed);
    if let Some(file) = built.iter().find(|file| file.path == committed.path) {
        return within(&name, among(drifts(committed, file), OF_FILE));
    }
    let is_larger = |least: &FileRow| committed.content_bytes > least.content_bytes;
    let has_a_place = built.len() < FILES_OF_IMAGE_MAX || built.last().is_some_and(is_larger);
    has_a_place
        .then(|| only_one(name, &committed.path, ""))
        .into_iter()
        .collect()
}

fn file_name(row: &FileRow) -> String {
    format!("file {}", row.rank)
}

/// What only one of the sides has.
fn only_one(name: String, committed: &str, built: &str) -> Drift {
    Drift {
        column: name,
        committed: committed.to_owned(),
        measured: built.to_owned(),
    }
}

/// The drifts of one of an image's layers or files, with its name.
fn within(name: &str, drifts: Vec<Drift>) -> Vec<Drift> {
    let named = drifts.into_iter().map(|drift| Drift {
        column: format!("{name} {}", drift.column),
        ..drift
    });
    named.collect()
}

fn among(mut drifts: Vec<Drift>, columns: &[&str]) -> Vec<Drift> {
    drifts.retain(|drift| columns.contains(&drift.column.as_str()));
    drifts
}

fn drifted(inputs: &[String]) -> String {
    if inputs.is_empty() {
        "no input drifted: the build does not repeat".to_owned()
    } else {
        format!("drifted: {}", inputs.join("; "))
    }
}

fn id(id: &Option<Id>) -> String {
    id.as_ref()
        .map_or_else(|| "unresolved".to_owned(), Id::text)
}

impl Finding {
    fn without_row(name: String, file: &str) -> Self {
        Self {
            name,
            drifts: Vec::new(),
            why: format!("no row of results/{file} is about it; mend: cargo xtask size"),
        }
    }

    fn of_other_rows(name: String) -> Self {
        Self {
            name,
            drifts: Vec::new(),
            why: "holds rows of what is not declared, or of other sizes or prices; mend: cargo xtask size"
                .to_owned(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { name, drifts, why } in &self.findings {
            writeln!(f, "{name}")?;
            for drift in drifts {
                let (committed, built) = (shown(&drift.committed), shown(&drift.measured));
                writeln!(
                    f,
                    "  {}: committed {committed}, built {built}",
                    drift.column
                )?;
            }
            writeln!(f, "  {why}")?;
        }
        writeln!(
            f,
            "{}, {} and {} came out as committed",
            human::count(self.images, "image"),
            human::count(self.layers, "layer"),
            human::count(self.bases, "base")
        )
    }
}

/// The cell as a person compares it: of a digest, what ids have of it.
fn shown(cell: &str) -> &str {
    const DIGEST_CHARS: usize = "sha256:0123456789ab".len();
    match cell.get(..DIGEST_CHARS) {
        Some(short) if cell.starts_with("sha256:") => short,
        _ if cell.is_empty() => "nothing",
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        digest::Digest,
        record::{cell::ErrorWord, row::Row},
    };

    const BASE: &str = "debian:bookworm-slim";
    const AMD64: &str = "linux/amd64";

    fn some_id(of: &str) -> Option<Id> {
        Some(Id::from(&Digest::of(of)))
    }

    fn size() -> SizeRow {
        SizeRow {
            suite: "gin".to_owned(),
            variant: "slim".to_owned(),
            platform: AMD64.to_owned(),
            transfer_bytes: Some(60),
            unpacked_bytes: Some(100),
            files: Some(7),
            reproducible: Some(true),
            base: BASE.to_owned(),
            base_id: some_id("base"),
            dockerfile_id: some_id("Dockerfile"),
            inputs: some_id("inputs"),
            digest: Some(Digest::of("image")),
            ..SizeRow::default()
        }
    }

    fn layer() -> LayerRow {
        LayerRow {
            suite: "gin".to_owned(),
            variant: "slim".to_owned(),
            platform: AMD64.to_owned(),
            layer: 1,
            transfer_bytes: Some(50),
            buildkit_transfer_bytes: Some(51),
            unpacked_bytes: Some(100),
            origin: Some(Origin::App),
            ..LayerRow::default()
        }
    }

    fn file(rank: u64, path: &str, content_bytes: u64) -> FileRow {
        FileRow {
            suite: "gin".to_owned(),
            variant: "slim".to_owned(),
            platform: AMD64.to_owned(),
            rank,
            path: path.to_owned(),
            content_bytes,
            layer: 1,
            ..FileRow::default()
        }
    }

    fn files() -> Vec<FileRow> {
        vec![file(1, "/lib", 40), file(2, "/app", 20)]
    }

    fn base(lock: &Lock) -> BaseRow {
        let name: ImageName = BASE.parse().unwrap();
        BaseRow {
            base: BASE.to_owned(),
            platform: AMD64.to_owned(),
            source: "rebuilt".to_owned(),
            transfer_bytes: Some(40),
            id: Id::parse(&lock.get(&name, AMD64).unwrap().id().unwrap()),
            ..BaseRow::default()
        }
    }

    fn lock(packages: &str) -> Lock {
        let text = format!(
            "[[base]]\nreference = \"{BASE}\"\nplatform = \"{AMD64}\"\nsource = \"rebuilt\"\ndigest = \"\"\n\
             recipe_id = \"0123456789ab\"\npackages = [\"{packages}\"]\n"
        );
        Lock::parse("bases.lock".into(), &text).unwrap()
    }

    /// A project with one image on one base.
    struct Made {
        sizes: Table<SizeRow>,
        layers: Table<LayerRow>,
        files: Table<FileRow>,
        bases: Table<BaseRow>,
        lock: Lock,
    }

    fn table<R: Row>(rows: impl IntoIterator<Item = R>) -> Table<R> {
        Table::of(Path::new("x.csv"), rows)
    }

    impl Made {
        fn of(size: SizeRow) -> Self {
            let lock = lock("libc6 1");
            Self {
                sizes: table([size]),
                layers: table([layer()]),
                files: table(files()),
                bases: table([base(&lock)]),
                lock,
            }
        }

        /// What is said when these are built.
        fn said(&self, size: SizeRow, layer: LayerRow, base: BaseRow, lock: &Lock) -> String {
            let image = ImageRows {
                size,
                layers: vec![layer],
                files: files(),
            };
            self.said_of_rows(image, base, lock)
        }

        fn said_of_rows(&self, image: ImageRows, base: BaseRow, lock: &Lock) -> String {
            let committed = Committed {
                sizes: &self.sizes,
                layers: &self.layers,
                files: &self.files,
                bases: &self.bases,
                lock: &self.lock,
            };
            let counted = Counted {
                bases: vec![base],
                images: vec![image],
            };
            committed.held_against(&counted, lock).to_string()
        }

        /// What is said when the image alone came out otherwise.
        fn said_of(&self, size: SizeRow) -> String {
            self.said(size, layer(), base(&self.lock), &self.lock)
        }

        /// What is said when the image's files alone came out otherwise.
        fn said_of_files(&self, files: Vec<FileRow>) -> String {
            let image = ImageRows {
                size: self.sizes.rows().next().unwrap().clone(),
                layers: self.layers.rows().cloned().collect(),
                files,
            };
            self.said_of_rows(image, base(&self.lock), &self.lock)
        }
    }

    #[test]
    fn what_came_out_again_is_counted() {
        let jitter = LayerRow {
            buildkit_transfer_bytes: Some(53),
            ..layer()
        };
        let made = Made::of(size());
        let said = made.said(size(), jitter, base(&made.lock), &made.lock);
        assert_eq!(said, "1 image, 1 layer and 1 base came out as committed\n");
    }

    #[test]
    fn another_number_is_said_with_the_input_that_drifted_or_that_none_did() {
        let grown = SizeRow {
            transfer_bytes: Some(61),
            digest: Some(Digest::of("other")),
            ..size()
        };
        insta::assert_snapshot!(Made::of(size()).said_of(grown.clone()), @"
        gin/slim
          transfer_bytes: committed 60, built 61
          digest: committed sha256:6105d6cc76af, built sha256:d9298a10d1b0
          no input drifted: the build does not repeat
        0 images, 0 layers and 1 base came out as committed
        ");
        let edited = SizeRow {
            dockerfile_id: some_id("edited"),
            app_sha256: Some(Digest::of("app")),
            ..grown
        };
        let said = Made::of(size()).said_of(edited);
        assert!(said.contains("\n  drifted: Dockerfile\n"), "{said}");
    }

    #[test]
    fn of_a_build_that_does_not_repeat_the_content_is_compared() {
        let changing = || SizeRow {
            content_bytes: Some(90),
            layers: Some(1),
            app_sha256: Some(Digest::of("app")),
            reproducible: Some(false),
            digest: None,
            ..size()
        };
        let counted = || LayerRow {
            files: Some(7),
            ..layer()
        };
        let mut made = Made::of(changing());
        made.layers.upsert(counted());
        let packed = SizeRow {
            transfer_bytes: Some(75),
            digest: Some(Digest::of("other")),
            content_bytes: Some(91),
            ..changing()
        };
        let heavier = LayerRow {
            transfer_bytes: Some(65),
            ..layer()
        };
        let said = made.said(packed, heavier, base(&made.lock), &made.lock);
        assert!(said.starts_with("1 image, "), "{said}");
        let (mut files, mut bytes, mut layers, mut app) =
            (changing(), changing(), changing(), changing());
        files.files = Some(8);
        bytes.unpacked_bytes = Some(101);
        layers.layers = Some(2);
        app.app_sha256 = Some(Digest::of("another"));
        for (built, told) in [
            (files, "  files: committed 7, built 8\n"),
            (bytes, "  unpacked_bytes: committed 100, built 101\n"),
            (layers, "  layers: committed 1, built 2\n"),
            (app, "  app_sha256: committed sha256:"),
        ] {
            let said = made.said_of(built);
            assert!(said.contains(told), "no {told} in {said}");
        }
        let (mut files, mut bytes) = (counted(), counted());
        files.files = Some(8);
        bytes.unpacked_bytes = Some(101);
        for (built, told) in [
            (files, "layer 1 files: committed 7, built 8\n"),
            (bytes, "layer 1 unpacked_bytes: committed 100, built 101\n"),
        ] {
            let said = made.said(changing(), built, base(&made.lock), &made.lock);
            assert!(said.contains(told), "no {told} in {said}");
        }
    }

    #[test]
    fn a_base_that_drifted_names_its_packages_for_itself_and_for_what_stands_on_it() {
        let made = Made::of(size());
        let now = lock("libc6 2");
        let new_base = BaseRow {
            transfer_bytes: Some(41),
            ..base(&now)
        };
        let of = |lock: &Lock| base(lock).id;
        let image = SizeRow {
            transfer_bytes: Some(61),
            base_id: of(&now),
            ..size()
        };
        let committed = Made {
            sizes: table([SizeRow {
                base_id: of(&made.lock),
                ..size()
            }]),
            ..made
        };
        insta::assert_snapshot!(committed.said(image, layer(), new_base, &now), @"
        base debian:bookworm-slim
          transfer_bytes: committed 40, built 41
          drifted: libc6 1 -> 2
        gin/slim
          transfer_bytes: committed 60, built 61
          drifted: base debian:bookworm-slim: libc6 1 -> 2
        0 images, 0 layers and 0 bases came out as committed
        ");
    }

    #[test]
    fn another_source_of_a_base_is_its_drift() {
        let made = Made::of(size());
        let stand_in = BaseRow {
            source: "stand-in".to_owned(),
            ..base(&made.lock)
        };
        let said = made.said(size(), layer(), stand_in, &made.lock);
        assert!(
            said.contains("  drifted: its source, rebuilt -> stand-in\n"),
            "{said}"
        );
    }

    #[test]
    fn a_layer_that_was_edited_or_is_lacking_is_found_although_the_image_agrees() {
        let mut made = Made::of(size());
        let edited = LayerRow {
            transfer_bytes: Some(49),
            ..layer()
        };
        made.layers.upsert(edited);
        let said = made.said_of(size());
        assert!(
            said.contains("  layer 1 transfer_bytes: committed 49, built 50\n"),
            "{said}"
        );
        made.layers.retain(|_| false);
        let said = made.said_of(size());
        assert!(
            said.contains("  layer 1: committed nothing, built a layer\n"),
            "{said}"
        );
    }

    #[test]
    fn a_file_that_was_edited_is_lacking_or_is_too_many_is_found_although_the_image_agrees() {
        let made = Made::of(size());
        let said = made.said_of_files(vec![file(1, "/lib", 40), file(2, "/other", 21)]);
        insta::assert_snapshot!(said, @"
        gin/slim
          file 2 path: committed /app, built /other
          file 2 content_bytes: committed 20, built 21
          no input drifted: the build does not repeat
        0 images, 0 layers and 1 base came out as committed
        ");
        let said = made.said_of_files([files(), vec![file(3, "/etc", 1)]].concat());
        assert!(
            said.contains("  file 3: committed nothing, built /etc\n"),
            "{said}"
        );
        let said = made.said_of_files(files()[..1].to_vec());
        assert!(
            said.contains("  file 2: committed /app, built nothing\n"),
            "{said}"
        );
    }

    #[test]
    fn of_a_build_that_does_not_repeat_the_files_of_the_base_are_compared_wherever_they_stand() {
        let mut made = Made::of(SizeRow {
            reproducible: Some(false),
            ..size()
        });
        // The layer is the Dockerfile's: any of its files may change.
        let said = made.said_of_files(vec![file(1, "/log", 41)]);
        assert!(said.starts_with("1 image, "), "{said}");
        made.layers.upsert(LayerRow {
            origin: Some(Origin::Base),
            ..layer()
        });
        let said = made.said_of_files([vec![file(1, "/log", 41)], files()].concat());
        assert!(said.starts_with("1 image, "), "{said}");
        let said = made.said_of_files(vec![file(1, "/app", 21)]);
        insta::assert_snapshot!(said, @"
        gin/slim
          file 1: committed /lib, built nothing
          file 2 content_bytes: committed 20, built 21
          no input drifted: the build does not repeat
        0 images, 0 layers and 1 base came out as committed
        ");
        // Ten that are larger leave it no place.
        let larger: Vec<FileRow> = (1..=10).map(|rank| file(rank, "/log", 50 - rank)).collect();
        let said = made.said_of_files(larger);
        assert!(said.starts_with("1 image, "), "{said}");
    }

    #[test]
    fn what_failed_and_what_has_no_row_are_said() {
        let failed = SizeRow {
            error: Some(ErrorWord::BuildFailed),
            transfer_bytes: None,
            unpacked_bytes: None,
            digest: None,
            ..size()
        };
        insta::assert_snapshot!(Made::of(size()).said_of(failed.clone()), @"
        gin/slim
          error: committed nothing, built build_failed
          no input drifted: see target/lab/verify/logs/gin-slim.build.log
        0 images, 0 layers and 1 base came out as committed
        ");
        let said = Made::of(failed.clone()).said_of(failed);
        assert!(said.starts_with("1 image, "), "{said}");
        let new = SizeRow {
            variant: "new".to_owned(),
            ..size()
        };
        let said = Made::of(size()).said_of(new);
        assert!(
            said.contains("no row of results/sizes.csv is about it; mend: cargo xtask size"),
            "{said}"
        );
    }
}
