//! Small states to compare.

use std::path::Path;

use super::{
    budget::Rule,
    report::Report,
    states::{State, Text, Texts},
};
use crate::{
    bases::Lock,
    digest::Digest,
    record::{
        capabilities::CapabilityRow,
        cell::{Answer, Capability, Cell as _, ErrorWord, Id, Mark},
        exact::{BaseRow, LayerRow, SizeRow},
        row::Row,
        table::Table,
        timings::{NodeRow, Phase, Spread},
    },
};

pub const AMD64: &str = "linux/amd64";
pub const ARM64: &str = "linux/arm64";

pub fn id(of: &str) -> Option<Id> {
    Some(Id::from(&Digest::of(of)))
}

/// A variant of gin that was built, all of its bytes in one layer.
pub fn size(variant: &str, transfer_bytes: u64) -> SizeRow {
    SizeRow {
        suite: "gin".to_owned(),
        variant: variant.to_owned(),
        platform: AMD64.to_owned(),
        transfer_bytes: Some(transfer_bytes),
        unpacked_bytes: Some(2 * transfer_bytes),
        layers: Some(1),
        files: Some(1),
        reproducible: Some(true),
        base: "debian:bookworm-slim".to_owned(),
        base_source: "rebuilt".to_owned(),
        base_id: id("base"),
        build_base_ids: "golang:1.23=0123456789ab".to_owned(),
        dockerfile_id: id("Dockerfile"),
        context_id: id("context"),
        app_sha256: Some(Digest::of("app")),
        builder: "docker 26".to_owned(),
        method: "normaliser 1".to_owned(),
        inputs: id("inputs"),
        digest: Some(Digest::of("image")),
        ..SizeRow::default()
    }
}

/// A cold start of a variant of gin.
pub fn node(variant: &str, session: &str, pull_us: u64) -> NodeRow {
    NodeRow {
        suite: "gin".to_owned(),
        variant: variant.to_owned(),
        platform: AMD64.to_owned(),
        profile: "unshaped".to_owned(),
        scenario: "node_cold".to_owned(),
        data_root_fs: "tmpfs".to_owned(),
        n: Some(15),
        pull: Spread {
            phase: Phase {
                median_us: Some(pull_us),
                low_us: Some(pull_us - 1_000),
                high_us: Some(pull_us + 1_000),
            },
            ..Spread::default()
        },
        session: session.to_owned(),
        ..NodeRow::default()
    }
}

/// The content of a file with these rows.
pub fn text_of<R: Row>(rows: impl IntoIterator<Item = R>) -> String {
    Table::of(Path::new("x.csv"), rows).text()
}

/// A side with these files.
pub fn state(name: &str, files: &[(&str, String)]) -> State {
    let texts: Texts = files
        .iter()
        .map(|(path, text)| {
            let text = Text {
                shown: path.into(),
                text: text.clone(),
            };
            ((*path).to_owned(), text)
        })
        .collect();
    State::of(name.to_owned(), texts).unwrap()
}

/// A side of nothing but sizes.
pub fn sized(name: &str, rows: impl IntoIterator<Item = SizeRow>) -> State {
    state(name, &[("results/sizes.csv", text_of(rows))])
}

/// The lock of one rebuilt base.
pub fn lock(reference: &str, packages: &[&str]) -> String {
    let packages: Vec<String> = packages
        .iter()
        .map(|it| format!("    \"{it}\",\n"))
        .collect();
    format!(
        "[[base]]\nreference = \"{reference}\"\nplatform = \"{AMD64}\"\nsource = \"rebuilt\"\n\
         digest = \"\"\nrecipe_id = \"0123456789ab\"\npackages = [\n{}]\n",
        packages.concat()
    )
}

/// Two sides between which one of everything moved.
pub fn busy() -> Report {
    let rules: [Rule; 1] = ["transfer_bytes>+5%".parse().unwrap()];
    Report::of(&busy_base(), &busy_head(), &rules).unwrap()
}

const BASE: &str = "debian:bookworm-slim";

fn busy_base() -> State {
    let lock = lock(BASE, &["libc6 1"]);
    let sizes = [
        on_locked(size("a", 1_000), &lock),
        SizeRow {
            platform: ARM64.to_owned(),
            ..size("a", 5)
        },
        size("b", 2_000),
        size("broke", 6),
        size("gone", 5),
        failed("mended"),
        size("turned", 9),
    ];
    let files = [
        ("results/sizes.csv", text_of(sizes)),
        ("results/layers.csv", text_of([layer(1_000)])),
        ("results/bases.csv", text_of([base_row(900)])),
        ("results/capabilities.csv", text_of([shell(Answer::No, "")])),
        ("results/m/node.csv", text_of([node("a", "s1", 5_000)])),
        ("results/m-old/node.csv", text_of([node("a", "s1", 5_000)])),
        ("experiments/bases.lock", lock),
    ];
    state("main", &files)
}

fn busy_head() -> State {
    let lock = lock(BASE, &["libc6 2"]);
    let sizes = [
        SizeRow {
            app_sha256: Some(Digest::of("app 2")),
            ..on_locked(size("a", 1_100), &lock)
        },
        SizeRow {
            dockerfile_id: id("2"),
            ..size("b", 2_000)
        },
        SizeRow {
            dockerfile_id: id("2"),
            inputs: id("2"),
            ..failed("broke")
        },
        size("mended", 8),
        size("new", 7),
        SizeRow {
            reproducible: Some(false),
            digest: None,
            ..size("turned", 9)
        },
    ];
    let again = NodeRow {
        stale: Mark(true),
        ..node("a", "s2", 6_000)
    };
    let manifest = "title = 'a'\ncontext = 'src'\nprobe.body = 'b'\n\
                    [[variant]]\nname = 'a'\nreason = 'r'\nbudget.transfer_bytes = 1_050\n\
                    [[variant]]\nname = 'unbuilt'\nreason = 'r'\nbudget.layers = 1\n";
    let files = [
        // A column was renamed.
        (
            "results/sizes.csv",
            text_of(sizes).replacen(",files,", ",inodes,", 1),
        ),
        ("results/layers.csv", text_of([layer(1_100)])),
        ("results/bases.csv", text_of([base_row(1_000)])),
        (
            "results/capabilities.csv",
            text_of([shell(Answer::Yes, "/bin/sh is dash")]),
        ),
        ("results/m/node.csv", text_of([again])),
        ("results/m-new/node.csv", text_of([node("a", "s2", 6_000)])),
        ("experiments/bases.lock", lock),
        ("experiments/gin/suite.toml", manifest.to_owned()),
    ];
    state("HEAD", &files)
}

/// The row with the identity of the one base that the lock holds.
fn on_locked(row: SizeRow, lock: &str) -> SizeRow {
    let lock = Lock::parse("bases.lock".into(), lock).unwrap();
    let id = lock.iter().next().and_then(|entry| entry.id()).unwrap();
    SizeRow {
        base_id: Id::parse(&id),
        ..row
    }
}

pub fn failed(variant: &str) -> SizeRow {
    SizeRow {
        error: Some(ErrorWord::BuildFailed),
        transfer_bytes: None,
        unpacked_bytes: None,
        layers: None,
        files: None,
        ..size(variant, 0)
    }
}

fn layer(transfer_bytes: u64) -> LayerRow {
    LayerRow {
        suite: "gin".to_owned(),
        variant: "a".to_owned(),
        platform: AMD64.to_owned(),
        layer: 1,
        transfer_bytes: Some(transfer_bytes),
        created_by: "COPY a|b".to_owned(),
        ..LayerRow::default()
    }
}

fn shell(answer: Answer, detail: &str) -> CapabilityRow {
    CapabilityRow {
        suite: "gin".to_owned(),
        variant: "a".to_owned(),
        platform: AMD64.to_owned(),
        capability: Capability::Shell.word().to_owned(),
        answer: Some(answer),
        detail: detail.to_owned(),
        ..CapabilityRow::default()
    }
}

fn base_row(transfer_bytes: u64) -> BaseRow {
    BaseRow {
        base: BASE.to_owned(),
        platform: AMD64.to_owned(),
        source: "rebuilt".to_owned(),
        transfer_bytes: Some(transfer_bytes),
        ..BaseRow::default()
    }
}
