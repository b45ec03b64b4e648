//! The app phase: every sample of it, because a median hides how near the
//! variants are to each other.

use anyhow::Result;

use super::{
    Chart, Lang,
    frame::{Frame, RowsPlan, Swatch, whisker},
    scale::Scale,
    scene::{Scene, interval, tick},
    svg::Shape,
};
use crate::record::timings::{Phase, StartRow};

const ROW: f64 = 32.0;
/// Half of what the dots of a row are spread over, up and down.
const SPREAD: f64 = 9.0;

/// One row: a variant's summary and its samples in microseconds.
struct Strip<'a> {
    row: &'a StartRow,
    samples_us: Vec<f64>,
}

impl Strip<'_> {
    /// All that is marked. A draft may have the summary without its samples.
    fn places_us(&self) -> impl Iterator<Item = f64> + '_ {
        let Phase {
            median_us,
            low_us,
            high_us,
        } = self.row.app.phase;
        let summary = [median_us, low_us, high_us].into_iter().flatten();
        let samples = self.samples_us.iter().copied();
        samples.chain(summary.map(|us| us as f64))
    }
}

pub fn draw(scene: &Scene<'_>) -> Result<Option<Chart>> {
    let strips = strips(scene)?;
    let Some(first) = strips.first() else {
        return Ok(None);
    };
    let mut frame = Frame::new(
        scene,
        "app",
        scene.say("the app phase, sample by sample", "앱 단계의 모든 표본"),
        scene.say(
            "From the kernel's exec to the last byte of the first 200, the image already there. Each dot is a start.",
            "커널의 exec부터 첫 200 응답의 마지막 바이트까지이며 이미지는 이미 있습니다. 점 하나가 한 번의 시작입니다.",
        ),
    );
    let legend: [(Swatch, &str, String); 2] = [
        (Shape::Disc, "f0", scene.say("sample", "표본").to_owned()),
        (
            Shape::Diamond,
            "open",
            scene
                .say("median, with interval", "중앙값과 구간")
                .to_owned(),
        ),
    ];
    frame.legend(&legend);
    rows(&mut frame, &strips);
    let alt: Vec<String> = strips.iter().map(|strip| says(strip.row)).collect();
    let source = scene.timed_source(&first.row.session, strips.iter().map(|it| it.row.n));
    let alt = format!("{}.", alt.join("; "));
    let note = match scene.lang {
        Lang::En => "The axis does not begin at 0.",
        Lang::Ko => "축은 0에서 시작하지 않습니다.",
    };
    frame.finish(alt, &[note], source).map(Some)
}

fn strips<'a>(scene: &Scene<'a>) -> Result<Vec<Strip<'a>>> {
    let rows = scene.warm();
    let rows = rows
        .iter()
        .filter(|(_, row)| row.app.phase.median_us.is_some());
    rows.map(|(_, row)| {
        Ok(Strip {
            row,
            samples_us: scene.evidence.app_us(row)?,
        })
    })
    .collect()
}

fn rows(frame: &mut Frame<'_>, strips: &[Strip<'_>]) {
    let labels: Vec<&str> = strips.iter().map(|it| it.row.variant.as_str()).collect();
    let numbers: Vec<String> = strips
        .iter()
        .map(|it| {
            it.row
                .app
                .phase
                .median_us
                .map(crate::human::time)
                .unwrap_or_default()
        })
        .collect();
    let plan = RowsPlan {
        labels: &labels,
        numbers: &numbers,
        row_height: ROW,
        tick: tick::seconds,
    };
    let all = || strips.iter().flat_map(Strip::places_us);
    let (low, high) = (
        all().fold(f64::INFINITY, f64::min),
        all().fold(0.0, f64::max),
    );
    let air = (high - low) * 0.04;
    let rows = frame.rows(&plan, |from, to| {
        Scale::between((low - air).max(0.0), high + air, from, to)
    });
    for (strip, y) in strips.iter().zip(rows.middles) {
        for (index, sample) in strip.samples_us.iter().enumerate() {
            let text = format!("{}: {:.2} ms", strip.row.variant, sample / 1000.0);
            let dot = Shape::Disc(rows.scale.at(*sample), y + spread(index), 2.4);
            frame.canvas.mark(&dot, "f0 soft", &text);
        }
        let phase = &strip.row.app.phase;
        let says = says(strip.row);
        if let (Some(low), Some(high)) = (phase.low_us, phase.high_us) {
            whisker(&mut frame.canvas, &rows.scale, y, (low, high), &says);
        }
        if let Some(median) = phase.median_us {
            let mark = Shape::Diamond(rows.scale.at(median as f64), y, 4.5);
            frame.canvas.mark(&mark, "open", &says);
        }
    }
}

/// Up and down in turns that look like chance and are the same every time: the
/// golden ratio's multiples are spread as evenly as can be.
fn spread(index: usize) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_75;
    ((index as f64 + 0.5) * GOLDEN).fract().mul_add(2.0, -1.0) * SPREAD
}

fn says(row: &StartRow) -> String {
    format!("{} {}", row.variant, interval(&row.app.phase))
}
