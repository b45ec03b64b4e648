//! Reading: sorting, opening, on a phone, in both languages, by keyboard.

use std::path::Path;

use serde_json::json;

use crate::{browser::Browser, chromium::Chromium};

const DESKTOP: u32 = 1280;
const PHONE: u32 = 360;

/// The numbers of a column of the table of all variants, one list per suite.
fn column(browser: &mut Browser, place: usize) -> Vec<Vec<f64>> {
    let seen = browser.see(&format!(
        "[...document.querySelectorAll('.all tbody')].map((it) => \
         [...it.querySelectorAll('tr[data-row]')].map((row) => Number(row.cells[{place}].dataset.value)))"
    ));
    serde_json::from_value(seen).unwrap()
}

fn is_sorted(column: &[Vec<f64>], descending: bool) -> bool {
    assert!(
        column.len() > 1 && column.iter().all(|it| it.len() > 4),
        "{column:?}"
    );
    column.iter().all(|suite| {
        suite.windows(2).all(|pair| {
            if descending {
                pair[0] >= pair[1]
            } else {
                pair[0] <= pair[1]
            }
        })
    })
}

fn sort_of(browser: &mut Browser, place: usize) -> String {
    let head = format!(".all thead th:nth-child({})", place + 1);
    browser.text(&format!(
        "document.querySelector('{head}').getAttribute('aria-sort') ?? ''"
    ))
}

pub fn a_head_sorts_by_click(chromium: &Chromium, page: &Path) {
    let mut browser = Browser::open(chromium, page, DESKTOP);
    assert_eq!(sort_of(&mut browser, 1), "descending");
    assert!(is_sorted(&column(&mut browser, 1), true));
    for place in 1..=8 {
        let head = format!(".all thead th:nth-child({}) button", place + 1);
        browser.click(&head);
        assert_eq!(sort_of(&mut browser, place), "ascending");
        assert!(
            is_sorted(&column(&mut browser, place), false),
            "column {place}"
        );
        browser.click(&head);
        assert_eq!(sort_of(&mut browser, place), "descending");
        assert!(
            is_sorted(&column(&mut browser, place), true),
            "column {place}"
        );
        let sorted = "document.querySelectorAll('.all [aria-sort]').length";
        assert_eq!(browser.see(sorted), json!(1), "one column sorts");
    }
    let first = "document.querySelector('.all tbody').rows[0].className";
    assert_eq!(
        browser.text(first),
        "of-suite",
        "the suite's name stays above its rows"
    );
    browser.close();
}

pub fn a_head_sorts_by_keyboard(chromium: &Chromium, page: &Path) {
    let mut browser = Browser::open(chromium, page, DESKTOP);
    browser.tab_to(".all thead th:nth-child(5) button");
    browser.press("Enter", 1);
    assert!(is_sorted(&column(&mut browser, 4), false));
    let visible = "getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(browser.text(visible), "solid", "the focus is seen");
    browser.press("Space", 1);
    assert!(is_sorted(&column(&mut browser, 4), true));
    browser.close();
}

fn is_open(browser: &mut Browser, name: &str) -> bool {
    let details = format!("document.getElementById('{name}')");
    browser.holds(&format!(
        "{details}.open && {details}.contains(document.activeElement)"
    ))
}

pub fn a_variant_opens_by_click(chromium: &Chromium, page: &Path) {
    let mut browser = Browser::open(chromium, page, DESKTOP);
    assert!(!is_open(&mut browser, "gin/scratch"));
    browser.click(".all [data-row='gin/scratch'] a");
    settle(&mut browser);
    assert!(is_open(&mut browser, "gin/scratch"));
    let seen = browser.text("document.getElementById('gin/scratch').innerText");
    for part in [
        "COPY /app/main /",
        "download",
        "wasted",
        "cargo xtask explain gin/scratch",
    ] {
        assert!(seen.contains(part), "no {part} in {seen}");
    }
    let file = "document.querySelector(\"[id='gin/scratch'] .files tbody tr\")";
    assert!(browser.holds(&format!("{file}.checkVisibility()")));
    let file = browser.text(&format!("{file}.innerText"));
    assert!(
        file.starts_with("/main\t") && file.contains(" MB\t"),
        "{file}"
    );
    // Closed again, the same link opens it again.
    browser.click("details[id='gin/scratch'] summary");
    assert!(browser.holds("!document.getElementById('gin/scratch').open"));
    browser.click(".all [data-row='gin/scratch'] a");
    settle(&mut browser);
    assert!(is_open(&mut browser, "gin/scratch"));
    browser.close();
}

/// Lets what the page put off until later happen.
fn settle(browser: &mut Browser) {
    browser.see("new Promise((done) => setTimeout(() => done(true), 50))");
}

pub fn a_variant_opens_by_keyboard(chromium: &Chromium, page: &Path) {
    let mut browser = Browser::open(chromium, page, DESKTOP);
    browser.tab_to("[data-row='axum/alpine'] a");
    browser.press("Enter", 1);
    settle(&mut browser);
    assert!(is_open(&mut browser, "axum/alpine"));
    browser.press("Enter", 1);
    assert!(
        !is_open(&mut browser, "axum/alpine"),
        "the focus is on what closes it"
    );
    browser.close();
}

pub fn an_address_opens_its_variant(chromium: &Chromium, page: &Path) {
    let mut browser = Browser::start(chromium, page);
    browser.set_width(DESKTOP);
    browser.load("#gin/alpine");
    settle(&mut browser);
    assert!(is_open(&mut browser, "gin/alpine"));
    let top = browser.see("document.getElementById('gin/alpine').getBoundingClientRect().top");
    assert!((0.0..100.0).contains(&top.as_f64().unwrap()), "{top}");
    // An escape that is broken is an address of nothing, and no error of the script.
    for nothing in ["#%3Cb%3E", "#100%"] {
        browser.load(nothing);
        settle(&mut browser);
        assert!(browser.holds("document.querySelector('details[open]') === null"));
    }
    browser.close();
}

pub fn a_phone_is_wide_enough(chromium: &Chromium, page: &Path) {
    let mut browser = Browser::open(chromium, page, PHONE);
    for language in ["en", "ko"] {
        browser.click(&format!("label[for=language-{language}]"));
        browser.see("document.querySelectorAll('details').forEach((it) => { it.open = true; })");
        let width = browser.see("document.documentElement.scrollWidth");
        let widest = browser.see(
            "[...document.querySelectorAll('body *')].filter((it) => !it.closest('.scroll, svg, .hidden') \
             && it.getBoundingClientRect().right > innerWidth + 0.5).map((it) => it.outerHTML.slice(0, 120))",
        );
        assert_eq!((width, widest), (json!(PHONE), json!([])), "{language}");
        let sideways = browser.see(
            "[...document.querySelectorAll('.files')].map((it) => it.closest('.scroll')) \
             .filter((it) => it.scrollWidth > it.clientWidth).map((it) => it.innerText)",
        );
        assert_eq!(sideways, json!([]), "paths wrap, {language}");
    }
    browser.close();
}

pub fn both_languages_and_both_schemes(chromium: &Chromium, page: &Path) {
    let mut browser = Browser::open(chromium, page, DESKTOP);
    let heading = "document.querySelector('h1').innerText";
    let colours =
        "getComputedStyle(document.body).color + getComputedStyle(document.body).backgroundColor";
    assert!(browser.text(heading).starts_with("What does"));
    let charts =
        "[...document.querySelectorAll('figure svg')].filter((it) => it.checkVisibility()).length";
    let shown = browser.see(charts);
    browser.tab_to("input[name=language]");
    browser.press("ArrowRight", 1);
    assert!(browser.text(heading).starts_with("Base image"));
    assert_eq!(browser.text("document.documentElement.lang"), "ko");
    assert_eq!(browser.see(charts), shown, "as many charts in Korean");
    let light = browser.text(colours);
    browser.like("dark");
    assert_ne!(browser.text(colours), light);
    browser.close();
}

pub fn without_script_all_is_readable(chromium: &Chromium, page: &Path) {
    let mut browser = Browser::start(chromium, page);
    browser.ask(
        "Emulation.setScriptExecutionDisabled",
        json!({"value": true}),
    );
    browser.set_width(DESKTOP);
    browser.load("");
    let buttons = "document.querySelectorAll('.all thead button').length";
    assert_eq!(browser.see(buttons), json!(0), "no script ran");
    assert!(is_sorted(&column(&mut browser, 1), true));
    assert!(browser.holds("!document.getElementById('controls').checkVisibility()"));
    assert!(browser.holds("document.querySelector('.without-script').checkVisibility()"));
    assert!(browser.holds("document.querySelector('.what-if').innerText.includes('$')"));
    browser.click("details[id='gin/scratch'] summary");
    assert!(browser.holds("document.getElementById('gin/scratch').innerText.includes('COPY')"));
    browser.click("label[for=language-ko]");
    assert!(
        browser
            .text("document.querySelector('h1').innerText")
            .starts_with("Base image")
    );
    browser.close();
}
