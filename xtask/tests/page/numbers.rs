//! What the controls compute, beside what the models in Rust do.

use std::{fs, path::Path};

use serde_json::{Value, json};
use xtask::{
    cost::{self, Prices, Usage},
    human,
    project::Project,
    publish::{Evidence, LinkModel, Settings},
    record::{cost::CostRow, paths, table::Table},
};

use crate::{browser::Browser, chromium::Chromium};

const DESKTOP: u32 = 1280;

/// What the table of the controls says of each variant: name, time, cost, bytes
/// pulled.
fn lines(browser: &mut Browser) -> Vec<[String; 4]> {
    let seen = browser.see(
        "[...document.querySelectorAll('tr[data-what-if]')].map((row) => \
         [row.dataset.whatIf, ...[1, 2, 3].map((it) => row.cells[it].textContent)])",
    );
    serde_json::from_value(seen).unwrap()
}

pub fn the_slider_moves_time_and_the_fields_cost(chromium: &Chromium, page: &Path) {
    let mut browser = Browser::open(chromium, page, DESKTOP);
    let before = lines(&mut browser);
    browser.tab_to("#speed");
    browser.press("ArrowLeft", 6);
    assert_eq!(
        browser.text("document.querySelector('output').textContent"),
        "10 Mbit/s"
    );
    assert_eq!(
        browser.text("document.activeElement.getAttribute('aria-valuetext')"),
        "10 Mbit/s"
    );
    let slow = lines(&mut browser);
    for (before, slow) in before.iter().zip(&slow) {
        assert_ne!(before[1], slow[1], "{} takes longer", slow[0]);
        assert_eq!(before[2..], slow[2..], "{} costs the same", slow[0]);
    }
    browser.write("#nodes", "500");
    let fleet = lines(&mut browser);
    for (slow, fleet) in slow.iter().zip(&fleet) {
        assert_eq!(slow[1], fleet[1], "{} takes the same", slow[0]);
        assert_ne!(slow[2], fleet[2], "{} costs more", slow[0]);
        assert_ne!(slow[3], fleet[3], "{} is pulled more", slow[0]);
    }
    assert_eq!(message(&mut browser), "");
    // What is no number of nodes changes nothing, and is told.
    for text in ["-3", "1e9", "2.5", "e"] {
        browser.write("#nodes", text);
        assert_eq!(lines(&mut browser), fleet, "{text}");
        let told = message(&mut browser);
        assert!(told.starts_with("Not a whole number"), "{text}: {told}");
        assert!(told.ends_with("0–1000000"), "{text}: {told}");
    }
    browser.click("label[for=language-ko]");
    let told = message(&mut browser);
    assert!(told.starts_with("범위에 맞는 정수가 아니므로"), "{told}");
    browser.write("#nodes", "500");
    assert_eq!(message(&mut browser), "");
    browser.close();
}

/// What is told of the field of nodes.
fn message(browser: &mut Browser) -> String {
    let message = "document.getElementById('nodes-message')";
    assert_eq!(
        browser.text(&format!("{message}.getAttribute('aria-live')")),
        "polite"
    );
    let told = browser.text(&format!("{message}.innerText"));
    let is_marked = browser.holds("document.getElementById('nodes').ariaInvalid === 'true'");
    assert_eq!(is_marked, !told.is_empty(), "{told}");
    told
}

/// Images smaller than any that was measured, for the units of small numbers.
pub fn the_script_writes_bytes_as_rust_does(chromium: &Chromium, page: &Path) {
    let text = fs::read_to_string(page.join("index.html")).unwrap();
    let (open, shut) = ("id=\"model\">", "</script>");
    let start = text.find(open).unwrap() + open.len();
    let end = start + text[start..].find(shut).unwrap();
    let mut model: Value = serde_json::from_str(&text[start..end]).unwrap();
    let sizes = [
        0, 1, 999, 1_000, 1_099, 99_999, 100_000, 1_949_999, 1_950_000,
    ];
    let variants = model["variants"].as_array_mut().unwrap();
    assert!(variants.len() >= sizes.len(), "{variants:?}");
    for (variant, bytes) in variants.iter_mut().zip(sizes) {
        variant["kept_bytes"] = json!(bytes);
        variant["renewed_bytes"] = json!(0);
    }
    let folder = tempfile::tempdir().unwrap();
    let small = format!("{}{model}{}", &text[..start], &text[end..]);
    fs::write(folder.path().join("index.html"), small).unwrap();

    let mut browser = Browser::open(chromium, folder.path(), DESKTOP);
    set(&mut browser, "nodes", 0);
    set(&mut browser, "pulls", 1);
    let model = model["variants"].as_array().unwrap();
    let seen = lines(&mut browser);
    for (variant, bytes) in model.iter().zip(sizes) {
        let line = seen.iter().find(|it| json!(it[0]) == variant["name"]);
        assert_eq!(line.unwrap()[3], human::exact_bytes(bytes), "{bytes}");
    }
    browser.close();
}

pub fn the_script_computes_what_rust_does(chromium: &Chromium, page: &Path) {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let project = Project::at(workspace).unwrap();
    let evidence = Evidence::read(&project, Settings::load(&project).unwrap()).unwrap();
    let prices = Prices::load(&project).unwrap().unwrap();

    // What stands there before any script is Rust's, and stays when one computes it.
    let mut browser = Browser::start(chromium, page);
    browser.set_width(DESKTOP);
    browser.ask(
        "Emulation.setScriptExecutionDisabled",
        json!({"value": true}),
    );
    browser.load("");
    let written = lines(&mut browser);
    browser.ask(
        "Emulation.setScriptExecutionDisabled",
        json!({"value": false}),
    );
    browser.load("");
    assert_eq!(lines(&mut browser), written);
    assert!(written.len() > 10, "{written:?}");

    let speeds =
        browser.see("JSON.parse(document.getElementById('model').textContent).speeds_mbit");
    let ways = browser.see("JSON.parse(document.getElementById('model').textContent).ways");
    let usages = [
        Usage {
            versions: 1,
            pulls: 0,
            nodes: 0,
        },
        Usage {
            versions: 7,
            pulls: 333,
            nodes: 41,
        },
        Usage {
            versions: 1_000_000,
            pulls: 1_000_000,
            nodes: 1_000_000,
        },
    ];
    for (place, speed) in speeds.as_array().unwrap().iter().enumerate() {
        set(&mut browser, "speed", place as u64);
        for it in lines(&mut browser) {
            assert_eq!(
                it[1],
                time(&evidence, &it[0], speed.as_f64().unwrap()),
                "{it:?} {speed}"
            );
        }
    }
    for usage in usages {
        set(&mut browser, "versions", usage.versions);
        set(&mut browser, "pulls", usage.pulls);
        set(&mut browser, "nodes", usage.nodes);
        let costs = costs(&project, &prices, usage);
        for (place, way) in ways.as_array().unwrap().iter().enumerate() {
            set(&mut browser, "way", place as u64);
            for it in lines(&mut browser) {
                let row = row_of(&costs, &it[0], way);
                let cost = human::dollars(row.standalone_microusd_per_month.unwrap());
                assert_eq!(it[2], format!("${cost}"), "{it:?} {usage:?} {way}");
                // A row has no more bytes than its cell holds; the script has.
                if let Some(pulled) = row.transferred_bytes {
                    assert_eq!(it[3], human::exact_bytes(pulled), "{it:?} {usage:?}");
                }
            }
        }
    }
    browser.close();
}

fn set(browser: &mut Browser, control: &str, value: u64) {
    browser.see(&format!(
        "(() => {{ const it = document.getElementById('{control}'); it.value = '{value}'; \
         it.dispatchEvent(new Event('input', {{bubbles: true}})); }})()"
    ));
}

fn time(evidence: &Evidence, name: &str, mbit: f64) -> String {
    let (suite, variant) = name.split_once('/').unwrap();
    let size = evidence.size(suite, variant).unwrap();
    let node = evidence
        .node(suite, variant, "unshaped", "node_cold")
        .unwrap();
    let model = LinkModel::of(size, node).unwrap();
    human::time(model.node_total_us(mbit).round() as u64)
}

fn costs(project: &Project, prices: &Prices, usage: Usage) -> Table<CostRow> {
    let results = project.results();
    let sizes = Table::load(&paths::sizes(&results)).unwrap();
    let layers = Table::load(&paths::layers(&results)).unwrap();
    cost::table(&results, prices, usage, &sizes, &layers)
}

fn row_of<'a>(costs: &'a Table<CostRow>, name: &str, way: &Value) -> &'a CostRow {
    let row = costs.rows().find(|row| {
        format!("{}/{}", row.suite, row.variant) == name
            && json!(row.price) == way["price"]
            && json!(row.path) == way["path"]
    });
    row.unwrap()
}
