//! Rows for the tests of this folder, as a machine might have left them.

use std::path::PathBuf;

use crate::{
    digest::Digest,
    dockerfile::Dockerfile,
    publish::{Chart, Charts, Evidence, Lang, Settings},
    record::{
        cell::ErrorWord,
        cost::CostRow,
        exact::{BaseRow, SizeRow},
        timings::{EnvironmentRow, NodeRow, Phase, Spread, StartRow},
    },
    suite::{Probe, Suite, Variant},
};

const SESSION: &str = "467682a2";
const SHAPED_SESSION: &str = "27259e9d";

pub fn evidence() -> Evidence {
    Evidence {
        suites: vec![suite()],
        sizes: vec![
            size("alpine", 9_663_961, 3_490_290, 3),
            size("scratch", 6_172_901, 0, 1),
            size("single-stage", 447_114_539, 301_829_578, 12),
        ],
        files: Vec::new(),
        layers: Vec::new(),
        bases: vec![base()],
        cost: vec![cost("scratch", 166_720), cost("single-stage", 6_734_914)],
        cost_due: Vec::new(),
        node: vec![
            node("unshaped", "scratch", [113_306, 109_359, 116_767]),
            node(
                "unshaped",
                "single-stage",
                [8_771_070, 8_709_695, 8_923_432],
            ),
            node("100mbit", "scratch", [583_545, 579_818, 594_211]),
            not_cold(),
        ],
        start: vec![
            start("scratch", [128_839, 125_500, 133_406]),
            start("single-stage", [125_815, 120_481, 135_954]),
        ],
        limits: Vec::new(),
        proofs: Vec::new(),
        capabilities: Vec::new(),
        environment: [
            ("kernel", "6.18.44"),
            ("started_utc", "2026-11-25T03:09:27Z"),
        ]
        .map(|(fact, value)| fact_of(SESSION, fact, value))
        .into(),
        settings: Settings {
            machine: "m".to_owned(),
            platform: "linux/amd64".to_owned(),
            data_root_fs: "tmpfs".to_owned(),
        },
        machine: PathBuf::from("results/m"),
    }
}

pub fn charts() -> Charts {
    let chart = |lang: Lang| Chart {
        name: "gin-bytes".to_owned(),
        lang,
        svg: "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"4\" height=\"2\"/>".to_owned(),
        alt: lang.of("bytes", "바이트").to_owned(),
        caption: "tmpfs".to_owned(),
    };
    Charts(Lang::ALL.map(chart).into())
}

fn suite() -> Suite {
    let variant = |name: &str, article_bytes| Variant {
        name: name.to_owned(),
        reason: "why".to_owned(),
        article_bytes,
        dockerfile: PathBuf::new(),
        dockerfile_id: Digest::of(""),
        context_id: Digest::of(""),
        images: Dockerfile {
            references: Vec::new(),
            base: None,
            syntax: None,
        },
    };
    Suite {
        name: "gin".to_owned(),
        title: "Go, Gin".to_owned(),
        context: PathBuf::new(),
        port: 8080,
        probe: Probe {
            path: "/".to_owned(),
            status: 200,
            body: String::new(),
        },
        variants: vec![
            variant("single-stage", Some(1_220_000_000)),
            variant("scratch", Some(10_800_000)),
            variant("alpine", None),
        ],
    }
}

fn size(variant: &str, transfer: u64, base: u64, layers: u64) -> SizeRow {
    SizeRow {
        suite: "gin".to_owned(),
        variant: variant.to_owned(),
        platform: "linux/amd64".to_owned(),
        transfer_bytes: Some(transfer),
        base_transfer_bytes: Some(base),
        unpacked_bytes: Some(2 * transfer),
        layer_file_bytes: Some(2 * transfer - 1_000),
        layers: Some(layers),
        files: Some(layers),
        base: variant.to_owned(),
        ..SizeRow::default()
    }
}

fn base() -> BaseRow {
    BaseRow {
        base: "gcr.io/distroless/static-debian12".to_owned(),
        platform: "linux/amd64".to_owned(),
        source: "rebuilt".to_owned(),
        transfer_bytes: Some(733_926),
        published_transfer_bytes: Some(740_000),
        transfer_difference_permille: Some(-8),
        layers: Some(12),
        ..BaseRow::default()
    }
}

fn cost(variant: &str, standalone: u64) -> CostRow {
    CostRow {
        suite: "gin".to_owned(),
        variant: variant.to_owned(),
        platform: "linux/amd64".to_owned(),
        price: "amazon-ecr".to_owned(),
        path: "internet".to_owned(),
        stored_bytes: Some(123_458_020),
        transferred_bytes: Some(1_851_870_300),
        standalone_microusd_per_month: Some(standalone),
        ..CostRow::default()
    }
}

fn spread([median, low, high]: [u64; 3]) -> Spread {
    Spread {
        phase: Phase {
            median_us: Some(median),
            low_us: Some(low),
            high_us: Some(high),
        },
        ..Spread::default()
    }
}

fn node(profile: &str, variant: &str, pull: [u64; 3]) -> NodeRow {
    let session = match profile {
        "unshaped" => SESSION,
        _ => SHAPED_SESSION,
    };
    NodeRow {
        n: Some(30),
        pull: spread(pull),
        node_total: spread(pull.map(|us| us + 130_000)),
        session: session.to_owned(),
        ..crate::record::testing::node_cold(variant, profile)
    }
}

/// A row that has nothing but its reason.
fn not_cold() -> NodeRow {
    NodeRow {
        n: None,
        pull: Spread::default(),
        node_total: Spread::default(),
        error: Some(ErrorWord::NotCold),
        ..node("unshaped", "alpine", [0; 3])
    }
}

fn start(variant: &str, total: [u64; 3]) -> StartRow {
    StartRow {
        n: Some(30),
        start_total: spread(total),
        session: SESSION.to_owned(),
        ..crate::record::testing::warm(variant)
    }
}

fn fact_of(session: &str, fact: &str, value: &str) -> EnvironmentRow {
    EnvironmentRow {
        session: session.to_owned(),
        fact: fact.to_owned(),
        value: value.to_owned(),
    }
}
