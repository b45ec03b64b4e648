//! Rows of stacked bars, all on one axis from 0; where the longest dwarfs the
//! rest, the rest once more on an axis of their own.

use super::{
    frame::{Frame, RowsPlan, SMALL, halo, whisker},
    scale::Scale,
    svg::Shape,
};

/// How many times as long as the next a bar must be to hide the rest.
const DWARFS: u64 = 3;
const ROW: f64 = 23.0;
const BAR: f64 = 15.0;

/// One row.
pub struct Stack {
    pub label: String,
    pub parts: Vec<Part>,
    /// The whole, which need not be the sum: medians do not add up.
    pub total: u64,
    pub interval: Option<(u64, u64)>,
    /// The whole in words, beside the row.
    pub number: String,
    /// The whole in words, for the mark.
    pub says: String,
}

/// A part of a bar.
pub struct Part {
    pub class: &'static str,
    pub value: u64,
    pub says: String,
}

impl Stack {
    fn length(&self) -> u64 {
        let parts: u64 = self.parts.iter().map(|part| part.value).sum();
        let high = self.interval.map_or(0, |(_, high)| high);
        parts.max(self.total).max(high)
    }
}

/// Draws the rows, and the others again without one that dwarfs them. `without`
/// says so, given that one's name.
pub fn draw(
    frame: &mut Frame<'_>,
    stacks: &[Stack],
    tick: fn(f64) -> String,
    without: impl FnOnce(&str) -> String,
) {
    panel(frame, &stacks.iter().collect::<Vec<_>>(), tick);
    if let Some(longest) = dwarf(stacks) {
        frame.y += 2.0;
        frame.paragraph(&without(&longest.label), SMALL, "ink");
        let rest: Vec<&Stack> = stacks
            .iter()
            .filter(|stack| !std::ptr::eq(*stack, longest))
            .collect();
        panel(frame, &rest, tick);
    }
}

fn dwarf(stacks: &[Stack]) -> Option<&Stack> {
    let longest = stacks.iter().max_by_key(|stack| stack.length())?;
    let next = stacks
        .iter()
        .filter(|stack| !std::ptr::eq(*stack, longest))
        .map(Stack::length)
        .max()?;
    (longest.length() >= DWARFS * next).then_some(longest)
}

fn panel(frame: &mut Frame<'_>, stacks: &[&Stack], tick: fn(f64) -> String) {
    let labels: Vec<&str> = stacks.iter().map(|stack| stack.label.as_str()).collect();
    let numbers: Vec<String> = stacks.iter().map(|stack| stack.number.clone()).collect();
    let longest = stacks.iter().map(|stack| stack.length()).max().unwrap_or(1);
    let plan = RowsPlan {
        labels: &labels,
        numbers: &numbers,
        row_height: ROW,
        tick,
    };
    let rows = frame.rows(&plan, |from, to| Scale::linear(longest as f64, from, to));
    for (stack, y) in stacks.iter().zip(rows.middles) {
        let mut at = 0;
        for part in &stack.parts {
            let (from, to) = (
                rows.scale.at(at as f64),
                rows.scale.at((at + part.value) as f64),
            );
            let bar = Shape::Bar(from, y - BAR / 2.0, to - from, BAR);
            frame.canvas.mark(&bar, part.class, &part.says);
            at += part.value;
        }
        if let Some(interval) = stack.interval {
            halo(&mut frame.canvas, &rows.scale, y, interval);
            whisker(&mut frame.canvas, &rows.scale, y, interval, &stack.says);
            let median = Shape::Disc(rows.scale.at(stack.total as f64), y, 3.2);
            frame.canvas.mark(&median, "open", &stack.says);
        }
    }
}
