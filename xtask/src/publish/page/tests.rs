//! What holds of the page as text; `tests/page` reads it in a browser.

use super::*;
use crate::publish::{
    charts,
    testing::{fit_evidence, project},
};

fn page_of(evidence: &Evidence) -> String {
    let prices = Prices::load(&project()).unwrap();
    let charts = charts::all(evidence, false).unwrap();
    render(evidence, prices.as_ref(), &charts, false).unwrap()
}

/// The page without what is no markup: its style and its scripts.
fn markup(page: &str) -> String {
    let mut rest = page;
    let mut markup = String::new();
    while let Some(start) = ["<style>", "<script"]
        .iter()
        .filter_map(|it| rest.find(it))
        .min()
    {
        let end = if rest[start..].starts_with("<style>") {
            "</style>"
        } else {
            "</script>"
        };
        markup.push_str(&rest[..start]);
        rest = &rest[start + rest[start..].find(end).unwrap() + end.len()..];
    }
    markup + rest
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    assert_eq!(page_of(&fit_evidence()), page_of(&fit_evidence()));
}

fn tree(markup: &str) -> roxmltree::Document<'_> {
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..Default::default()
    };
    roxmltree::Document::parse_with_options(markup, options).unwrap()
}

#[test]
fn it_is_well_formed_and_no_name_stands_twice() {
    let page = markup(&page_of(&fit_evidence()));
    let tree = tree(&page);
    let mut names: Vec<_> = tree
        .descendants()
        .filter_map(|it| it.attribute("id"))
        .collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    let elements = tree.descendants();
    for target in elements.filter_map(|it| it.attribute("href")?.strip_prefix('#')) {
        assert!(
            names.binary_search(&target).is_ok(),
            "#{target} leads nowhere"
        );
    }
}

#[test]
fn it_needs_nothing_beside_itself() {
    let page = page_of(&fit_evidence());
    for word in ["@import", "url(", "<iframe", "<object", "<base"] {
        assert!(!page.contains(word), "{word}");
    }
    // A reader may follow the sources of the prices, and nothing else leads away.
    let prices = Prices::load(&project()).unwrap().unwrap();
    let is_source = |address: &str| prices.prices.iter().any(|it| it.source.contains(address));
    let page = markup(&page);
    for element in tree(&page).descendants() {
        assert_eq!(element.attribute("src"), None);
        let Some(address) = element.attribute("href") else {
            continue;
        };
        let is_followed = element.has_tag_name("a") && is_source(address);
        assert!(
            address.starts_with('#') || address == "data:," || is_followed,
            "{address}"
        );
    }
}

#[test]
fn every_variant_is_there_with_its_layers() {
    let evidence = fit_evidence();
    let page = markup(&page_of(&evidence));
    let tree = tree(&page);
    let has = |attribute: &str, value: &str| {
        tree.descendants()
            .any(|it| it.attribute(attribute) == Some(value))
    };
    for suite in &evidence.suites {
        for variant in &suite.variants {
            let name = format!("{}/{}", suite.name, variant.name);
            assert!(
                has("data-row", &name) && has("data-what-if", &name),
                "{name}"
            );
            assert!(
                has("id", &name) && has("href", &format!("#{name}")),
                "{name}"
            );
            let command = format!("cargo xtask explain {name}");
            let is_said = tree.descendants().any(|it| it.text() == Some(&command));
            assert!(is_said, "{command}");
        }
    }
    assert_eq!(
        page.matches("class=\"origin ").count(),
        evidence.layers.len()
    );
}

/// Path, bytes and layer of the files in a variant's details.
fn files_of(tree: &roxmltree::Document<'_>, name: &str) -> Vec<[String; 3]> {
    let mut all = tree.descendants();
    let details = all.find(|it| it.attribute("id") == Some(name)).unwrap();
    let mut inside = details.descendants();
    let table = inside.find(|it| it.attribute("class") == Some("files"));
    let table = table.unwrap_or_else(|| panic!("{name} shows no files"));
    let paths = table.descendants().filter(|it| it.has_tag_name("code"));
    let files = paths.map(|path| {
        let line = path.parent().unwrap().parent().unwrap();
        let cells: Vec<_> = line.children().filter(|it| it.is_element()).collect();
        let bytes = cells[1].attribute("data-value");
        [path.text(), bytes, cells[2].text()].map(|it| it.unwrap().to_owned())
    });
    files.collect()
}

#[test]
fn every_variant_shows_its_largest_files() {
    let evidence = fit_evidence();
    let page = markup(&page_of(&evidence));
    let tree = tree(&page);
    assert!(!evidence.files.is_empty());
    for size in &evidence.sizes {
        let name = format!("{}/{}", size.suite, size.variant);
        let rows = evidence.files.iter();
        let rows = rows.filter(|it| (&it.suite, &it.variant) == (&size.suite, &size.variant));
        let rows = rows.map(|it| {
            let (bytes, layer) = (it.content_bytes.to_string(), it.layer.to_string());
            [it.path.clone(), bytes, layer]
        });
        assert_eq!(files_of(&tree, &name), rows.collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn what_others_wrote_is_text_and_nothing_else() {
    const EVIL: &str = "</script><img src=x onerror=alert(1)>'\"&amp;";
    let mut evidence = fit_evidence();
    evidence.suites[0].title = EVIL.to_owned();
    evidence.suites[0].variants[0].reason = EVIL.to_owned();
    evidence.layers[0].created_by = EVIL.to_owned();
    evidence.files[0].path = EVIL.to_owned();
    for row in &mut evidence.bases {
        row.note = EVIL.to_owned();
    }
    for row in &mut evidence.environment {
        row.value = EVIL.to_owned();
    }
    let mut prices = Prices::load(&project()).unwrap().unwrap();
    prices.prices[0].name = EVIL.to_owned();
    prices.prices[0].source = format!("https://a.example/{EVIL}");
    // The font of the charts has no letter for all of it, and they escape by themselves.
    let page = render(&evidence, Some(&prices), &Charts::default(), false).unwrap();
    assert!(!page.contains("<img"));
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(page.contains("&lt;&#x2f;script&gt;&lt;img src=x onerror=alert(1)&gt;"));
}

#[test]
fn rows_that_are_missing_leave_a_dash() {
    let mut evidence = fit_evidence();
    evidence.node.clear();
    evidence.start.clear();
    evidence.sizes.retain(|it| it.variant != "scratch");
    evidence.cost.clear();
    evidence.files.clear();
    let page = page_of(&evidence);
    assert!(page.contains("<td class=\"n \">–</td>") && !page.contains("<table class=\"files\">"));
    let bare = render(&evidence, None, &Charts::default(), true).unwrap();
    assert!(bare.contains("class=\"draft\"") && !bare.contains("id=\"controls\""));
}

#[test]
fn every_word_is_said() {
    let words = include_str!("../../../assets/page/words.toml");
    let keys = words
        .lines()
        .filter_map(|it| it.strip_prefix('[')?.strip_suffix(']'));
    // Named by the phases and scenarios of the rows.
    let named = [
        "resolve", "download", "tail", "pull", "create", "engine", "app",
    ];
    let named = named
        .into_iter()
        .chain(["start_total", "node_total", "node_cold"]);
    let named = named.chain(["redeploy", "warm", "cache_dropped", "yes", "no", "unknown"]);
    let named: Vec<_> = named.collect();
    for key in keys {
        let said = TEMPLATE.1.contains(&format!("words.{key}"))
            || TEMPLATE.1.contains(&format!("\"{key}\""))
            || named.contains(&key);
        assert!(said, "nobody says `{key}`");
    }
}

#[test]
fn the_script_cannot_end_its_element() {
    for text in [
        include_str!("../../../assets/page/page.js"),
        include_str!("../../../assets/page/page.css"),
    ] {
        assert!(!text.contains("</"));
    }
}
