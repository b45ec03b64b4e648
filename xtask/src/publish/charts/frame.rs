//! What stands around every chart: title, legend, rows of variants, axis, source.

use anyhow::Result;

use super::{
    Chart,
    font::Font,
    scale::Scale,
    scene::Scene,
    svg::{Anchor, Canvas, Shape, WIDTH},
};

const MARGIN: f64 = 16.0;
pub const LABEL: f64 = 13.0;
const TITLE: f64 = 17.0;
pub const SMALL: f64 = 12.0;
const LINE: f64 = 1.4;

/// A chart that grows downwards.
pub struct Frame<'a> {
    pub canvas: Canvas,
    scene: &'a Scene<'a>,
    name: String,
    title: String,
    /// Where the next thing begins.
    pub y: f64,
    /// Room for the names and for the numbers of rows: panels below each other
    /// have the same.
    label_width: f64,
    number_width: f64,
}

/// What a mark in the legend looks like.
pub type Swatch = fn(f64, f64, f64) -> Shape;

/// Rows of variants above an axis.
pub struct Rows {
    pub scale: Scale,
    /// The middle of each row.
    pub middles: Vec<f64>,
}

/// What rows are made of.
pub struct RowsPlan<'a> {
    pub labels: &'a [&'a str],
    /// What stands at the right of each row; as many as labels, or none.
    pub numbers: &'a [String],
    pub row_height: f64,
    pub tick: fn(f64) -> String,
}

impl<'a> Frame<'a> {
    /// `kind` is the part of the name after the suite.
    pub fn new(scene: &'a Scene<'a>, kind: &str, title: &str, subtitle: &str) -> Self {
        let name = format!("{}-{kind}", scene.suite.name);
        let scope = format!("{name}{}-", scene.lang.of("", ".ko"));
        let mut frame = Self {
            canvas: Canvas::new(&scope),
            scene,
            title: format!("{}: {title}", scene.suite.title),
            name,
            y: MARGIN,
            label_width: 0.0,
            number_width: 0.0,
        };
        frame.paragraph(&frame.title.clone(), TITLE, "ink");
        frame.y += 2.0;
        frame.paragraph(subtitle, LABEL, "dim");
        frame.y += 6.0;
        frame
    }

    /// Text in as many lines as it takes.
    pub fn paragraph(&mut self, text: &str, size: f64, class: &str) {
        for line in Font::get().wrap(text, size, WIDTH - 2.0 * MARGIN) {
            self.y += size * LINE;
            let place = (MARGIN, self.y - size * 0.35);
            self.canvas.text(place, size, Anchor::Start, class, &line);
        }
    }

    /// What the colours and forms of the marks mean, from left to right.
    pub fn legend(&mut self, items: &[(Swatch, &str, String)]) {
        let font = Font::get();
        let mut x = MARGIN;
        self.y += LABEL * LINE;
        for (swatch, class, text) in items {
            let width = font.width(text, LABEL);
            if x > MARGIN && x + 16.0 + width > WIDTH - MARGIN {
                x = MARGIN;
                self.y += LABEL * LINE;
            }
            let middle = self.y - LABEL * 0.7;
            self.canvas.draw(&swatch(x + 5.0, middle, 4.5), class);
            let place = (x + 15.0, self.y - LABEL * 0.35);
            self.canvas.text(place, LABEL, Anchor::Start, "ink", text);
            x += 15.0 + width + 16.0;
        }
        self.y += 4.0;
    }

    /// The name and the axis of each row; `scale` gets the ends of the axis.
    pub fn rows(&mut self, plan: &RowsPlan<'_>, scale: impl FnOnce(f64, f64) -> Scale) -> Rows {
        self.label_width = widest(plan.labels.iter().copied()).max(self.label_width);
        self.number_width = widest(plan.numbers.iter().map(String::as_str)).max(self.number_width);
        let left = MARGIN + self.label_width + 10.0;
        let scale = scale(left, WIDTH - MARGIN - self.number_width - 10.0);
        let top = self.y + 4.0;
        let bottom = top + plan.row_height * plan.labels.len() as f64;
        self.grid(&scale, top, bottom, plan.tick);
        let middle = |row: usize| top + plan.row_height * (row as f64 + 0.5);
        for (row, label) in plan.labels.iter().enumerate() {
            let place = (left - 8.0, middle(row) + LABEL * 0.35);
            self.canvas.text(place, LABEL, Anchor::End, "ink", label);
        }
        for (row, number) in plan.numbers.iter().enumerate() {
            let place = (WIDTH - MARGIN, middle(row) + LABEL * 0.35);
            self.canvas.text(place, LABEL, Anchor::End, "ink", number);
        }
        Rows {
            scale,
            middles: (0..plan.labels.len()).map(middle).collect(),
        }
    }

    /// Lines down from `top` and what they mean below `bottom`.
    pub fn grid(&mut self, scale: &Scale, top: f64, bottom: f64, tick: fn(f64) -> String) {
        let mut free_from = 0.0;
        for value in scale.ticks() {
            let x = scale.at(value);
            let line = Shape::Line(vec![(x, top), (x, bottom)], 1.0);
            self.canvas.draw(&line, "grid");
            let text = tick(value);
            let half = Font::get().width(&text, SMALL) / 2.0;
            let middle = x.min(WIDTH - 6.0 - half);
            if middle - half < free_from {
                continue;
            }
            let place = (middle, bottom + SMALL * 1.4);
            self.canvas.text(place, SMALL, Anchor::Middle, "dim", &text);
            free_from = middle + half + 6.0;
        }
        let (from, to) = scale.ends();
        let axis = Shape::Line(vec![(from, bottom), (to, bottom)], 1.0);
        self.canvas.draw(&axis, "axis");
        self.y = bottom + SMALL * 2.0;
    }

    /// # Errors
    /// When the font lacks a letter.
    pub fn finish(mut self, alt: String, notes: &[&str], source: String) -> Result<Chart> {
        self.y += 4.0;
        for text in notes.iter().copied().chain([source.as_str()]) {
            self.paragraph(text, SMALL, "dim");
        }
        let alt = format!("{}. {alt}", self.title);
        let svg = self.canvas.finish(
            self.y + MARGIN * 0.75,
            &self.title,
            &format!("{alt} {source}"),
        )?;
        Ok(Chart {
            name: self.name,
            lang: self.scene.lang,
            svg,
            alt,
            caption: notes
                .iter()
                .copied()
                .chain([source.as_str()])
                .collect::<Vec<_>>()
                .join(" "),
        })
    }
}

fn widest<'t>(texts: impl Iterator<Item = &'t str>) -> f64 {
    let widths = texts.map(|text| Font::get().width(text, LABEL));
    widths.fold(0.0, f64::max)
}

/// A median's interval as a line along a row, with its ends marked.
pub fn whisker(canvas: &mut Canvas, scale: &Scale, y: f64, interval: (u64, u64), says: &str) {
    let [along, ends @ ..] = whisker_lines(scale, y, interval);
    canvas.mark(&Shape::Line(along, 1.5), "mark", says);
    for end in ends {
        canvas.draw(&Shape::Line(end, 1.5), "mark");
    }
}

/// What keeps a whisker apart from a bar, which may be as light or dark as it is.
pub fn halo(canvas: &mut Canvas, scale: &Scale, y: f64, interval: (u64, u64)) {
    for line in whisker_lines(scale, y, interval) {
        canvas.draw(&Shape::Line(line, 4.0), "halo");
    }
}

fn whisker_lines(scale: &Scale, y: f64, (low, high): (u64, u64)) -> [Vec<(f64, f64)>; 3] {
    const END: f64 = 4.0;
    let (from, to) = (scale.at(low as f64), scale.at(high as f64));
    let end = |x| vec![(x, y - END), (x, y + END)];
    [vec![(from, y), (to, y)], end(from), end(to)]
}
