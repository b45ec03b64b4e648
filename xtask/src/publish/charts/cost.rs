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
    /// In the order of the rows.
    rows: Vec<&'a CostRow>,
}

impl Way<'_> {
    fn costs(&self) -> Vec<Option<u64>> {
        let cost = |row: &&CostRow| row.standalone_microusd_per_month;
        self.rows.iter().map(cost).collect()
    }
}

pub fn draw(scene: &Scene<'_>) -> Result<Option<Chart>> {
    let ways = ways(scene);
    let Some(first) = ways.first().and_then(|way| way.rows.first()) else {
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
    let rows = rows(&mut frame, &ways);
    marks(&mut frame, &rows, &ways);
    let alt: Vec<String> = (0..ways[0].rows.len())
        .map(|row| words(&ways, row))
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

/// Every way that was priced for all images, those that cost the same as one.
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
        let rows = scene.images.iter().filter_map(|image| of(&image.variant));
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

fn rows(frame: &mut Frame<'_>, ways: &[Way<'_>]) -> Rows {
    let labels: Vec<&str> = ways[0]
        .rows
        .iter()
        .map(|row| row.variant.as_str())
        .collect();
    let numbers: Vec<String> = (0..labels.len())
        .map(|row| {
            let costs = costs_of(ways, row);
            let (least, most) = (costs.iter().min(), costs.iter().max());
            let text = |cost: Option<&u64>| cost.copied().map(human::dollars).unwrap_or_default();
            format!("${}–{}", text(least), text(most))
        })
        .collect();
    let plan = RowsPlan {
        labels: &labels,
        numbers: &numbers,
        row_height: ROW,
        tick: tick::dollars,
    };
    let all = (0..labels.len()).flat_map(|row| costs_of(ways, row));
    let values: Vec<f64> = all.map(|cost| cost as f64).collect();
    frame.rows(&plan, |from, to| Scale::log(values, from, to))
}

fn costs_of(ways: &[Way<'_>], row: usize) -> Vec<u64> {
    let cost = |way: &Way<'_>| way.rows.get(row)?.standalone_microusd_per_month;
    ways.iter().filter_map(cost).collect()
}

fn marks(frame: &mut Frame<'_>, rows: &Rows, ways: &[Way<'_>]) {
    for (row, y) in rows.middles.iter().enumerate() {
        let places: Vec<f64> = costs_of(ways, row)
            .iter()
            .map(|cost| rows.scale.at(*cost as f64))
            .collect();
        let (from, to) = places.iter().fold((f64::MAX, 0.0_f64), |(low, high), at| {
            (low.min(*at), high.max(*at))
        });
        let between = Shape::Line(vec![(from, *y), (to, *y)], 3.0);
        frame.canvas.draw(&between, "grid");
        for (way, (shape, class)) in ways.iter().zip(MARKS.iter().cycle()) {
            let Some(cost) = way.rows[row].standalone_microusd_per_month else {
                continue;
            };
            let says = format!(
                "{}: {} ${}",
                way.rows[row].variant,
                way.names.join(" = "),
                human::dollars(cost)
            );
            let mark = shape(rows.scale.at(cost as f64), *y, MARK);
            frame.canvas.mark(&mark, class, &says);
        }
    }
}

fn words(ways: &[Way<'_>], row: usize) -> String {
    let told: Vec<String> = ways
        .iter()
        .filter_map(|way| {
            let cost = way.rows.get(row)?.standalone_microusd_per_month?;
            Some(format!(
                "{} ${}",
                way.names.join(" = "),
                human::dollars(cost)
            ))
        })
        .collect();
    format!("{}: {}", ways[0].rows[row].variant, told.join(", "))
}

fn dates(ways: &[Way<'_>]) -> String {
    let mut dates: Vec<String> = ways
        .iter()
        .flat_map(|way| way.rows.iter())
        .map(|row| format!("{} {}", row.price, row.prices_date))
        .collect();
    dates.sort();
    dates.dedup();
    dates.join(", ")
}
