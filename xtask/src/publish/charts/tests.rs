//! Every chart, drawn from the committed rows: what it says is what they say.

use std::collections::BTreeSet;

use roxmltree::{Document, Node};

use super::{font::Font, link, scene::Scene, *};
use crate::{publish::testing::fit_evidence, record::limits::LimitRow};

/// What a place is rounded to, and a little more.
const ROUNDING: f64 = 0.02;
/// How far the model of `link` may lie from what was measured at 100 Mbit/s.
const MODEL_ERROR_PERCENT_MAX: f64 = 20.0;

fn charts(evidence: &Evidence) -> Charts {
    all(evidence, false).unwrap()
}

fn svg<'c>(charts: &'c Charts, name: &str) -> &'c str {
    &charts
        .get(name, Lang::En)
        .unwrap_or_else(|| panic!("no chart {name}"))
        .svg
}

/// The shapes that stand for a number, with what they say.
fn marks<'d, 'i>(document: &'d Document<'i>) -> Vec<(Node<'d, 'i>, String)> {
    let titled = document.descendants().filter_map(|node| {
        let title = node.children().find(|it| it.has_tag_name("title"))?;
        Some((node, title.text()?.to_owned()))
    });
    titled
        .filter(|(node, _)| !node.has_tag_name("svg"))
        .collect()
}

fn number(node: Node<'_, '_>, attribute: &str) -> f64 {
    node.attribute(attribute).unwrap().parse().unwrap()
}

/// Lengths that stand for values on one axis that begins at 0.
fn assert_proportional(lengths: &[(f64, u64)]) {
    let (length, value) = lengths.iter().max_by_key(|(_, value)| *value).unwrap();
    let unit = length / *value as f64;
    for (length, value) in lengths {
        let expected = unit * *value as f64;
        assert!(
            (length - expected).abs() < ROUNDING,
            "{value}: {length}, not {expected}"
        );
    }
}

#[test]
fn every_suite_has_every_chart_in_both_languages() {
    let evidence = fit_evidence();
    let charts = charts(&evidence);
    let kinds = [
        "bytes",
        "parts",
        "node-unshaped",
        "node-100mbit",
        "pull-unshaped",
        "pull-100mbit",
        "app",
        "link",
        "cost",
    ];
    for suite in &evidence.suites {
        for (kind, lang) in kinds
            .iter()
            .flat_map(|kind| Lang::ALL.map(|lang| (kind, lang)))
        {
            let name = format!("{}-{kind}", suite.name);
            let chart = charts
                .get(&name, lang)
                .unwrap_or_else(|| panic!("no {name}"));
            for variant in &suite.variants {
                assert!(
                    chart.alt.contains(&variant.name),
                    "{name} is silent of {}",
                    variant.name
                );
            }
            assert!(!chart.caption.is_empty() && !chart.alt.contains('\n'));
        }
    }
    assert_eq!(charts.0.len(), evidence.suites.len() * kinds.len() * 2);
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    assert_eq!(charts(&fit_evidence()).0, charts(&fit_evidence()).0);
}

#[test]
fn a_picture_is_whole_by_itself() {
    for chart in charts(&fit_evidence()).0 {
        let name = chart.file();
        let document = Document::parse(&chart.svg).unwrap_or_else(|why| panic!("{name}: {why}"));
        let ids: BTreeSet<&str> = document
            .descendants()
            .filter_map(|it| it.attribute("id"))
            .collect();
        for node in document.descendants().filter(Node::is_element) {
            let tag = node.tag_name().name();
            assert!(
                !["text", "image", "script", "foreignObject"].contains(&tag),
                "{name}: {tag}"
            );
            if let Some(reference) = node.attribute("href") {
                let target = reference
                    .strip_prefix('#')
                    .unwrap_or_else(|| panic!("{name}: {reference}"));
                assert!(ids.contains(target), "{name}: {reference}");
            }
        }
        let without_namespace = chart.svg.replacen("http://www.w3.org/2000/svg", "", 1);
        for outside in ["http", "url(", "@import"] {
            assert!(!without_namespace.contains(outside), "{name}: {outside}");
        }
    }
}

#[test]
fn no_text_leaves_the_picture() {
    for chart in charts(&fit_evidence()).0 {
        let name = chart.file();
        let document = Document::parse(&chart.svg).unwrap();
        let size = document.root_element().attribute("viewBox").unwrap();
        let size: Vec<f64> = size.split(' ').map(|it| it.parse().unwrap()).collect();
        for group in document.descendants().filter(|it| it.has_tag_name("g")) {
            let (x, y, scale) = place(group);
            let Some(last) = group.last_element_child() else {
                continue;
            };
            let em = Font::get().units_per_em();
            let from_last = last.attribute("x").map_or(0.0, |it| it.parse().unwrap());
            let right = x + (from_last + em * 0.9) * scale;
            assert!(
                x >= 4.0 && right <= size[2],
                "{name}: text from {x} to {right}"
            );
            assert!(
                y >= 8.0 && y <= size[3] - 2.0,
                "{name}: text at {y} of {}",
                size[3]
            );
        }
    }
}

/// Where a text begins, and its scale.
fn place(group: Node<'_, '_>) -> (f64, f64, f64) {
    let transform = group.attribute("transform").unwrap();
    let numbers: Vec<f64> = transform
        .split(['(', ')', ' '])
        .filter_map(|word| word.parse().ok())
        .collect();
    (numbers[0], numbers[1], numbers[2])
}

#[test]
fn the_bars_of_parts_are_as_long_as_the_layers_are_large() {
    let evidence = fit_evidence();
    let charts = charts(&evidence);
    for suite in &evidence.suites {
        let document = Document::parse(svg(&charts, &format!("{}-parts", suite.name))).unwrap();
        let mut lengths = Vec::new();
        for variant in &suite.variants {
            // In the first panel; the second one has another axis.
            let bars = marks(&document);
            let mut seen = BTreeSet::new();
            let of_variant = bars.iter().filter(|(node, says)| {
                node.has_tag_name("rect") && says.starts_with(&format!("{}: ", variant.name))
            });
            let width: f64 = of_variant
                .filter(|(_, says)| seen.insert(says.clone()))
                .map(|(node, _)| number(*node, "width"))
                .sum();
            let layers = evidence.layers.iter();
            let layers =
                layers.filter(|it| (&it.suite, &it.variant) == (&suite.name, &variant.name));
            lengths.push((width, layers.filter_map(|it| it.transfer_bytes).sum()));
        }
        assert_proportional(&lengths);
    }
}

#[test]
fn the_bars_of_a_cold_start_are_as_long_as_the_phases_take() {
    let evidence = fit_evidence();
    let charts = charts(&evidence);
    let (mut phases, mut bars) = (Vec::new(), Vec::new());
    let document = Document::parse(svg(&charts, "gin-node-100mbit")).unwrap();
    let marks = marks(&document);
    for row in &evidence.node {
        if (&*row.suite, &*row.profile, &*row.scenario) != ("gin", "100mbit", "node_cold") {
            continue;
        }
        for (name, phase) in [
            ("download", row.download),
            ("engine", row.engine),
            ("app", row.app),
        ] {
            let is_it = |says: &str| says.starts_with(&format!("{}: {name} ", row.variant));
            let (bar, _) = marks.iter().find(|(_, says)| is_it(says)).unwrap();
            bars.push(number(*bar, "width"));
            phases.push(phase.median_us.unwrap());
        }
    }
    assert!(bars.len() > 9, "{bars:?}");
    assert_proportional(&bars.into_iter().zip(phases).collect::<Vec<_>>());
}

#[test]
fn a_place_on_the_logarithmic_axis_is_the_bytes_of_the_row() {
    let evidence = fit_evidence();
    let charts = charts(&evidence);
    let document = Document::parse(svg(&charts, "gin-bytes")).unwrap();
    let discs: Vec<(f64, f64)> = marks(&document)
        .iter()
        .filter(|(node, _)| node.has_tag_name("circle"))
        .map(|(node, says)| {
            let variant = says.split(':').next().unwrap();
            let bytes = evidence
                .size("gin", variant)
                .unwrap()
                .transfer_bytes
                .unwrap();
            assert!(
                says.contains(&crate::human::grouped(bytes.into())),
                "{says}"
            );
            (number(*node, "cx"), (bytes as f64).log10())
        })
        .collect();
    let (first, last) = (discs[0], discs[discs.len() - 1]);
    let decade = (last.0 - first.0) / (last.1 - first.1);
    assert!(discs.len() > 4 && decade > 20.0, "{discs:?}");
    for (x, log) in &discs {
        let expected = first.0 + (log - first.1) * decade;
        assert!((x - expected).abs() < 2.0 * ROUNDING, "{discs:?}");
    }
}

#[test]
fn every_sample_that_counts_is_a_dot() {
    let evidence = fit_evidence();
    let charts = charts(&evidence);
    for suite in &evidence.suites {
        let document = Document::parse(svg(&charts, &format!("{}-app", suite.name))).unwrap();
        let marks = marks(&document);
        for variant in &suite.variants {
            let row = evidence.start(&suite.name, &variant.name, "warm").unwrap();
            let dots = marks.iter().filter(|(node, says)| {
                node.has_tag_name("circle") && says.starts_with(&format!("{}: ", variant.name))
            });
            assert_eq!(dots.count() as u64, row.n.unwrap(), "{}", variant.name);
        }
    }
}

#[test]
fn a_chart_shows_one_session_and_no_other_can_move_it() {
    let evidence = fit_evidence();
    let before = charts(&evidence);
    let sessions: BTreeSet<String> = evidence
        .environment
        .iter()
        .map(|it| it.session.clone())
        .collect();
    let mut timed = 0;
    for session in &sessions {
        let after = charts(&with_others_doubled(session));
        let is_its = |chart: &&Chart| drawn_from(chart, &sessions) == Some(session);
        for chart in before.0.iter().filter(is_its) {
            timed += 1;
            let name = chart.file();
            // A model may be held against what another session measured.
            let allowed = if chart.name.ends_with("link") { 2 } else { 1 };
            let named = sessions.iter().filter(|it| chart.caption.contains(*it));
            assert_eq!(named.count(), allowed, "{name}: {}", chart.caption);
            assert!(
                chart.caption.contains(&evidence.settings.data_root_fs),
                "{name}"
            );
            let after = after.get(&chart.name, chart.lang).unwrap();
            assert_eq!(drawn(&chart.svg), drawn(&after.svg), "{name}");
        }
    }
    assert!(timed >= 24, "{timed} charts of times");
}

/// The session that a caption names last is the one of what is drawn.
fn drawn_from<'s>(chart: &Chart, sessions: &'s BTreeSet<String>) -> Option<&'s String> {
    let places = sessions
        .iter()
        .filter_map(|it| Some((chart.caption.rfind(it.as_str())?, it)));
    places.max().map(|(_, session)| session)
}

/// All that is drawn but the text, which may speak of another session.
fn drawn(svg: &str) -> Vec<&str> {
    svg.lines()
        .filter(|line| line.contains("</title></"))
        .collect()
}

fn with_others_doubled(session: &str) -> Evidence {
    let mut evidence = fit_evidence();
    let double = |value: &mut Option<u64>| *value = value.map(|it| 2 * it);
    // A limit that another session took of the same variant.
    let others = evidence.limits.iter().map(|row| LimitRow {
        session: format!("not-{}", row.session),
        ..row.clone()
    });
    let others: Vec<_> = others.collect();
    evidence.limits.extend(others);
    for row in evidence
        .node
        .iter_mut()
        .filter(|row| row.session != session)
    {
        double(&mut row.pull.phase.median_us);
        double(&mut row.node_total.phase.median_us);
        double(&mut row.download.median_us);
    }
    for row in evidence
        .start
        .iter_mut()
        .filter(|row| row.session != session)
    {
        double(&mut row.app.phase.median_us);
    }
    for row in evidence
        .limits
        .iter_mut()
        .filter(|row| row.session != session)
    {
        double(&mut row.limit.median_us);
    }
    evidence
}

#[test]
fn the_model_of_the_link_is_as_good_as_its_caption_says() {
    let evidence = fit_evidence();
    let charts = charts(&evidence);
    for suite in &evidence.suites {
        let scene = Scene::new(&evidence, suite, Lang::En, false);
        let (low, high) = link::error_percent(&scene).unwrap();
        assert!(
            low > -MODEL_ERROR_PERCENT_MAX && high < MODEL_ERROR_PERCENT_MAX,
            "{}: {low} to {high} %",
            suite.name
        );
        let caption = &charts
            .get(&format!("{}-link", suite.name), Lang::En)
            .unwrap()
            .caption;
        let stated = format!("{} to {}\u{a0}%", link::signed(low), link::signed(high));
        assert!(caption.contains(&stated), "{caption}");
        for model in link::models(&scene) {
            let row = evidence
                .node(&suite.name, model.variant, "unshaped", "node_cold")
                .unwrap();
            let fastest = model.node_total_us(1e9);
            assert_eq!(
                fastest.round() as u64,
                row.node_total.phase.median_us.unwrap()
            );
            assert!(model.node_total_us(1.0) > fastest);
        }
    }
}

#[test]
fn a_price_that_one_image_lacks_moves_no_other_ones_marks() {
    let mut evidence = fit_evidence();
    let marks_of = |evidence: &Evidence, variant: &str| -> Vec<String> {
        let charts = charts(evidence);
        let document = Document::parse(svg(&charts, "gin-cost")).unwrap();
        let told = marks(&document).into_iter().map(|(_, says)| says);
        told.filter(|says| says.starts_with(&format!("{variant}: ")))
            .collect()
    };
    let largest = {
        let scene = Scene::new(&evidence, suite(&evidence, "gin"), Lang::En, false);
        scene.images[0].variant.clone()
    };
    let before = (
        marks_of(&evidence, &largest),
        marks_of(&evidence, "scratch"),
    );
    let dearest = evidence
        .cost
        .iter()
        .filter(|row| (&*row.suite, &row.variant) == ("gin", &largest))
        .max_by_key(|row| row.standalone_microusd_per_month)
        .unwrap();
    let (price, path) = (dearest.price.clone(), dearest.path.clone());
    evidence.cost.retain(|row| {
        (&*row.suite, &row.variant, &row.price, &row.path) != ("gin", &largest, &price, &path)
    });
    let way = format!("{price} {path}");
    let left: Vec<_> = before
        .0
        .into_iter()
        .filter(|it| !it.contains(&way))
        .collect();
    assert_eq!(marks_of(&evidence, &largest), left);
    let mut others = marks_of(&evidence, "scratch");
    let mut before = before.1;
    others.sort();
    before.sort();
    assert_eq!(others, before);
    evidence
        .cost
        .retain(|row| (&*row.suite, &row.variant) != ("gin", &largest));
    assert!(marks_of(&evidence, &largest).is_empty());
    let mut others = marks_of(&evidence, "scratch");
    others.sort();
    assert_eq!(others, before);
}

fn suite<'e>(evidence: &'e Evidence, name: &str) -> &'e crate::suite::Suite {
    evidence.suites.iter().find(|it| it.name == name).unwrap()
}

/// Such a file may be missing from a draft, and one sample may be all there is.
#[test]
fn a_draft_without_samples_has_places_for_what_it_shows() {
    let mut evidence = fit_evidence();
    evidence.machine = std::path::PathBuf::from("/nowhere/at/all");
    let app = evidence.start[0].app;
    let is_drawn = |evidence: &Evidence| {
        for chart in all(evidence, true).unwrap().0 {
            for broken in ["NaN", "\"inf", "-inf"] {
                assert!(!chart.svg.contains(broken), "{}: {broken}", chart.file());
            }
        }
    };
    is_drawn(&evidence);
    for row in &mut evidence.start {
        row.app = app;
        (row.app.phase.low_us, row.app.phase.high_us) = (None, None);
    }
    is_drawn(&evidence);
}

#[test]
fn a_draft_says_that_it_is_one() {
    let evidence = fit_evidence();
    for chart in all(&evidence, true).unwrap().0 {
        assert!(
            chart.caption.contains(chart.lang.of("Draft", "초안")),
            "{}",
            chart.caption
        );
    }
}
