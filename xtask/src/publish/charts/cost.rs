//! What a variant costs a small fleet a month, by each way its pulls can take.

use anyhow::Result;

use super::{
    Chart, Lang,
    frame::{Frame, Rows, RowsPlan, Swatch},
    scale::Scale,
    scene::{Scene, tick},
    svg::Shape,
};
use crate::{human, record::cost::CostRow};

const ROW: f64 = 25.0;
const MARK: f64 = 5.0;
const MARKS: [(Swatch, &str); 5] = [
    (Shape::Disc, "f2"),
    (Shape::Square, "f4"),
    (Shape::Diamond, "f1"),
    (Shape::Triangle, "f5"),
    (Shape::Disc, "f6"),
];

/// One price on one path, or several that cost the same for every variant.
struct Way<'a> {
    names: Vec<String>,
    /// One for each image of the scene, in its order; none where it was not priced.
    rows: Vec<Option<&'a CostRow>>,
}

impl Way<'_> {
    fn cost(&self, image: usize) -> Option<u64> {
        self.rows[image]?.standalone_microusd_per_month
    }

    fn costs(&self) -> Vec<Option<u64>> {
        (0..self.rows.len()).map(|image| self.cost(image)).collect()
    }
}

pub fn draw(scene: &Scene<'_>) -> Result<Option<Chart>> {
    let ways = ways(scene);
    let Some(first) = ways.iter().flat_map(|way| &way.rows).flatten().next() else {
        return Ok(None);
    };
    let mut frame = Frame::new(
        scene,
        "cost",
        scene.say("registry cost of a month", "한 달의 레지스트리 비용"),
        &usage(scene.lang, first),
    );
    let legend: Vec<(Swatch, &str, String)> = ways
        .iter()
        .zip(MARKS.iter().cycle())
        .map(|(way, (swatch, class))| (*swatch, *class, way.names.join(" = ")))
        .collect();
    frame.legend(&legend);
    let rows = rows(scene, &mut frame, &ways);
    marks(scene, &mut frame, &rows, &ways);
    let images = scene.images.iter().enumerate();
    let alt: Vec<String> = images
        .map(|(image, it)| format!("{}: {}", it.variant, words(&ways, image)))
        .collect();
    let alt = format!("{}.", alt.join("; "));
    let dates = dates(&ways);
    let note = match scene.lang {
        Lang::En => format!(
            "Storage and transfer of a variant in a repository of its own, by the prices of {dates} (results/cost.csv); free allowances left out."
        ),
        Lang::Ko => format!(
            "변형 하나만 담은 저장소의 보관 비용과 전송 비용입니다. 가격은 {dates} 기준이며(results/cost.csv) 무료 제공량은 뺐습니다."
        ),
    };
    frame.finish(alt, &[&note], scene.exact_source()).map(Some)
}

fn usage(lang: Lang, row: &CostRow) -> String {
    let CostRow {
        versions,
        pulls,
        nodes,
        ..
    } = row;
    match lang {
        Lang::En => format!(
            "{versions} versions kept, {nodes} nodes, {pulls} other cold pulls. Logarithmic; at the right the least and the most."
        ),
        Lang::Ko => format!(
            "버전 {versions}개를 보관하고 노드 {nodes}대와 그 밖의 콜드 pull {pulls}번을 가정합니다. 로그 눈금이며 오른쪽은 최저와 최고입니다."
        ),
    }
}

/// Every way that was priced, those that cost the same as one.
fn ways<'a>(scene: &Scene<'a>) -> Vec<Way<'a>> {
    let mut ways: Vec<Way<'a>> = Vec::new();
    let mut keys: Vec<(&str, &str)> = Vec::new();
    for row in &scene.evidence.cost {
        let key = (row.price.as_str(), row.path.as_str());
        if row.suite == scene.suite.name && !keys.contains(&key) {
            keys.push(key);
        }
    }
    for (price, path) in keys {
        let of = |variant: &str| {
            scene.evidence.cost.iter().find(|it| {
                it.suite == scene.suite.name
                    && it.variant == variant
                    && (it.price.as_str(), it.path.as_str()) == (price, path)
            })
        };
        let rows = scene.images.iter().map(|image| of(&image.variant));
        let mut way = Way {
            names: vec![format!("{price} {path}")],
            rows: rows.collect(),
        };
        match ways.iter_mut().find(|known| known.costs() == way.costs()) {
            Some(known) => known.names.append(&mut way.names),
            None => ways.push(way),
        }
    }
    // The cheapest first, as they stand in the rows.
    ways.sort_by_key(|way| way.costs().first().copied().flatten());
    ways
}

fn rows(scene: &Scene<'_>, frame: &mut Frame<'_>, ways: &[Way<'_>]) -> Rows {
    let labels: Vec<&str> = scene.images.iter().map(|it| it.variant.as_str()).collect();
    let numbers: Vec<String> = (0..labels.len()).map(|image| span(ways, image)).collect();
    let plan = RowsPlan {
        labels: &labels,
        numbers: &numbers,
        row_height: ROW,
        tick: tick::dollars,
    };
    let all = (0..labels.len()).flat_map(|image| costs_of(ways, image));
    let values: Vec<f64> = all.map(|cost| cost as f64).collect();
    frame.rows(&plan, |from, to| Scale::log(values, from, to))
}

/// The least and the most.
fn span(ways: &[Way<'_>], image: usize) -> String {
    let costs = costs_of(ways, image);
    match (costs.iter().min(), costs.iter().max()) {
        (Some(least), Some(most)) => {
            format!("${}–{}", human::dollars(*least), human::dollars(*most))
        }
        _ => "–".to_owned(),
    }
}

fn costs_of(ways: &[Way<'_>], image: usize) -> Vec<u64> {
    ways.iter().filter_map(|way| way.cost(image)).collect()
}

fn marks(scene: &Scene<'_>, frame: &mut Frame<'_>, rows: &Rows, ways: &[Way<'_>]) {
    for (image, y) in rows.middles.iter().enumerate() {
        let at = |cost: u64| rows.scale.at(cost as f64);
        let costs = costs_of(ways, image);
        let (Some(least), Some(most)) = (costs.iter().min(), costs.iter().max()) else {
            continue;
        };
        let between = Shape::Line(vec![(at(*least), *y), (at(*most), *y)], 3.0);
        frame.canvas.draw(&between, "grid");
        for (way, (shape, class)) in ways.iter().zip(MARKS.iter().cycle()) {
            let Some(cost) = way.cost(image) else {
                continue;
            };
            let says = format!(
                "{}: {} ${}",
                scene.images[image].variant,
                way.names.join(" = "),
                human::dollars(cost)
            );
            let mark = shape(at(cost), *y, MARK);
            frame.canvas.mark(&mark, class, &says);
        }
    }
}

fn words(ways: &[Way<'_>], image: usize) -> String {
    let told = ways.iter().filter_map(|way| {
        let cost = human::dollars(way.cost(image)?);
        Some(format!("{} ${cost}", way.names.join(" = ")))
    });
    told.collect::<Vec<_>>().join(", ")
}

fn dates(ways: &[Way<'_>]) -> String {
    let mut dates: Vec<String> = ways
        .iter()
        .flat_map(|way| way.rows.iter().flatten())
        .map(|row| format!("{} {}", row.price, row.prices_date))
        .collect();
    dates.sort();
    dates.dedup();
    dates.join(", ")
}
