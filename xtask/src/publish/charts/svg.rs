//! An SVG picture: shapes, text as outlines, and colours for light and dark.
//!
//! docs/ARCHITECTURE.md says why no chart library draws it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use anyhow::{Result, ensure};

use super::font::Font;

/// Units across. A picture is shown a little larger than this in an article and
/// two thirds of it on a phone, where 12 units can still be read.
pub const WIDTH: f64 = 520.0;
/// Pixels across where nothing else is asked for.
const SHOWN_WIDTH: f64 = 680.0;

/// Colours that stay apart for the colour-blind (after Okabe and Ito), each on
/// its own background.
const STYLE: &str = "\
.xc .bg{fill:#fff}.xc .ink{fill:#1f2328}.xc .dim{fill:#59636e}\
.xc .halo{stroke:#fff}.xc .grid{stroke:#d8dee4}.xc .axis{stroke:#818b98}.xc .mark{stroke:#1f2328}.xc .open{fill:#fff;stroke:#1f2328}\
.xc .f0{fill:#0072b2}.xc .f1{fill:#d55e00}.xc .f2{fill:#00936b}.xc .f3{fill:#6cb9e8}.xc .f4{fill:#d99a00}\
.xc .f5{fill:#b4558f}.xc .f6{fill:#8b949e}\
.xc .s0{stroke:#0072b2}.xc .s1{stroke:#d55e00}.xc .s2{stroke:#00936b}.xc .s3{stroke:#6cb9e8}.xc .s4{stroke:#d99a00}\
.xc .s5{stroke:#b4558f}.xc .s6{stroke:#8b949e}\
.xc .line{fill:none}.xc .dash{stroke-dasharray:5 4}.xc .soft{fill-opacity:.65}\n\
@media(prefers-color-scheme:dark){\
.xc .bg{fill:#0d1117}.xc .ink{fill:#e6edf3}.xc .dim{fill:#a3adb8}\
.xc .halo{stroke:#0d1117}.xc .grid{stroke:#2a313a}.xc .axis{stroke:#7d8590}.xc .mark{stroke:#e6edf3}.xc .open{fill:#0d1117;stroke:#e6edf3}\
.xc .f0{fill:#4c9fe0}.xc .f1{fill:#f0884d}.xc .f2{fill:#35c997}.xc .f3{fill:#a9dcf9}.xc .f4{fill:#eec25a}\
.xc .f5{fill:#dd94c1}.xc .f6{fill:#848d97}\
.xc .s0{stroke:#4c9fe0}.xc .s1{stroke:#f0884d}.xc .s2{stroke:#35c997}.xc .s3{stroke:#a9dcf9}.xc .s4{stroke:#eec25a}\
.xc .s5{stroke:#dd94c1}.xc .s6{stroke:#848d97}}";

/// What a shape is, in units of the picture.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Left, top, width, height.
    Bar(f64, f64, f64, f64),
    /// Centre and half its height.
    Disc(f64, f64, f64),
    Square(f64, f64, f64),
    Diamond(f64, f64, f64),
    Triangle(f64, f64, f64),
    /// Through these places, so wide.
    Line(Vec<(f64, f64)>, f64),
}

/// Which end of a text its place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

pub struct Canvas {
    /// Names of outlines are the whole page's where a picture stands within it.
    scope: String,
    body: String,
    outlines: BTreeMap<u16, String>,
    missing: BTreeSet<char>,
}

impl Canvas {
    /// A picture whose name is no other's on the same page.
    pub fn new(scope: &str) -> Self {
        Self {
            scope: scope.to_owned(),
            body: String::new(),
            outlines: BTreeMap::new(),
            missing: BTreeSet::new(),
        }
    }

    /// A shape that stands for a number, which `says` repeats in words.
    pub fn mark(&mut self, shape: &Shape, class: &str, says: &str) {
        self.shape(shape, class, &format!("<title>{}</title>", escaped(says)));
    }

    /// A shape that says nothing of its own.
    pub fn draw(&mut self, shape: &Shape, class: &str) {
        self.shape(shape, class, "");
    }

    fn shape(&mut self, shape: &Shape, class: &str, inner: &str) {
        let (name, geometry) = geometry(shape);
        let line = format!("<{name} class=\"{class}\" {geometry}");
        self.body.push_str(&line);
        if inner.is_empty() {
            self.body.push_str("/>\n");
        } else {
            let _ = writeln!(self.body, ">{inner}</{name}>");
        }
    }

    /// Text on one line; `y` is where its letters stand.
    pub fn text(&mut self, (x, y): (f64, f64), size: f64, anchor: Anchor, class: &str, text: &str) {
        let font = Font::get();
        let width = font.width(text, size);
        let x = match anchor {
            Anchor::Start => x,
            Anchor::Middle => x - width / 2.0,
            Anchor::End => x - width,
        };
        let scale = trimmed(format!("{:.5}", size / font.units_per_em()));
        let _ = write!(
            self.body,
            "<g class=\"{class}\" transform=\"translate({} {})scale({scale} -{scale})\">",
            units(x),
            units(y)
        );
        let mut at = 0_u32;
        for letter in text.chars() {
            let Some(glyph) = font.glyph(letter) else {
                self.missing.insert(letter);
                continue;
            };
            self.letter(glyph, at);
            at += u32::from(font.advance(glyph));
        }
        self.body.push_str("</g>\n");
    }

    fn letter(&mut self, glyph: ttf_parser::GlyphId, at: u32) {
        let outline = self
            .outlines
            .entry(glyph.0)
            .or_insert_with(|| Font::get().outline(glyph));
        if outline.is_empty() {
            return;
        }
        let _ = write!(self.body, "<use href=\"#{}{}\"", self.scope, glyph.0);
        if at > 0 {
            let _ = write!(self.body, " x=\"{at}\"");
        }
        self.body.push_str("/>");
    }

    /// The whole file: the picture, what it is called and what it says.
    ///
    /// # Errors
    /// When the font has no outline for a letter: which, and how to get it.
    pub fn finish(self, height: f64, title: &str, says: &str) -> Result<String> {
        ensure!(
            self.missing.is_empty(),
            "the charts' font has no outline for {}\n  mend: add them to xtask/assets/charts.ttf, as xtask/assets/README.md says",
            letters(&self.missing)
        );
        let shown_height = (height.ceil() * SHOWN_WIDTH / WIDTH).round();
        let (width, height) = (units(WIDTH), units(height.ceil()));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"xc\" role=\"img\" viewBox=\"0 0 {width} {height}\" \
             width=\"{}\" height=\"{}\">\n<title>{}</title>\n<desc>{}</desc>\n<style>{STYLE}</style>\n<defs>\n",
            units(SHOWN_WIDTH),
            units(shown_height),
            escaped(title),
            escaped(says)
        );
        for (glyph, outline) in self.outlines.iter().filter(|(_, it)| !it.is_empty()) {
            let _ = writeln!(svg, "<path id=\"{}{glyph}\" d=\"{outline}\"/>", self.scope);
        }
        let _ = write!(
            svg,
            "</defs>\n<rect class=\"bg\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>\n{}</svg>\n",
            self.body
        );
        Ok(svg)
    }
}

fn letters(missing: &BTreeSet<char>) -> String {
    let named: Vec<String> = missing
        .iter()
        .map(|letter| format!("'{letter}' (U+{:04X})", u32::from(*letter)))
        .collect();
    named.join(", ")
}

fn geometry(shape: &Shape) -> (&'static str, String) {
    match shape {
        Shape::Bar(x, y, width, height) => (
            "rect",
            format!(
                "x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"",
                units(*x),
                units(*y),
                units(*width),
                units(*height)
            ),
        ),
        Shape::Disc(x, y, r) => (
            "circle",
            format!(
                "cx=\"{}\" cy=\"{}\" r=\"{}\"",
                units(*x),
                units(*y),
                units(*r)
            ),
        ),
        Shape::Square(x, y, r) => (
            "path",
            closed(&[
                (x - r, y - r),
                (x + r, y - r),
                (x + r, y + r),
                (x - r, y + r),
            ]),
        ),
        Shape::Diamond(x, y, r) => {
            let r = r * 1.3;
            (
                "path",
                closed(&[(*x, y - r), (x + r, *y), (*x, y + r), (x - r, *y)]),
            )
        }
        Shape::Triangle(x, y, r) => {
            let r = r * 1.2;
            (
                "path",
                closed(&[(*x, y - r), (x + r, y + r * 0.8), (x - r, y + r * 0.8)]),
            )
        }
        Shape::Line(points, wide) => (
            "path",
            format!("d=\"{}\" stroke-width=\"{}\"", steps(points), units(*wide)),
        ),
    }
}

fn closed(points: &[(f64, f64)]) -> String {
    format!("d=\"{}z\" stroke-width=\"1.5\"", steps(points))
}

fn steps(points: &[(f64, f64)]) -> String {
    let places: Vec<String> = points
        .iter()
        .map(|(x, y)| format!("{} {}", units(*x), units(*y)))
        .collect();
    format!("M{}", places.join("L"))
}

/// A place to a hundredth of a unit: less than anybody sees, and more than two
/// machines' logarithms differ by.
fn units(value: f64) -> String {
    trimmed(format!("{value:.2}"))
}

fn trimmed(number: String) -> String {
    let short = number.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" {
        "0".to_owned()
    } else {
        short.to_owned()
    }
}

/// Text as it stands in XML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_say_what_they_stand_for() {
        let mut canvas = Canvas::new("t-");
        canvas.mark(&Shape::Bar(1.0, 2.5, 3.333, 4.0), "f0", "a < b: 3 MB");
        canvas.draw(&Shape::Line(vec![(0.0, 0.0), (1.0, -0.001)], 1.5), "axis");
        let svg = canvas.finish(10.2, "T", "D").unwrap();
        assert!(svg.contains(
            "<rect class=\"f0\" x=\"1\" y=\"2.5\" width=\"3.33\" height=\"4\"><title>a &lt; b: 3 MB</title></rect>\n"
        ));
        assert!(svg.contains("<path class=\"axis\" d=\"M0 0L1 0\" stroke-width=\"1.5\"/>\n"));
        assert!(svg.contains("viewBox=\"0 0 520 11\""));
    }

    #[test]
    fn a_letter_without_outline_is_named_with_what_mends_it() {
        let mut canvas = Canvas::new("t-");
        canvas.text((0.0, 0.0), 12.0, Anchor::Start, "ink", "a\u{e000}b");
        let error = canvas.finish(10.0, "T", "D").unwrap_err().to_string();
        assert!(
            error.contains("U+E000") && error.contains("xtask/assets/README.md"),
            "{error}"
        );
    }

    #[test]
    fn every_colour_has_one_for_the_dark() {
        let (light, dark) = STYLE.split_once("@media").unwrap();
        for class in light.split(".xc .").filter_map(|it| it.split_once('{')) {
            let (name, rule) = class;
            if rule.contains('#') {
                assert!(dark.contains(&format!(".xc .{name}{{")), "{name}");
            }
        }
    }

    /// WCAG 2.1: relative luminance of `#rrggbb` or `#rgb`.
    fn luminance(colour: &str) -> f64 {
        let wide: String = match colour.len() {
            3 => colour.chars().flat_map(|digit| [digit, digit]).collect(),
            _ => colour.to_owned(),
        };
        let linear = |at: usize| {
            let value = f64::from(u8::from_str_radix(&wide[at..at + 2], 16).unwrap()) / 255.0;
            match value {
                dark if dark <= 0.040_45 => dark / 12.92,
                value => ((value + 0.055) / 1.055).powf(2.4),
            }
        };
        0.2126 * linear(0) + 0.7152 * linear(2) + 0.0722 * linear(4)
    }

    /// Text as WCAG 2.1 asks for it (4.5 to 1); what is drawn has its name beside
    /// it, and stands out at half of that.
    #[test]
    fn everything_stands_out_from_its_background() {
        let (light, dark) = STYLE.split_once("@media").unwrap();
        for (style, background) in [(light, "fff"), (dark, "0d1117")] {
            let rules = style.split(".xc .").filter_map(|it| it.split_once('{'));
            for (name, rule) in rules {
                let least = match name {
                    "ink" | "dim" => 4.5,
                    "mark" | "axis" => 3.0,
                    name if name.starts_with(['f', 's']) => 2.0,
                    _ => continue,
                };
                let Some((_, colour)) = rule.split_once('#') else {
                    continue;
                };
                let colour = colour.split(['}', ';']).next().unwrap();
                let [one, other] = [luminance(colour), luminance(background)];
                let contrast = (one.max(other) + 0.05) / (one.min(other) + 0.05);
                assert!(contrast >= least, "{name} #{colour}: {contrast:.2} to 1");
            }
        }
    }
}
