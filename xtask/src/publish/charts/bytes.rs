//! What a pull transfers and what it unpacks to, beside the article's figures.

use anyhow::Result;

use super::{
    Chart,
    frame::{Frame, Rows, RowsPlan, Swatch},
    scale::Scale,
    scene::{Scene, megabytes, tick},
    svg::Shape,
};
use crate::{human, record::exact::SizeRow};

const ROW: f64 = 25.0;
const MARK: f64 = 5.0;

pub fn draw(scene: &Scene<'_>) -> Result<Option<Chart>> {
    if scene.images.is_empty() {
        return Ok(None);
    }
    let mut frame = Frame::new(
        scene,
        "bytes",
        scene.say(
            "what is pulled, and what it unpacks to",
            "내려받는 크기와 풀린 크기",
        ),
        scene.say(
            "Logarithmic scale. At the right: pulled / unpacked, in MB.",
            "로그 눈금입니다. 오른쪽은 내려받는 크기 / 풀린 크기(MB)입니다.",
        ),
    );
    legend(scene, &mut frame);
    let labels: Vec<&str> = scene.images.iter().map(|it| it.variant.as_str()).collect();
    let numbers: Vec<String> = scene.images.iter().map(|it| number(it)).collect();
    let plan = RowsPlan {
        labels: &labels,
        numbers: &numbers,
        row_height: ROW,
        tick: tick::bytes,
    };
    let values: Vec<f64> = scene
        .images
        .iter()
        .flat_map(|image| {
            [
                image.transfer_bytes,
                image.layer_file_bytes,
                article(scene, image),
            ]
        })
        .flatten()
        .map(|bytes| bytes as f64)
        .collect();
    let rows = frame.rows(&plan, |from, to| Scale::log(values, from, to));
    for (index, image) in scene.images.iter().enumerate() {
        marks(scene, &mut frame, &rows, index, image);
    }
    let alt = scene.images.iter().map(|image| words(scene, image));
    let alt = alt.collect::<Vec<_>>().join("; ");
    frame
        .finish(format!("{alt}."), &[], scene.exact_source())
        .map(Some)
}

fn legend(scene: &Scene<'_>, frame: &mut Frame<'_>) {
    let mut items: Vec<(Swatch, &str, String)> = vec![
        (
            Shape::Disc,
            "f0",
            scene.say("transfer bytes", "전송 바이트").to_owned(),
        ),
        (
            Shape::Square,
            "f1",
            scene
                .say(
                    "layer file bytes (docker images)",
                    "레이어 파일 바이트(docker images)",
                )
                .to_owned(),
        ),
    ];
    if scene
        .images
        .iter()
        .any(|image| article(scene, image).is_some())
    {
        let text = scene.say("the article's figure", "원래 글의 값");
        items.push((Shape::Diamond, "line mark", text.to_owned()));
    }
    frame.legend(&items);
}

fn marks(scene: &Scene<'_>, frame: &mut Frame<'_>, rows: &Rows, index: usize, image: &SizeRow) {
    let y = rows.middles[index];
    let at = |bytes: u64| rows.scale.at(bytes as f64);
    let says = |what: &str, bytes: u64| {
        let exact = human::grouped(bytes.into());
        format!("{}: {what} {} ({exact})", image.variant, megabytes(bytes))
    };
    if let (Some(transfer), Some(files)) = (image.transfer_bytes, image.layer_file_bytes) {
        let between = Shape::Line(vec![(at(transfer), y), (at(files), y)], 3.0);
        frame.canvas.draw(&between, "grid");
    }
    if let Some(bytes) = image.transfer_bytes {
        let says = says(scene.say("transfer bytes", "전송 바이트"), bytes);
        frame
            .canvas
            .mark(&Shape::Disc(at(bytes), y, MARK), "f0", &says);
    }
    if let Some(bytes) = image.layer_file_bytes {
        let says = says(scene.say("layer file bytes", "레이어 파일 바이트"), bytes);
        frame
            .canvas
            .mark(&Shape::Square(at(bytes), y, MARK), "f1", &says);
    }
    if let Some(bytes) = article(scene, image) {
        let says = says(scene.say("the article's figure", "원래 글의 값"), bytes);
        let diamond = Shape::Diamond(at(bytes), y, MARK + 2.0);
        frame.canvas.mark(&diamond, "line mark", &says);
    }
}

fn article(scene: &Scene<'_>, image: &SizeRow) -> Option<u64> {
    scene
        .evidence
        .variant(&image.suite, &image.variant)?
        .article_bytes
}

fn number(image: &SizeRow) -> String {
    let text = |bytes: Option<u64>| bytes.map(human::megabytes).unwrap_or_default();
    format!(
        "{} / {}",
        text(image.transfer_bytes),
        text(image.layer_file_bytes)
    )
}

fn words(scene: &Scene<'_>, image: &SizeRow) -> String {
    let article = article(scene, image).map_or_else(String::new, |bytes| {
        let bytes = megabytes(bytes);
        match scene.lang {
            super::Lang::En => format!(" (the article: {bytes})"),
            super::Lang::Ko => format!(" (원래 글: {bytes})"),
        }
    });
    let numbers = number(image);
    format!("{} {numbers} MB{article}", image.variant)
}
