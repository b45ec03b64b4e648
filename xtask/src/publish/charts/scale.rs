//! From a value to a place: linear from nothing, or logarithmic.

/// Ticks that fit beside each other on an axis of the charts.
const TICKS_MAX: usize = 7;

/// Between which values, and between which places of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    is_log: bool,
}

impl Scale {
    /// From 0, because the length of a bar is what is read.
    pub fn linear(max: f64, from: f64, to: f64) -> Self {
        Self {
            low: 0.0,
            high: if max > 0.0 { max } else { 1.0 },
            from,
            to,
            is_log: false,
        }
    }

    /// Between round numbers around the values, none of which is 0.
    pub fn log(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let positive = values.into_iter().filter(|value| *value > 0.0);
        let (low, high) = positive.fold((f64::INFINITY, 0.0_f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let (low, high) = if high > 0.0 { (low, high) } else { (1.0, 10.0) };
        Self {
            low: round_below(low * 0.95),
            high: round_above(high * 1.05),
            from,
            to,
            is_log: true,
        }
    }

    /// A linear scale between two values that need not be 0, for marks that are
    /// read by their place. One value alone stands at the low end.
    pub fn between(low: f64, high: f64, from: f64, to: f64) -> Self {
        Self {
            low,
            high: if high > low { high } else { low + 1.0 },
            from,
            to,
            is_log: false,
        }
    }

    pub fn at(&self, value: f64) -> f64 {
        let share = if self.is_log {
            (value / self.low).log10() / (self.high / self.low).log10()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share * (self.to - self.from)
    }

    pub fn ends(&self) -> (f64, f64) {
        (self.from, self.to)
    }

    pub fn ticks(&self) -> Vec<f64> {
        if self.is_log {
            self.log_ticks()
        } else {
            self.linear_ticks()
        }
    }

    fn linear_ticks(&self) -> Vec<f64> {
        let rough = (self.high - self.low) / TICKS_MAX as f64;
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|factor| factor * decade(rough))
            .into_iter()
            .find(|step| *step >= rough * 0.999)
            .unwrap_or(rough);
        let first = (self.low / step - 1e-9).ceil() as i64;
        (first..)
            .map(|number| number as f64 * step)
            .take_while(|tick| *tick <= self.high * 1.0001)
            .collect()
    }

    /// Decades, with 2 and 5 between them where there is room.
    fn log_ticks(&self) -> Vec<f64> {
        let with = |steps: &[f64]| -> Vec<f64> {
            let first = self.low.log10().floor() as i32;
            let last = self.high.log10().ceil() as i32;
            (first..=last)
                .flat_map(|power| steps.iter().map(move |step| step * ten_to(power)))
                .filter(|tick| (self.low * 0.999..=self.high * 1.001).contains(tick))
                .collect()
        };
        let all = with(&[1.0, 2.0, 5.0]);
        if all.len() <= TICKS_MAX {
            return all;
        }
        with(&[1.0])
    }
}

fn ten_to(power: i32) -> f64 {
    10_f64.powi(power)
}

/// The power of ten at or below `value`.
fn decade(value: f64) -> f64 {
    ten_to(value.log10().floor() as i32)
}

fn round_below(value: f64) -> f64 {
    let decade = decade(value);
    let steps = [5.0, 2.0, 1.0].map(|step| step * decade);
    steps.into_iter().find(|it| *it <= value).unwrap_or(decade)
}

fn round_above(value: f64) -> f64 {
    let decade = decade(value);
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade);
    steps.into_iter().find(|it| *it >= value).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6 * b.abs().max(1.0)
    }

    #[test]
    fn a_linear_scale_begins_at_nothing_and_keeps_ratios() {
        let scale = Scale::linear(8.0, 100.0, 500.0);
        assert!(near(scale.at(0.0), 100.0) && near(scale.at(8.0), 500.0));
        assert!(near(scale.at(4.0) - 100.0, 2.0 * (scale.at(2.0) - 100.0)));
        assert_eq!(scale.ticks(), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(
            Scale::between(5.0, 11.0, 0.0, 1.0).ticks(),
            [5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]
        );
        assert_eq!(Scale::linear(0.0, 0.0, 1.0).at(1.0), 1.0);
        assert_eq!(Scale::between(5.0, 5.0, 3.0, 4.0).at(5.0), 3.0);
    }

    #[test]
    fn a_decade_is_as_long_as_any_other() {
        let scale = Scale::log([6e6, 1.2e9], 0.0, 100.0);
        let decade = scale.at(1e8) - scale.at(1e7);
        assert!(near(scale.at(1e9) - scale.at(1e8), decade));
        assert!(near(scale.at(5e6), 0.0) && near(scale.at(2e9), 100.0));
        assert_eq!(scale.ticks(), [1e7, 1e8, 1e9]);
        let narrow = Scale::log([0.3, 4.0], 0.0, 100.0);
        let ticks = narrow.ticks();
        assert_eq!(ticks.len(), 5, "{ticks:?}");
        assert!(near(ticks[0], 0.2) && near(ticks[4], 5.0), "{ticks:?}");
        assert!(Scale::log([], 0.0, 1.0).at(1.0).is_finite());
    }
}
