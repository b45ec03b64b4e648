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
    frame
        .canvas
        .text(name, SMALL, Anchor::Start, "dim", plan.y_name);
    for value in y.ticks() {
        let at = y.at(value);
        let line = Shape::Line(vec![(LEFT, at), (right, at)], 1.0);
        frame.canvas.draw(&line, "grid");
        let place = (LEFT - 6.0, at + SMALL * 0.35);
        frame
            .canvas
            .text(place, SMALL, Anchor::End, "dim", &(plan.y_tick)(value));
    }
    frame.grid(&x, top, bottom, plan.x_tick);
    let name = ((LEFT + right) / 2.0, frame.y + SMALL);
    frame
        .canvas
        .text(name, SMALL, Anchor::Middle, "dim", plan.x_name);
    frame.y += SMALL * 1.6;
    Plane { x, y }
}

/// A name beside its mark, wherever it hits neither mark nor other name.
pub struct Names {
    taken: Vec<Area>,
    within: Area,
}

/// Left, top, right, bottom.
#[derive(Clone, Copy)]
struct Area(f64, f64, f64, f64);

impl Area {
    /// Around a mark.
    fn around((x, y): (f64, f64)) -> Self {
        Self(x - 6.0, y - 6.0, x + 6.0, y + 6.0)
    }

    /// Of a name that begins at a place and is so wide.
    fn of_name((x, y): (f64, f64), width: f64) -> Self {
        Self(x - 1.0, y - 7.0, x + width + 1.0, y + 7.0)
    }

    fn hits(&self, other: &Self) -> bool {
        self.0 < other.2 && other.0 < self.2 && self.1 < other.3 && other.1 < self.3
    }

    fn holds(&self, other: &Self) -> bool {
        self.0 < other.0 && self.1 < other.1 && other.2 < self.2 && other.3 < self.3
    }

    /// The place in it that is nearest to another.
    fn nearest(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (x.clamp(self.0, self.2), y.clamp(self.1, self.3))
    }
}

impl Names {
    /// Nothing may be written over these marks, or outside of the plane.
    pub fn new(plane: &Plane, marks: &[(f64, f64)]) -> Self {
        let (bottom, top) = plane.y.ends();
        Self {
            taken: marks.iter().copied().map(Area::around).collect(),
            within: Area(LEFT, top - 22.0, WIDTH - 4.0, bottom),
        }
    }

    pub fn write(&mut self, frame: &mut Frame<'_>, mark: (f64, f64), name: &str) {
        let width = Font::get().width(name, LABEL);
        let places = places(mark, width);
        let is_free = |place: &&(f64, f64)| {
            let here = Area::of_name(**place, width);
            self.within.holds(&here) && !self.taken.iter().any(|it| it.hits(&here))
        };
        let place = *places.iter().find(is_free).unwrap_or(&places[0]);
        let area = Area::of_name(place, width);
        self.taken.push(area);
        let (x, y) = area.nearest(mark);
        // Far away it takes a line to say whose name it is.
        if (x - mark.0).hypot(y - mark.1) > 12.0 {
            let leader = Shape::Line(vec![mark, (x, y)], 1.0);
            frame.canvas.draw(&leader, "axis");
        }
        let base = (place.0, place.1 + LABEL * 0.35);
        frame.canvas.text(base, LABEL, Anchor::Start, "ink", name);
    }
}

/// Where a name may begin, the best place first: at the right, at the left, above
/// and below, and the same further and further away.
fn places((x, y): (f64, f64), width: f64) -> Vec<(f64, f64)> {
    let mut places = vec![(x + 10.0, y), (x - 10.0 - width, y)];
    for away in [0.0, 12.0, 24.0, 36.0, 48.0] {
        for dy in [-14.0 - away, 14.0 + away] {
            places.extend([
                (x - width / 2.0, y + dy),
                (x + 7.0 + away / 2.0, y + dy),
                (x - 7.0 - away / 2.0 - width, y + dy),
            ]);
        }
    }
    places
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
        assert!(
            places[3] - places[0] > 13.9 && places[1] - places[3] > 13.9,
            "{places:?}"
        );
        assert_eq!(places[2], 100.0);
    }
}
