//! The time of a pull against its bytes, with what the machine could do at best.

use anyhow::Result;

use super::{
    Chart, Lang,
    frame::{Frame, Swatch},
    phases::network,
    plane::{Names, Plane, PlanePlan, plane},
    scene::{Scene, interval, megabytes, tick},
    svg::Shape,
};
use crate::{
    human,
    record::{exact::SizeRow, timings::NodeRow},
};

const HEIGHT: f64 = 250.0;

/// One variant: its bytes, its pull, and the limit.
struct Point<'a> {
    bytes: u64,
    row: &'a NodeRow,
    limit_us: Option<u64>,
}

pub fn draw(scene: &Scene<'_>, profile: &str) -> Result<Option<Chart>> {
    let rows = scene.node(profile);
    let points: Vec<Point<'_>> = rows
        .iter()
        .filter_map(|(image, row)| point(scene, image, row, profile))
        .collect();
    let Some(first) = points.first() else {
        return Ok(None);
    };
    let (title, subtitle, limit, note) = texts(scene.lang, profile);
    let mut frame = Frame::new(scene, &format!("pull-{profile}"), title, &subtitle);
    let legend: [(Swatch, &str, String); 2] = [
        (
            Shape::Disc,
            "f0",
            scene
                .say("pull, with interval", "pull 시간과 구간")
                .to_owned(),
        ),
        (dash, "s1", limit.to_owned()),
    ];
    frame.legend(&legend);
    let axes = axes(scene, &mut frame, &points);
    marks(scene, &mut frame, &axes, &points);
    let alt: Vec<String> = points.iter().map(|it| words(scene.lang, it)).collect();
    let source = scene.timed_source(&first.row.session, points.iter().map(|it| it.row.n));
    let alt = format!("{}.", alt.join("; "));
    frame.finish(alt, &[note], source).map(Some)
}

/// A piece of the line that the limit is drawn as.
fn dash(x: f64, y: f64, half: f64) -> Shape {
    Shape::Line(vec![(x - half, y), (x + half, y)], 2.0)
}

fn texts(lang: Lang, profile: &str) -> (&'static str, String, &'static str, &'static str) {
    let link = network(lang, profile);
    match lang {
        Lang::En => (
            "pull time against bytes",
            format!("Cold pulls {link}; both axes are logarithmic."),
            "limit of this machine and link",
            of_limit(lang, profile),
        ),
        Lang::Ko => (
            "바이트에 따른 pull 시간",
            format!("{link}에서의 콜드 pull이며 두 축 모두 로그 눈금입니다."),
            "이 머신과 연결의 한계",
            of_limit(lang, profile),
        ),
    }
}

/// What the limit is; a shaped session has that of the network alone.
fn of_limit(lang: Lang, profile: &str) -> &'static str {
    match (lang, profile) {
        (Lang::En, "unshaped") => {
            "The limit is the largest of what the pull cannot go without, measured in the same session: plain GETs of the layers, hashing and inflating them, writing their files."
        }
        (Lang::Ko, "unshaped") => {
            "한계는 pull에 꼭 필요한 일 중 가장 오래 걸리는 것입니다. 레이어의 단순 GET, 해시와 압축 풀기, 파일 쓰기를 같은 세션에서 쟀습니다."
        }
        (Lang::En, _) => {
            "The limit is what plain GETs of the same layers take over the same link, in the same session."
        }
        (Lang::Ko, _) => {
            "한계는 같은 세션에서 같은 연결로 같은 레이어를 단순 GET으로 받을 때 걸리는 시간입니다."
        }
    }
}

/// The largest stage that was measured: none of them can be left out.
fn point<'a>(
    scene: &Scene<'_>,
    image: &SizeRow,
    row: &'a NodeRow,
    profile: &str,
) -> Option<Point<'a>> {
    let is_limit = |it: &&crate::record::limits::LimitRow| {
        (it.suite.as_str(), it.variant.as_str()) == (&*row.suite, &*row.variant)
            && it.profile == profile
            && it.session == row.session
            && matches!(it.metric.as_str(), "download" | "pull")
    };
    let limits = scene.evidence.limits.iter().filter(is_limit);
    Some(Point {
        bytes: image.transfer_bytes?,
        row,
        limit_us: limits.filter_map(|it| it.limit.median_us).max(),
    })
}

fn axes(scene: &Scene<'_>, frame: &mut Frame<'_>, points: &[Point<'_>]) -> Plane {
    let x_values: Vec<f64> = points.iter().map(|it| it.bytes as f64).collect();
    let pulls = points.iter().flat_map(|it| {
        let pull = it.row.pull.phase;
        [pull.median_us, pull.low_us, pull.high_us, it.limit_us]
    });
    let y_values: Vec<f64> = pulls.flatten().map(|us| us as f64).collect();
    let plan = PlanePlan {
        x_values: &x_values,
        y_values: &y_values,
        x_tick: tick::bytes,
        y_tick: tick::seconds,
        x_name: scene.say("transfer bytes", "전송 바이트"),
        y_name: scene.say("time of the pull", "pull 시간"),
        height: HEIGHT,
        right: 24.0,
    };
    plane(frame, &plan)
}

fn marks(scene: &Scene<'_>, frame: &mut Frame<'_>, axes: &Plane, points: &[Point<'_>]) {
    let place = |bytes: u64, us: u64| (axes.x.at(bytes as f64), axes.y.at(us as f64));
    let limits: Vec<(f64, f64)> = points
        .iter()
        .filter_map(|it| Some(place(it.bytes, it.limit_us?)))
        .collect();
    frame
        .canvas
        .draw(&Shape::Line(limits.clone(), 2.0), "line s1 dash");
    for (point, (x, y)) in points
        .iter()
        .filter(|it| it.limit_us.is_some())
        .zip(&limits)
    {
        let limit = human::time(point.limit_us.unwrap_or_default());
        let says = scene.say("limit", "한계");
        let says = format!("{}: {says} {limit}", point.row.variant);
        frame.canvas.mark(&dash(*x, *y, 5.0), "s1", &says);
    }
    let mut at = Vec::new();
    for point in points {
        let pull = point.row.pull.phase;
        let (x, y) = place(point.bytes, pull.median_us.unwrap_or_default());
        let says = words(scene.lang, point);
        if let (Some(low), Some(high)) = (pull.low_us, pull.high_us) {
            let ends = vec![place(point.bytes, low), place(point.bytes, high)];
            frame.canvas.draw(&Shape::Line(ends, 1.5), "mark");
        }
        frame.canvas.mark(&Shape::Disc(x, y, 5.0), "f0", &says);
        at.push((x, y));
    }
    let mut names = Names::new(axes, &[at.clone(), along(&limits)].concat());
    for (point, place) in points.iter().zip(at) {
        names.write(frame, place, &point.row.variant);
    }
}

/// Places along the line, near enough to each other that no name fits between.
fn along(line: &[(f64, f64)]) -> Vec<(f64, f64)> {
    const STEPS: u32 = 20;
    let step = |pair: &[(f64, f64)], step: u32| {
        let share = f64::from(step) / f64::from(STEPS);
        let between = |from: f64, to: f64| from + share * (to - from);
        (between(pair[0].0, pair[1].0), between(pair[0].1, pair[1].1))
    };
    line.windows(2)
        .flat_map(|pair| (0..=STEPS).map(move |number| step(pair, number)))
        .collect()
}

fn words(lang: Lang, point: &Point<'_>) -> String {
    let pull = interval(&point.row.pull.phase);
    let limit = point.limit_us.map_or_else(String::new, |us| match lang {
        Lang::En => format!(", limit {}", human::time(us)),
        Lang::Ko => format!(", 한계 {}", human::time(us)),
    });
    format!(
        "{} {}: {pull}{limit}",
        point.row.variant,
        megabytes(point.bytes)
    )
}
