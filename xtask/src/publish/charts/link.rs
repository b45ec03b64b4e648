//! Node cold start against the speed of the link: a model, and how well it does.
//!
//! The model: the link can only slow the download. Everything else takes what it
//! took unshaped: `node_total - download + max(download, 8 * bytes / rate)`, with
//! the medians of the unshaped session. What it leaves out: a slow download runs
//! beside the unpacking of layers that are there already, which makes it too slow
//! for images of many large layers; and round trips, which make it too fast for
//! many small ones.

use anyhow::Result;

use super::{
    Chart, Lang,
    frame::{Frame, LABEL},
    plane::{Plane, PlanePlan, apart, plane},
    scene::{Scene, tick},
    svg::{Anchor, Shape, WIDTH},
};
use crate::{
    human,
    record::{exact::SizeRow, timings::NodeRow},
};

const HEIGHT: f64 = 270.0;
/// From a bad mobile link to a data centre's, in megabits per second.
const SLOWEST_MBIT: f64 = 10.0;
const FASTEST_MBIT: f64 = 10_000.0;
/// What the alternative text states, and the rate that was measured too.
const STATED_MBIT: [f64; 3] = [10.0, 100.0, 1000.0];
const MEASURED: (&str, f64) = ("100mbit", 100.0);
/// Steps of a curve to a decade.
const STEPS: u32 = 20;
const COLOURS: [&str; 6] = ["s0", "s1", "s2", "s4", "s5", "s6"];

/// One variant's curve.
#[derive(Clone, Copy)]
pub struct Model<'a> {
    pub variant: &'a str,
    bytes: f64,
    download_us: f64,
    node_total_us: f64,
}

impl<'a> Model<'a> {
    /// None without sizes or times; `row` is of an unshaped node cold start.
    pub fn of(image: &SizeRow, row: &'a NodeRow) -> Option<Self> {
        Some(Self {
            variant: &row.variant,
            bytes: image.transfer_bytes? as f64,
            download_us: row.download.median_us? as f64,
            node_total_us: row.node_total.phase.median_us? as f64,
        })
    }

    /// The node cold start over a link of so many megabits per second.
    pub fn node_total_us(&self, mbit: f64) -> f64 {
        // Bits by megabits per second are microseconds.
        let over_the_link_us = self.bytes * 8.0 / mbit;
        self.node_total_us - self.download_us + self.download_us.max(over_the_link_us)
    }

    /// From where on a faster link makes nothing faster.
    fn knee_mbit(&self) -> f64 {
        self.bytes * 8.0 / self.download_us
    }
}

/// The models of a suite, largest image first.
pub fn models<'a>(scene: &Scene<'a>) -> Vec<Model<'a>> {
    let rows = scene.node("unshaped");
    rows.iter()
        .filter_map(|(image, row)| Model::of(image, row))
        .collect()
}

/// How far the model lies from what was measured over a shaped link, the lowest
/// and the highest of all variants, in percent.
pub fn error_percent(scene: &Scene<'_>) -> Option<(f64, f64)> {
    let measured = scene.node(MEASURED.0);
    let errors: Vec<f64> = models(scene)
        .iter()
        .filter_map(|model| {
            let (_, row) = measured
                .iter()
                .find(|(_, row)| row.variant == model.variant)?;
            let truth = row.node_total.phase.median_us? as f64;
            Some((model.node_total_us(MEASURED.1) / truth - 1.0) * 100.0)
        })
        .collect();
    let low = errors.iter().copied().reduce(f64::min)?;
    Some((low, errors.iter().copied().fold(low, f64::max)))
}

pub fn draw(scene: &Scene<'_>) -> Result<Option<Chart>> {
    let rows = scene.node("unshaped");
    let models = models(scene);
    let (Some((_, first)), false) = (rows.first(), models.is_empty()) else {
        return Ok(None);
    };
    let mut frame = Frame::new(
        scene,
        "link",
        scene.say("node cold start by link speed (a model)", "연결 속도에 따른 노드 콜드 스타트(모델)"),
        scene.say(
            "Computed from one unshaped session; both axes are logarithmic. From the dot on, a faster link helps no more.",
            "속도를 제한하지 않은 한 세션에서 계산했으며 두 축 모두 로그 눈금입니다. 점 오른쪽에서는 연결이 더 빨라도 도움이 되지 않습니다.",
        ),
    );
    let axes = axes(scene, &mut frame, &models);
    curves(scene.lang, &mut frame, &axes, &models);
    let alt: Vec<String> = models.iter().map(words).collect();
    let source = scene.timed_source(&first.session, rows.iter().map(|(_, row)| row.n));
    let note = note(scene);
    let alt = format!("{}.", alt.join("; "));
    frame.finish(alt, &[&note], source).map(Some)
}

fn note(scene: &Scene<'_>) -> String {
    let model = scene.say(
        "Model: total − download + max(download, 8 × transfer bytes ÷ link speed), medians of the unshaped session.",
        "모델: 전체 − 다운로드 + max(다운로드, 8 × 전송 바이트 ÷ 연결 속도). 속도를 제한하지 않은 세션의 중앙값을 씁니다.",
    );
    let measured = scene.node(MEASURED.0);
    let (Some((low, high)), Some((_, row))) = (error_percent(scene), measured.first()) else {
        return model.to_owned();
    };
    let ([low, high], session) = ([low, high].map(signed), &row.session);
    match scene.lang {
        Lang::En => format!(
            "{model} Against session {session}, measured at 100 Mbit/s, it errs by {low} to {high}\u{a0}%."
        ),
        Lang::Ko => format!(
            "{model} 100 Mbit/s로 측정한 세션 {session}과 견주면 오차는 {low}\u{a0}%에서 {high}\u{a0}%까지입니다."
        ),
    }
}

/// A whole number with a sign that is as wide as the other one.
pub fn signed(percent: f64) -> String {
    format!("{percent:+.0}").replace('-', "−")
}

fn axes(scene: &Scene<'_>, frame: &mut Frame<'_>, models: &[Model<'_>]) -> Plane {
    let totals: Vec<f64> = models
        .iter()
        .flat_map(|it| [SLOWEST_MBIT, FASTEST_MBIT].map(|mbit| it.node_total_us(mbit)))
        .collect();
    let widest = models
        .iter()
        .map(|it| super::font::Font::get().width(it.variant, LABEL))
        .fold(0.0, f64::max);
    let plan = PlanePlan {
        // The air that a scale leaves beside its values is not wanted here.
        x_values: &[SLOWEST_MBIT * 1.06, FASTEST_MBIT / 1.06],
        y_values: &totals,
        x_tick: tick::megabits,
        y_tick: tick::seconds,
        x_name: scene.say("link speed", "연결 속도"),
        y_name: scene.say("pull request to first 200", "pull 요청부터 첫 200 응답까지"),
        height: HEIGHT,
        right: widest + 28.0,
    };
    plane(frame, &plan)
}

fn curves(lang: Lang, frame: &mut Frame<'_>, axes: &Plane, models: &[Model<'_>]) {
    let end = axes.x.at(FASTEST_MBIT);
    let mut names: Vec<f64> = models
        .iter()
        .map(|it| axes.y.at(it.node_total_us(FASTEST_MBIT)))
        .collect();
    apart(&mut names, LABEL * 1.1);
    for (index, (model, name)) in models.iter().zip(names).enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let place = |mbit: f64| (axes.x.at(mbit), axes.y.at(model.node_total_us(mbit)));
        let path = Shape::Line(rates().map(place).collect(), 2.25);
        let says = words(model);
        frame.canvas.mark(&path, &format!("line {colour}"), &says);
        let knee = model.knee_mbit();
        if (SLOWEST_MBIT..=FASTEST_MBIT).contains(&knee) {
            let (x, y) = place(knee);
            let says = match lang {
                Lang::En => format!("{}: no faster above {knee:.0} Mbit/s", model.variant),
                Lang::Ko => format!("{}: {knee:.0} Mbit/s부터 그대로", model.variant),
            };
            let fill = colour.replace('s', "f");
            frame.canvas.mark(&Shape::Disc(x, y, 4.0), &fill, &says);
        }
        let (_, y) = place(FASTEST_MBIT);
        let leader = Shape::Line(vec![(end + 2.0, y), (end + 10.0, name)], 1.25);
        frame.canvas.draw(&leader, colour);
        let at = ((end + 13.0).min(WIDTH), name + LABEL * 0.35);
        frame
            .canvas
            .text(at, LABEL, Anchor::Start, "ink", model.variant);
    }
}

fn rates() -> impl Iterator<Item = f64> {
    let decades = (FASTEST_MBIT / SLOWEST_MBIT).log10().round() as u32;
    (0..=decades * STEPS).map(|step| SLOWEST_MBIT * 10_f64.powf(f64::from(step) / f64::from(STEPS)))
}

fn words(model: &Model<'_>) -> String {
    let at = STATED_MBIT.map(|mbit| {
        let total = human::time(model.node_total_us(mbit).round() as u64);
        format!("{} {total}", tick::megabits(mbit))
    });
    format!("{}: {}", model.variant, at.join(", "))
}
