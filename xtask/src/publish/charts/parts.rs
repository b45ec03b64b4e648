//! Where an image's transfer bytes are: base, runtime, app.

use anyhow::Result;

use super::{
    Chart, Lang,
    frame::{Frame, Swatch},
    scene::{Scene, megabytes, tick},
    stack::{self, Part, Stack},
    svg::Shape,
};
use crate::record::{cell::Origin, exact::SizeRow};

/// The base's first layer is its distribution, by the recipes in
/// experiments/bases as by their publishers; what the base adds to that is there
/// for the sake of running or building something.
const COLOURS: [&str; 3] = ["f0", "f3", "f1"];

pub fn draw(scene: &Scene<'_>) -> Result<Option<Chart>> {
    let names = names(scene);
    let stacks: Vec<Stack> = scene
        .images
        .iter()
        .filter_map(|image| stack(scene, image, names))
        .collect();
    if stacks.is_empty() {
        return Ok(None);
    }
    let mut frame = Frame::new(
        scene,
        "parts",
        scene.say("where the bytes of a pull are", "내려받는 바이트가 있는 곳"),
        scene.say(
            "Compressed layers, in MB of 10⁶ bytes; the bars begin at 0.",
            "압축된 레이어의 크기(10⁶바이트 단위 MB)이며 막대는 0에서 시작합니다.",
        ),
    );
    let legend: Vec<(Swatch, &str, String)> = (0..3)
        .map(|index| {
            (
                Shape::Square as Swatch,
                COLOURS[index],
                names[index].to_owned(),
            )
        })
        .collect();
    frame.legend(&legend);
    stack::draw(&mut frame, &stacks, tick::bytes, |longest| {
        match scene.lang {
            Lang::En => format!("The same without {longest}:"),
            Lang::Ko => format!("{longest} 없이 다시 그리면:"),
        }
    });
    let alt: Vec<&str> = stacks.iter().map(|stack| stack.says.as_str()).collect();
    let note = scene.say(
        "Distribution: the base's first layer. Runtime and tools: its other layers. App: what the Dockerfile adds, in a single stage with sources, modules and build cache.",
        "배포판은 base image의 첫 레이어, 런타임과 도구는 base image의 나머지 레이어입니다. 앱은 Dockerfile이 더한 레이어이며 싱글 스테이지에서는 소스, 모듈, 빌드 캐시도 들어 있습니다.",
    );
    let alt = format!("{}.", alt.join("; "));
    frame.finish(alt, &[note], scene.exact_source()).map(Some)
}

fn names(scene: &Scene<'_>) -> [&'static str; 3] {
    match scene.lang {
        Lang::En => ["distribution", "runtime and tools", "app"],
        Lang::Ko => ["배포판", "런타임과 도구", "앱"],
    }
}

fn stack(scene: &Scene<'_>, image: &SizeRow, names: [&str; 3]) -> Option<Stack> {
    let mut bytes = [0, 0, 0];
    for layer in &scene.evidence.layers {
        if (&layer.suite, &layer.variant) != (&image.suite, &image.variant) {
            continue;
        }
        let part = match (layer.origin?, layer.layer) {
            (Origin::App, _) => 2,
            (Origin::Base, 1) => 0,
            (Origin::Base, _) => 1,
        };
        bytes[part] += layer.transfer_bytes?;
    }
    let total = image.transfer_bytes?;
    let parts: Vec<Part> = (0..3)
        .filter(|&index| bytes[index] > 0)
        .map(|index| Part {
            class: COLOURS[index],
            value: bytes[index],
            says: format!(
                "{}: {} {}",
                image.variant,
                names[index],
                megabytes(bytes[index])
            ),
        })
        .collect();
    let told: Vec<String> = (0..3)
        .filter(|&index| bytes[index] > 0)
        .map(|index| format!("{} {}", names[index], megabytes(bytes[index])))
        .collect();
    Some(Stack {
        label: image.variant.clone(),
        parts,
        total,
        interval: None,
        number: megabytes(total),
        says: format!(
            "{} {} ({})",
            image.variant,
            megabytes(total),
            told.join(", ")
        ),
    })
}
