//! From the pull request to the first answer on a new node, phase by phase.

use anyhow::Result;

use super::{
    Chart, Lang,
    frame::{Frame, Swatch},
    scene::{Scene, interval, tick},
    stack::{self, Part, Stack},
    svg::Shape,
};
use crate::{
    human,
    record::timings::{NodeRow, Phase},
};

/// The pull in blues, the start in warm colours.
const COLOURS: [&str; 6] = ["f6", "f0", "f3", "f4", "f5", "f1"];

pub fn draw(scene: &Scene<'_>, profile: &str) -> Result<Option<Chart>> {
    let rows = scene.node(profile);
    let Some((_, first)) = rows.first() else {
        return Ok(None);
    };
    let names = names(scene.lang);
    let stacks: Vec<Stack> = rows.iter().map(|(_, row)| stack(row, names)).collect();
    let (title, subtitle) = texts(scene.lang, profile);
    let mut frame = Frame::new(scene, &format!("node-{profile}"), title, &subtitle);
    let mut legend: Vec<(Swatch, &str, String)> = (0..COLOURS.len())
        .map(|index| {
            (
                Shape::Square as Swatch,
                COLOURS[index],
                names[index].to_owned(),
            )
        })
        .collect();
    let total = scene.say("median of the total, with interval", "전체의 중앙값과 구간");
    legend.push((Shape::Disc, "open", total.to_owned()));
    frame.legend(&legend);
    stack::draw(&mut frame, &stacks, tick::seconds, |longest| {
        match scene.lang {
            Lang::En => format!("The same without {longest}:"),
            Lang::Ko => format!("{longest} 없이 다시 그리면:"),
        }
    });
    let note = scene.say(
        "The bars stack the medians of the phases, which need not add up to the median of the total.",
        "막대는 단계별 중앙값을 쌓은 것이므로 전체의 중앙값과 꼭 같지는 않습니다.",
    );
    let alt: Vec<&str> = stacks.iter().map(|stack| stack.says.as_str()).collect();
    let source = scene.timed_source(&first.session, rows.iter().map(|(_, row)| row.n));
    frame
        .finish(format!("{}.", alt.join("; ")), &[note], source)
        .map(Some)
}

fn names(lang: Lang) -> [&'static str; 6] {
    match lang {
        Lang::En => [
            "resolve",
            "download",
            "tail (rest of the unpacking)",
            "create",
            "engine",
            "app",
        ],
        Lang::Ko => [
            "조회",
            "다운로드",
            "마무리(남은 압축 풀기)",
            "생성",
            "엔진",
            "앱",
        ],
    }
}

fn texts(lang: Lang, profile: &str) -> (&'static str, String) {
    match lang {
        Lang::En => (
            "time to the first answer on a new node",
            format!(
                "From the pull request to the first 200, {}.",
                network(lang, profile)
            ),
        ),
        Lang::Ko => (
            "새 노드에서 첫 응답까지 걸리는 시간",
            format!(
                "pull 요청부터 첫 200 응답까지이며 {}입니다.",
                network(lang, profile)
            ),
        ),
    }
}

/// The profile in words.
pub fn network(lang: Lang, profile: &str) -> String {
    match (lang, profile) {
        (Lang::En, "unshaped") => "over an unshaped local link".to_owned(),
        (Lang::Ko, "unshaped") => "속도를 제한하지 않은 로컬 연결".to_owned(),
        (Lang::En, "100mbit") => "over a link of 100 Mbit/s".to_owned(),
        (Lang::Ko, "100mbit") => "100 Mbit/s로 제한한 연결".to_owned(),
        (Lang::En, other) => format!("profile {other}"),
        (Lang::Ko, other) => format!("프로필 {other}"),
    }
}

fn stack(row: &NodeRow, names: [&str; 6]) -> Stack {
    let phases: [&Phase; 6] = [
        &row.resolve,
        &row.download,
        &row.tail,
        &row.create,
        &row.engine,
        &row.app,
    ];
    let part = |index: usize| {
        let phase = phases[index];
        Some(Part {
            class: COLOURS[index],
            value: phase.median_us?,
            says: format!("{}: {} {}", row.variant, names[index], interval(phase)),
        })
    };
    let total = row.node_total.phase;
    let median = total.median_us.unwrap_or_default();
    Stack {
        label: row.variant.clone(),
        parts: (0..6).filter_map(part).collect(),
        total: median,
        interval: total.low_us.zip(total.high_us),
        number: human::time(median),
        says: format!("{} {}", row.variant, interval(&total)),
    }
}
