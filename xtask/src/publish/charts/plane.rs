//! Two axes, and names beside marks that do not lie on each other.

use super::{
    font::Font,
    frame::{Frame, LABEL, SMALL},
    scale::Scale,
    svg::{Anchor, Shape, WIDTH},
};

const LEFT: f64 = 62.0;
const TOP: f64 = 30.0;

/// The plane that marks lie in.
pub struct Plane {
    pub x: Scale,
    pub y: Scale,
}

/// What the plane's axes are.
pub struct PlanePlan<'a> {
    pub x_values: &'a [f64],
    pub y_values: &'a [f64],
    pub x_tick: fn(f64) -> String,
    pub y_tick: fn(f64) -> String,
    pub x_name: &'a str,
    pub y_name: &'a str,
    pub height: f64,
    /// Room for names at the right.
    pub right: f64,
}

/// Draws both axes, logarithmic.
pub fn plane(frame: &mut Frame<'_>, plan: &PlanePlan<'_>) -> Plane {
    let top = frame.y + TOP;
    let bottom = top + plan.height;
    let right = WIDTH - plan.right;
    let x = Scale::log(plan.x_values.iter().copied(), LEFT, right);
    let y = Scale::log(plan.y_values.iter().copied(), bottom, top);
    let name = (16.0, top - 14.0);
    frame.canvas.text(name, SMALL, Anchor::Start, "dim", plan.y_name);
    for value in y.ticks() {
        let at = y.at(value);
        let line = Shape::Line(vec![(LEFT, at), (right, at)], 1.0);
        frame.canvas.draw(&line, "grid");
        let place = (LEFT - 6.0, at + SMALL * 0.35);
        frame.canvas.text(place, SMALL, Anchor::End, "dim", &(plan.y_tick)(value));
    }
    frame.grid(&x, top, bottom, plan.x_tick);
    let name = ((LEFT + right) / 2.0, frame.y + SMALL);
    frame.canvas.text(name, SMALL, Anchor::Middle, "dim", plan.x_name);
    frame.y += SMALL * 1.6;
    Plane { x, y }
}

/// A name beside its mark, wherever it hits neither mark nor other name.
pub struct Names {
    taken: Vec<Area>,
}

/// Left, top, right, bottom.
#[derive(Clone, Copy)]
struct Area(f64, f64, f64, f64);

impl Area {
    fn hits(&self, other: &Self) -> bool {
        self.0 < other.2 && other.0 < self.2 && self.1 < other.3 && other.1 < self.3
    }
}

impl Names {
    /// Nothing may be written over these marks.
    pub fn around(marks: &[(f64, f64)]) -> Self {
        let boxed = |(x, y): &(f64, f64)| Area(x - 6.0, y - 6.0, x + 6.0, y + 6.0);
        Self {
            taken: marks.iter().map(boxed).collect(),
        }
    }

    pub fn write(&mut self, frame: &mut Frame<'_>, (x, y): (f64, f64), name: &str) {
        let width = Font::get().width(name, LABEL);
        let places = [
            (x + 10.0, y),
            (x - 10.0 - width, y),
            (x - width / 2.0, y - 15.0),
            (x - width / 2.0, y + 15.0),
            (x + 8.0, y - 13.0),
            (x + 8.0, y + 13.0),
            (x - 8.0 - width, y - 13.0),
            (x - 8.0 - width, y + 13.0),
        ];
        let boxed = |(x, y): (f64, f64)| Area(x - 1.0, y - 7.0, x + width + 1.0, y + 7.0);
        let is_free = |place: &&(f64, f64)| {
            let here = boxed(**place);
            here.0 > LEFT && here.2 < WIDTH - 4.0 && !self.taken.iter().any(|it| it.hits(&here))
        };
        let place = *places.iter().find(is_free).unwrap_or(&places[0]);
        self.taken.push(boxed(place));
        let base = (place.0, place.1 + LABEL * 0.35);
        frame.canvas.text(base, LABEL, Anchor::Start, "ink", name);
    }
}

/// Moves places apart until each is `gap` below the one before, as little as
/// possible and in their order.
pub fn apart(places: &mut [f64], gap: f64) {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by(|a, b| places[*a].total_cmp(&places[*b]));
    // Half of an overlap goes up and half down; a few rounds settle it.
    for _ in 0..200 {
        for pair in order.windows(2) {
            let lack = gap - (places[pair[1]] - places[pair[0]]);
            if lack > 0.0 {
                places[pair[0]] -= lack / 2.0;
                places[pair[1]] += lack / 2.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_touch_are_moved_apart_in_their_order() {
        let mut places = [10.0, 12.0, 100.0, 11.0];
        apart(&mut places, 14.0);
        assert!(places[3] - places[0] > 13.9 && places[1] - places[3] > 13.9, "{places:?}");
        assert_eq!(places[2], 100.0);
    }
}
