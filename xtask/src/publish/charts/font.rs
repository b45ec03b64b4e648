//! The one font of the charts. Text is drawn as outlines, so that a picture
//! looks the same wherever it is shown, Korean included.

use std::sync::LazyLock;

use ttf_parser::{Face, GlyphId, OutlineBuilder};

/// A subset: xtask/assets/README.md says how it is made.
static BYTES: &[u8] = include_bytes!("../../../assets/charts.ttf");

/// By how many ems lines are narrowed at most: half of the widest there are.
const NARROWER_MAX: u32 = 20;

static FONT: LazyLock<Font> = LazyLock::new(|| Font {
    face: Face::parse(BYTES, 0).expect("xtask/assets/charts.ttf is a font"),
});

pub struct Font {
    face: Face<'static>,
}

impl Font {
    pub fn get() -> &'static Self {
        &FONT
    }

    /// Units of an outline in one em.
    pub fn units_per_em(&self) -> f64 {
        f64::from(self.face.units_per_em())
    }

    pub fn glyph(&self, letter: char) -> Option<GlyphId> {
        self.face.glyph_index(letter)
    }

    /// How far the next letter stands, in units of an outline.
    pub fn advance(&self, glyph: GlyphId) -> u16 {
        self.face.glyph_hor_advance(glyph).unwrap_or_default()
    }

    /// How wide `text` is when it is `size` high.
    pub fn width(&self, text: &str, size: f64) -> f64 {
        let units: f64 = text
            .chars()
            .filter_map(|letter| self.glyph(letter))
            .map(|glyph| f64::from(self.advance(glyph)))
            .sum();
        units * size / self.units_per_em()
    }

    /// The outline as an SVG path, upwards positive; empty for a space.
    pub fn outline(&self, glyph: GlyphId) -> String {
        let mut path = Path::default();
        self.face.outline_glyph(glyph, &mut path);
        path.text
    }

    /// `text` in as few lines no wider than `width` as it takes, broken at spaces
    /// so that the last is no single word where that can be helped.
    pub fn wrap(&self, text: &str, size: f64, width: f64) -> Vec<String> {
        let lines = self.fill(text, size, width);
        let is_short = |lines: &[String]| {
            let last = lines.last().map(|line| self.width(line, size));
            lines.len() > 1 && last < Some(width / 3.0)
        };
        if !is_short(&lines) {
            return lines;
        }
        (1..NARROWER_MAX)
            .map(|ems| self.fill(text, size, width - f64::from(ems) * size))
            .take_while(|narrower| narrower.len() == lines.len())
            .find(|narrower| !is_short(narrower))
            .unwrap_or(lines)
    }

    fn fill(&self, text: &str, size: f64, width: f64) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in text.split(' ') {
            let longer = lines.last().map(|line| format!("{line} {word}"));
            match longer {
                Some(longer) if self.width(&longer, size) <= width => {
                    lines.pop();
                    lines.push(longer);
                }
                _ => lines.push(word.to_owned()),
            }
        }
        lines
    }
}

/// Writes an outline in relative steps, which are short.
#[derive(Default)]
struct Path {
    text: String,
    at: (f32, f32),
}

impl Path {
    fn step(&mut self, command: char, points: &[(f32, f32)]) {
        self.text.push(command);
        for (index, (x, y)) in points.iter().enumerate() {
            for (number, delta) in [x - self.at.0, y - self.at.1].into_iter().enumerate() {
                if (index, number) != (0, 0) && delta >= 0.0 {
                    self.text.push(' ');
                }
                self.text.push_str(&delta.to_string());
            }
        }
        self.at = points[points.len() - 1];
    }
}

impl OutlineBuilder for Path {
    fn move_to(&mut self, x: f32, y: f32) {
        self.text.push_str(&format!("M{x} {y}"));
        self.at = (x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.step('l', &[(x, y)]);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.step('q', &[(x1, y1), (x, y)]);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.step('c', &[(x1, y1), (x2, y2), (x, y)]);
    }

    fn close(&mut self) {
        self.text.push('z');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_add_up_and_lines_break_at_spaces() {
        let font = Font::get();
        let one = font.width("한글", 10.0);
        assert!(one > 10.0 && one < 21.0, "{one}");
        assert!((font.width("한글 한글", 20.0) - 4.0 * one - font.width(" ", 20.0)).abs() < 1e-9);
        let lines = font.wrap("aa bb cc", 10.0, font.width("aa bb", 10.0) + 0.1);
        assert_eq!(lines, ["aa bb", "cc"]);
        assert_eq!(font.wrap("wider-than-the-line", 10.0, 1.0).len(), 1);
    }

    #[test]
    fn an_outline_is_a_closed_path_and_a_space_is_none() {
        let font = Font::get();
        let outline = |letter| font.outline(font.glyph(letter).unwrap());
        assert!(outline('l').starts_with('M') && outline('l').contains('z'));
        assert_eq!(outline(' '), "");
        assert_eq!(font.glyph('\u{e000}'), None);
    }
}
