//! What a chart is drawn from: one suite, for one reader.

use super::Lang;
use crate::{
    human,
    publish::Evidence,
    record::{
        exact::SizeRow,
        timings::{NodeRow, Phase, StartRow},
    },
    suite::Suite,
};

/// One suite of the evidence, as one chart after the other shows it.
pub struct Scene<'a> {
    pub evidence: &'a Evidence,
    pub suite: &'a Suite,
    pub lang: Lang,
    pub draft: bool,
    /// The suite's images, the largest transfer first: the order of all charts.
    pub images: Vec<&'a SizeRow>,
}

impl<'a> Scene<'a> {
    pub fn new(evidence: &'a Evidence, suite: &'a Suite, lang: Lang, draft: bool) -> Self {
        let mut images: Vec<&SizeRow> = suite
            .variants
            .iter()
            .filter_map(|variant| evidence.size(&suite.name, &variant.name))
            .filter(|row| row.transfer_bytes.is_some())
            .collect();
        images.sort_by_key(|row| std::cmp::Reverse(row.transfer_bytes));
        Self {
            evidence,
            suite,
            lang,
            draft,
            images,
        }
    }

    /// Text in the reader's language.
    pub fn say<'t>(&self, english: &'t str, korean: &'t str) -> &'t str {
        self.lang.of(english, korean)
    }

    /// The images whose node cold start was measured in this profile.
    pub fn node(&self, profile: &str) -> Vec<(&'a SizeRow, &'a NodeRow)> {
        let row = |image: &&'a SizeRow| {
            let row = self
                .evidence
                .node(&self.suite.name, &image.variant, profile, "node_cold")?;
            row.pull.phase.median_us.map(|_| (*image, row))
        };
        self.images.iter().filter_map(row).collect()
    }

    /// The images whose start was measured with the image there.
    pub fn warm(&self) -> Vec<(&'a SizeRow, &'a StartRow)> {
        let row = |image: &&'a SizeRow| {
            let row = self
                .evidence
                .start(&self.suite.name, &image.variant, "warm")?;
            row.start_total.phase.median_us.map(|_| (*image, row))
        };
        self.images.iter().filter_map(row).collect()
    }

    /// Where exact numbers come from.
    pub fn exact_source(&self) -> String {
        let platform = &self.evidence.settings.platform;
        let text = match self.lang {
            Lang::En => format!(
                "Exact numbers of {platform} images, counted without an engine: the same on every machine."
            ),
            Lang::Ko => format!(
                "{platform} 이미지의 정확한 값입니다. 엔진 없이 세므로 어느 머신에서나 같습니다."
            ),
        };
        self.marked(text)
    }

    /// Where times come from: machine, file system, session, and how many
    /// samples there are of each.
    pub fn timed_source(
        &self,
        session: &str,
        samples: impl Iterator<Item = Option<u64>>,
    ) -> String {
        let fact = |name| self.evidence.fact(session, name).unwrap_or("?");
        let (cpu, cores) = (fact("cpu_model"), fact("cores"));
        let fs = &self.evidence.settings.data_root_fs;
        let counts: Vec<u64> = samples.flatten().collect();
        let n = match (counts.iter().min(), counts.iter().max()) {
            (Some(least), Some(most)) if least == most => least.to_string(),
            (Some(least), Some(most)) => format!("{least}–{most}"),
            _ => "0".to_owned(),
        };
        let text = match self.lang {
            Lang::En => format!(
                "{cpu}, {cores} cores; images on {fs}; session\u{a0}{session}; medians of {n} samples with their 95\u{a0}% intervals."
            ),
            Lang::Ko => format!(
                "{cpu}, {cores}코어. 이미지는 {fs}에 있습니다. 세션\u{a0}{session}. 표본 {n}개의 중앙값과 95\u{a0}% 구간입니다."
            ),
        };
        self.marked(text)
    }

    fn marked(&self, text: String) -> String {
        let draft = self.say(
            "Draft, not fit to be quoted. ",
            "초안이므로 인용할 수 없습니다. ",
        );
        if self.draft {
            format!("{draft}{text}")
        } else {
            text
        }
    }
}

/// As `9.7 MB`.
pub fn megabytes(bytes: u64) -> String {
    format!("{} MB", human::megabytes(bytes))
}

/// As `192 ms (185 ms–198 ms)`.
pub fn interval(phase: &Phase) -> String {
    let median = phase.median_us.map(human::time).unwrap_or_default();
    match (phase.low_us, phase.high_us) {
        (Some(low), Some(high)) => {
            format!("{median} ({}–{})", human::time(low), human::time(high))
        }
        _ => median,
    }
}

/// What the ticks of an axis are called.
pub mod tick {
    /// Bytes, decimal.
    pub fn bytes(value: f64) -> String {
        match value {
            v if v >= 1e9 => format!("{} GB", v / 1e9),
            v if v >= 1e6 => format!("{} MB", v / 1e6),
            v if v > 0.0 => format!("{} kB", v / 1e3),
            _ => "0".to_owned(),
        }
    }

    /// Seconds out of microseconds.
    pub fn seconds(us: f64) -> String {
        match us {
            v if v >= 1e6 => format!("{} s", rounded(v / 1e6)),
            v if v > 0.0 => format!("{} ms", rounded(v / 1e3)),
            _ => "0".to_owned(),
        }
    }

    /// Bits per second, out of megabits.
    pub fn megabits(value: f64) -> String {
        if value >= 1000.0 {
            format!("{} Gbit/s", rounded(value / 1000.0))
        } else {
            format!("{} Mbit/s", rounded(value))
        }
    }

    /// US dollars out of millionths.
    pub fn dollars(microusd: f64) -> String {
        format!("${}", rounded(microusd / 1e6))
    }

    /// Without the traces of binary fractions.
    fn rounded(value: f64) -> f64 {
        (value * 1e6).round() / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read_without_thinking() {
        let texts = [0.0, 5e5, 2e7, 1e9].map(tick::bytes);
        assert_eq!(texts, ["0", "500 kB", "20 MB", "1 GB"]);
        let texts = [0.0, 2e3, 3.0 * 1e5, 1e6, 2.5e6].map(tick::seconds);
        assert_eq!(texts, ["0", "2 ms", "300 ms", "1 s", "2.5 s"]);
        let texts = [10.0, 1000.0, 10_000.0].map(tick::megabits);
        assert_eq!(texts, ["10 Mbit/s", "1 Gbit/s", "10 Gbit/s"]);
        assert_eq!(
            [1e3, 1e4, 2e6].map(tick::dollars),
            ["$0.001", "$0.01", "$2"]
        );
    }

    #[test]
    fn an_interval_is_shown_where_there_is_one() {
        let mut phase = Phase {
            median_us: Some(191_953),
            low_us: Some(185_163),
            high_us: Some(1_197_837),
        };
        assert_eq!(interval(&phase), "192 ms (185 ms–1.20 s)");
        phase.low_us = None;
        assert_eq!(interval(&phase), "192 ms");
    }
}
