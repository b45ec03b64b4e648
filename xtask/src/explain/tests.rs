//! Small images with known answers, and what results/ adds to them.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{json as document, known::Known, report, report::Report, show, source::Source};
use crate::{
    digest::Digest,
    image::{
        Layout,
        testing::{Tar, image},
    },
    project::Project,
    record::{
        cell::Origin,
        exact::{LayerRow, SizeRow},
        machine::Machine,
        paths,
        row::Row,
        table::Table,
        timings::{NodeRow, Phase, Spread, StartRow},
    },
};

fn base() -> Vec<u8> {
    Tar::new()
        .file("usr/lib/a.so", [b'a'; 300_000])
        .file("usr/lib/deep/b.so", [b'b'; 4_000])
        .file("usr/share/doc", [b'd'; 2_000])
        .hardlink("usr/lib/a.so.1", "usr/lib/a.so")
        .file("var/cache", [b'c'; 1_000])
        .finish()
}

fn top() -> Vec<u8> {
    Tar::new()
        .executable("app", "#!/bin/sh\nexec true\n")
        .file("usr/share/doc", [b'D'; 2_001])
        .file("var/.wh.cache", "")
        .file("srv/one", [b'1'; 600])
        .file("srv/two", [b'1'; 600])
        .finish()
}

fn layout(folder: &Path) -> Layout {
    image(
        folder,
        &[base(), top()],
        json!({"Entrypoint": ["/app"], "User": "app"}),
    )
}

struct Workspace {
    _folder: tempfile::TempDir,
    project: Project,
}

impl Workspace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("experiments")).unwrap();
        let project = Project::at(folder.path()).unwrap();
        Self {
            _folder: folder,
            project,
        }
    }

    fn save<R: Row>(&self, path: &Path, rows: impl IntoIterator<Item = R>) {
        let mut table = Table::empty(path);
        rows.into_iter().for_each(|row| table.upsert(row));
        table.save().unwrap();
    }

    fn variant(&self) -> Source {
        let layout = layout(&self.project.image("gin", "slim"));
        Source::of(
            "gin/slim",
            layout,
            Some(("gin".to_owned(), "slim".to_owned())),
        )
    }

    /// Rows of gin/slim, which is the image, and of gin/tiny.
    fn with_results(self) -> Self {
        let results = self.project.results();
        let layout = layout(&self.project.root().join("counted"));
        let size = |variant: &str, base: &str, bytes: u64, app: &str| SizeRow {
            suite: "gin".to_owned(),
            variant: variant.to_owned(),
            platform: "linux/amd64".to_owned(),
            base: base.to_owned(),
            transfer_bytes: Some(bytes),
            unpacked_bytes: Some(3 * bytes),
            app_sha256: Some(Digest::of(app)),
            ..SizeRow::default()
        };
        let slim = SizeRow {
            digest: Some(layout.digest().clone()),
            ..size("slim", "debian:slim", 900_000, "script")
        };
        let tiny = size("tiny", "scratch", 200_000, "static");
        self.save(&paths::sizes(&results), [slim, tiny]);
        let layer = |layer: u64, origin| LayerRow {
            suite: "gin".to_owned(),
            variant: "slim".to_owned(),
            platform: "linux/amd64".to_owned(),
            layer,
            origin: Some(origin),
            diff_id: Some(layout.layers()[layer as usize - 1].diff_id.clone()),
            ..LayerRow::default()
        };
        let layers = [layer(1, Origin::Base), layer(2, Origin::App)];
        self.save(&paths::layers(&results), layers);
        self
    }

    fn with_timings(self) -> Self {
        let machine = Machine::here(self.project.root()).name();
        let folder = paths::machine(&self.project.results(), &machine);
        let phase = |us| Phase {
            median_us: Some(us),
            low_us: Some(us - 1),
            high_us: Some(us + 1),
        };
        let spread = |us| Spread {
            phase: phase(us),
            ..Spread::default()
        };
        let node = |variant: &str, profile: &str, session: &str, us: u64| NodeRow {
            n: Some(15),
            pull: spread(us),
            node_total: spread(us + 150_000),
            resolve: phase(us / 10),
            download: phase(us / 2),
            tail: phase(us / 5),
            create: phase(20_000),
            engine: phase(120_000),
            app: phase(1_500),
            session: session.to_owned(),
            ..crate::record::testing::node_cold(variant, profile)
        };
        let nodes = [
            node("slim", "unshaped", "one", 400_000),
            node("slim", "100mbit", "two", 900_000),
            node("tiny", "unshaped", "one", 100_000),
            // Of another session: it does not compare.
            node("tiny", "100mbit", "three", 200_000),
        ];
        self.save(&paths::node(&folder), nodes);
        let warm = StartRow {
            n: Some(5),
            start_total: spread(151_000),
            app: spread(1_234),
            create: phase(21_000),
            engine: phase(128_000),
            session: "one".to_owned(),
            ..crate::record::testing::warm("slim")
        };
        self.save(&paths::start(&folder), [warm]);
        self
    }

    fn report(&self, source: &Source) -> Report {
        report(&self.project, source, 10).unwrap()
    }
}

#[test]
fn what_lies_in_an_image_is_found_to_the_byte() {
    let workspace = Workspace::new();
    let report = workspace.report(&workspace.variant());
    let files = report.largest_files.iter();
    let files: Vec<_> = files
        .map(|it| (&*it.path, it.bytes, it.layer, it.names))
        .collect();
    assert_eq!(
        files,
        [
            ("/usr/lib/a.so", 300_000, 1, 2),
            ("/usr/lib/deep/b.so", 4_000, 1, 1),
            ("/usr/share/doc", 2_001, 2, 1),
            ("/srv/one", 600, 2, 1),
            ("/srv/two", 600, 2, 1),
            ("/app", 20, 2, 1),
        ]
    );
    // /usr is left out: most of it is /usr/lib.
    let folders = report.largest_folders.iter();
    let folders: Vec<_> = folders.map(|it| (&*it.path, it.bytes, it.files)).collect();
    assert_eq!(
        folders,
        [
            ("/usr/lib", 304_000, 2),
            ("/usr/lib/deep", 4_000, 1),
            ("/usr/share", 2_001, 1),
            ("/srv", 1_200, 2),
        ]
    );
    let wasted: Vec<_> = report
        .wasted
        .largest
        .iter()
        .map(|it| (&*it.path, it.how))
        .collect();
    assert_eq!(
        wasted,
        [
            ("/usr/share/doc", report::How::Overwritten),
            ("/var/cache", report::How::Deleted),
        ]
    );
    assert_eq!(
        (report.wasted.bytes, report.layers[0].wasted_bytes),
        (3_000, 3_000)
    );
    assert_eq!(report.wasted.bytes, report.totals.wasted_bytes);
    let [copies] = &report.duplicates.largest[..] else {
        panic!("{:?}", report.duplicates);
    };
    assert_eq!(
        (copies.copies, &copies.paths[..]),
        (2, &["/srv/one".to_owned(), "/srv/two".to_owned()][..])
    );
    assert_eq!(
        (report.duplicates.bytes, copies.sha256.clone()),
        (600, Digest::of([b'1'; 600]))
    );
    let app = report.identity.application.unwrap();
    assert_eq!(
        (app.linking, app.needs.as_deref()),
        (report::Linking::Script, Some("/bin/sh"))
    );
    // Neither a base nor sizes are known, and /bin/sh is not there.
    assert_eq!(report.notes.len(), 4, "{:?}", report.notes);
}

#[test]
fn the_longest_known_base_below_an_image_is_its_base() {
    let workspace = Workspace::new().with_results();
    let folder = workspace.project.root().join("strange");
    let known = Known::load(&workspace.project).unwrap();
    let found = known.base(&layout(&folder)).unwrap();
    assert_eq!((&*found.name, found.layers), ("debian:slim", 1));
    let other = image(&folder, &[top(), base()], json!({}));
    assert_eq!(known.base(&other), None);
}

#[test]
fn a_person_sees_all_of_it_on_one_screen() {
    let workspace = Workspace::new().with_results().with_timings();
    let machine = Machine::here(workspace.project.root()).name();
    let source = workspace.variant();
    let text = show::text(&workspace.report(&source)).replace(&machine, "MACHINE");
    insta::assert_snapshot!(text, @r#"
    gin/slim
      platform     linux/amd64
      digest       sha256:cf6b4134b4540e5d6de12fb2d2a1c250c257dfce8d33e0d94e3f282cc3a81986
      image ID     sha256:6577b59fcdd46a2b09ca3960f199800e9e9e98694def0e377e6b95034463591b
      entrypoint   ["/app"]
      user         app
      application  /app, 20 B, sha256 a277a3500d80, a script

      transfer bytes             4,481   3,295 B of the base debian:slim, 1,186 B of the Dockerfile
      unpacked bytes           318,976
      layer file bytes         310,221
      content bytes            307,221
      wasted bytes               3,000
      files                          7

    Layers, lowest first
          of     transfer    unpacked   layer files    wasted   made by
    ─────────────────────────────────────────────────────────────────────
      1   base    3,295 B   310,784 B     307,000 B   3,000 B
      2   app       319 B     8,192 B       3,221 B

    Largest files
           size   layer   path
    ────────────────────────────────────────────────────────────
      300,000 B       1   /usr/lib/a.so  (one of 2 hard links)
        4,000 B       1   /usr/lib/deep/b.so
        2,001 B       2   /usr/share/doc
          600 B       2   /srv/one
          600 B       2   /srv/two
           20 B       2   /app

    Largest folders
           size   files   path            from layers
    ───────────────────────────────────────────────────
      304,000 B       2   /usr/lib        1
        4,000 B       1   /usr/lib/deep   1
        2,001 B       1   /usr/share      2
        1,200 B       2   /srv            2

    Wasted: 3,000 B in 2 files
         size   layer   by layer                 path
    ─────────────────────────────────────────────────────────────
      2,000 B       1          2   overwritten   /usr/share/doc
      1,000 B       1          2   deleted       /var/cache

    Stored more than once: 600 B that one copy of each would save
       size   copies   paths
    ─────────────────────────────
      600 B        2   /srv/one
                       /srv/two

    gin on other bases
      variant   base           transfer                 unpacked                pull   node cold       pull   node cold   application
                                                                             100mbit     100mbit   unshaped    unshaped
    ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
      tiny      scratch       200,000 B   -700,000 B   600,000 B   -2.1 MB                           100 ms      250 ms   another build
      slim      debian:slim   900,000 B                   2.7 MB              900 ms      1.05 s     400 ms      550 ms   the same

    Its start on MACHINE (this machine), tmpfs; medians
      scenario    profile     total   resolve   download     tail   create   engine       app
    ────────────────────────────────────────────────────────────────────────────────────────────────────────
      node_cold   100mbit    1.05 s     90 ms     450 ms   180 ms    20 ms   120 ms   1.50 ms
      node_cold   unshaped   550 ms     40 ms     200 ms    80 ms    20 ms   120 ms   1.50 ms
      warm        unshaped   151 ms                                  21 ms   128 ms   1.23 ms   quick, n=5

    note: the history does not tell which instruction made which layer
    note: /app is a script for /bin/sh; the image has no such file, so it cannot start
    "#);
}

#[test]
fn a_name_that_acts_on_a_terminal_is_shown_and_not_obeyed() {
    let workspace = Workspace::new();
    let tar = Tar::new().file("evil\u{1b}[2J\n", "x").finish();
    let layout = image(
        &workspace.project.root().join("evil"),
        &[tar],
        json!({"User": "\u{1b}c"}),
    );
    let source = Source::of("evil", layout, None);
    let text = crate::human::printable(&show::text(&workspace.report(&source)));
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.contains("evil\\x1b[2J\\n"), "{text}");
}

#[test]
fn the_schema_describes_every_field_and_no_other() {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/explain.schema.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(schema).unwrap()).unwrap();
    let full = Workspace::new().with_results().with_timings();
    let bare = Workspace::new();
    for workspace in [full, bare] {
        let text = document::text(&workspace.report(&workspace.variant())).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        let found = crate::schema::errors(&schema, &document);
        assert_eq!(found, [""; 0]);
    }
}
